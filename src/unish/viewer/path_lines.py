"""Ways of people and cameras as lines of few pieces: a page draws every piece of a line again in every picture."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Float32, Float64, Int64
from numpy import ndarray

_TOLERANCE_M = 0.01
"""Less than the lines are wide, so that it is not seen."""


def path_lines(places: Float[ndarray, "N 3"]) -> Float32[ndarray, "M 2 3"]:
    """The ends of the pieces of a path.

    Args:
        places: metres, one for each step; NaN where a place is not known, which interrupts the line.

    Returns:
        Straight pieces between places of the path. Every place that has a known neighbour is at most a centimetre from
        one of them: as many are left out as Douglas and Peucker (1973, "Algorithms for the reduction of the number of
        points required to represent a digitized line") allow.
    """
    known = np.flatnonzero(np.isfinite(places).all(axis=1))
    runs = [places[run].astype(np.float64) for run in np.split(known, np.flatnonzero(np.diff(known) > 1) + 1)]
    kept = [run[_corners(run)] for run in runs if len(run) > 1]
    pieces = [np.stack([way[:-1], way[1:]], axis=1) for way in kept]
    return np.concatenate([np.zeros((0, 2, 3)), *pieces]).astype(np.float32)


def _corners(way: Float64[ndarray, "N 3"]) -> Int64[ndarray, "M"]:
    """Which places have to stay, the first and the last among them."""
    keep = np.zeros(len(way), dtype=bool)
    keep[[0, -1]] = True
    pieces = [(0, len(way) - 1)]
    while pieces:
        first, last = pieces.pop()
        if last - first < 2:
            continue
        distance = _distance_to_piece(way[first + 1 : last], way[first], way[last])
        farthest = int(distance.argmax())
        if distance[farthest] > _TOLERANCE_M:
            corner = first + 1 + farthest
            keep[corner] = True
            pieces += [(first, corner), (corner, last)]
    return np.flatnonzero(keep)


def _distance_to_piece(
    points: Float64[ndarray, "N 3"], begin: Float64[ndarray, "3"], end: Float64[ndarray, "3"]
) -> Float64[ndarray, "N"]:
    along = end - begin
    share = ((points - begin) @ along / max(float(along @ along), np.finfo(np.float64).tiny)).clip(0, 1)
    distance: Float64[ndarray, "N"] = np.linalg.norm(points - begin - share[:, None] * along, axis=1)
    return distance
