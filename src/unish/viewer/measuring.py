"""Places that a click points at, and the distance between two of them with its uncertainty."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float64
from numpy import ndarray

_CONES_RAD = (0.006, 0.012, 0.024)
"""Half angles around a click's ray in which points count, the first that holds enough of them."""
_ENOUGH = 6
_SAME_SURFACE = 0.06
"""Points whose distance differs by less than this share lie on one surface; what is behind it does not count."""
_NEAREST_M = 0.05
_SIGMAS_90 = 1.645


@dataclass(frozen=True, kw_only=True)
class Place:
    """A point that was clicked on.

    Attributes:
        xyz: world, metres; on the ray of the click.
        sigma_m: scatter of the surface there along the ray, 1 σ.
    """

    xyz: Float64[ndarray, "3"]
    sigma_m: float


@dataclass(frozen=True, kw_only=True)
class Distance:
    """Metres between two places, and the interval that holds the true distance with 90 %.

    Attributes:
        scale_known: the interval holds the uncertainty of the scene's size; else only that of the two places.
    """

    metres: float
    low: float
    high: float
    scale_known: bool

    def describe(self) -> str:
        """Such as ``1.48 m (90 %: 1.37 to 1.60 m)``."""
        text = f"{self.metres:.2f} m (90 %: {self.low:.2f} to {self.high:.2f} m"
        return text + (")" if self.scale_known else "; how large the scene is, is unknown)")


def find_place(
    origin: Float[ndarray, "3"], direction: Float[ndarray, "3"], points: Float[ndarray, "N 3"]
) -> Place | None:
    """Where a ray meets the nearest surface that points lie on; ``None`` where it meets none.

    Through the points of that surface close to the ray goes a plane (weighted least squares of their distance along the
    ray), so that a surface seen at a flat angle is met where the ray meets it and not at the next point.

    Args:
        origin, direction: world, metres; the direction of any length.
    """
    ray = direction.astype(np.float64) / np.linalg.norm(direction)
    offset = points.astype(np.float64) - origin
    along = offset @ ray
    aside = offset - along[:, None] * ray
    angle = np.full(len(along), np.inf)
    np.divide(np.linalg.norm(aside, axis=-1), along, out=angle, where=along > _NEAREST_M)
    for cone in _CONES_RAD:
        chosen = np.flatnonzero(angle < cone)
        if len(chosen) < _ENOUGH and cone != _CONES_RAD[-1]:
            continue
        if len(chosen) == 0:
            return None
        front = np.sort(along[chosen])[min(1, len(chosen) - 1)]  # one stray point before a surface is none
        chosen = chosen[np.abs(along[chosen] - front) < _SAME_SURFACE * front]
        return _meet(origin, ray, along[chosen], aside[chosen], np.exp(-((2 * angle[chosen] / cone) ** 2)))
    return None


def measure_distance(first: Place, second: Place, scale_interval: Float[ndarray, "2"]) -> Distance:
    """The distance of two places of one shot.

    The uncertainties of the places and of the scene's size are independent, so that half widths add in squares.

    Args:
        scale_interval: factors on all lengths between which the true size lies with 90 %; NaN when unknown.
    """
    metres = float(np.linalg.norm(first.xyz - second.xyz))
    own = _SIGMAS_90 * float(np.hypot(first.sigma_m, second.sigma_m))
    known = bool(np.isfinite(scale_interval).all())
    down, up = ((1 - scale_interval[0]) * metres, (scale_interval[1] - 1) * metres) if known else (0.0, 0.0)
    return Distance(
        metres=metres,
        low=max(0.0, metres - float(np.hypot(down, own))),
        high=metres + float(np.hypot(up, own)),
        scale_known=known,
    )


def _meet(
    origin: Float[ndarray, "3"],
    ray: Float64[ndarray, "3"],
    along: Float64[ndarray, "N"],
    aside: Float64[ndarray, "N 3"],
    weights: Float64[ndarray, "N"],
) -> Place:
    """Where a plane through points meets the ray; the weighted mean distance where they are too few for a plane."""
    at = float(np.average(along, weights=weights))
    left = along - at
    if len(along) >= _ENOUGH:
        axes = np.linalg.svd(ray[None])[2][1:]
        design = np.column_stack([np.ones(len(along)), aside @ axes.T])
        root = np.sqrt(weights)
        solution = np.linalg.lstsq(design * root[:, None], left * root, rcond=1e-6)[0]
        left = left - design @ solution
        at += float(solution[0])
    sigma = float(np.sqrt(np.average(left**2, weights=weights)))
    return Place(xyz=np.asarray(origin, np.float64) + at * ray, sigma_m=sigma)
