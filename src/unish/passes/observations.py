"""First pass: what each frame and each window of frames shows, read once and in order.

Dense arrays go to the disk as they are: frames as the network sees them, masks of people, the windows' maps in units of
their own. What is kept in memory of a frame is small.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Int16, Int64, UInt8
from torch import Tensor

from unish.io import FramePile
from unish.network.depth_prior import DepthPrior
from unish.network.sky import find_sky
from unish.passes.between import BetweenReader
from unish.passes.known_camera import find_known_camera
from unish.passes.models import Network, PeopleFinder
from unish.passes.network_pass import DenseFrames, PoseReader, ReadPoses, WindowReader, split_shots
from unish.passes.run_folder import RunFolder
from unish.passes.surfaces import read_relief
from unish.reconstruction import CamerasBetween, Loop, Window, find_padding
from unish.settings import Settings
from unish.structs import (
    Camera,
    Clip,
    FrameArray,
    FrameTensor,
    KnownCameras,
    Landmarks,
    ReliefCrops,
    Tracks,
    pick_frames,
)
from unish.structs.progress import StageClock
from unish.video import Placement, TickSampler, find_overlaid, place_inside, processed_size, resize_images


@dataclass(frozen=True, kw_only=True)
class ObservedShot:
    """One shot.

    Attributes:
        frames: used frames.
        dense: which of them the scene branch has seen, counted from the first of the shot.
        windows: of the dense frames.
        still: the camera stood still.
        loops: frames of different windows that show the same place.
        poses: people in all frames; ``None`` where all frames are dense, or nobody is there.
        between: cameras of the other frames; ``None`` where nobody has looked.
    """

    frames: slice
    dense: Int64[Tensor, "D"]
    windows: list[Window]
    camera: Camera
    still: bool
    loops: list[Loop]
    poses: ReadPoses | None
    between: CamerasBetween | None = None


@dataclass(frozen=True, kw_only=True)
class Observations:
    """What all T frames show, and what D dense ones show of the scene. Pixels are those of the processed picture.

    Attributes:
        clip: the used frames, inside of bars.
        placement: where the picture lies in the whole processed frame.
        images: whole processed frames.
        tracks: of all frames; their masks are drawn anew whenever they are read.
        masks: those of the dense frames, on the disk.
        box_only: nothing but the box was seen of the person: no landmarks, and no crop that the network read.
        sky: pixels that show it; ``None`` where nobody has looked.
        notes: what was found that degrades the result, one sentence each.
        cameras: of all frames, where they were given.
        relief: dense frame → what was seen of people's surfaces; ``None`` where nobody has looked.
    """

    clip: Clip
    placement: Placement
    images: UInt8[FrameArray, "D H W 3"]
    tracks: Tracks
    masks: Int16[FrameArray, "D h w"]
    landmarks: Landmarks
    box_only: Bool[Tensor, "P T"]
    sky: Bool[FrameArray, "D h w"] | None
    shots: list[ObservedShot]
    notes: list[str]
    cameras: KnownCameras | None = None
    relief: Callable[[int], ReliefCrops] | None = None


def observe(
    whole: Clip,
    clip: Clip,
    network: Network,
    finder: PeopleFinder,
    settings: Settings,
    folder: RunFolder,
    clock: StageClock,
    cameras: KnownCameras | None = None,
    prior: DepthPrior | None = None,
) -> Observations:
    """See the module. What ``folder`` holds already of this run is not done again.

    Args:
        whole, clip: the frames, and what is inside of their bars.
        cameras: of all frames, where they are known.
        prior: see ``WindowReader``.
    """
    size = processed_size(clip.size, settings.size or network.config.long_side, network.config.multiple)
    placement, chosen = place_inside(whole, clip, size), choose_dense_frames(clip, settings)
    with clock.stage("find people"):
        images, clip = _store_pictures(whole, clip, chosen, placement, folder)
        tracks, landmarks = rescale_people(*finder(clip, size), clip.size, size)
        for frame in chosen[images.next_frame :]:
            clip.images[frame]
        masks = _store(folder, "masks", pick_frames(tracks.masks, chosen), torch.int16)
    dense = DenseFrames.of(clip, tracks, landmarks, masks, images, placement, chosen)
    sky, no_scene, notes = _find_no_scene(dense, settings, folder, clock)
    with clock.stage("network"):
        known = None if cameras is None else replace(cameras, c2w=cameras.c2w[chosen])
        camera = find_known_camera(settings, whole, clip, cameras)
        windows = WindowReader(network, dense, no_scene, settings, folder, clock, camera, known, prior)
        poses = PoseReader(network, clip, size, tracks, landmarks, settings, folder)
        shots = _read_shots(clip, chosen, windows, poses)
    # Where cameras are given or nobody has the time, the others lie on a curve.
    if len(chosen) < clip.num_frames and cameras is None and not settings.fast:
        with clock.stage("cameras between"):
            shots = _look_between(shots, BetweenReader(clip, dense, no_scene, folder, clock.progress))
    unread = tracks.valid & ~torch.isfinite(landmarks.px).all(-1).any(-1)
    relief = None
    if settings.person_points and tracks.num_people:
        with clock.stage("surfaces of people"):
            # The mask of somebody of whom a box alone was seen is an ellipse.
            shown = (tracks.valid & ~unread)[:, chosen]
            relief = read_relief(
                dense.clip, masks, shown, folder.folder / "relief", device=network.device, progress=clock.progress
            )
    return Observations(
        clip=clip,
        placement=placement,
        images=FrameArray((len(chosen), *placement.size, 3), np.dtype(np.uint8), images.read),
        tracks=tracks,
        masks=masks,
        landmarks=landmarks,
        box_only=torch.zeros_like(unread) if network.config.reads_crops else unread,
        sky=sky,
        shots=shots,
        notes=notes if cameras is None else [*cameras.notes, *notes],
        cameras=cameras,
        relief=relief,
    )


def choose_dense_frames(clip: Clip, settings: Settings) -> list[int]:
    """The used frames that the scene branch sees: in each shot the first, the last, and those nearest to each tick."""
    if settings.scene_fps >= settings.fps:
        return list(range(clip.num_frames))
    chosen: set[int] = set()
    for part in split_shots(clip):
        times = clip.timestamps_s[part].tolist()
        sampler: TickSampler[int] = TickSampler(fps=settings.scene_fps, start=times[0], end=times[-1])
        for frame, time_s in enumerate(times, start=part.start):
            chosen.update(taken for _, taken in sampler.push(time_s, frame))
        chosen.update((part.start, part.stop - 1))
    return sorted(chosen)


def rescale_people(
    tracks: Tracks, landmarks: Landmarks, from_size: tuple[int, int], to_size: tuple[int, int]
) -> tuple[Tracks, Landmarks]:
    """From clip pixels to those of the processed image, whose sides are rounded to whole patches."""
    factor = torch.tensor([to_size[1] / from_size[1], to_size[0] / from_size[0]])
    sigma_px = landmarks.sigma_px
    return (
        replace(tracks, boxes_xyxy=tracks.boxes_xyxy * factor.repeat(2)),
        replace(
            landmarks,
            px=torch.cat([landmarks.px[..., :2] * factor, landmarks.px[..., 2:]], dim=-1),
            # One number for both directions, whose factors hardly differ.
            sigma_px=None if sigma_px is None else sigma_px * factor.prod().sqrt(),
        ),
    )


def _read_shots(clip: Clip, chosen: list[int], windows: WindowReader, poses: PoseReader) -> list[ObservedShot]:
    shots = []
    for part in split_shots(clip):
        first, last = np.searchsorted(chosen, [part.start, part.stop]).tolist()
        found, camera, still = windows.shot(slice(first, last))
        loops = [] if still else windows.find_loops(slice(first, last), found, camera)
        read = poses.shot(part, camera, ratio=(part.stop - part.start) / (last - first))
        own = torch.tensor(chosen[first:last]) - part.start
        shots.append(
            ObservedShot(frames=part, dense=own, windows=found, camera=camera, still=still, loops=loops, poses=read)
        )
    return shots


def _look_between(shots: list[ObservedShot], reader: BetweenReader) -> list[ObservedShot]:
    found, first = list[ObservedShot](), 0
    for shot in shots:
        chosen = (shot.frames.start + shot.dense).tolist()
        if not shot.still and len(chosen) < shot.frames.stop - shot.frames.start:
            shot = replace(shot, between=reader.shot(shot.frames, chosen, first, shot.windows, shot.camera))
        found.append(shot)
        first += len(chosen)
    return found


def _store_pictures(
    whole: Clip, clip: Clip, chosen: list[int], placement: Placement, folder: RunFolder
) -> tuple[FramePile, Clip]:
    """The clip, whose chosen frames are also kept, processed, when they are first asked for: they are decoded once."""
    pile = folder.pile("images", len(chosen))

    def read(frame: int) -> UInt8[Tensor, "H W 3"]:
        picture = clip.images[frame]
        if pile.next_frame < len(chosen) and frame == chosen[pile.next_frame]:
            if clip.surrounded:
                # A page may be many times as large as its film. What is flat takes no room in the file.
                processed = np.zeros((*placement.size, 3), np.uint8)
            else:
                processed = resize_images(whole.images[frame][None], placement.size)[0].numpy().copy()
            if placement.size != placement.inner:
                processed[placement.region] = resize_images(picture[None], placement.inner)[0].numpy()
            pile.add(processed)
        return picture

    return pile, replace(clip, images=FrameArray(clip.images.shape, torch.uint8, read))


def _store(folder: RunFolder, name: str, frames: FrameTensor, dtype: torch.dtype) -> FrameArray:
    """The same frames, on the disk."""
    pile = folder.pile(name, len(frames))
    for frame in range(pile.next_frame, len(frames)):
        pile.add(frames[frame].numpy())
    return FrameArray(frames.shape, dtype, lambda frame: torch.from_numpy(pile.read(frame)))


def _find_no_scene(
    dense: DenseFrames, settings: Settings, folder: RunFolder, clock: StageClock
) -> tuple[Bool[FrameArray, "D h w"] | None, Bool[FrameArray, "D h w"], list[str]]:
    """The sky, if it is asked for, all that is no scene (the sky, padding and overlays), and what to say of it."""
    clip, pictures, masks, notes = dense.clip, dense.pictures, dense.tracks.masks, list[str]()
    parts = [find_padding(clip, (int(pictures.shape[1]), int(pictures.shape[2])))]
    if clip.picture_area is None:
        people = FrameArray.like(masks, lambda frame: (masks[frame] >= 0).numpy(), dtype=np.dtype(np.bool_))
        images = FrameArray.like(pictures, lambda frame: pictures[frame].numpy(), dtype=np.dtype(np.uint8))
        overlaid, notes = find_overlaid(images, people, split_shots(clip))
        parts.append(FrameArray.like(parts[0], lambda frame: torch.from_numpy(overlaid[frame])))
    sky = None
    if settings.sky:
        with clock.stage("find sky"):
            # Who stands before the sky is a person.
            seen = FrameArray.like(parts[0], lambda frame: find_sky(pictures[frame][None])[0] & (masks[frame] < 0))
            sky = _store(folder, "sky", seen, torch.bool)
        parts.append(sky)
    no_scene = FrameArray.like(parts[0], lambda frame: torch.stack([part[frame] for part in parts]).any(0))
    return sky, no_scene, notes
