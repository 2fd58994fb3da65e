"""Frames of a shot, far apart in time, that show the same place: found by their key points, measured by their matches.

Windows of the network know of no frames but their own. Some frames of all of them are compared here; of those that look
alike, the pose of one camera to the other follows from the matches and the depth of the windows, told in both
directions. What these do not agree on is left out. ``reconstruction.loops`` decides what becomes of the others.

Legend: K key frames, P pairs of them, A anchors of a frame.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int16, Int64, UInt8
from torch import Tensor

from unish.geometry.rigid import invert_rigid, make_rigid
from unish.geometry.rotation import nearest_rotation, rotation_angle
from unish.geometry.statistics import weighted_median
from unish.network.matching.mutual import make_index_matches
from unish.network.matching.pairs import describe_frames, match_pairs, place_matches
from unish.network.matching.records import FrameFeatures, KeyPoints, SparseMatches
from unish.network.matching.retrieval import list_similar_pairs
from unish.network.view_scene import leave_people_out
from unish.network.view_solver import load_features, sample_maps
from unish.passes.matched_poses import read_confident_depth, solve_matched_poses
from unish.reconstruction import Loop, Window, choose_owner
from unish.structs import FrameTensor

KEYS_A_WINDOW = 6
"""Of the frames of a window, how many are compared with those of others."""

MAX_KEYS = 256
"""Key frames of a shot. A longer one has them farther apart, so that memory and time do not grow with it."""

PAIRS_A_FRAME = 1
MIN_INLIERS, MIN_SHARE = 60, 0.5
"""Matches that a pose explains in both directions: how many, and of all matches of the pair."""

MAX_TURN_DEG, MAX_PLACE, MAX_LOG_RATIO = 1.5, 0.04, 0.08
"""What the two directions may differ by: turn, place over the distance of the matches, log ratio of the two units."""

_AT_ONCE = 8


@torch.inference_mode()
def find_loops(
    pictures: UInt8[FrameTensor, "D h w 3"],
    people: Int16[FrameTensor, "D h w"],
    no_scene: Bool[FrameTensor, "D h w"],
    windows: Sequence[Window],
    intrinsics: Float[Tensor, "D 3 3"],
) -> list[Loop]:
    """Loops of one shot between frames that no window has both of; none where the windows are one or two.

    Args:
        people: index of the person at each pixel, −1 = scene.
        no_scene: sky, padding and overlays.
        windows: of the whole shot.
        intrinsics: pixels of ``pictures``.
    """
    if len(windows) < 3:
        return []
    owner = choose_owner([window.frames for window in windows])
    step = max(1, len(windows[0].frames) // KEYS_A_WINDOW, -(-len(owner) // MAX_KEYS))
    keys = list(range(0, len(owner), step))
    features = _describe(pictures, people, no_scene, keys)
    apart = -(-len(windows[0].frames) // step)
    similar = list_similar_pairs(features.key_points, min_gap=apart, num_per_frame=PAIRS_A_FRAME)
    index = match_pairs(features, similar)
    many = (index.forward >= 0).sum(1) >= MIN_INLIERS
    similar = [pair for pair, enough in zip(similar, many.tolist(), strict=True) if enough]
    if not similar:
        return []
    matches = place_matches(features, similar, make_index_matches(index.forward[many]), wide=similar)
    depth = torch.stack([read_confident_depth(windows[owner[key]], key) for key in keys])[None]
    seen = _look(matches, sample_maps(depth, matches.anchors_px)[0], depth[0], intrinsics[keys])
    found = [_compare(seen, pair, len(similar)) for pair in range(len(similar))]
    return [
        Loop(first=keys[first], second=keys[second], **vars(measured))
        for (first, second), measured in zip(similar, found, strict=True)
        if measured is not None
    ]


@dataclass(frozen=True, kw_only=True)
class _Measured:
    """See ``Loop``."""

    relative: Float[Tensor, "4 4"]
    log_ratio: float
    distance: float


@dataclass(frozen=True, kw_only=True)
class _Seen:
    """What the E = 2·P pairs say, those of both directions: poses, and matches that they explain.

    Attributes:
        moved: (E, 4, 4) points of the first camera to the second, in the unit of the first.
        explained: (E, A) matches.
        found: (E,) how many matches there were.
        log_ratio: (E,) median log of the depth at which the anchors stand in the second camera, in the unit of the
            first, over the depth there in the unit of the second.
        distance: (E,) median depth of the explained anchors.
    """

    moved: Float[Tensor, "E 4 4"]
    explained: Bool[Tensor, "E A"]
    found: Int64[Tensor, "E"]
    log_ratio: Float[Tensor, "E"]
    distance: Float[Tensor, "E"]


def _describe(
    pictures: UInt8[FrameTensor, "D h w 3"],
    people: Int16[FrameTensor, "D h w"],
    no_scene: Bool[FrameTensor, "D h w"],
    keys: list[int],
) -> FrameFeatures:
    """Key points of the scene in the key frames, a few frames at a time."""
    parts = []
    for first in range(0, len(keys), _AT_ONCE):
        some = keys[first : first + _AT_ONCE]
        images = torch.stack([pictures[key] for key in some])[None].permute(0, 1, 4, 2, 3).float() / 255
        masks, hidden = (torch.stack([frames[key] for key in some])[None] for frames in (people, no_scene))
        parts.append(describe_frames(load_features(images.device), images, usable=leave_people_out(masks, ~hidden)))
    points = [vars(part.key_points) for part in parts]
    return replace(
        parts[0],
        key_points=KeyPoints(**{name: torch.cat([one[name] for one in points]) for name in points[0]}),
        grey=torch.cat([part.grey for part in parts]),
        usable=torch.cat([part.usable for part in parts if part.usable is not None]),
    )


def _look(
    matches: SparseMatches,
    anchor_depth: Float[Tensor, "K A"],
    depth: Float[Tensor, "K h w"],
    intrinsics: Float[Tensor, "K 3 3"],
) -> _Seen:
    """Solve every pair in both directions."""
    first, second = torch.tensor(matches.pairs).T
    poses = solve_matched_poses(matches, anchor_depth, intrinsics, max(depth.shape[-2:]))
    # One map after the other: there may be more pairs than maps fit into the memory.
    looked_at = zip(second.tolist(), matches.targets_px[0], strict=True)
    deep = torch.cat([sample_maps(depth[None, None, key], px[None, None])[0] for key, px in looked_at])
    ratio = (poses.there[..., 2].clamp_min(1e-3) * poses.distance[:, None] / deep).log()
    told = poses.explained & torch.isfinite(ratio)
    return _Seen(
        moved=poses.moved,
        explained=poses.explained,
        found=poses.found,
        log_ratio=weighted_median(ratio.nan_to_num(0.0), told.to(ratio.dtype)),
        distance=weighted_median(anchor_depth[first].nan_to_num(1.0), poses.explained.to(ratio.dtype)),
    )


def _compare(seen: _Seen, pair: int, num_pairs: int) -> _Measured | None:
    """What a pair of frames says, where both of its directions say the same."""
    back = pair + num_pairs
    for number in (pair, back):
        num_explained = int(seen.explained[number].sum())
        if num_explained < MIN_INLIERS or num_explained < MIN_SHARE * int(seen.found[number]):
            return None
    forward, backward = seen.moved[pair], invert_rigid(seen.moved[back]).clone()
    log_ratio = float(seen.log_ratio[pair] - seen.log_ratio[back]) / 2
    # In the unit of the first frame.
    backward[:3, 3] *= math.exp(log_ratio)
    turn = float(rotation_angle(forward[:3, :3] @ backward[:3, :3].mT).rad2deg())
    apart = float((forward[:3, 3] - backward[:3, 3]).norm())
    disagree = abs(float(seen.log_ratio[pair] + seen.log_ratio[back]))
    distance = float(seen.distance[pair])
    # NaN where no anchor has a depth in both windows.
    if not (turn < MAX_TURN_DEG and apart < MAX_PLACE * distance and disagree < MAX_LOG_RATIO):
        return None
    middle = make_rigid(nearest_rotation(forward[:3, :3] + backward[:3, :3]), (forward[:3, 3] + backward[:3, 3]) / 2)
    return _Measured(relative=invert_rigid(middle), log_ratio=log_ratio, distance=distance)
