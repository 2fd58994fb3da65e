"""What the headers of a video say: how many frames would be used, and how large they are, before any of it is read."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from unish.errors import InputError
from unish.io.input_paths import check_place
from unish.structs import Lens
from unish.values import check_path, check_sampling
from unish.video.read import open_source
from unish.video.sampling import TickSampler
from unish.video.sources.files import FileSource
from unish.video.sources.folders import FolderSource

_STRETCHED = 1.1
"""Declared length over number of frames times their usual distance, from which on the length is believed."""


@dataclass(frozen=True, kw_only=True)
class Headers:
    """What is known of a source without reading it. Numbers are those of the headers, which may be wrong.

    Attributes:
        size: (height, width) as shown, pixels of the source.
        num_frames: frames of the source; ``None`` where its length is not known.
        num_decoded: of these, as many as have to be decoded.
        used_s: seconds of the frames that would be used; ``None`` where the length is not known.
        rate: frames of the source per second.
        seconds: from the first frame to the end of the last; ``None`` where that is not known.
        lens: that the file states.
        notes: what would be assumed, one sentence each.
    """

    size: tuple[int, int]
    num_frames: int | None
    num_decoded: int | None
    used_s: Float64[ndarray, "T"] | None
    rate: float
    seconds: float | None
    lens: Lens | None
    notes: tuple[str, ...]


def read_headers(
    path: str | Path,
    *,
    fps: float = 6.0,
    source_fps: float | None = None,
    start: float | None = None,
    end: float | None = None,
    max_frames: int | None = None,
) -> Headers:
    """Look at a source without reading it: one picture of a video file is decoded, and none of a folder.

    Args: as of ``read_clip``.

    Raises:
        InputError: bad options, a missing or unreadable source, or no frame between ``start`` and ``end``.
    """
    path = check_path("the video", path)
    check_sampling(fps, source_fps, start, end, max_frames)
    check_place(path)
    source = open_source(path, source_fps, fps, 0.0)
    size, times = _look_into_file(source) if isinstance(source, FileSource) else _look_into_folder(source)
    first_s, last_s = start or 0.0, math.inf if end is None else end
    if times is None:
        used, decoded = None, None
    else:
        used = _sample(times, fps, first_s, last_s, max_frames)
        if len(used) == 0:
            raise InputError(
                f"{path}: there is no frame between {first_s:g} s and {last_s:g} s; change --start or --end"
            )
        first_decoded_s = first_s if isinstance(source, FolderSource) else max(0.0, first_s - 2.0)
        decoded = int(np.sum((times >= first_decoded_s) & (times <= used[-1] + 1.0)))
    rate = source.rate if isinstance(source, FileSource) else _rate(times)
    return Headers(
        size=size,
        num_frames=None if times is None else len(times),
        num_decoded=decoded,
        used_s=used,
        rate=rate or 0.0,
        seconds=None if times is None else float(times[-1] - times[0]) + (1.0 / rate if rate else 0.0),
        lens=source.lens,
        notes=tuple(source.warnings),
    )


def _look_into_file(source: FileSource) -> tuple[tuple[int, int], Float64[ndarray, "N"] | None]:
    """The size of the first picture, and times of frames at an even rate."""
    first = next(iter(source), None)
    if first is None:
        raise InputError(f"{source.path}: not one picture could be decoded; the file is empty or broken, give another")
    assert source.rate is not None
    count = source.total or round(source.declared_s * source.rate)
    if not count:
        return first.size, None
    # Few pictures in a long file are farther apart than its rate says; declared lengths are rounded, by a frame or so.
    stretch = source.declared_s * source.rate / count
    return first.size, np.arange(count) / source.rate * (stretch if stretch > _STRETCHED else 1.0)


def _look_into_folder(source: FolderSource) -> tuple[tuple[int, int], Float64[ndarray, "N"]]:
    photos, times = source.plan()
    if source.usual_size is None:
        raise InputError(f"{source.paths[0].parent}: none of the {len(photos)} images can be read; give others")
    return source.usual_size, np.asarray(times, np.float64)


def _rate(times: Float64[ndarray, "N"] | None) -> float | None:
    return None if times is None or len(times) < 2 else float(1.0 / np.median(np.diff(times)))


def _sample(
    times: Float64[ndarray, "N"], fps: float, start: float, end: float, max_frames: int | None
) -> Float64[ndarray, "T"]:
    """Those of the frames that ``read_clip`` would use."""
    sampler: TickSampler[None] = TickSampler(fps=fps, start=start, end=end)
    used = [time_s for frame_s in times.tolist() for time_s, _ in sampler.push(frame_s, None)]
    used += [time_s for time_s, _ in sampler.finish()]
    return np.asarray(used[:max_frames], np.float64)
