"""Black beside a picture that a stabiliser has turned and shifted, in every frame otherwise."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float64, Int64, UInt8
from numpy import ndarray

FEWEST_FRAMES = 6
"""Of a shot, from which on it can be told what moves."""
_BLACK = 12
"""Levels, of 255, up to which coding leaves black."""
_DEEPEST = 0.25
"""Share of the picture's side that a border may take up."""
_STRAIGHT_PX, _STRAIGHT = 1.5, 0.9
"""Pixels by which the end of a border deviates from a line, and the share of the columns in which it does not."""
_STEEPEST = 0.25
_CONTRAST, _CLEAR = 16, 0.6
"""Levels by which the picture is lighter right behind a border, and the share of the columns in which it is."""
_FEWEST_COLUMNS, _LEAST_PX = 0.15, 2
"""Share of the side that a border covers at least, and its least depth at its deepest."""
_MOVES_PX = 2
"""Pixels by which the depth of a border changes over a shot at least."""
_NUM_LINES = 24
"""Columns whose connecting lines are tried."""
_MARGIN = 1
"""Pixels beyond the line that are mixtures."""


def find_black_borders(images: UInt8[ndarray, "N H W 3"]) -> Bool[ndarray, "N H W"]:
    """Of one shot: wedges of black with a straight end, at a side where they come and go."""
    found = np.zeros(images.shape[:3], bool)
    if len(images) < FEWEST_FRAMES:
        return found
    black = images.max(axis=-1) <= _BLACK
    lighter = images.max(axis=-1) > _BLACK + _CONTRAST
    for turns in range(4):
        dark, light, out = [np.rot90(part, turns, axes=(1, 2)) for part in (black, lighter, found)]
        depths = [_border_depth(*pair) for pair in zip(dark, light, strict=True)]
        middles = [float(depth.mean()) for depth in depths]
        if max(middles) - min(middles) < _MOVES_PX:
            continue
        rows = np.arange(len(dark[0]))[:, None]
        for target, depth in zip(out, depths, strict=True):
            target |= (rows < depth + _MARGIN) & (depth > 0)
    return found


def _border_depth(black: Bool[ndarray, "h w"], lighter: Bool[ndarray, "h w"]) -> Float64[ndarray, "w"]:
    """Rows of the border above in every column; all 0 where it does not end in a straight line."""
    height, width = black.shape
    none = np.zeros(width)
    ends = np.where(black.all(axis=0), height, (~black).argmax(axis=0))
    inside = np.flatnonzero((ends >= 1) & (ends < _DEEPEST * height))
    if len(inside) < _FEWEST_COLUMNS * width or ends.max() < _LEAST_PX:
        return none
    line = _fit_line(inside, ends[inside], width)
    if line is None or line.max() < _LEAST_PX or line.max() > _DEEPEST * height:
        return none
    covered = line >= _LEAST_PX / 2
    straight = np.abs(ends - np.maximum(line, 0)) <= _STRAIGHT_PX
    behind = np.minimum(np.ceil(np.maximum(line, 0)).astype(int) + 2, height - 1)
    clear = lighter[behind, np.arange(width)]
    if (
        covered.sum() < _FEWEST_COLUMNS * width
        or straight[covered].mean() < _STRAIGHT
        or straight.mean() < _STRAIGHT - 0.2
        or clear[covered].mean() < _CLEAR
    ):
        return none
    return np.where(covered, line, 0.0)


def _fit_line(columns: Int64[ndarray, "K"], ends: Int64[ndarray, "K"], width: int) -> Float64[ndarray, "w"] | None:
    """The line through two of the ends that most of them lie on, then through all of these; ``None`` if too steep."""
    picked = np.linspace(0, len(columns) - 1, min(_NUM_LINES, len(columns))).round().astype(int)
    best: Bool[ndarray, "K"] | None = None
    for first in picked:
        for second in picked[picked > first]:
            slope = (ends[second] - ends[first]) / (columns[second] - columns[first])
            near = np.abs(ends[first] + slope * (columns - columns[first]) - ends) <= _STRAIGHT_PX
            if abs(slope) <= _STEEPEST and (best is None or near.sum() > best.sum()):
                best = near
    if best is None or best.sum() < 2:
        return None
    slope, start = np.polyfit(columns[best], ends[best], 1)
    return start + slope * np.arange(width)
