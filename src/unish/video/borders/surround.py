"""A picture amid things that stand still: a video in a browser or on a phone, recorded with its surroundings.

The surroundings of a recorded screen are drawn and do not change at all, but for a pointer or a clock. What changes
ends at straight edges that run along the rows and columns of the picture. Before a camera on a tripod much stands
still, too; but who walks there does not fill a rectangle, at two or more of whose sides the change begins within a row.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float32, Float64, UInt8
from numpy import ndarray

from unish.video.borders.bars import Area
from unish.video.borders.black_borders import FEWEST_FRAMES
from unish.video.luma import measure_luma

_CHANGE = 10
"""Levels of luma, of 255, between the darkest and the lightest moment of a pixel that changes; coding stays below."""
_LEAST_SHARE, _LEAST_SIDE = 0.1, 0.25
"""Of the frame, and of its sides, that the picture takes up."""
_NARROWEST, _FEWEST_ROWS = 0.015, 4
"""Of a side that stands still: share of the frame, and pixels."""
_FEWEST_SIDES = 2
_CHANGES, _STILL = 0.5, 0.06
"""Share of the pixels that change, within the picture at least, and around it at most."""
_MIXED, _BLOCK_PX = 4, 8
"""Rows on either side of an edge that are looked at, and by how many coding carries changes beyond it."""
_STANDS_OUT, _STEP = 1.6, 2.0
"""How much the step of luma at an edge varies over time, over that around it, and levels by which it exceeds that."""
_NUM_BLOCKS, _CLEAR = 12, 0.5
"""Parts of an edge, and the share of them at which the change begins there."""
_ROUNDS = 4


def find_surroundings(frames: UInt8[ndarray, "N H W 3"]) -> Area | None:
    """Where the picture lies amid what never changes; ``None`` where nothing surrounds it, or nobody can tell."""
    if len(frames) < FEWEST_FRAMES:
        return None
    luma = np.stack([measure_luma(picture) for picture in frames])
    changes = find_changes(luma)
    area = _fit_rectangle(changes)
    height, width = changes.shape
    top, left, bottom, right = _without_slivers(area, (height, width))
    if (bottom - top) * (right - left) < _LEAST_SHARE * height * width:
        return None
    if bottom - top < _LEAST_SIDE * height or right - left < _LEAST_SIDE * width:
        return None
    around = changes.copy()
    around[top:bottom, left:right] = False
    outside = height * width - (bottom - top) * (right - left)
    if changes[top:bottom, left:right].mean() < _CHANGES or around.sum() > _STILL * outside:
        return None
    edges = []
    # Every side as that above: the picture turned over, or its rows and columns exchanged.
    for turn, row, columns in (
        (lambda grid: grid, top, slice(left, right)),
        (lambda grid: grid[..., ::-1, :], height - bottom, slice(left, right)),
        (lambda grid: grid.swapaxes(-1, -2), left, slice(top, bottom)),
        (lambda grid: grid.swapaxes(-1, -2)[..., ::-1, :], width - right, slice(top, bottom)),
    ):
        edges.append(_find_edge(turn(luma)[..., columns], turn(changes)[:, columns], row) if row else 0)
    if -1 in edges or sum(edge > 0 for edge in edges) < _FEWEST_SIDES:
        return None
    return edges[0], edges[2], height - edges[1], width - edges[3]


def find_changes(luma: Float32[ndarray, "N H W"]) -> Bool[ndarray, "H W"]:
    """Pixels that some two of the frames show in another brightness."""
    return np.asarray(np.ptp(luma, axis=0) > _CHANGE)


def _fit_rectangle(changes: Bool[ndarray, "H W"]) -> Area:
    """From the first to the last row and column in which much of the rectangle's part changes; found by turns."""
    top, left, bottom, right = 0, 0, *changes.shape
    for _ in range(_ROUNDS):
        top, bottom = _extent(changes[:, left:right].mean(axis=1))
        left, right = _extent(changes[top:bottom].mean(axis=0))
    return top, left, bottom, right


def _extent(shares: Float64[ndarray, "n"]) -> tuple[int, int]:
    """First and last (exclusive) of those that reach half of what most have; both where the share jumps most."""
    true = shares >= 0.5 * np.quantile(shares, 0.9)
    # A pointer that passes makes no three rows in succession.
    runs = true & np.roll(true, 1) & np.roll(true, -1)
    places = np.flatnonzero(runs)
    if not len(places) or not shares.any():
        return 0, len(shares)
    jumps = np.diff(np.r_[0.0, shares, 0.0])
    ends = (int(places[0]) - 1, int(places[-1]) + 2)
    first, last = (
        max(0, end - _MIXED) + int(np.argmax(sign * jumps[max(0, end - _MIXED) : end + _MIXED + 1]))
        for end, sign in zip(ends, (1, -1), strict=True)
    )
    return first, last


def _without_slivers(area: Area, size: tuple[int, int]) -> Area:
    """The area, reaching to the borders that it ends just before of."""
    near = [max(_FEWEST_ROWS, round(_NARROWEST * side)) for side in size]
    top, left, bottom, right = area
    return (
        0 if top < near[0] else top,
        0 if left < near[1] else left,
        size[0] if size[0] - bottom < near[0] else bottom,
        size[1] if size[1] - right < near[1] else right,
    )


def _find_edge(luma: Float32[ndarray, "N H w"], changes: Bool[ndarray, "H w"], row: int) -> int:
    """The row near this one from which on the picture is seen: next to nothing changes above it, much below it, and the
    step of brightness along it varies. −1 where there is none."""
    before = changes[max(0, row - 2 * _MIXED) : max(1, row - _MIXED)]
    behind = changes[row + 1 : row + 1 + _MIXED].any(axis=0)
    # What coding makes of a change reaches to the end of its blocks. The step to what stands still varies most.
    first, last = max(1, row - _BLOCK_PX), min(row + _MIXED, luma.shape[1] - 1)
    steps = np.diff(luma[:, first - 1 : last + 1], axis=1).std(axis=0)
    edge = int(np.argmax(steps.mean(axis=1)))
    ordinary = np.median(steps, axis=0)
    clear = [
        part.mean() - still.mean() >= 0.5 * _CHANGES and step.mean() >= _STANDS_OUT * usual.mean() + _STEP
        for part, still, step, usual in zip(
            *(np.array_split(line, _NUM_BLOCKS) for line in (behind, before.mean(axis=0), steps[edge], ordinary)),
            strict=True,
        )
    ]
    return first + edge if float(np.mean(clear)) >= _CLEAR else -1
