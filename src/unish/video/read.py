"""The reader: validates, samples by time, finds shots, and holds only the frames that are used."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8
from numpy import ndarray

from unish import assets
from unish.errors import InputError
from unish.io.input_paths import check_place
from unish.structs import Clip, FrameArray, FrameTensor
from unish.structs.progress import Progress, announce_in
from unish.values import check_count, check_path, check_sampling
from unish.video.again import DecodedPictures, SourceFrame
from unish.video.fitting import is_same_shape, place_picture
from unish.video.resize import fit_long_side
from unish.video.sampling import TickSampler
from unish.video.shots.transition_network import load_transition_model
from unish.video.shots.transitions import Change, ShotFinder, TransitionModel
from unish.video.sources.clock import describe_gaps
from unish.video.sources.files import FileSource
from unish.video.sources.folders import FolderSource, ImageFrame, list_images
from unish.video.sources.photos import IMAGE_SUFFIXES

LONG_SIDE = 1280
"""Pixels. Larger pictures are shrunk to it."""
_SMALLEST_SIDE = 32
"""Pictures with a shorter side than this (pixels) carry nothing to reconstruct."""


@dataclass
class _Taken:
    """The used frames so far, all at one size; pictures of as many of them as fit into memory, evenly spread.

    Attributes:
        max_bytes: of pictures that are held.
        source_size: (height, width) of the frames as shown; that of the first one where the source has no usual size.
        held: the frame that each picture of ``images`` belongs to.
        areas: (top, left, bottom, right) of each picture in its frame; the rest is padding.
        names: of the files, in a folder; empty text elsewhere.
    """

    long_side: int
    max_bytes: float
    source_size: tuple[int, int] | None = None
    size: tuple[int, int] = (0, 0)
    images: UInt8[ndarray, "N h w 3"] = field(default_factory=lambda: np.empty((0, 0, 0, 3), np.uint8))
    held: list[int] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    indices: list[int] = field(default_factory=list)
    positions: list[int] = field(default_factory=list)
    areas: list[tuple[int, int, int, int]] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    num_resized: int = 0
    num_padded: int = 0
    _stride: int = 1

    def add(self, frame: SourceFrame, position: int) -> None:
        usual = self.source_size or frame.size
        first = not self.times
        # A picture of another shape must be looked at to know where it lies in its frame.
        if first or frame.size != usual or len(self.times) % self._stride == 0:
            image = frame.pixels(self.long_side)
            if first:
                self._start(frame, image)
            image, area = place_picture(image, self.size)
            self._hold(image)
        else:
            area = (0, 0, *self.size)
        if frame.size != usual:
            self.num_resized += is_same_shape(frame.size, usual)
            self.num_padded += not is_same_shape(frame.size, usual)
        self.times.append(frame.time_s)
        self.indices.append(frame.index)
        self.positions.append(position)
        self.areas.append(area)
        self.names.append(frame.path.name if isinstance(frame, ImageFrame) else "")

    def _start(self, frame: SourceFrame, image: UInt8[ndarray, "h w 3"]) -> None:
        if self.source_size is None or self.source_size == frame.size:
            self.source_size, self.size = frame.size, (int(image.shape[0]), int(image.shape[1]))
        else:
            self.size = fit_long_side(self.source_size, self.long_side)
        if min(self.source_size) < _SMALLEST_SIDE:
            height, width = self.source_size
            raise InputError(f"pictures of {width}×{height} pixels are too small; give at least {_SMALLEST_SIDE}")
        self.images = np.empty((8, *self.size, 3), np.uint8)

    def _hold(self, image: UInt8[ndarray, "h w 3"]) -> None:
        frame = len(self.times)
        if frame % self._stride:
            return
        if (len(self.held) + 1) * image.nbytes > self.max_bytes and len(self.held) > 1:
            self._stride *= 2
            self._hold_only([row for row, one in enumerate(self.held) if one % self._stride == 0])
            return self._hold(image)
        # ndarray.resize grows in place where the system can, so the frames never stand in memory twice.
        capacity = len(self.images)
        if len(self.held) == capacity:
            self.images.resize((capacity + capacity // 4, *self.images.shape[1:]), refcheck=False)
        self.images[len(self.held)] = image
        self.held.append(frame)

    def _hold_only(self, rows: list[int]) -> None:
        for place, row in enumerate(rows):
            self.images[place] = self.images[row]
        self.held = [self.held[row] for row in rows]

    def keep(self, chosen: list[int]) -> None:
        """Forget all frames but these, which are given in order."""
        number = {frame: place for place, frame in enumerate(chosen)}
        self._hold_only([row for row, frame in enumerate(self.held) if frame in number])
        self.held = [number[frame] for frame in self.held]
        for name in ("times", "indices", "positions", "areas", "names"):
            setattr(self, name, [getattr(self, name)[index] for index in chosen])

    def finish(self, source: FileSource | FolderSource) -> UInt8[FrameTensor, "T h w 3"]:
        """All pictures; those that are not held are decoded again when they are asked for."""
        self.images.resize((len(self.held), *self.images.shape[1:]), refcheck=False)
        if len(self.held) == len(self.times):
            return torch.from_numpy(self.images)
        pictures = DecodedPictures(
            source=source, positions=self.positions, size=self.size, long_side=self.long_side,
            held=dict(zip(self.held, self.images, strict=True)),
        )  # fmt: skip
        return FrameArray((len(self.times), *self.size, 3), torch.uint8, pictures.read, at_hand=self.held)


def read_clip(
    path: str | Path,
    *,
    fps: float = 6.0,
    source_fps: float | None = None,
    start: float | None = None,
    end: float | None = None,
    max_frames: int | None = None,
    long_side: int = LONG_SIDE,
    soft_changes: bool = True,
    max_memory_mb: float = math.inf,
    progress: Progress | None = None,
) -> Clip:
    """Read a video file, a folder of images or one image.

    Frames are chosen by presentation time: the one nearest to each tick ``start + k / fps``, none twice. The source is
    decoded as a stream; memory grows with the used frames only, and with those that fit into ``max_memory_mb`` alone.

    Args:
        path: mp4, mov, mkv, avi, webm, gif … or a folder of jpg, png, bmp, tif, webp, avif, heic images.
        fps: frames per second to use; a slower source gives all its frames.
        source_fps: frame rate of a folder of images or a raw stream; other video files bring their own times. Where it
            is missing, ``warnings`` say what was assumed.
        start: seconds from the start of the source; earlier frames are not used, and not decoded where the file allows.
        end: seconds; later frames are not used.
        max_frames: stop after this many used frames.
        long_side: pixels; larger pictures are shrunk to it (antialiased), smaller ones stay.
        soft_changes: look for dissolves, wipes and the like, too, not for hard cuts alone. The model for it is fetched
            on first use; ``warnings`` say if it cannot be had.
        max_memory_mb: of pictures, in 2²⁰ bytes. Where there are more, ``Clip.images`` decodes them again when they are
            asked for (``FrameArray``); going through them in order costs one pass over the video.
        progress: told after every decoded frame.

    Returns:
        The used frames. ``source_size`` counts stored pixels (after the rotation tag) also where these are not square;
        ``images`` always have square pixels, and the size that most pictures of a folder have.

    Raises:
        InputError: bad options; a missing, unreadable, empty or tiny source; no frame between ``start`` and ``end``.
    """
    path = check_path("the video", path)
    check_sampling(fps, source_fps, start, end, max_frames)
    check_count("long side", long_side, at_least=_SMALLEST_SIDE)
    check_place(path)
    source = open_source(path, source_fps, fps, start or 0.0)
    sampler: TickSampler[tuple[int, SourceFrame]] = TickSampler(
        fps=fps, start=start or 0.0, end=math.inf if end is None else end
    )
    model, notes = _open_model(progress) if soft_changes else (None, [])
    shots = ShotFinder(model=model)
    taken, times = _Taken(long_side=long_side, max_bytes=max_memory_mb * 2**20), list[float]()
    try:
        for position, frame in _chosen(source, sampler, shots, times, max_frames, progress):
            if not taken.times and isinstance(source, FolderSource):
                taken.source_size = source.usual_size
            taken.add(frame, position)
    except InputError as error:
        raise error if str(path) in str(error) else InputError(f"{path}: {error}") from None
    if not taken.times:
        span = f"between {start or 0:g} s and {'the end' if end is None else f'{end:g} s'}"
        raise InputError(f"{path}: there is no frame {span}; change --start or --end")
    gap = describe_gaps([time_s for time_s in times if taken.times[0] <= time_s <= taken.times[-1]])
    changes = [change for change in shots.finish() if change.first <= taken.positions[-1]]
    notes += [*source.warnings, *_drop_repeats(taken, shots), *([gap] if gap else [])]
    notes += _drop_transitions(taken, changes, times)
    return _make_clip(path, source, taken, changes, notes)


def _open_model(progress: Progress | None) -> tuple[TransitionModel | None, list[str]]:
    """What finds soft changes, or what to say where it cannot be had."""
    try:
        return load_transition_model(assets.fetch("transnetv2", progress=announce_in(progress))), []
    except InputError as error:
        return None, [f"only hard cuts between shots were looked for, no dissolves or wipes: {error}"]


def open_source(path: Path, source_fps: float | None, fps: float, start_s: float) -> FileSource | FolderSource:
    """What iterates over the frames of a file, a folder of images or one image."""
    if not path.is_dir() and path.suffix.lower() not in IMAGE_SUFFIXES:
        return FileSource(path=path, start_s=start_s, source_fps=source_fps)
    paths = list_images(path) if path.is_dir() else [path]
    return FolderSource(paths=paths, source_fps=source_fps, fps=fps, smallest_side=_SMALLEST_SIDE)


def _chosen(
    source: FileSource | FolderSource,
    sampler: TickSampler[tuple[int, SourceFrame]],
    shots: ShotFinder,
    times: list[float],
    max_frames: int | None,
    progress: Progress | None,
) -> Iterator[tuple[int, SourceFrame]]:
    """Used frames with their position among the frames that were compared for cuts, whose ``times`` are taken down.

    A few frames after the last one that may be used are compared, too: what begins before it may end after it.
    """
    frames: Iterable[SourceFrame] = source
    last_s, left = sampler.end, math.inf if max_frames is None else max_frames
    for position, frame in enumerate(frames):
        if frame.time_s > last_s + shots.look_ahead_s:
            break
        shots.push(frame.time_s, frame.thumbnail())
        times.append(frame.time_s)
        if frame.time_s > last_s:
            continue
        for _, chosen in sampler.push(frame.time_s, (position, frame)):
            yield chosen
            left -= 1
            if left == 0:
                last_s = frame.time_s
                break
        if progress is not None:
            progress("read video", frame.index + 1, source.total)
    if left > 0:
        for _, chosen in sampler.finish():
            yield chosen


def _drop_repeats(taken: _Taken, shots: ShotFinder) -> list[str]:
    """Use each picture of a video once that stores few of them many times; says so.

    The camera moves from one picture to the next; that it does not while one is repeated is no evidence of standing
    still.
    """
    new = shots.cuts.new_pictures()
    if new is None:
        return []
    pictures = np.searchsorted(np.asarray(new), np.asarray(taken.positions), side="right")
    chosen = np.unique(pictures, return_index=True)[1].tolist()
    num_used = len(taken.times)
    if len(chosen) == num_used:
        return []
    taken.keep(chosen)
    return [
        f"most frames only repeat the picture before them: {len(chosen)} of {num_used} used ones show a new picture "
        "and were kept; where the camera was between them is not known"
    ]


def _drop_transitions(taken: _Taken, changes: list[Change], times: list[float]) -> list[str]:
    """Use no frame that belongs to no shot, for it may show two scenes at once; says so."""
    inside = [change for change in changes if change.last > change.first]
    in_any = [any(one.first <= position < one.last for one in inside) for position in taken.positions]
    # A piece that was asked for and lies within a transition is better than nothing.
    if not any(in_any) or all(in_any):
        return []
    taken.keep([index for index, dropped in enumerate(in_any) if not dropped])
    spans = [f"{times[one.first]:.1f}–{times[one.last]:.1f}" for one in inside]
    places = ", ".join(spans[:8]) + (" …" if len(spans) > 8 else "")
    return [
        f"dissolves, wipes or the like at {places} s: {sum(in_any)} used frames belong to no shot and were left out"
    ]


def _make_clip(
    path: Path, source: FileSource | FolderSource, taken: _Taken, changes: list[Change], warnings: list[str]
) -> Clip:
    # Shots without a used frame get no number, so segments stay consecutive.
    starts = np.asarray([change.last for change in changes])
    shots = np.searchsorted(starts, np.asarray(taken.positions), side="right")
    segment = np.unique(shots, return_inverse=True)[1].reshape(-1)
    notes = list(warnings)
    height, width = taken.size
    if taken.num_resized:
        notes.append(f"{taken.num_resized} pictures have another size than most and were resized to {width}×{height}")
    if taken.num_padded:
        notes.append(
            f"{taken.num_padded} pictures have another size and shape than most and were fitted into {width}×{height}; "
            "what is beside them is not part of the scene"
        )
    if segment[-1] > 0:
        opened = [taken.times[int(np.argmax(segment == shot))] for shot in range(1, segment[-1] + 1)]
        places = ", ".join(f"{time:.1f}" for time in opened[:8]) + (" …" if len(opened) > 8 else "")
        what = "hard cuts" if all(change.first == change.last for change in changes) else "new shots"
        notes.append(f"{what} at {places} s: each of the {segment[-1] + 1} shots gets a world of its own")
    return Clip(
        images=taken.finish(source),
        timestamps_s=torch.tensor(taken.times, dtype=torch.float64),
        frame_indices=torch.tensor(taken.indices, dtype=torch.int64),
        segment=torch.from_numpy(segment.astype(np.int64)),
        source_size=taken.source_size or taken.size,
        picture_area=torch.tensor(taken.areas, dtype=torch.int64) if taken.num_padded else None,
        lens=source.lens,
        frame_names=tuple(taken.names) if isinstance(source, FolderSource) else None,
        name=path.resolve().stem,
        warnings=tuple(notes),
    )
