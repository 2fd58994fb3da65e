"""The reader: validates, samples by time, finds shots, and holds only the frames that are used."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import UInt8
from numpy import ndarray

from unish.errors import InputError
from unish.structs import Clip
from unish.structs.progress import Progress
from unish.video.cuts import CutFinder
from unish.video.files import FileSource
from unish.video.folders import IMAGE_SUFFIXES, FolderSource, list_images
from unish.video.resize import resize_images
from unish.video.sampling import TickSampler

_SMALLEST_SIDE = 32
"""Pictures with a shorter side than this (pixels) carry nothing to reconstruct."""


@runtime_checkable
class SourceFrame(Protocol):
    """What the file and the folder reader both yield: cheap to hold, converted on demand."""

    @property
    def index(self) -> int: ...
    @property
    def time_s(self) -> float: ...
    @property
    def size(self) -> tuple[int, int]: ...
    def pixels(self, long_side: int) -> UInt8[ndarray, "h w 3"]: ...
    def thumbnail(self) -> UInt8[ndarray, "h w 3"]: ...


@dataclass
class _Taken:
    """The used frames so far, all at the size of the first."""

    long_side: int
    images: UInt8[ndarray, "N h w 3"] = field(default_factory=lambda: np.empty((0, 0, 0, 3), np.uint8))
    times: list[float] = field(default_factory=list)
    indices: list[int] = field(default_factory=list)
    positions: list[int] = field(default_factory=list)
    source_size: tuple[int, int] = (0, 0)
    num_refitted: int = 0

    def add(self, frame: SourceFrame, position: int) -> None:
        image = frame.pixels(self.long_side)
        if not self.times:
            self._start(frame, image)
        if frame.size != self.source_size:
            self.num_refitted += 1
        if image.shape != self.images.shape[1:]:
            image = _letterbox(image, self.images.shape[1:3])
        self._make_room()
        self.images[len(self.times)] = image
        self.times.append(frame.time_s)
        self.indices.append(frame.index)
        self.positions.append(position)

    def _start(self, frame: SourceFrame, image: UInt8[ndarray, "h w 3"]) -> None:
        if min(frame.size) < _SMALLEST_SIDE:
            height, width = frame.size
            raise InputError(f"pictures of {width}×{height} pixels are too small; give at least {_SMALLEST_SIDE}")
        self.source_size = frame.size
        self.images = np.empty((8, *image.shape), np.uint8)

    def _make_room(self) -> None:
        # ndarray.resize grows in place where the system can, so the frames never stand in memory twice.
        capacity = len(self.images)
        if len(self.times) == capacity:
            self.images.resize((capacity + capacity // 4, *self.images.shape[1:]), refcheck=False)

    def finish(self) -> UInt8[ndarray, "T h w 3"]:
        self.images.resize((len(self.times), *self.images.shape[1:]), refcheck=False)
        return self.images


def read_clip(
    path: str | Path,
    *,
    fps: float = 6.0,
    source_fps: float = 30.0,
    start: float | None = None,
    end: float | None = None,
    max_frames: int | None = None,
    long_side: int = 1280,
    progress: Progress | None = None,
) -> Clip:
    """Read a video file, a folder of images or one image.

    Frames are chosen by presentation time: the one nearest to each tick ``start + k / fps``, none twice. The source is
    decoded as a stream; memory grows with the used frames only.

    Args:
        path: mp4, mov, mkv, avi, webm, gif … or a folder of jpg, png, bmp, tif, webp images.
        fps: frames per second to use; a slower source gives all its frames.
        source_fps: frame rate of a folder of images; video files bring their own times.
        start: seconds from the start of the source; earlier frames are not used.
        end: seconds; later frames are not used.
        max_frames: stop after this many used frames.
        long_side: pixels; larger pictures are shrunk to it (antialiased), smaller ones stay.
        progress: told after every decoded frame.

    Returns:
        The used frames. ``source_size`` counts stored pixels (after the rotation tag) also where these are not square;
        ``images`` always have square pixels.

    Raises:
        InputError: bad options; a missing, unreadable, empty or tiny source; no frame between ``start`` and ``end``.
    """
    path = Path(path)
    _check_options(fps, source_fps, start, end, max_frames, long_side)
    source = _open_source(path, source_fps)
    sampler: TickSampler[tuple[int, SourceFrame]] = TickSampler(
        fps=fps, start=start or 0.0, end=math.inf if end is None else end
    )
    cuts = CutFinder()
    taken = _Taken(long_side=long_side)
    try:
        for position, frame in _chosen(source, sampler, cuts, progress):
            taken.add(frame, position)
            if max_frames is not None and len(taken.times) >= max_frames:
                break
    except InputError as error:
        raise error if str(path) in str(error) else InputError(f"{path}: {error}") from None
    if not taken.times:
        span = f"between {start or 0:g} s and {'the end' if end is None else f'{end:g} s'}"
        raise InputError(f"{path}: there is no frame {span}; change --start or --end")
    return _make_clip(path, taken, cuts.finish(), source.warnings)


def _check_options(
    fps: float, source_fps: float, start: float | None, end: float | None, max_frames: int | None, long_side: int
) -> None:
    for name, value in (("fps", fps), ("source fps", source_fps)):
        if not (math.isfinite(value) and value > 0):
            raise InputError(f"{name} is {value:g}; give a number above 0")
    for name, limit in (("start", start), ("end", end)):
        if limit is not None and not (math.isfinite(limit) and limit >= 0):
            raise InputError(f"{name} is {limit:g}; give seconds from the start of the video, 0 or more")
    if end is not None and (start or 0.0) >= end:
        raise InputError(f"start ({start or 0:g} s) is not before end ({end:g} s); swap or change them")
    if max_frames is not None and max_frames < 1:
        raise InputError(f"max frames is {max_frames}; give 1 or more")
    if long_side < _SMALLEST_SIDE:
        raise InputError(f"a long side of {long_side} pixels is too small; give at least {_SMALLEST_SIDE}")


def _open_source(path: Path, source_fps: float) -> FileSource | FolderSource:
    try:
        is_folder, exists, is_file = path.is_dir(), path.exists(), path.is_file()
    except OSError as error:
        raise InputError(f"{path}: cannot be reached ({error.strerror}); check the path and its permissions") from None
    if is_folder:
        return FolderSource(paths=list_images(path), source_fps=source_fps)
    if not exists:
        raise InputError(f"{path}: no such file or folder; check the path")
    if not is_file:  # opening a pipe or a device could wait for ever
        raise InputError(f"{path}: this is neither a file nor a folder; save the video to a file first")
    if path.suffix.lower() in IMAGE_SUFFIXES:
        return FolderSource(paths=[path], source_fps=source_fps)
    return FileSource(path=path)


def _chosen(
    source: FileSource | FolderSource,
    sampler: TickSampler[tuple[int, SourceFrame]],
    cuts: CutFinder,
    progress: Progress | None,
) -> Iterator[tuple[int, SourceFrame]]:
    """Used frames with their position among the frames that were compared for cuts."""
    frames: Iterable[SourceFrame] = source
    for position, frame in enumerate(frames):
        if frame.time_s > sampler.end:
            break
        cuts.push(frame.time_s, frame.thumbnail())
        for _, chosen in sampler.push(frame.time_s, (position, frame)):
            yield chosen
        if progress is not None:
            progress("read video", position + 1, source.total)
    for _, chosen in sampler.finish():
        yield chosen


def _letterbox(image: UInt8[ndarray, "h w 3"], size: tuple[int, int]) -> UInt8[ndarray, "H W 3"]:
    """The whole image inside ``size`` with its shape kept, black around it."""
    factor = min(size[0] / image.shape[0], size[1] / image.shape[1])
    height, width = (
        max(1, min(limit, round(side * factor))) for side, limit in zip(image.shape[:2], size, strict=True)
    )
    fitted = resize_images(torch.from_numpy(np.ascontiguousarray(image))[None], (height, width))[0].numpy()
    canvas = np.zeros((*size, 3), np.uint8)
    top, left = (size[0] - height) // 2, (size[1] - width) // 2
    canvas[top : top + height, left : left + width] = fitted
    return canvas


def _make_clip(path: Path, taken: _Taken, cuts: list[int], warnings: list[str]) -> Clip:
    # Shots without a used frame get no number, so segments stay consecutive.
    shots = np.searchsorted(np.asarray(cuts), np.asarray(taken.positions), side="right")
    segment = np.unique(shots, return_inverse=True)[1].reshape(-1)
    notes = list(warnings)
    if taken.num_refitted:
        height, width = taken.images.shape[1:3]
        notes.append(
            f"{taken.num_refitted} pictures have another size than the first and were fitted to {width}×{height}"
        )
    if segment[-1] > 0:
        starts = [taken.times[int(np.argmax(segment == shot))] for shot in range(1, segment[-1] + 1)]
        places = ", ".join(f"{time:.1f}" for time in starts[:8]) + (" …" if len(starts) > 8 else "")
        notes.append(f"hard cuts at {places} s: each of the {segment[-1] + 1} shots gets a world of its own")
    return Clip(
        images=torch.from_numpy(taken.finish()),
        timestamps_s=torch.tensor(taken.times, dtype=torch.float64),
        frame_indices=torch.tensor(taken.indices, dtype=torch.int64),
        segment=torch.from_numpy(segment.astype(np.int64)),
        source_size=taken.source_size,
        name=path.resolve().stem,
        warnings=tuple(notes),
    )
