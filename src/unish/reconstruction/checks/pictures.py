"""Pictures of a kind that nothing here is made for: too dark, round, or taken with a lens that zooms."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from jaxtyping import Bool, Float, Integer
from numpy import ndarray

from unish.reconstruction.checks.patches import (
    MIN_CORRELATION,
    PATCH,
    average_blocks,
    away_from_people,
    choose_patches,
    find_patches,
    matching_step,
)
from unish.reconstruction.checks.scene import zoom_factor
from unish.structs import Reconstruction

MAX_FRAMES = 12
BRIGHT_PERCENTILE = 90.0
BLACK_LEVEL = 24.0
"""Grey levels below which a pixel is taken for black, as coding leaves it."""

CIRCLE_MISS = 0.02
"""Mean distance of the picture's edge from a circle, over its radius, up to which the picture is round."""

MIN_BLACK_CORNER = 0.04
"""Side of the square in each corner, over the longer side of the picture, that is black where the picture is round."""

MIN_MATCHES = 12
PARALLAX_GAIN = 0.8
"""Error with which a zoom explains the motion of patches, over that of a camera that comes nearer, below which it is
one."""

MAX_ZOOM_ERROR = 0.6
"""Pixels of the matching size: patches are found to about a tenth of one."""


@dataclass(frozen=True, kw_only=True)
class PictureMeasures:
    """What a shot's pictures are like.

    Attributes:
        brightness: 90th percentile of the grey values of the lit part, median over frames, 0 to 255.
        is_round: the picture is a disc on black, as fisheye lenses draw it.
        enlarged: by how much more the lens has enlarged the still scene from first to last frame than the file's
            focal lengths say, as far as that is no motion of the camera; 1 where it has not, or nothing tells.
    """

    brightness: float
    is_round: bool
    enlarged: float


def measure_pictures(
    reconstruction: Reconstruction, frames: Integer[ndarray, "K"], *, still: bool = False
) -> PictureMeasures:
    """``PictureMeasures`` of the shot that consists of ``frames``.

    Args:
        still: the pictures are known to agree wherever no people are, so that nothing is enlarged.
    """
    some = frames[np.unique(np.linspace(0, len(frames) - 1, min(len(frames), MAX_FRAMES)).round().astype(int))]
    grey = np.stack([average_blocks(reconstruction.images[frame], 1) for frame in some])
    lit = grey.max(0) >= BLACK_LEVEL
    values = grey[:, lit] if lit.any() else grey.reshape(len(grey), -1)
    return PictureMeasures(
        brightness=float(np.median(np.percentile(values, BRIGHT_PERCENTILE, axis=1))),
        is_round=_is_round(lit),
        enlarged=1.0 if still else _measure_zoom(reconstruction, frames),
    )


def _is_round(lit: Bool[ndarray, "H W"]) -> bool:
    """The border of what is lit in any frame is a circle, or the arcs of one that the picture cuts."""
    height, width = lit.shape
    corner = max(2, round(MIN_BLACK_CORNER * max(height, width)))
    if any(lit[rows, columns].any() for rows in _ends(corner) for columns in _ends(corner)):
        return False
    rows = np.flatnonzero(lit.any(1))
    if len(rows) < corner:
        return False
    left, right = lit[rows].argmax(1), width - 1 - lit[rows, ::-1].argmax(1)
    edge = np.concatenate([np.stack([left, rows], -1), np.stack([right, rows], -1)]).astype(np.float64)
    # Where the picture cuts the circle, its border is that of the picture.
    edge = edge[(edge[:, 0] > 0) & (edge[:, 0] < width - 1)]
    if len(edge) < 2 * corner:
        return False
    # x² + y² = 2 a x + 2 b y + c (Kåsa, 1976), about the middle for the sake of rounding.
    x, y = (edge - [width / 2, height / 2]).T
    (a, b, c), *_ = np.linalg.lstsq(np.stack([2 * x, 2 * y, np.ones(len(x))], -1), x**2 + y**2, rcond=None)
    radius = np.sqrt(max(c + a * a + b * b, 0.0))
    miss = np.abs(np.hypot(x - a, y - b) - radius).mean()
    return bool(miss < CIRCLE_MISS * radius and radius < np.hypot(height, width) / 2)


def _ends(size: int) -> tuple[slice, slice]:
    return slice(None, size), slice(-size, None)


def _measure_zoom(reconstruction: Reconstruction, frames: Integer[ndarray, "K"]) -> float:
    """Product of the enlargements between consecutive frames, where a zoom explains them and coming nearer does not.

    A lens that zooms moves every point away from one place in proportion to its distance from there, whatever its
    depth; a camera that comes nearer moves near points more than far ones. Both are fitted to the patches of the still
    scene, with a shift for a camera that turns.
    """
    step = matching_step(reconstruction)
    log_sizes, errors = list[float](), list[tuple[float, float]]()
    pictures = (average_blocks(reconstruction.images[frame], step) for frame in frames.tolist())
    for frame, pair in zip(frames.tolist(), pairwise(pictures), strict=False):
        places, moves, depth = _follow(reconstruction, frame, *pair, step)
        if len(places) < MIN_MATCHES:
            continue
        zoom, zoom_error = _fit_growth(places, moves, np.ones(len(places)))
        _, motion_error = _fit_growth(places, moves, 1 / depth)
        log_sizes.append(np.log1p(zoom))
        errors.append((zoom_error, motion_error))
    if len(log_sizes) < max(2, len(frames) // 2):
        return 1.0
    zoom_error, motion_error = np.median(errors, axis=0)
    zoomed = zoom_error < min(PARALLAX_GAIN * motion_error, MAX_ZOOM_ERROR)
    return float(np.exp(np.sum(log_sizes))) / zoom_factor(reconstruction, frames) if zoomed else 1.0


def _follow(
    reconstruction: Reconstruction,
    source: int,
    first: Float[ndarray, "h w"],
    second: Float[ndarray, "h w"],
    step: int,
) -> tuple[Float[ndarray, "N 2"], Float[ndarray, "N 2"], Float[ndarray, "N"]]:
    """Patches of a frame that are found again: place (x, y) about the middle, displacement, both in steps, and depth.

    Args:
        source: the frame.
        first, second: averaged blocks of its picture, and of that in which to look.
    """
    height, width = first.shape
    depth = reconstruction.depth[source, step // 2 :: step, step // 2 :: step][:height, :width]
    rows, columns = choose_patches((depth > 0) & away_from_people(reconstruction, source, step), first)
    if len(rows) == 0:
        return np.zeros((0, 2)), np.zeros((0, 2)), np.zeros(0)
    offsets = np.arange(-PATCH, PATCH + 1)
    patches = first[rows[:, None, None] + offsets[:, None], columns[:, None, None] + offsets]
    score, moves, rest = find_patches(second, patches, rows, columns, np.zeros((len(rows), 2)))
    keep = score >= MIN_CORRELATION
    places = np.stack([columns - width / 2, rows - height / 2], -1)
    return places[keep], (moves + rest)[keep], depth[rows, columns][keep].astype(np.float64)


def _fit_growth(
    places: Float[ndarray, "N 2"], moves: Float[ndarray, "N 2"], share: Float[ndarray, "N"]
) -> tuple[float, float]:
    """Growth k of ``moves`` = k · ``share`` · (place − centre) + shift, robustly; and the median error in steps."""
    share, zero = share / np.median(share), np.zeros(len(places))
    # Unknowns: k, −k times the centre, and the shift, x and y. Where all have the same share, centre and shift are one
    # thing; the least squares of least norm take either.
    design = np.stack(
        [
            np.stack([share * places[:, 0], share, zero, zero + 1, zero], -1),
            np.stack([share * places[:, 1], zero, share, zero, zero + 1], -1),
        ]
    )
    weights, solution, error = np.ones(len(places)), np.zeros(5), np.zeros(len(places))
    for _ in range(5):
        root = np.sqrt(weights)
        flat = (design * root[:, None]).reshape(-1, design.shape[-1])
        solution, *_ = np.linalg.lstsq(flat, (moves.T * root).ravel(), rcond=None)
        error = np.linalg.norm(moves - (design @ solution).T, axis=-1)
        weights = 1 / np.maximum(error, 0.25)
    return float(solution[0]), float(np.median(error))
