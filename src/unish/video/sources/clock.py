"""Times of the frames of a file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import av
import numpy as np
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

_NO_TIMESTAMPS = 0x80
"""AVFMT_NOTIMESTAMPS: pictures without times, as in ``.h264`` and ``.hevc``."""
_PART_OF_TIMELINE = frozenset({"mov", "mpegts", "mpeg"})
"""Formats whose length counts from the first picture; that of the others counts from 0, also where nothing is there."""
_GAP_S, _GAP_INTERVALS = 3.0, 10.0
"""Time without a picture, in seconds and in usual frame times, from which on something is missing."""


@dataclass
class Clock:
    """Presentation times from the first frame on, strictly increasing also where a file has none or goes backwards.

    Attributes:
        interval_s: seconds from one frame to the next where the file does not say.
        counted: ignore what the file says: it has no times.
    """

    interval_s: float
    counted: bool = False
    num_read: int = 0
    last_s: float = 0.0
    end_s: float = 0.0
    origin_s: float = 0.0

    def read(self, frame: VideoFrame) -> float:
        stamp = frame.pts if frame.pts is not None else frame.dts
        unknown = self.counted or stamp is None or frame.time_base is None
        stamped = None if unknown else float(stamp * frame.time_base)  # type: ignore[operator]
        if self.num_read == 0:
            self.origin_s = stamped or 0.0
            time_s = 0.0
        else:
            time_s = self.last_s + self.interval_s if stamped is None else stamped - self.origin_s
            if time_s <= self.last_s:
                time_s = self.last_s + self.interval_s
        length = self.interval_s
        if frame.duration and frame.time_base and not self.counted:
            length = float(frame.duration * frame.time_base)
        self.num_read, self.last_s, self.end_s = self.num_read + 1, time_s, time_s + length
        return time_s


def is_without_times(container: InputContainer) -> bool:
    """Whether the format stores pictures only, so that their times are nothing but a count."""
    return bool(int(container.format.flags) & _NO_TIMESTAMPS)


def nominal_rate(stream: VideoStream) -> float:
    """Frames per second that the headers speak of; 25 where they do not."""
    return float(stream.guessed_rate or stream.average_rate or 25)


def declared_end(container: InputContainer, stream: VideoStream, origin_s: float) -> float:
    """Seconds after the first frame, which stands at ``origin_s``, at which the headers say that the picture ends.

    0 where they say nothing about it.
    """
    if stream.duration and stream.time_base:
        declared = float(stream.duration * stream.time_base)
    elif container.duration and len(container.streams) == 1:
        # The length of the whole file, which sound may stretch.
        declared = container.duration / av.time_base
    else:
        return 0.0
    relative = bool(_PART_OF_TIMELINE & set(container.format.name.split(",")))
    return declared if relative else declared - max(origin_s, 0.0)


def describe_gaps(times_s: Sequence[float]) -> str | None:
    """A sentence about the longest times without a picture; ``None`` where there is none."""
    steps = np.diff(np.asarray(times_s, np.float64))
    if len(steps) < 2:
        return None
    gaps = np.flatnonzero(steps > max(_GAP_S, _GAP_INTERVALS * float(np.median(steps))))
    if len(gaps) == 0:
        return None
    longest = int(gaps[np.argmax(steps[gaps])])
    more = f", the longest of {len(gaps)} such gaps" if len(gaps) > 1 else ""
    return (
        f"there is no picture between {times_s[longest]:.1f} and {times_s[longest + 1]:.1f} s{more}: "
        "nothing is known about what happened there"
    )
