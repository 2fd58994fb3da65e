"""Black beside a picture that a stabiliser has turned and shifted, in every frame otherwise."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float64, Int64, UInt8
from numpy import ndarray

from unish.structs import FrameArray, Frames

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


def find_black_borders(images: UInt8[Frames, "N H W 3"]) -> Bool[FrameArray, "N H W"] | None:
    """Of one shot: wedges of black with a straight end, at a side where they come and go; ``None`` without any.

    They are looked for again when a frame of them is read.
    """
    if len(images) < FEWEST_FRAMES:
        return None
    middles = np.array([[depth.mean() for depth in _border_depths(image)] for image in images])
    sides = np.flatnonzero(np.ptp(middles, axis=0) >= _MOVES_PX)

    def borders(frame: int) -> Bool[ndarray, "H W"]:
        found = np.zeros(images.shape[1:3], bool)
        depths = _border_depths(images[frame])
        for side in sides.tolist():
            turned = np.rot90(found, side)  # a view
            turned |= (np.arange(len(turned))[:, None] < depths[side] + _MARGIN) & (depths[side] > 0)
        return found

    return FrameArray(images.shape[:3], np.dtype(np.bool_), borders) if len(sides) else None


def _border_depths(image: UInt8[ndarray, "H W 3"]) -> list[Float64[ndarray, "_"]]:
    """``_border_depth`` at each of the four sides: above, and what is above after turns to the left."""
    brightest = image.max(axis=-1)
    black, lighter = brightest <= _BLACK, brightest > _BLACK + _CONTRAST
    return [_border_depth(np.rot90(black, turns), np.rot90(lighter, turns)) for turns in range(4)]


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
