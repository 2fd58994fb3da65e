"""Hard cuts between consecutive decoded frames.

The comparison runs on *every* decoded frame, not only on the used ones: a fast pan changes little from one source
frame to the next, a cut changes everything. Sparse sources (one view per second) change everything all the time, so a
cut must also stand out from its neighbourhood. Flashes and single foreign frames are no cuts: the old picture returns.
Nor is something near that sweeps past the camera: a part of the view goes on beside it, or comes back after it.
"""

from __future__ import annotations

import bisect
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float32, Float64, UInt8
from numpy import ndarray

from unish.video.shots.places import SAME_PLACE, luma_of, overlap, shared_area

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
"""Longest interruption, in frames, after which the old picture, or a part of it, may return without a cut."""
_BLEND_RESIDUAL = 0.25
"""A picture that is a mixture of its two neighbours up to this share of their difference is a blend."""
_SPARSE_S = 0.3
"""Above this time between frames nothing is known about motion without a neighbourhood, and no cut is claimed."""
_CHANGE = 0.04
"""Luma difference, of 1, above which a pixel counts as changed."""
_MIN_CHANGED = 0.3
"""Share of changed pixels below which pictures show the same shot, whatever a banner or a person does in them."""
_NUM_BINS = 4
"""Bins per colour channel."""
_REPEATED = 8
"""Levels, of 255, by which a pixel of a thumbnail differs at most where a picture is stored again."""
_SETTLING = 4
"""Frames after a new picture in which lossy coding still refines it."""
_MOSTLY_REPEATED, _SHORTEST_RUN = 0.5, 3
"""Least share of repeats, and frames between new pictures, of a video that stores pictures again and again."""
_UNEXPLAINED = 0.05
"""Share of frames in such a video that may differ a little in the midst of a run, as at a key frame."""


@dataclass(frozen=True, kw_only=True)
class _Look:
    """What a thumbnail is compared by: colour histogram, luma, and the spectrum of the normalised luma."""

    histogram: Float64[ndarray, "B"]
    luma: Float32[ndarray, "h w"]
    spectrum: ndarray


@dataclass(frozen=True, kw_only=True)
class _Jump:
    """A change that may be a cut: its position, the picture before it, and the first pictures from it on."""

    position: int
    before: UInt8[ndarray, "h w 3"]
    after: list[UInt8[ndarray, "h w 3"]]


@dataclass
class CutFinder:
    """Streaming detector: keeps three numbers per frame, and a few thumbnails around every change that may be a cut.

    Push every decoded frame in order; ``finish`` returns the positions (0-based, in push order) of the frames that open
    a new shot.
    """

    _times: list[float] = field(default_factory=list)
    _scores: list[float] = field(default_factory=list)
    _repeats: list[bool] = field(default_factory=list)
    _jumps: list[_Jump] = field(default_factory=list)
    _last: tuple[UInt8[ndarray, "h w 3"], _Look] | None = None

    def new_pictures(self) -> list[int] | None:
        """Positions of the new pictures of a video that stores few of them many times; ``None`` for an ordinary video.

        So does one that is filmed at one picture per second and played at thirty: nearly all of the picture changes at
        once, and then nothing. A camera that stands still before something that rests repeats its pictures, too, but
        what moves there moves in many frames and covers a part.
        """
        count = len(self._scores) - 1
        new = [0, *(position for position in range(1, count + 1) if self._scores[position] > 0)]
        settling = {position + later for position in new for later in range(_SETTLING + 1)}
        restless = [position for position in range(1, count + 1) if not self._repeats[position]]
        unexplained = [position for position in restless if position not in settling]
        if (
            len(new) < 3
            or len(restless) > (1 - _MOSTLY_REPEATED) * count
            or len(unexplained) > _UNEXPLAINED * count
            or float(np.median(np.diff(new))) < _SHORTEST_RUN
        ):
            return None
        return new

    def push(self, time_s: float, thumbnail: UInt8[ndarray, "h w 3"]) -> None:
        look = _describe(thumbnail)
        position = len(self._times)
        score, repeat = 0.0, False
        if self._last is not None:
            before, earlier = self._last
            score, repeat = _difference(earlier, look), _is_repeat(before, thumbnail)
            if score > _MIN_SCORE:
                self._jumps.append(_Jump(position=position, before=before, after=[]))
        for jump in self._jumps[-_FLASH_FRAMES - 1 :]:
            if position - jump.position <= _FLASH_FRAMES:
                jump.after.append(thumbnail)
        self._times.append(time_s)
        self._scores.append(score)
        self._repeats.append(repeat)
        self._last = (thumbnail, look)

    def finish(self) -> list[int]:
        jumps = {jump.position: jump for jump in self._jumps}
        # Where pictures are stored again and again, their neighbours are the pictures before and after, not the copies.
        new = self.new_pictures() or list(range(len(self._scores)))
        striking = [position for position in jumps if self._stands_out(position, new)]
        interrupted: set[int] = set()
        for position, jump in jumps.items():
            if any(0 <= other - position <= _FLASH_FRAMES for other in striking):
                interrupted.update(range(position, position + _frames_until_return(jump)))
        cuts: list[int] = []
        for position in striking:
            if position in interrupted or _goes_on(jumps[position]):
                continue
            if cuts and position - cuts[-1] <= 2:
                cuts[-1] = position  # a blended frame between two shots: the new one starts after it
            else:
                cuts.append(position)
        return cuts

    def _stands_out(self, position: int, new: list[int]) -> bool:
        place = bisect.bisect_left(new, position)
        neighbours = new[max(1, place - _NEIGHBOURS) : place + _NEIGHBOURS + 1]
        around = [self._scores[i] for i in neighbours if abs(i - position) > 1]
        sparse = self._times[position] - self._times[new[place - 1]] > _SPARSE_S
        if len(around) < (4 if sparse else 1):
            return not sparse
        return self._scores[position] > _STANDS_OUT * float(np.median(around))


def _is_repeat(first: UInt8[ndarray, "h w 3"], second: UInt8[ndarray, "h w 3"]) -> bool:
    return int(np.abs(first.astype(np.int16) - second).max()) <= _REPEATED


def _describe(thumbnail: UInt8[ndarray, "h w 3"]) -> _Look:
    bins = thumbnail.astype(np.int64) * _NUM_BINS // 256
    cells = (bins[..., 0] * _NUM_BINS + bins[..., 1]) * _NUM_BINS + bins[..., 2]
    histogram = np.bincount(cells.ravel(), minlength=_NUM_BINS**3) / cells.size
    luma = luma_of(thumbnail)
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
    best = float((correlation / overlap(height, width)).max())
    return 0.5 * float(np.abs(first.histogram - second.histogram).sum()) + 1.0 - best


def _frames_until_return(jump: _Jump) -> int:
    """Number of frames of an interruption, the first that shows the old place again included; 0 where none does.

    The picture at the jump itself is no return: what it shares with the one before is for ``_goes_on`` to judge.
    """
    before = _describe(jump.before)
    for count, thumbnail in enumerate(jump.after[1:], start=2):
        look = _describe(thumbnail)
        if _difference(before, look) < _SAME_SHOT or shared_area(before.luma, look.luma) >= SAME_PLACE:
            return count
    return 0


def _goes_on(jump: _Jump) -> bool:
    """Whether a part of the view is there before and after: something near came between, or went away."""
    before, *after = (_describe(picture).luma for picture in (jump.before, *jump.after[:2]))
    blended = len(after) > 1 and _is_blend(before, after[0], after[1])
    return shared_area(before, after[1] if blended else after[0]) >= SAME_PLACE


def _is_blend(
    before: Float32[ndarray, "h w"], picture: Float32[ndarray, "h w"], after: Float32[ndarray, "h w"]
) -> bool:
    """Whether every pixel is the same mixture of the two others, as in a soft transition and unlike at an edge."""
    change, part = after - before, picture - before
    share = float((part * change).sum() / max(float((change * change).sum()), 1e-9))
    residual = float(np.linalg.norm(part - share * change) / max(float(np.linalg.norm(change)), 1e-9))
    return 0.1 < share < 0.9 and residual < _BLEND_RESIDUAL
