"""Hard cuts between consecutive decoded frames.

The comparison runs on *every* decoded frame, not only on the used ones: a fast pan changes little from one source
frame to the next, a cut changes everything. Sparse sources (one view per second) change everything all the time, so a
cut must also stand out from its neighbourhood. Flashes and single foreign frames are no cuts: the old picture returns.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float32, Float64, UInt8
from numpy import ndarray

THUMBNAIL_SIZE = (36, 64)
"""(height, width) of the pictures that are compared, whatever the shape of the video."""

# Consecutive frames of ordinary footage score 0.2–0.45 at 5 to 50 frames per second, cuts about 1 (see _difference).
_MIN_SCORE = 0.65
_SAME_SHOT = 0.5
_STANDS_OUT = 2.5
"""A cut exceeds the median score of its neighbourhood by this factor."""
_NEIGHBOURS = 10
"""Frames on each side that make up the neighbourhood."""
_FLASH_FRAMES = 5
"""Longest interruption, in frames, after which the old picture may return without a cut."""
_SPARSE_S = 0.3
"""Above this time between frames nothing is known about motion without a neighbourhood, and no cut is claimed."""
_CHANGE = 0.04
"""Luma difference, of 1, above which a pixel counts as changed."""
_MIN_CHANGED = 0.3
"""Share of changed pixels below which pictures show the same shot, whatever a banner or a person does in them."""
_NUM_BINS = 4
"""Bins per colour channel."""


@dataclass(frozen=True, kw_only=True)
class _Look:
    """What a thumbnail is compared by: colour histogram, luma, and the spectrum of the normalised luma."""

    histogram: Float64[ndarray, "B"]
    luma: Float32[ndarray, "h w"]
    spectrum: ndarray


@dataclass
class CutFinder:
    """Streaming detector: keeps two numbers per frame and the looks of the last few frames.

    Push every decoded frame in order; ``finish`` returns the positions (0-based, in push order) of the frames that open
    a new shot.
    """

    _times: list[float] = field(default_factory=list)
    _scores: list[float] = field(default_factory=list)
    _before: dict[int, _Look] = field(default_factory=dict)
    _last: _Look | None = None
    _flashes: set[int] = field(default_factory=set)

    def push(self, time_s: float, thumbnail: UInt8[ndarray, "h w 3"]) -> None:
        look = _describe(thumbnail)
        position = len(self._times)
        self._times.append(time_s)
        for opened, earlier in list(self._before.items()):
            if _difference(earlier, look) < _SAME_SHOT:
                # The picture from before the jump is back: a flash or a glitch, which opens and closes no shot.
                self._flashes.update(range(opened, position + 1))
                del self._before[opened]
            elif position - opened >= _FLASH_FRAMES:
                del self._before[opened]
        score = 0.0 if self._last is None else _difference(self._last, look)
        if self._last is not None and score > _MIN_SCORE:
            self._before[position] = self._last
        self._scores.append(score)
        self._last = look

    def finish(self) -> list[int]:
        cuts: list[int] = []
        for position, score in enumerate(self._scores):
            if score <= _MIN_SCORE or position in self._flashes or not self._stands_out(position):
                continue
            if cuts and position - cuts[-1] <= 2:
                cuts[-1] = position  # a blended frame between two shots: the new one starts after it
            else:
                cuts.append(position)
        return cuts

    def _stands_out(self, position: int) -> bool:
        low, high = max(1, position - _NEIGHBOURS), min(len(self._scores), position + _NEIGHBOURS + 1)
        around = [self._scores[i] for i in range(low, high) if abs(i - position) > 1]
        sparse = self._times[position] - self._times[position - 1] > _SPARSE_S
        if len(around) < (4 if sparse else 1):
            return not sparse
        return self._scores[position] > _STANDS_OUT * float(np.median(around))


def _describe(thumbnail: UInt8[ndarray, "h w 3"]) -> _Look:
    bins = thumbnail.astype(np.int64) * _NUM_BINS // 256
    cells = (bins[..., 0] * _NUM_BINS + bins[..., 1]) * _NUM_BINS + bins[..., 2]
    histogram = np.bincount(cells.ravel(), minlength=_NUM_BINS**3) / cells.size
    luma = thumbnail.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32) / 255.0
    normalised = (luma - luma.mean()) / (luma.std() + 0.02)
    height, width = luma.shape
    return _Look(histogram=histogram, luma=luma, spectrum=np.fft.rfft2(normalised, (2 * height, 2 * width)))


def _difference(first: _Look, second: _Look) -> float:
    """0 for equal pictures, about 1 for unrelated ones: histogram distance plus missing correlation.

    The correlation is the best over shifts (a third of the width, a quarter of the height), so that pans do not count;
    pictures that are equal over most of their area (two black frames, a title that appears) count as equal.
    """
    if float((np.abs(first.luma - second.luma) > _CHANGE).mean()) < _MIN_CHANGED:
        return 0.0
    height, width = first.luma.shape
    correlation = np.fft.irfft2(np.conj(first.spectrum) * second.spectrum, (2 * height, 2 * width))
    best = float((correlation / _overlap(height, width)).max())
    return 0.5 * float(np.abs(first.histogram - second.histogram).sum()) + 1.0 - best


def _overlap(height: int, width: int) -> Float64[ndarray, "H W"]:
    """Number of pixels that overlap at each circular shift; infinite where the shift is too large to be a pan."""
    dy = np.abs(np.fft.fftfreq(2 * height, 1 / (2 * height)))[:, None]
    dx = np.abs(np.fft.fftfreq(2 * width, 1 / (2 * width)))[None, :]
    near = (dy <= height / 4) & (dx <= width / 3)
    return np.where(near, np.maximum((height - dy) * (width - dx), 1.0), np.inf)
