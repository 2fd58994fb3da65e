"""Choice of frames by their true times."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

Frame = TypeVar("Frame")


@dataclass
class TickSampler(Generic[Frame]):
    """Picks, from frames that arrive in time order, the one nearest to each tick ``start + k / fps``, none twice.

    A source slower than ``fps`` therefore gives each of its frames once, and a variable frame rate is followed by time
    rather than by count. One frame is held back until its successor shows which of the two is nearer, so memory does
    not grow with the length of the source.

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

    def push(self, time_s: float, frame: Frame) -> Iterator[tuple[float, Frame]]:
        """Take the next frame; yields the held-back frame when a tick is nearer to it than to this one."""
        if time_s < self.start - _SLACK_S or time_s > self.end + _SLACK_S:
            return
        if self._held is not None:
            yield from self._choose_held(until=(self._held[0] + time_s) / 2)
        self._held = (time_s, frame)

    def finish(self) -> Iterator[tuple[float, Frame]]:
        """After the last frame: yields it when a tick lies within half a tick of it."""
        if self._held is not None:
            yield from self._choose_held(until=self._held[0] + 0.5 / self.fps)

    def _choose_held(self, until: float) -> Iterator[tuple[float, Frame]]:
        chosen = False
        while self.start + self._tick / self.fps < until - _SLACK_S:
            self._tick += 1
            chosen = True
        if chosen and self._held is not None:
            yield self._held


_SLACK_S = 1e-6
"""Times are fractions of container ticks; equality is meant up to this."""
