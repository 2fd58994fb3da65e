"""A small picture laid over another one: picture in picture, a speaker's camera in the corner of a film.

Its border is a rectangle that keeps its place to the pixel. A scene has such rectangles, too (doors, windows, screens),
so something more is asked: either everything around it moves while it stays, or nothing around it changes while it
does, along all of its sides.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int64, UInt8
from numpy import ndarray
from scipy import ndimage

from unish.video.borders.bars import Area
from unish.video.borders.black_borders import FEWEST_FRAMES
from unish.video.borders.surround import find_changes
from unish.video.luma import measure_luma

_LONG_SIDE, _LEAST_LONG_SIDE = 480, 160
"""Pixels at which borders are looked for, and of the smallest frames that have room for a picture in the picture."""
_STANDS_OUT, _STEP = 1.6, 2.0
"""Mean step of luma across the border, over that on either side of it, and levels by which it exceeds that."""
_BESIDE = 6
"""Pixels on either side of a border of which the farther four are compared with it."""
_ABSENT = 0.34
"""Share of the frames in which the step may be smaller: two pictures are of one brightness there."""
_SMOOTHED = 11
"""Pixels along a line over which steps are averaged."""
_LEAST_SIDE, _SMALLEST, _LARGEST = 0.1, 0.012, 0.35
"""Share of the frame's side that a side takes up at least; share of the frame that the inset takes up."""
_LONGEST = 3.0
"""Times its shorter side: what is longer is a strip of text, which ``overlays.py`` looks for."""
_NUM_LINES = 12
"""The clearest ones of each direction, from which rectangles are put together."""
_COVERED, _LEAST_COVERED, _BEYOND = 0.8, 0.6, 0.5
"""Share of the four sides together, and of each, along which the border is seen, and of its continuation, at most."""
_COVERED_BESIDE_END = 0.9
"""The least share where the frame ends at another side of the inset."""
_BEYOND_PX = 8
_AT_END = 2
"""Pixels from the end of the frame within which no border is looked for."""
_RING = 8
"""Pixels around the inset that are compared with it."""
_MOVES, _MOVING_SHARE, _MOVING_NEAR = 0.7, 0.6, 0.5
"""See ``overlays.py``: |mean| of a gradient over its mean length, and the share of the edges that move: of all that is
beside the inset, and of what is next to it."""
_FAINT = 3.0
"""Levels per pixel of an edge."""
_STILL, _LIVES = 0.8, 0.6
"""Share of the pixels around that do not change, and along the sides within that do."""
_MARGIN = 1
"""Pixels of the reduced picture by which an inset is taken larger: coding mixes what is at its border."""


@dataclass(frozen=True, kw_only=True)
class _Steps:
    """What N frames say together, at the reduced size.

    Attributes:
        across, down: (h, w) where a border runs to the left of, and above, a pixel in all frames.
        stays: (h, w) |mean| of the gradient over its mean length.
        edges: (h, w) where there is any gradient.
        changes: (h, w) pixels that change.
    """

    across: Bool[ndarray, "h w"]
    down: Bool[ndarray, "h w"]
    stays: Float32[ndarray, "h w"]
    edges: Bool[ndarray, "h w"]
    changes: Bool[ndarray, "h w"]


def find_inset(frames: UInt8[ndarray, "N H W 3"]) -> Area | None:
    """The largest inset picture that all frames have at one place; ``None`` where there is none, or nobody can tell."""
    if len(frames) < FEWEST_FRAMES or max(frames.shape[1:3]) < _LEAST_LONG_SIDE:
        return None
    factor = max(1, round(max(frames.shape[1:3]) / _LONG_SIDE))
    steps = _measure(np.stack([_shrink(picture, factor) for picture in frames]))
    for area in _rectangles(steps):
        if _moves_around(steps, area) or _lives_within(steps, area):
            top, left, bottom, right = (factor * edge for edge in area)
            out, (height, width) = factor * _MARGIN, frames.shape[1:3]
            # What is left over at the end of the rows and columns belongs to an inset that reaches there.
            bottom, right = (
                side if edge == side // factor * factor else min(edge + out, side)
                for edge, side in ((bottom, height), (right, width))
            )
            return max(0, top - out), max(0, left - out), bottom, right
    return None


def fill_area(picture: UInt8[ndarray, "H W 3"], area: Area) -> UInt8[ndarray, "H W 3"]:
    """The picture with this rectangle filled smoothly from what is around it, by distance."""
    top, left, bottom, right = area
    height, width = picture.shape[:2]
    sides = []
    down, across = (np.arange(1, n + 1, dtype=np.float32) for n in (bottom - top, right - left))
    shape = (bottom - top, right - left, 3)
    if top > 0:
        sides.append((_soften(picture[top - 1, left:right])[None], down[:, None]))
    if bottom < height:
        sides.append((_soften(picture[bottom, left:right])[None], down[::-1, None]))
    if left > 0:
        sides.append((_soften(picture[top:bottom, left - 1])[:, None], across[None]))
    if right < width:
        sides.append((_soften(picture[top:bottom, right])[:, None], across[None, ::-1]))
    total, weights = np.zeros(shape, np.float32), np.zeros(shape[:2], np.float32)
    for colours, distance in sides:
        weight = np.broadcast_to(1 / distance, shape[:2])
        total += weight[..., None] * colours
        weights += weight
    filled = picture.copy()
    filled[top:bottom, left:right] = (total / weights[..., None]).round()
    return filled


def _soften(line: UInt8[ndarray, "n 3"]) -> Float32[ndarray, "n 3"]:
    return ndimage.gaussian_filter1d(line.astype(np.float32), len(line) / 20, axis=0, mode="nearest")


def _shrink(picture: UInt8[ndarray, "H W 3"], factor: int) -> Float32[ndarray, "h w"]:
    """Luma, means of squares; what is left over at the end is dropped."""
    height, width = (side // factor for side in picture.shape[:2])
    cut = measure_luma(picture[: height * factor, : width * factor])
    return cut.reshape(height, factor, width, factor).mean(axis=(1, 3))


def _measure(small: Float32[ndarray, "N h w"]) -> _Steps:
    down, across = np.gradient(small, axis=(1, 2))
    strength = np.hypot(down, across).mean(axis=0)
    return _Steps(
        across=_borders(small),
        down=_borders(small.swapaxes(1, 2)).T,
        stays=np.hypot(down.mean(axis=0), across.mean(axis=0)) / np.maximum(strength, 1e-6),
        edges=strength >= _FAINT,
        changes=find_changes(small),
    )


def _borders(small: Float32[ndarray, "N h w"]) -> Bool[ndarray, "h w"]:
    """Where, in most frames, luma steps from one column to the next, and more than on either side: lines that run down
    the picture."""
    steps = np.abs(np.diff(small, axis=2, prepend=small[:, :, :1]))
    smooth = ndimage.uniform_filter1d(steps, _SMOOTHED, axis=1)
    few = int(_ABSENT * len(small))
    lasting = np.partition(smooth, few, axis=0)[few]
    # A border that falls between two pixels, or has a width of its own, shows within three of them.
    padded = np.pad(lasting, ((0, 0), (_BESIDE, _BESIDE)), mode="edge")
    means = ndimage.uniform_filter1d(padded, 4, axis=1)
    # Means of four columns, from the third one on, to the left and to the right; an even filter begins one earlier.
    beside = np.maximum(means[:, _BESIDE - 4 : -_BESIDE - 4], means[:, 2 * _BESIDE - 1 : padded.shape[1] - 1])
    return (lasting >= _STANDS_OUT * beside) & (lasting >= beside + _STEP)


def _rectangles(steps: _Steps) -> list[Area]:
    """Whose four sides are borders, or sides of the frame; most borders first, then the largest."""
    height, width = steps.across.shape
    near = [ndimage.maximum_filter1d(steps.across, 3, axis=1), ndimage.maximum_filter1d(steps.down, 3, axis=0)]
    columns, rows = _lines(steps.across), _lines(steps.down.T)
    down_to = np.vstack([np.zeros((1, width)), np.cumsum(near[0], axis=0)])
    along_to = np.vstack([np.zeros((1, height)), np.cumsum(near[1].T, axis=0)])
    found = []
    for top, bottom in _pairs(rows, height):
        for left, right in _pairs(columns, width):
            share = (bottom - top) * (right - left) / (height * width)
            sides_px = sorted((bottom - top, right - left))
            if not _SMALLEST <= share <= _LARGEST or sides_px[1] > _LONGEST * sides_px[0]:
                continue
            turned = ((down_to, (left, right), top, bottom), (along_to, (top, bottom), left, right))
            sides = [_side_seen(sums, at, first, last) for sums, places, first, last in turned for at in places]
            seen = [share for share in sides if share is not None]
            least = _LEAST_COVERED if len(seen) == len(sides) else _COVERED_BESIDE_END
            if min(seen) >= least and np.mean(seen) >= _COVERED:
                found.append((top, left, bottom, right))
    # A border that is seen is surer than an end of the frame behind it.
    return sorted(found, key=lambda area: (_num_open(area, (height, width)), (area[0] - area[2]) * (area[3] - area[1])))


def _num_open(area: Area, size: tuple[int, int]) -> int:
    """Sides that are ends of the frame."""
    return sum((area[0] == 0, area[1] == 0, area[2] == size[0], area[3] == size[1]))


def _lines(borders: Bool[ndarray, "h w"]) -> Int64[ndarray, "K"]:
    """Columns that borders run along for long enough, and the two ends of the frame."""
    height, width = borders.shape
    length = max(1, round(_LEAST_SIDE * height))
    near = ndimage.maximum_filter1d(borders, 3, axis=1).astype(np.float32)
    covered = ndimage.uniform_filter1d(near, length, axis=0, mode="constant").max(axis=0)
    # Of columns side by side that see the same border, the one that has most of it.
    count = covered + borders.sum(axis=0) / height
    found = np.flatnonzero((count >= ndimage.maximum_filter1d(count, 3)) & (covered >= _LEAST_COVERED))
    found = found[(found > _AT_END) & (found < width - _AT_END)]
    found = found[np.argsort(-count[found], kind="stable")[:_NUM_LINES]]
    return np.unique(np.r_[0, found, width])


def _pairs(lines: Int64[ndarray, "K"], side: int) -> list[tuple[int, int]]:
    """(first, last) that are far enough apart, not both ends of the frame."""
    return [
        (first, last)
        for number, first in enumerate(lines.tolist())
        for last in lines[number + 1 :].tolist()
        if last - first >= _LEAST_SIDE * side and (first, last) != (0, side)
    ]


def _side_seen(sums: Float64[ndarray, "h1 w"], at: int, first: int, last: int) -> float | None:
    """Share of this column between these rows along which a border runs; 0 where it goes on beyond, ``None`` at
    the ends of the frame."""
    length, width = len(sums) - 1, sums.shape[1]
    if at in (0, width):
        return None
    before, after = max(0, first - 2 - _BEYOND_PX), min(length, last + 2 + _BEYOND_PX)
    beyond = sums[max(0, first - 2), at] - sums[before, at] + sums[after, at] - sums[min(length, last + 2), at]
    seen = (sums[last, at] - sums[first, at]) / (last - first)
    return float(seen) if beyond <= _BEYOND * 2 * _BEYOND_PX else 0.0


def _ring(steps: _Steps, area: Area, width: int) -> Bool[ndarray, "h w"]:
    """Up to so many pixels around the area, but for the nearest two."""
    top, left, bottom, right = area
    inside = np.zeros(steps.edges.shape, bool)
    inside[max(0, top - 2 - width) : bottom + 2 + width, max(0, left - 2 - width) : right + 2 + width] = True
    inside[max(0, top - 2) : bottom + 2, max(0, left - 2) : right + 2] = False
    return inside


def _moves_around(steps: _Steps, area: Area) -> bool:
    """The edges of all that is beside it move, and those next to it, too."""
    beside = np.ones(steps.edges.shape, bool)
    beside[max(0, area[0] - 2) : area[2] + 2, max(0, area[1] - 2) : area[3] + 2] = False
    moving = steps.stays <= _MOVES
    near, all_beside = _ring(steps, area, _RING) & steps.edges, beside & steps.edges
    return bool(
        near.sum() >= _RING and moving[near].mean() >= _MOVING_NEAR and moving[all_beside].mean() >= _MOVING_SHARE
    )


def _lives_within(steps: _Steps, area: Area) -> bool:
    """It changes along all of its sides, and what is around it does not, yet more of the frame does: where nothing else
    lives, it is the film."""
    top, left, bottom, right = area
    within = steps.changes[top:bottom, left:right]
    strips = (within[2:6], within[-6:-2], within[:, 2:6].T, within[:, -6:-2].T)
    if min(float(strip.any(axis=0).mean()) for strip in strips) < _LIVES or within.mean() < _LIVES:
        return False
    elsewhere = steps.changes.sum() - within.sum()
    return bool((~steps.changes[_ring(steps, area, _RING)]).mean() >= _STILL and elsewhere >= within.sum())
