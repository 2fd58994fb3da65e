"""Frames of video files, decoded one after the other with PyAV."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

import av
from av.container import InputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from jaxtyping import UInt8
from numpy import ndarray

from unish.errors import InputError
from unish.structs import Lens
from unish.video.resize import fit_long_side
from unish.video.shots.cuts import THUMBNAIL_SIZE
from unish.video.sources.clock import Clock, declared_end, is_without_times, nominal_rate
from unish.video.sources.colour import BT2020, Transfer, hdr_to_rgb, to_rgb
from unish.video.sources.display import Display, is_plausible_aspect, read_display, square_pixels
from unish.video.sources.film_lens import read_film_lens, read_track_keys
from unish.video.sources.skipping import SKIPPABLE, CannotSkipError, Ledger, pass_over
from unish.video.sources.tracks import choose_track

_MISSING_FRAMES = 1.5
"""A file that ends this many frame times before its declared end counts as broken off."""
_RUN_UP_S = 2.0
"""Seconds before the start that are decoded, too: whether the first frame opens a shot is seen from those before it."""


@dataclass(frozen=True, kw_only=True)
class FileFrame:
    """One decoded frame; its pixels are converted only when asked for.

    Attributes:
        index: position in the source.
        time_s: seconds since the first frame.
        display: what brings the stored picture upright.
        pixel_aspect: width of a stored pixel over its height.
        transfer: of high dynamic range, else ``None``.
        wide: the primaries are those of BT.2020.
    """

    index: int
    time_s: float
    frame: VideoFrame
    display: Display
    pixel_aspect: float
    transfer: Transfer | None = None
    wide: bool = False

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) as shown, in stored pixels."""
        return self.display.size(self.frame.height, self.frame.width)

    def pixels(self, long_side: int) -> UInt8[ndarray, "h w 3"]:
        """Upright RGB with square pixels, shrunk to ``long_side``; transparency over black."""
        size = fit_long_side(square_pixels((self.frame.height, self.frame.width), self.pixel_aspect), long_side)
        if self.transfer is None:
            return self.display.apply(to_rgb(self.frame, size))
        return self.display.apply(hdr_to_rgb(self.frame, size, self.transfer, wide=self.wide))

    def thumbnail(self) -> UInt8[ndarray, "h w 3"]:
        return to_rgb(self.frame, THUMBNAIL_SIZE)


@dataclass
class FileSource:
    """Iterates over the frames of a video file in presentation order.

    ``warnings`` is complete once the iteration has ended. Stopping early is fine: what was not read is not judged.

    Attributes:
        path: the file.
        start_s: frames before it are not needed: those long before it are passed over where the file allows it.
        source_fps: frame rate of a raw stream, which has no times; ``None`` takes what its headers say.
        lens: by the file's metadata, once the iteration has begun; ``None`` where they do not say.
        total, rate, declared_s: number of frames, frames per second and length in seconds by the headers, once the
            iteration has begun; ``None``, and 0 seconds, where they do not say.

    Raises:
        InputError: on iteration, when the file cannot be opened or has no picture in it.
    """

    path: Path
    start_s: float = 0.0
    source_fps: float | None = None
    warnings: list[str] = field(default_factory=list)
    total: int | None = None
    rate: float | None = None
    declared_s: float = 0.0
    lens: Lens | None = None

    def __iter__(self) -> Iterator[FileFrame]:
        try:
            yield from self._read(skip=self.start_s > 2 * _RUN_UP_S)
        except CannotSkipError:
            self.warnings.clear()
            yield from self._read(skip=False)

    def _read(self, *, skip: bool) -> Iterator[FileFrame]:
        with self._open() as container:
            stream = choose_track(container, self.path, self.warnings)
            stream.thread_type = "AUTO"
            self.total, self.declared_s = stream.frames or None, declared_end(container, stream, 0.0)
            decoding = _Decoding(
                path=self.path, container=container, stream=stream, warnings=self.warnings, source_fps=self.source_fps
            )
            self.lens, self.rate = decoding.read_lens(), 1.0 / decoding.clock.interval_s
            yield from decoding.frames_from(self.start_s - _RUN_UP_S) if skip else decoding.frames()
            decoding.judge_end()

    def _open(self) -> InputContainer:
        # "file:" keeps FFmpeg from taking a part of the name for a protocol, the list from following addresses inside.
        name, only_files = f"file:{self.path.absolute()}", {"protocol_whitelist": "file"}
        try:
            return av.open(name, options=only_files, **_lenient_about_titles())
        except (av.FFmpegError, OSError, ValueError) as error:
            raise InputError(f"{self.path}: {_why_not_open(self.path, error)}") from None


@dataclass
class _Decoding:
    """One way through an open file."""

    path: Path
    container: InputContainer
    stream: VideoStream
    warnings: list[str]
    source_fps: float | None
    num_bad: int = 0
    clock: Clock = field(init=False)
    aspect: float = field(init=False)
    _is_tilted: bool = False

    def __post_init__(self) -> None:
        counted = is_without_times(self.container)
        rate = (self.source_fps if counted else None) or nominal_rate(self.stream)
        self.clock = Clock(interval_s=1.0 / rate, counted=counted)
        self.aspect = float(self.stream.sample_aspect_ratio or self.stream.codec_context.sample_aspect_ratio or 1.0)
        if not is_plausible_aspect(self.aspect):
            self.warnings.append(
                f"{self.path.name} says that its pixels are {self.aspect:.3g} times as wide as high; "
                "they are taken for square"
            )
            self.aspect = 1.0

    def read_lens(self) -> Lens | None:
        context = self.stream.codec_context
        size = square_pixels((context.height, context.width), self.aspect)
        metadata = self.container.metadata | self.stream.metadata | read_track_keys(self.path)
        return read_film_lens(metadata, size) if min(size) > 0 else None

    def frames(self) -> Iterator[FileFrame]:
        for index, frame in enumerate(self._decode(self.container.demux(self.stream))):
            yield from self._show(frame, index, self.clock.read(frame))

    def frames_from(self, start_s: float) -> Iterator[FileFrame]:
        """The same frames, but those before the last key frame that is no later than ``start_s`` are passed over.

        Raises:
            CannotSkipError: before the first frame: the file does not allow it.
        """
        ledger = Ledger()
        packets = ledger.record(self.container.demux(self.stream))
        # Times count from the first picture, so that one has to be seen.
        early = list(self._until_first(packets))
        stamps = [frame.pts for frame in early if frame.pts is not None]
        if self.stream.codec_context.name not in SKIPPABLE or not stamps or self.clock.counted or self.num_bad:
            raise CannotSkipError
        tick_s = float(self.stream.time_base or 1)
        try:
            pending, first_pts = pass_over(packets, stamps[0] + start_s / tick_s)
        except (av.FFmpegError, OSError):
            raise CannotSkipError from None
        if not ledger.complete:
            raise CannotSkipError
        if first_pts is not None:
            self.stream.codec_context.flush_buffers()
            self.clock.read(early.pop(0))
            early.clear()
        index = -1
        for frame in chain(early, self._decode(chain(pending, packets))):
            if first_pts is not None and frame.pts is not None and frame.pts < first_pts:
                continue  # it refers to pictures that were passed over
            index = ledger.index(frame.pts) if frame.pts is not None else index + 1
            yield from self._show(frame, index, self.clock.read(frame))

    def _until_first(self, packets: Iterable[Packet]) -> Iterator[VideoFrame]:
        for packet in packets:
            frames = list(self._decode([packet]))
            yield from frames
            if frames:
                return

    def _decode(self, packets: Iterable[Packet]) -> Iterator[VideoFrame]:
        remaining = iter(packets)
        while True:
            try:
                packet = next(remaining)
                frames = packet.decode()
            except StopIteration:
                return
            except (av.FFmpegError, OSError):
                self.num_bad += 1
                if self.num_bad > 100 + self.clock.num_read:
                    return  # more damage than pictures: nothing useful follows
                continue
            yield from frames

    def _show(self, frame: VideoFrame, index: int, time_s: float) -> Iterator[FileFrame]:
        if frame.is_corrupt:
            self.num_bad += 1
            return
        display = read_display(frame)
        if display.tilted and not self._is_tilted:
            self._is_tilted = True
            self.warnings.append(
                f"{self.path.name} asks to be shown at an angle; the nearest multiple of 90 degrees is taken"
            )
        context = self.stream.codec_context
        yield FileFrame(
            index=index,
            time_s=time_s,
            frame=frame,
            display=display,
            pixel_aspect=self.aspect,
            transfer=Transfer(context.color_trc) if context.color_trc in tuple(Transfer) else None,
            wide=context.color_primaries == BT2020,
        )

    def judge_end(self) -> None:
        """Say, once everything is read, what was missing.

        Raises:
            InputError: nothing could be decoded.
        """
        clock = self.clock
        if clock.num_read == 0:
            raise InputError(
                f"{self.path}: not one picture could be decoded; the file is empty or broken, give another"
            )
        declared_s = declared_end(self.container, self.stream, clock.origin_s)
        missing = declared_s - clock.end_s
        if self.num_bad or (clock.num_read > 1 and missing > _MISSING_FRAMES * clock.interval_s):
            detail = (
                f"{self.num_bad} damaged pieces were left out" if self.num_bad else f"it declares {declared_s:.2f} s"
            )
            self.warnings.append(
                f"{self.path.name} is damaged or ends early: {clock.num_read} frames up to {clock.end_s:.2f} s could "
                f"be read, {detail}; the result covers what decoded"
            )
        if clock.counted and self.source_fps is None and clock.num_read > 1:
            self.warnings.append(
                f"{self.path.name} is a raw stream without times: it is taken at {1 / clock.interval_s:g} pictures per "
                "second; give --source-fps if that is wrong"
            )


def _lenient_about_titles() -> dict[str, Any]:
    """Options of ``av.open`` with which a title that is not UTF-8 spoils nothing. PyAV 19 has none, and needs none."""
    return {"metadata_errors": "ignore"} if int(av.__version__.split(".")[0]) < 19 else {}


def _why_not_open(path: Path, error: Exception) -> str:
    if isinstance(error, PermissionError):
        return "no permission to read it; change its permissions or give another file"
    if path.stat().st_size == 0:
        return "the file is empty; give a video file or a folder of images"
    return "not a video that can be read (unknown format or broken header); give a video or a folder of images"
