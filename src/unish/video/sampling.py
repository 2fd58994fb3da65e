"""Choice of frames by their true times."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

Frame = TypeVar("Frame")


@dataclass
class TickSampler(Generic[Frame]):
    """Picks, from frames that arrive in time order, the one nearest to each tick ``start + k / fps``, none twice.

    A frame more than half a tick away is not taken for it: after a gap in the source the next picture is waited for. A
    source slower than ``fps`` gives each of its frames once, and a variable frame rate is followed by time rather than
    by count. One frame is held back until its successor shows which of the two is nearer, so memory does not grow with
    the length of the source.

    Attributes:
        fps: ticks per second.
        start: seconds; the first tick, and frames before it are never chosen.
        end: seconds; frames after it are never chosen.
    """

    fps: float
    start: float
    end: float
    _tick: int = 0
    _held: tuple[float, Frame] | None = None
    _interval_s: float = math.inf

    def push(self, time_s: float, frame: Frame) -> Iterator[tuple[float, Frame]]:
        """Take the next frame; yields the held-back frame when a tick is nearer to it than to this one."""
        if time_s < self.start - _SLACK_S or time_s > self.end + _SLACK_S:
            return
        if self._held is not None:
            self._interval_s = time_s - self._held[0]
            yield from self._choose_held(until=(self._held[0] + time_s) / 2)
        self._held = (time_s, frame)

    def finish(self) -> Iterator[tuple[float, Frame]]:
        """After the last frame: yields it when a tick lies as near as to a frame that had a successor."""
        if self._held is not None:
            yield from self._choose_held(until=self._held[0] + self._interval_s / 2)

    def _choose_held(self, until: float) -> Iterator[tuple[float, Frame]]:
        assert self._held is not None
        held_s = self._held[0]
        chosen = False
        # Ticks beyond half a tick after the frame belong to no frame, and there may be no end to them.
        until = min(until, held_s + 1.0 / self.fps)
        while (tick_s := self.start + self._tick / self.fps) < until - _SLACK_S:
            self._tick += 1
            chosen |= abs(tick_s - held_s) <= 0.5 / self.fps + _SLACK_S
        if chosen:
            yield self._held


_SLACK_S = 1e-6
"""Times are fractions of container ticks; equality is meant up to this."""
