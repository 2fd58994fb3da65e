"""Frames of video files, decoded one after the other with PyAV."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from jaxtyping import UInt8
from numpy import ndarray

from unish.errors import InputError
from unish.video.cuts import THUMBNAIL_SIZE
from unish.video.resize import fit_long_side

_MISSING_FRAMES = 1.5
"""A file that ends this many frame times before its declared end counts as broken off."""


@dataclass(frozen=True, kw_only=True)
class FileFrame:
    """One decoded frame; its pixels are converted only when asked for.

    Attributes:
        index: position in the source.
        time_s: seconds since the first frame.
        rotation: quarter turns counter-clockwise that bring the stored picture upright.
        pixel_aspect: width of a stored pixel over its height.
    """

    index: int
    time_s: float
    frame: VideoFrame
    rotation: int
    pixel_aspect: float

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) after the rotation tag, in stored pixels."""
        height, width = self.frame.height, self.frame.width
        return (width, height) if self.rotation % 2 else (height, width)

    def pixels(self, long_side: int) -> UInt8[ndarray, "h w 3"]:
        """Upright RGB with square pixels, shrunk to ``long_side``; transparency over black."""
        shape = _square_pixels((self.frame.height, self.frame.width), self.pixel_aspect)
        return np.rot90(_to_rgb(self.frame, fit_long_side(shape, long_side)), self.rotation)

    def thumbnail(self) -> UInt8[ndarray, "h w 3"]:
        return _to_rgb(self.frame, THUMBNAIL_SIZE)


@dataclass
class FileSource:
    """Iterates over the frames of a video file in presentation order.

    ``warnings`` is complete once the iteration has ended. Stopping early is fine: what was not read is not judged.

    Raises:
        InputError: on iteration, when the file cannot be opened or has no picture in it.
    """

    path: Path
    warnings: list[str] = field(default_factory=list)
    total: int | None = None

    def __iter__(self) -> Iterator[FileFrame]:
        try:
            container = av.open(str(self.path), **_lenient_about_titles())
        except (av.FFmpegError, OSError, ValueError) as error:
            raise InputError(f"{self.path}: {_why_not_open(self.path, error)}") from None
        with container:
            if not container.streams.video:
                raise InputError(
                    f"{self.path}: there is no video stream in this file; give a video or a folder of images"
                )
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            self.total = stream.frames or None
            yield from self._decode(container, stream)

    def _decode(self, container: InputContainer, stream: VideoStream) -> Iterator[FileFrame]:
        clock = _Clock(interval_s=1.0 / float(stream.average_rate or 25))
        aspect = float(stream.sample_aspect_ratio or stream.codec_context.sample_aspect_ratio or 1.0)
        num_bad = 0
        packets = container.demux(stream)
        index = -1
        while True:
            try:
                packet = next(packets)
                frames = packet.decode()
            except StopIteration:
                break
            except (av.FFmpegError, OSError):
                num_bad += 1
                if num_bad > 100 + index:
                    break  # more damage than pictures: nothing useful follows
                continue
            for frame in frames:
                index += 1
                time_s = clock.read(frame)
                if frame.is_corrupt:
                    num_bad += 1
                    continue
                turns = round(frame.rotation / 90) % 4
                yield FileFrame(index=index, time_s=time_s, frame=frame, rotation=turns, pixel_aspect=aspect)
        self._judge_end(clock, _declared_duration(container, stream), num_bad)

    def _judge_end(self, clock: _Clock, declared_s: float, num_bad: int) -> None:
        if clock.num_read == 0:
            raise InputError(
                f"{self.path}: not one picture could be decoded; the file is empty or broken, give another"
            )
        missing = declared_s - clock.end_s
        if num_bad or (clock.num_read > 1 and missing > _MISSING_FRAMES * clock.interval_s):
            detail = f"{num_bad} damaged pieces were left out" if num_bad else f"it declares {declared_s:.2f} s"
            self.warnings.append(
                f"{self.path.name} is damaged or ends early: {clock.num_read} frames up to {clock.end_s:.2f} s could "
                f"be read, {detail}; the result covers what decoded"
            )


def _lenient_about_titles() -> dict[str, Any]:
    """Options of ``av.open`` with which a title that is not UTF-8 spoils nothing. PyAV 19 has none, and needs none."""
    return {"metadata_errors": "ignore"} if int(av.__version__.split(".")[0]) < 19 else {}


def _declared_duration(container: InputContainer, stream: VideoStream) -> float:
    """Seconds of picture that the headers promise; 0 where they say nothing about it."""
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    # Some formats give the length of the whole file only, which sound may stretch.
    return container.duration / av.time_base if container.duration and len(container.streams) == 1 else 0.0


@dataclass
class _Clock:
    """Presentation times from the first frame on, strictly increasing also where a file has none or goes backwards."""

    interval_s: float
    num_read: int = 0
    last_s: float = 0.0
    end_s: float = 0.0
    _origin_s: float = 0.0

    def read(self, frame: VideoFrame) -> float:
        stamp = frame.pts if frame.pts is not None else frame.dts
        stamped = None if stamp is None or frame.time_base is None else float(stamp * frame.time_base)
        if self.num_read == 0:
            self._origin_s = stamped or 0.0
            time_s = 0.0
        else:
            time_s = self.last_s + self.interval_s if stamped is None else stamped - self._origin_s
            if time_s <= self.last_s:
                time_s = self.last_s + self.interval_s
        length = float(frame.duration * frame.time_base) if frame.duration and frame.time_base else self.interval_s
        self.num_read, self.last_s, self.end_s = self.num_read + 1, time_s, time_s + length
        return time_s


def _square_pixels(size: tuple[int, int], aspect: float) -> tuple[int, int]:
    """(height, width) with square pixels that shows the same picture without losing detail."""
    height, width = size
    return (height, round(width * aspect)) if aspect >= 1 else (round(height / aspect), width)


def _to_rgb(frame: VideoFrame, size: tuple[int, int]) -> UInt8[ndarray, "h w 3"]:
    """Convert and shrink in one step, averaging over areas; alpha, where there is one, is laid over black."""
    has_alpha = "a" in frame.format.name.replace("gray", "") or frame.format.has_palette
    name = "rgba" if has_alpha else "rgb24"
    image = frame.reformat(width=size[1], height=size[0], format=name, interpolation="AREA").to_ndarray()
    if not has_alpha:
        return image
    opacity = image[..., 3:].astype(np.uint16)
    return ((image[..., :3] * opacity + 127) // 255).astype(np.uint8)


def _why_not_open(path: Path, error: Exception) -> str:
    if isinstance(error, PermissionError):
        return "no permission to read it; change its permissions or give another file"
    if path.stat().st_size == 0:
        return "the file is empty; give a video file or a folder of images"
    return "not a video that can be read (unknown format or broken header); give a video or a folder of images"
