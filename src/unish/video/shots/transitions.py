"""Changes of shots, hard and soft: what the reader needs to know to leave out frames that show two scenes at once."""

from __future__ import annotations

import bisect
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float32, UInt8
from numpy import ndarray
from PIL import Image

from unish.video.shots.cuts import CutFinder
from unish.video.shots.drawn import is_drawn
from unish.video.shots.passages import LONGEST_PASSAGE, camera_leaves, camera_whips
from unish.video.shots.places import show_same_place

TransitionModel = Callable[[UInt8[ndarray, "T 27 48 3"]], Float32[ndarray, "T 2"]]
"""Thumbnails of consecutive frames → probability of each that a transition is going on there; and a suspicion of that,
which counts where the pictures themselves bear it out."""

WINDOW, CONTEXT = 100, 25
"""Frames that the model sees at once, and how many of them at an end only help to judge the others, unless the video
begins or ends there."""
INPUT_SIZE = (27, 48)
"""(height, width) of the pictures that the model sees."""
_HIGHEST_RATE, _LOWEST_RATE = 16.0, 7.5
"""Frames per second that are judged at most, and at least: sparser ones show another picture each time."""
_SURE, _POSSIBLE = 0.5, 0.2
"""Probability that one frame of a transition has, and that all of them have."""
_SUSPECTED, _DOUBTED = 0.7, 0.3
"""The same for the suspicion."""
_LONGEST_DRAWN = 48
"""Judged frames at most, three seconds and more, of what an editor draws."""
_LOOK_AHEAD_S = 2.0
_DENIED = 0.25
"""A hard cut beside which no frame has this probability is none."""
_BESIDE = 2
"""Judged frames on each side of a hard cut that may show it."""
_LONGEST_CUT = 6
"""Judged frames beside a hard cut that may seem to belong to it; more are a transition."""


@dataclass(frozen=True, kw_only=True)
class Change:
    """Frames from ``first`` up to ``last`` belong to no shot, and ``last`` opens a new one; equal at a hard cut."""

    first: int
    last: int


@dataclass
class ShotFinder:
    """Streaming: keeps a few numbers per frame, and the thumbnails of one window of the model.

    Push every decoded frame in order; ``finish`` returns the changes (positions in push order). Without a model, only
    hard cuts are found.
    """

    model: TransitionModel | None = None
    cuts: CutFinder = field(default_factory=CutFinder)
    _count: int = 0
    _times: list[float] = field(default_factory=list)
    _positions: list[int] = field(default_factory=list)
    _probabilities: list[float] = field(default_factory=list)  # NaN: not judged
    _suspicions: list[float] = field(default_factory=list)
    _window: list[UInt8[ndarray, "27 48 3"]] = field(default_factory=list)
    _passed: list[UInt8[ndarray, "h w 3"]] = field(default_factory=list)  # thumbnails since the last judged frame
    _thumbnails: list[list[UInt8[ndarray, "h w 3"]]] = field(default_factory=list)  # the same, for each of the window
    _passage: list[UInt8[ndarray, "h w 3"]] = field(default_factory=list)  # since the last frame outside every run
    _latest: list[UInt8[ndarray, "h w 3"]] = field(default_factory=list)  # the last two thumbnails
    _whips: bool = False  # the camera turned fast before the run that goes on
    _opened: int | None = None  # first judged frame of the run that goes on
    _runs: list[tuple[int, int]] = field(default_factory=list)
    _drawing: list[UInt8[ndarray, "h w 3"]] = field(
        default_factory=list
    )  # of judged frames, since the last unsuspected
    _drawn: list[tuple[int, int]] = field(default_factory=list)  # runs of suspicion that the pictures bear out
    _same_shot: list[tuple[int, int]] = field(default_factory=list)  # runs that only look like a transition

    @property
    def look_ahead_s(self) -> float:
        """How much later than what is asked for a transition may end that begins within it."""
        return 0.0 if self.model is None else _LOOK_AHEAD_S

    def push(self, time_s: float, thumbnail: UInt8[ndarray, "h w 3"]) -> None:
        self.cuts.push(time_s, thumbnail)
        self._count += 1
        if self.model is None:
            return
        self._passed.append(thumbnail)
        # A millisecond is what times are rounded to in some files.
        if self._times and time_s - self._times[-1] < 1 / _HIGHEST_RATE - 1e-3:
            return
        self._times.append(time_s)
        self._positions.append(self._count - 1)
        small = np.asarray(Image.fromarray(thumbnail).resize(INPUT_SIZE[::-1], Image.Resampling.BOX))
        self._window.append(small)
        self._thumbnails.append(self._passed)
        self._passed = []
        if len(self._window) == WINDOW:
            self._judge(WINDOW - CONTEXT)

    def finish(self) -> list[Change]:
        cuts = self.cuts.finish()
        if len(self._probabilities) < len(self._positions):
            self._judge(len(self._window))
        # Where pictures are stored again and again, each of the few is another view, and no model has seen that.
        if self.model is None or self.cuts.new_pictures() is not None:
            return [Change(first=cut, last=cut) for cut in cuts]
        drawn = [one for one in self._drawn if not any(_overlap(one, run) for run in self._runs)]
        runs = sorted([*self._runs, *drawn])
        return _join([cut for cut in cuts if not self._is_denied(cut)], runs, self._positions)

    def _judge(self, stop: int) -> None:
        """Judge what is new in the window up to its frame ``stop``, and make room for what follows."""
        assert self.model is not None
        start = len(self._probabilities) - (len(self._positions) - len(self._window))
        times = self._times[-len(self._window) :]
        sparse = len(times) > 1 and (times[-1] - times[0]) * _LOWEST_RATE > len(times) - 1
        found = np.full((len(times), 2), np.nan) if sparse else self.model(np.stack(self._window))
        for (probability, suspicion), thumbnails in zip(
            found[start:stop].tolist(), self._thumbnails[start:stop], strict=True
        ):
            self._follow(probability, thumbnails)
            self._suspect(suspicion, thumbnails[-1])
        del self._window[: WINDOW - 2 * CONTEXT], self._thumbnails[: WINDOW - 2 * CONTEXT]

    def _follow(self, probability: float, thumbnails: list[UInt8[ndarray, "h w 3"]]) -> None:
        """Open, go on with or close a run; what begins or ends within one opens no other shot."""
        index = len(self._probabilities)
        self._probabilities.append(probability)
        self._passage += thumbnails[: max(LONGEST_PASSAGE + 1 - len(self._passage), 0)]
        before, self._latest = self._latest, [*self._latest[-1:], *thumbnails][-2:]
        if self._runs and self._runs[-1][1] == index - 1 and self._turns_fast(self._latest, index):
            self._same_shot.append(self._runs.pop())
        if probability > _POSSIBLE:
            if self._opened is None:
                self._opened, self._whips = index, index > 1 and self._turns_fast(before, index - 1)
            return
        if self._opened:  # and there was a picture before it
            sure = max(self._probabilities[self._opened : index]) > _SURE
            if show_same_place(self._passage[0], thumbnails[-1]) or (
                sure
                and (
                    self._whips
                    or camera_whips(self._passage, self._interval_s(index), beside=False)
                    or camera_leaves(self._passage)
                )
            ):
                self._same_shot.append((self._opened, index))
            elif sure:
                self._runs.append((self._opened, index))
        self._opened, self._passage = None, thumbnails[-1:]

    def _turns_fast(self, pair: list[UInt8[ndarray, "h w 3"]], index: int) -> bool:
        """Whether the camera did between two pictures at a judged frame."""
        return camera_whips(pair, self._interval_s(index), beside=True)

    def _interval_s(self, index: int) -> float:
        """Seconds between pictures before a judged frame."""
        passed = self._positions[index] - self._positions[index - 1]
        return (self._times[index] - self._times[index - 1]) / passed

    def _suspect(self, suspicion: float, thumbnail: UInt8[ndarray, "h w 3"]) -> None:
        """The same for what is suspected, where an editor's drawing is seen between two places."""
        index = len(self._suspicions)
        self._suspicions.append(suspicion)
        if suspicion > _DOUBTED:
            self._drawing += [thumbnail] * (len(self._drawing) <= _LONGEST_DRAWN)
            return
        pictures, start = [*self._drawing, thumbnail], index - len(self._drawing) + 1
        self._drawing = [thumbnail]
        if not 2 < len(pictures) <= _LONGEST_DRAWN or start < 1 or max(self._suspicions[start:index]) <= _SUSPECTED:
            return
        if is_drawn(pictures) and not show_same_place(pictures[0], thumbnail):
            self._drawn.append((start, index))

    def _is_denied(self, cut: int) -> bool:
        """Whether the model saw nothing where pictures differ, or the same shot goes on: a light, a zoom, a turn."""
        place = bisect.bisect_left(self._positions, cut)
        beside = self._probabilities[max(place - _BESIDE, 0) : place + _BESIDE]
        goes_on = any(start <= place <= stop for start, stop in self._same_shot)
        return goes_on or bool(np.max(beside) < _DENIED)


def _overlap(one: tuple[int, int], other: tuple[int, int]) -> bool:
    return one[0] < other[1] and other[0] < one[1]


def _join(cuts: list[int], soft: list[tuple[int, int]], positions: list[int]) -> list[Change]:
    """One change each: a hard cut beside which the model saw something is either that cut, or part of what it saw."""
    changes, explained = [], set[int]()
    for start, stop in soft:
        first, last = positions[start - 1] + 1, positions[stop]
        near = [
            cut for cut in cuts if positions[max(start - 2, 0)] < cut <= positions[min(stop + 1, len(positions) - 1)]
        ]
        explained.update(near)
        if near and stop - start <= _LONGEST_CUT:
            changes += [Change(first=cut, last=cut) for cut in near]
        else:
            changes.append(Change(first=min([first, *near]), last=max([last, *near])))
    changes += [Change(first=cut, last=cut) for cut in cuts if cut not in explained]
    return sorted(changes, key=lambda change: change.last)
