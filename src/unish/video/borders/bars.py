"""Bars beside a picture that were burnt into a film: black or of another colour, or a blurred copy of the picture.

An edge of a bar is straight, spans the whole side and lies in the same row in every frame. What a scene has of that
kind (a dark sky, a white wall) is rough, ends raggedly, or has no counterpart on the other side. What is not sure is no
bar: a bar that is missed costs some accuracy, a scene that is cut away is lost.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float32, Int16, Int64, UInt8
from numpy import ndarray
from torch import Tensor

from unish.structs import FrameArray, Frames
from unish.video.borders.blurred_bars import find_blurred_pair

Area = tuple[int, int, int, int]
"""(top, left, bottom, right) of the picture, pixels."""

_NUM_FRAMES = 24
"""Frames that are looked at, evenly spread."""
_WIDEST, _NARROWEST, _FEWEST_ROWS = 0.45, 0.015, 4
"""Share of the side that one bar may take up at most; narrower ones, in either measure, stay in the picture."""
_DEVIATION = 10
"""Levels, of 255, by which coding changes the colour of a bar at most."""
_QUIET, _BAR_ROW = 0.97, 0.35
"""Least share of a row that has the bar's colour in every frame: without and with a caption or logo in it."""
_QUIET_ROWS = 3
_RINGING = 10
"""Rows before the edge in which coding may disturb a bar."""
_SPANS, _HINTS = 0.6, 0.2
"""Share of the columns that some frame shows in another colour than the bar, right behind the edge: of an edge that is
seen, and of one that is where the bar on the other side lets expect it."""
_NUM_BLOCKS = 16
"""Parts of the edge that must agree where it is."""
_BLOCK_CONTRAST = 4.0
_CLEAR, _AGREE, _SHARP = 0.5, 0.8, 0.75
"""Share of the parts that show an edge, share of these in which it lies in the same row, and share of its height that
it climbs in three rows, of which colours stored at half the resolution need two."""
_ALONE_CLEAR, _ALONE_AGREE = 0.9, 0.95
"""The same of a bar without a counterpart."""
_BLACK = 24
_PICTURE = 0.7
"""Share of the height of an edge from which on a row belongs to the picture."""
_SATURATION = 60
"""Levels beyond which a brighter picture makes an edge no clearer."""
_ROUNDS = 3


def find_bars(images: UInt8[Frames | Tensor, "T H W 3"]) -> Area | None:
    """Where the picture lies between bars that are there in every frame; ``None`` where it fills the frames."""
    frames = np.asarray(images[choose_frames(images)])
    whole = (0, 0, *frames.shape[1:3])
    area: Area = (0, 0, int(whole[2]), int(whole[3]))
    for _ in range(_ROUNDS):
        before = area
        # Bars at the sides hide how long an edge above is, and the other way round.
        for upright in (False, True):
            area = _narrow(frames, area, upright=upright)
        if area == before:
            break
    return None if area == whole else area


def choose_frames(images: Frames | Tensor) -> Int64[ndarray, "N"]:
    """Evenly spread, of those that need not be decoded again if there are such."""
    cheap = np.arange(len(images))
    if isinstance(images, FrameArray) and len(images.at_hand):
        cheap = np.asarray(images.at_hand)
    return cheap[np.linspace(0, len(cheap) - 1, min(len(cheap), _NUM_FRAMES)).round().astype(int)]


def _narrow(frames: UInt8[ndarray, "N H W 3"], area: Area, *, upright: bool) -> Area:
    """The area without the bars above and below it, or to its left and right."""
    top, left, bottom, right = area
    inside = frames[:, top:bottom, left:right]
    if upright:
        inside = inside.swapaxes(1, 2)
    first, last = _find_pair(inside)
    return (top, left + first, bottom, right - last) if upright else (top + first, left, bottom - last, right)


@dataclass(frozen=True, kw_only=True)
class _Bar:
    """The bar at the first rows of some frames.

    Attributes:
        rows: 0 where there is none.
        clear, agree: see ``_CLEAR`` and ``_AGREE``.
    """

    rows: int = 0
    colour: tuple[int, int, int] = (0, 0, 0)
    clear: float = 0.0
    agree: float = 0.0

    @property
    def is_black(self) -> bool:
        return max(self.colour) <= _BLACK


def _find_pair(frames: UInt8[ndarray, "N H W 3"]) -> tuple[int, int]:
    """Rows of the bars above and below."""
    height = frames.shape[1]
    reach = int(height * _WIDEST) + 8
    strips = [frames[:, :reach], frames[:, ::-1][:, :reach]]
    # In nearly all videos no side begins with a bar, which its first rows tell.
    if not any(_may_begin_with_bar(strip) for strip in strips):
        return find_blurred_pair(frames) if len(frames) > 1 else (0, 0)
    sides = [_Side.of(strip) for strip in strips]
    bars = [side.find_edge() for side in sides]
    if (bars[0].rows > 0) != (bars[1].rows > 0):
        seen, unseen = (0, 1) if bars[0].rows else (1, 0)
        if sides[unseen].may_end_at(bars[seen].rows):
            bars[unseen] = replace(bars[seen], colour=sides[unseen].colour)
    first, last = bars
    if first.rows and last.rows:
        alike = max(abs(one - other) for one, other in zip(first.colour, last.colour, strict=True)) <= _DEVIATION
        balanced = abs(first.rows - last.rows) <= 2 + 0.05 * max(first.rows, last.rows)
        if alike and (balanced or first.is_black):
            return first.rows, last.rows
    if len(frames) > 1:
        for bar in bars:
            if bar.rows and bar.is_black and bar.clear >= _ALONE_CLEAR and bar.agree >= _ALONE_AGREE:
                return (bar.rows, 0) if bar is first else (0, bar.rows)
        return find_blurred_pair(frames)
    return 0, 0


def _may_begin_with_bar(strip: UInt8[ndarray, "N R W 3"]) -> bool:
    """The first rows have one colour: without that ``_Side`` finds no edge, and expects none."""
    colour = _border_colour(strip)
    other = _deviate(strip[:, :_QUIET_ROWS], colour) > _DEVIATION
    return bool((1 - other.mean(axis=-1, dtype=np.float32) >= _QUIET).all())


def _border_colour(strip: UInt8[ndarray, "N R W 3"]) -> Int16[ndarray, "3"]:
    """Median of the first rows."""
    border = strip[:, : max(2, strip.shape[1] // 50)].reshape(-1, 3)
    return np.asarray(np.median(border[:: max(1, len(border) // 20000)], axis=0).astype(np.int16))


def _deviate(pictures: UInt8[ndarray, "*N R W 3"], colour: Int16[ndarray, "3"]) -> Int16[ndarray, "*N R W"]:
    """Largest difference of the three channels, levels."""
    red, green, blue = np.moveaxis(np.abs(pictures - colour), -1, 0)
    return np.asarray(np.maximum(np.maximum(red, green), blue))


@dataclass(frozen=True, kw_only=True)
class _Side:
    """How the first R rows of frames differ from the colour at their border.

    Attributes:
        height: of the whole frames.
        colour: at the border.
        share: (R,) least share of the row, over all frames, that has this colour.
        other: (R,) share of the columns that some frame shows in another colour.
        rise: (B, R) mean difference, by parts of the side.
    """

    height: float
    colour: tuple[int, int, int]
    share: Float32[ndarray, "R"]
    other: Float32[ndarray, "R"]
    rise: Float32[ndarray, "B R"]

    @classmethod
    def of(cls, strip: UInt8[ndarray, "N R W 3"]) -> _Side:
        """``strip`` reaches as far as bars do."""
        rows, columns = strip.shape[1:3]
        colour = _border_colour(strip)
        blocks = np.linspace(0, columns, min(_NUM_BLOCKS, columns) + 1).astype(int)[:-1]
        share, seen = np.ones(rows, np.float32), np.zeros((rows, columns), bool)
        rise = np.zeros((len(blocks), rows), np.float32)
        widths = np.diff([*blocks.tolist(), columns]).astype(np.float32)[:, None]
        for picture in strip:
            difference = _deviate(picture, colour)
            other: Bool[ndarray, "R W"] = difference > _DEVIATION
            share = np.minimum(share, 1 - other.mean(axis=1, dtype=np.float32))
            seen |= other
            clipped = np.minimum(difference, _SATURATION).astype(np.float32)
            rise += np.add.reduceat(clipped, blocks, axis=1).T / widths / len(strip)
        red, green, blue = colour.tolist()
        return cls(
            height=(rows - 8) / _WIDEST, colour=(red, green, blue), share=share,
            other=seen.mean(axis=1, dtype=np.float32), rise=rise,
        )  # fmt: skip

    def may_end_at(self, rows: int) -> bool:
        """Nothing speaks against a bar of so many rows, where that on the other side is sure: an edge in the dark."""
        quiet = self.share[:rows] >= _QUIET
        return bool(
            (self.share[: rows - 1] >= _BAR_ROW).all()
            and quiet[:_QUIET_ROWS].all()
            and quiet[max(0, rows - _RINGING) : rows].sum() >= _QUIET_ROWS
            and self.other[rows + 1 : rows + 4].mean() >= _HINTS
        )

    def find_edge(self) -> _Bar:
        """The innermost edge that has nothing but bar on its outer side."""
        outside = np.cumprod(self.share >= _BAR_ROW).astype(bool)
        quiet = self.share >= _QUIET
        runs = np.convolve(quiet, np.ones(_QUIET_ROWS), "valid")[: len(quiet)] == _QUIET_ROWS
        least = max(_FEWEST_ROWS, round(self.height * _NARROWEST))
        if not quiet[:_QUIET_ROWS].all():
            return _Bar()
        # A run of quiet rows ends where the next one is not.
        ends = np.flatnonzero(runs[:-1] & ~runs[1:] & outside[_QUIET_ROWS - 1 : len(runs) - 1 + _QUIET_ROWS - 1]) + 2
        for end in ends[::-1].tolist():
            bar = self._measure_edge(end)
            if least <= bar.rows <= self.height * _WIDEST:
                return bar
        return _Bar()

    def _measure_edge(self, end: int) -> _Bar:
        """The edge that follows the quiet row ``end``."""
        mean = self.rise.mean(axis=0)
        last = min(end + _RINGING, len(mean) - 5)
        if last <= end:
            return _Bar()
        row = end + 1 + int(np.argmax(np.diff(mean[end : last + 1])))
        before, behind = (
            self.rise[:, rows].mean(axis=1) for rows in (slice(max(0, row - 5), row - 1), slice(row + 1, row + 5))
        )
        # A mixture of bar and picture is no picture.
        row += int(mean[row] < before.mean() + _PICTURE * (behind - before).mean())
        contrasted = behind - before > _BLOCK_CONTRAST
        if self.other[row + 1 : row + 4].mean() < _SPANS or not contrasted.any():
            return _Bar()
        parts = self.rise[contrasted]
        window = parts[:, max(0, row - 4) : row + 5]
        steepest = max(0, row - 4) + 1 + np.diff(window, axis=1).argmax(axis=1)
        agree = float((np.abs(steepest - row) <= 1).mean())
        climb = (parts[:, row + 1] - parts[:, max(0, row - 2)]).mean() / (behind - before)[contrasted].mean()
        clear = float(contrasted.mean())
        if agree < _AGREE or climb < _SHARP or clear < _CLEAR:
            return _Bar()
        return _Bar(rows=row, colour=self.colour, clear=clear, agree=agree)
