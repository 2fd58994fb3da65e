"""Axes of other programs: which way is up, and matrices as quaternions."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Float64
from numpy import ndarray
from scipy.spatial.transform import Rotation

FLIP_YZ = np.diag([1.0, -1.0, -1.0])
"""OpenCV camera axes (y down, z forward) to OpenGL's (y up, z backward), and back."""


def upright(gravity: Float[ndarray, "3"]) -> Float64[ndarray, "3 3"]:
    """Rotation from a shot's world to y up, the first camera's view along −z; by gravity, unless it is NaN."""
    down = gravity.astype(np.float64)
    if not np.isfinite(down).all():
        return FLIP_YZ
    up = -down / np.linalg.norm(down)
    ahead = np.array([0.0, 0.0, 1.0])
    backward = -(ahead - up * (ahead @ up))
    if np.linalg.norm(backward) < 1e-3:  # the first camera looks straight up or down: any heading will do
        backward = np.cross([1.0, 0.0, 0.0], up)
    backward /= np.linalg.norm(backward)
    return np.stack([np.cross(up, backward), up, backward])


def to_quaternions(matrices: Float[ndarray, "*batch 3 3"]) -> Float64[ndarray, "*batch 4"]:
    """(x, y, z, w), unit length, as glTF wants them."""
    flat = Rotation.from_matrix(matrices.reshape(-1, 3, 3).astype(np.float64)).as_quat()
    return flat.reshape(*matrices.shape[:-2], 4)


def keep_hemisphere(quaternions: Float64[ndarray, "T *rest 4"]) -> Float64[ndarray, "T *rest 4"]:
    """The same rotations with signs chosen so that each is nearest to the one before it.

    q and −q are one rotation; a blend between keys that lie on opposite sides would turn the long way round.
    """
    out = quaternions.copy()
    for key in range(1, len(out)):
        apart = (out[key] * out[key - 1]).sum(axis=-1, keepdims=True) < 0
        out[key] = np.where(apart, -out[key], out[key])
    return out
