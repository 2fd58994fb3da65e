"""The network over the windows of every shot, and over people in the frames between those that it sees."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from math import ceil
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int16, UInt8
from torch import Tensor

from unish.errors import InputError
from unish.geometry.camera import zoom_intrinsics
from unish.io import FramePile, release_memory
from unish.network.depth_prior import DepthPrior, PriorView
from unish.passes.loops import find_loops
from unish.passes.models import Network, ReadsPeople
from unish.passes.run_folder import RunFolder
from unish.people import cut_crops
from unish.reconstruction import (
    Loop,
    Window,
    camera_stood_still,
    choose_owner,
    decide_camera,
    describe_window,
    first_zoom,
    gather_zoom,
    intrinsics_at,
    leave_out,
    plan_windows,
)
from unish.settings import Settings
from unish.structs import (
    Camera,
    Clip,
    Crops,
    FrameArray,
    HumanInputs,
    KnownCameras,
    Landmarks,
    Prediction,
    Tracks,
    cut_frames,
    pick_frames,
)
from unish.structs.progress import StageClock
from unish.video import Placement, resize_images


@dataclass(frozen=True, kw_only=True)
class DenseFrames:
    """The D frames that the scene branch sees, as a clip of their own.

    Attributes:
        pictures: processed, inside of bars.
        tracks, landmarks: pixels of ``pictures``.
    """

    clip: Clip
    pictures: UInt8[FrameArray, "D h w 3"]
    tracks: Tracks
    landmarks: Landmarks

    @classmethod
    def of(
        cls,
        clip: Clip,
        tracks: Tracks,
        landmarks: Landmarks,
        masks: Int16[FrameArray, "D h w"],
        images: FramePile,
        placement: Placement,
        dense: list[int],
    ) -> DenseFrames:
        """Those of all used frames that ``dense`` names; ``masks`` and ``images`` are theirs alone."""
        rows, columns = placement.region
        return cls(
            clip=replace(
                clip,
                images=pick_frames(clip.images, dense),
                timestamps_s=clip.timestamps_s[dense],
                frame_indices=clip.frame_indices[dense],
                segment=clip.segment[dense],
                picture_area=None if clip.picture_area is None else clip.picture_area[dense],
                frame_names=None if clip.frame_names is None else tuple(clip.frame_names[frame] for frame in dense),
            ),
            pictures=FrameArray(
                (len(dense), *placement.inner, 3),
                torch.uint8,
                lambda frame: torch.from_numpy(images.read(frame)[rows, columns].copy()),
            ),
            tracks=replace(tracks, valid=tracks.valid[:, dense], boxes_xyxy=tracks.boxes_xyxy[:, dense], masks=masks),
            landmarks=Landmarks(
                px=landmarks.px[:, dense],
                world=landmarks.world[:, dense],
                score=landmarks.score[:, dense],
                sigma_px=None if landmarks.sigma_px is None else landmarks.sigma_px[:, dense],
            ),
        )


@dataclass(frozen=True, kw_only=True)
class ReadPoses:
    """People of a shot, read in all of its T frames; ``rotations`` in the camera, as in ``Prediction``."""

    rotations: Float[Tensor, "P T 24 3 3"]
    betas: Float[Tensor, "P 10"]


class WindowReader:
    """The network over windows of dense frames; the maps of a window go to the disk before the next one is read.

    Args:
        known: the camera of all shots, where somebody says what it is (``find_known_camera``).
        cameras: of the dense frames, where they are known.
        prior: what takes the place of the depth that the network finds; ``None`` where that stays.
    """

    def __init__(
        self,
        network: Network,
        dense: DenseFrames,
        no_scene: Bool[FrameArray, "D h w"],
        settings: Settings,
        folder: RunFolder,
        clock: StageClock,
        known: Camera | None,
        cameras: KnownCameras | None = None,
        prior: DepthPrior | None = None,
    ) -> None:
        if prior is not None and not getattr(network, "takes_depth_prior", False):
            raise InputError("this network takes no other depth prior; leave out --depth-prior")
        self.prior = prior
        self.network, self.dense, self.no_scene = network, dense, no_scene
        self.cameras = cameras
        self.settings, self.folder, self.clock = settings, folder, clock
        self.known = known

    def shot(self, part: slice) -> tuple[list[Window], Camera, bool]:
        """Windows, camera, and whether that stood still. An unknown camera is decided on the first window; the others
        are told, for it is one camera."""
        camera, windows = self.known, list[Window]()
        parts = (self.dense.pictures, self.dense.tracks.masks, self.no_scene)
        still = camera_stood_still(*(cut_frames(frames, part) for frames in parts))
        for planned in plan_windows(part.stop - part.start, self.settings.window, self.settings.overlap):
            frames = range(part.start + planned.start, part.start + planned.stop)
            if self.folder.has_window(frames):
                camera = camera or self.folder.load_camera(part.start)
            else:
                before = windows[-1] if windows else None
                prediction = self._predict(part, frames, camera, first_zoom(before, planned), still=still)
                camera = self._add(part, planned, frames, camera, prediction, before)
            windows.append(self.folder.load_window(frames))
            release_memory()
            if self.clock.progress is not None:
                self.clock.progress("network", frames.stop, self.dense.clip.num_frames)
        assert camera is not None
        return windows, camera, still

    def find_loops(self, part: slice, windows: list[Window], camera: Camera) -> list[Loop]:
        """Where the camera of a shot came back to; nowhere if cameras are given, or nobody has the time to look."""
        if self.cameras is not None or self.settings.fast:
            return []
        pictures, masks = (cut_frames(frames, part) for frames in (self.dense.pictures, self.dense.tracks.masks))
        size = (int(pictures.shape[1]), int(pictures.shape[2]))
        intrinsics = zoom_intrinsics(intrinsics_at(camera, size), gather_zoom(windows))
        return find_loops(pictures, masks, cut_frames(self.no_scene, part), windows, intrinsics)

    def _add(
        self, part: slice, planned: range, frames: range, camera: Camera | None, prediction: Prediction,
        before: Window | None,
    ) -> Camera:  # fmt: skip
        """Keep the window of these frames of the clip; the camera of the shot."""
        prediction = leave_out(prediction, self.no_scene[frames.start : frames.stop])
        if camera is None:
            camera = decide_camera(prediction, self.dense.clip.size, predicted=self.network.config.predicts_camera)
            self.folder.save_camera(part.start, camera)
        people = self.dense.tracks.masks[frames.start : frames.stop]
        self.folder.save_window(frames, describe_window(prediction, planned, before, people))
        return camera

    def _tell_cameras(self, chosen: slice, still: bool) -> dict[str, Any]:
        """What the network is told of known cameras, or that the camera stood still; nothing where neither is known."""
        if self.cameras is None:
            return {"still": True} if still and self.network.config.views is not None else {}
        c2w = self.cameras.from_first(chosen)[None].to(self.network.device)
        return {"c2w": c2w, "refine_c2w": self.cameras.refine}

    def _tell_depth(
        self, frames: range, images: Float[Tensor, "N 3 h w"], intrinsics: Float[Tensor, "1 N 3 3"] | None
    ) -> dict[str, Any]:
        """What the network is told of the depth of a window; nothing where its own stays."""
        if self.prior is None:
            return {}
        clip = self.dense.clip
        names = None if clip.frame_names is None else tuple(clip.frame_names[frame] for frame in frames)
        shown = clip.source_area or (0.0, 0.0, *clip.source_size)
        top, left, bottom, right = (side / whole for side, whole in zip(shown, clip.source_size * 2, strict=True))
        view = PriorView(
            images=images, intrinsics=None if intrinsics is None else intrinsics[0], picture_size=clip.size,
            frame_indices=tuple(clip.frame_indices[frames.start : frames.stop].tolist()), positions=tuple(frames),
            num_dense=clip.num_frames, frame_names=names, part=(top, left, bottom, right),
        )  # fmt: skip
        return {"depth_prior": [self.prior.estimate(view)]}

    @torch.inference_mode()
    def _predict(self, part: slice, frames: range, camera: Camera | None, zoom: float, *, still: bool) -> Prediction:
        """Batch of one, on the CPU; ``zoom``: focal length in the first of the frames over that of the camera."""
        device, chosen, dense = self.network.device, slice(frames.start, frames.stop), self.dense
        images = dense.pictures[chosen]
        size = (int(images.shape[1]), int(images.shape[2]))
        intrinsics = None
        if camera is not None:
            intrinsics = zoom_intrinsics(intrinsics_at(camera, size), torch.full((1, len(frames)), zoom))
        times = times_in_shot(dense.clip, part)[frames.start - part.start : frames.stop - part.start]
        people = make_human_inputs(self.network, images, size, dense.tracks, dense.landmarks, chosen)
        pictures = images.to(device).permute(0, 3, 1, 2)[None].float() / 255
        prediction = self.network(
            pictures,
            people if dense.tracks.num_people else None,
            times[None].to(device),
            None if intrinsics is None else intrinsics.to(device),
            picture_size=dense.clip.size,
            people_masks=dense.tracks.masks[chosen][None].to(device),
            usable=~self.no_scene[chosen][None].to(device),
            **self._tell_cameras(chosen, still),
            **self._tell_depth(frames, pictures[0], intrinsics),
        )
        moved = {
            name: (value.float() if value.is_floating_point() else value).cpu()
            for name, value in vars(prediction).items()
            if value is not None
        }
        return Prediction(**moved)


class PoseReader:
    """The human branch over all frames of a shot, where the scene branch sees fewer."""

    def __init__(
        self, network: Network, clip: Clip, size: tuple[int, int], tracks: Tracks, landmarks: Landmarks,
        settings: Settings, folder: RunFolder,
    ) -> None:  # fmt: skip
        self.network, self.clip, self.size = network, clip, size
        self.tracks, self.landmarks, self.settings, self.folder = tracks, landmarks, settings, folder

    def shot(self, part: slice, camera: Camera, *, ratio: float) -> ReadPoses | None:
        """Poses in windows that last as long as those of the scene; ``None`` where that sees all frames, or nobody is
        there.

        Args:
            ratio: frames of the shot over dense ones.
        """
        if ratio == 1 or not self.tracks.num_people:
            return None
        if not isinstance(self.network, ReadsPeople):
            raise InputError("this network reads people only in frames of the scene; give --scene-fps as --fps")
        window, overlap = ceil(ratio) * self.settings.window, ceil(ratio) * max(1, self.settings.overlap)
        planned = plan_windows(part.stop - part.start, window, min(overlap, window - 1))
        read = [self._read(part, frames, camera) for frames in planned]
        owner = choose_owner(planned)
        rows = [torch.from_numpy(np.flatnonzero(owner == index)) - frames.start for index, frames in enumerate(planned)]
        valid = self.tracks.valid[:, part]
        seen = torch.stack([valid[:, frames.start : frames.stop].sum(1) for frames in planned]).float()
        weights = seen / seen.sum(0).clamp_min(1)
        return ReadPoses(
            rotations=torch.cat([one.rotations[:, own] for one, own in zip(read, rows, strict=True)], dim=1),
            betas=(torch.stack([one.betas for one in read]) * weights[..., None]).sum(0),
        )

    @torch.inference_mode()
    def _read(self, part: slice, planned: range, camera: Camera) -> ReadPoses:
        frames = range(part.start + planned.start, part.start + planned.stop)
        kept = self.folder.load_poses(frames)
        if kept is None:
            assert isinstance(self.network, ReadsPeople)
            device, chosen = self.network.device, slice(frames.start, frames.stop)
            images = resize_images(self.clip.images[chosen], self.size) if self.network.config.reads_crops else None
            rotations, betas = self.network.read_people(
                make_human_inputs(self.network, images, self.size, self.tracks, self.landmarks, chosen),
                times_in_shot(self.clip, part)[planned.start : planned.stop][None].to(device),
                intrinsics_at(camera, self.size).expand(1, len(frames), 3, 3).to(device),
            )
            kept = rotations[0].float().cpu(), betas[0].float().cpu()
            self.folder.save_poses(frames, *kept)
        return ReadPoses(rotations=kept[0], betas=kept[1])


def make_human_inputs(
    network: Network,
    images: UInt8[Tensor, "N h w 3"] | None,
    size: tuple[int, int],
    tracks: Tracks,
    landmarks: Landmarks,
    frames: slice,
) -> HumanInputs:
    """What the network reads of people in some frames; ``images`` are these, for a network that reads crops.

    Args:
        size: (height, width) of the images that tracks and landmarks are in.
    """
    crops: Crops | None = None
    if network.config.reads_crops:
        assert images is not None
        crops = cut_crops(images, tracks.boxes_xyxy[:, frames], tracks.valid[:, frames])
    px = landmarks.px[:, frames]
    known = torch.full_like(px[..., 0], torch.nan) if landmarks.sigma_px is None else landmarks.sigma_px[:, frames]
    inside = ((px[..., :2] >= 0) & (px[..., :2] <= torch.tensor([size[1], size[0]]))).all(-1)
    return HumanInputs(
        valid=tracks.valid[None, :, frames].to(network.device),
        landmarks_px=px[None].to(network.device),
        landmarks_sigma_px=torch.where(inside, known, torch.inf)[None].to(network.device),
        landmarks_world=landmarks.world[None, :, frames].to(network.device),
        patches=None if crops is None else crops.patches[None].to(network.device),
        bbox_info=None if crops is None else crops.bbox_info[None].to(network.device),
    )


def split_shots(clip: Clip) -> list[slice]:
    """Frames of each shot; shots follow one another."""
    starts = [0, *((clip.segment.diff() != 0).nonzero()[:, 0] + 1).tolist(), clip.num_frames]
    return [slice(start, stop) for start, stop in pairwise(starts)]


def times_in_shot(clip: Clip, shot: slice) -> Float[Tensor, "T"]:
    """Seconds from the first frame of the shot, for which float32 is exact enough; hours into a video it is not."""
    return (clip.timestamps_s[shot] - clip.timestamps_s[shot.start]).float()
