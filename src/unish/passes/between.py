"""Cameras of the frames between those that the scene branch sees, by their matches with the two nearest of these.

    frame of the scene ──┐ key points, matches, depth of the window
    frames between     ──┼──> pose of each against the one before and the one after
    frame of the scene ──┘

A hand trembles faster than a curve through six cameras a second can follow.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from unish.geometry.camera import zoom_intrinsics
from unish.geometry.rigid import invert_rigid
from unish.network.matching.pairs import describe_frames, match_pairs, place_matches
from unish.network.view_scene import leave_people_out
from unish.network.view_solver import load_features, sample_maps
from unish.passes.matched_poses import ExpectedPoses, read_confident_depth, solve_matched_poses
from unish.passes.network_pass import DenseFrames, times_in_shot
from unish.passes.run_folder import RunFolder
from unish.reconstruction import (
    CamerasBetween,
    Window,
    gather_zoom,
    interpolate_cameras,
    interpolate_intrinsics,
    intrinsics_at,
)
from unish.structs import Camera, Clip, FrameTensor
from unish.structs.progress import Progress
from unish.video import resize_images

MIN_INLIERS, MIN_SHARE = 40, 0.5
"""Matches that a pose explains: how many, and of all matches of the two frames."""

_TURN_SIGMA, _PLACE_SIGMA = 0.01, 0.0002
"""How far the curve is off: radians, and share of the distance. A hand trembles in turns; its place changes slowly, and
few matches tell a small move from a small turn."""

_KEY_POINTS, _ANCHORS = 1024, 256


class BetweenReader:
    """Looks at the frames between the dense ones, one gap after the other; what was found goes to the disk.

    Args:
        clip: all used frames, inside of bars.
        no_scene: of the dense frames: sky, padding and overlays.
    """

    def __init__(
        self,
        clip: Clip,
        dense: DenseFrames,
        no_scene: Bool[FrameTensor, "D h w"],
        folder: RunFolder,
        progress: Progress | None = None,
    ) -> None:
        self.clip, self.dense, self.no_scene, self.folder = clip, dense, no_scene, folder
        self.progress = progress

    def shot(
        self, part: slice, chosen: Sequence[int], first: int, windows: list[Window], camera: Camera
    ) -> CamerasBetween:
        """All frames of a shot.

        Args:
            part: its frames.
            chosen: which of the clip's frames are dense ones of the shot.
            first: number of the first of them among the dense frames of the clip.
            windows, camera: of the shot.
        """
        found = CamerasBetween.unknown(part.stop - part.start)
        times = times_in_shot(self.clip, part).double().numpy()
        size = (int(self.dense.pictures.shape[1]), int(self.dense.pictures.shape[2]))
        known = zoom_intrinsics(intrinsics_at(camera, size), gather_zoom(windows))
        intrinsics = interpolate_intrinsics(times[torch.tensor(chosen) - part.start], known, times)
        for number, (start, stop) in enumerate(pairwise(chosen)):
            if stop == start + 1:
                continue
            rows = slice(start + 1 - part.start, stop - part.start)
            found.window[rows] = index = _choose_window(windows, number)
            kept = self.folder.load_between(start)
            if kept is None:
                inside = slice(rows.start - 1, rows.stop + 1)
                window = windows[index]
                at = torch.tensor(chosen[window.frames.start : window.frames.stop]) - part.start
                guess = interpolate_cameras(times[at], window.c2w, times[at[0] : at[-1] + 1])
                guess = guess[inside.start - at[0] : inside.stop - at[0]]
                kept = self._look(range(start, stop + 1), first + number, number, window, intrinsics[inside], guess)
                self.folder.save_between(start, *kept)
            found.relative[rows], found.known[rows] = kept
            if self.progress is not None:
                self.progress("cameras between", stop, self.clip.num_frames)
        return found

    @torch.inference_mode()
    def _look(
        self,
        frames: range,
        number: int,
        of_shot: int,
        window: Window,
        intrinsics: Float[Tensor, "N 3 3"],
        guess: Float[Tensor, "N 4 4"],
    ) -> tuple[Float[Tensor, "M 2 4 4"], Bool[Tensor, "M 2"]]:
        """The M = N − 2 frames between the first and the last of some, which are dense.

        Args:
            number, of_shot: of the first among the dense frames of the clip, and of the shot.
            window: that has both.
            guess: their cameras in the world of the window, on a curve through those of dense frames.
        """
        depth = torch.stack([read_confident_depth(window, frame) for frame in (of_shot, of_shot + 1)])
        features = describe_frames(
            load_features(depth.device),
            self._read(frames, number)[None].permute(0, 1, 4, 2, 3).float() / 255,
            usable=self._mark_scene(len(frames), number),
            num_keypoints=_KEY_POINTS,
        )
        last, between = len(frames) - 1, range(1, len(frames) - 1)
        pairs = [*((0, frame) for frame in between), *((frame, last) for frame in between)]
        matches = place_matches(features, pairs, match_pairs(features, pairs), num_anchors=_ANCHORS)
        at_ends = sample_maps(depth[None], matches.anchors_px[:, [0, last]])[0]
        anchor_depth = torch.full(matches.anchors_px.shape[1:3], torch.nan)
        anchor_depth[[0, last]] = at_ends
        # From the first to each, and from the last to each: of the latter pairs the other direction.
        rows = [*range(len(between)), *range(3 * len(between), 4 * len(between))]
        sources, targets = torch.tensor([matches.pairs[row] for row in rows]).T
        expected = ExpectedPoses(
            moved=invert_rigid(guess[targets]) @ guess[sources], turn_sigma=_TURN_SIGMA, place_sigma=_PLACE_SIGMA
        )
        long_side = max(int(side) for side in depth.shape[-2:])
        poses = solve_matched_poses(matches, anchor_depth, intrinsics, long_side, rows, expected)
        explained = poses.explained.sum(-1)
        known = (explained >= MIN_INLIERS) & (explained >= MIN_SHARE * poses.found)
        return (
            invert_rigid(poses.moved).unflatten(0, (2, -1)).transpose(0, 1).clone(),
            known.unflatten(0, (2, -1)).T.clone(),
        )

    def _read(self, frames: range, number: int) -> UInt8[Tensor, "N h w 3"]:
        """Pictures of some frames, of which the first and the last are dense, as the network sees them."""
        ends = self.dense.pictures[number], self.dense.pictures[number + 1]
        size = (int(ends[0].shape[0]), int(ends[0].shape[1]))
        between = torch.stack([self.clip.images[frame] for frame in frames[1:-1]])
        return torch.cat([ends[0][None], resize_images(between, size), ends[1][None]])

    def _mark_scene(self, num_frames: int, number: int) -> Bool[Tensor, "1 N h w"]:
        """Where key points may be. Those of dense frames are looked for in the others: there people are left out."""
        ends = slice(number, number + 2)
        hidden = torch.stack([self.no_scene[frame] for frame in range(ends.start, ends.stop)])
        masks = torch.stack([self.dense.tracks.masks[frame] for frame in range(ends.start, ends.stop)])
        first, last = leave_people_out(masks[None], ~hidden[None])[0]
        between = ~hidden.any(0).expand(num_frames - 2, -1, -1)
        return torch.cat([first[None], between, last[None]])[None]


def _choose_window(windows: Sequence[Window], number: int) -> int:
    """The window that has a dense frame of the shot and the next, farthest from its ends."""
    having = [index for index, one in enumerate(windows) if number in one.frames and number + 1 in one.frames]
    return max(having, key=lambda index: min(number - windows[index].frames.start, windows[index].frames.stop - number))
