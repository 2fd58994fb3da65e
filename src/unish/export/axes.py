"""Axes of other programs: which way is up, and matrices as quaternions."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Float64
from numpy import ndarray
from scipy.spatial.transform import Rotation

from unish.export.options import Up

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


AXES: dict[Up | None, str] = {
    None: "right-handed; x right, y down, z ahead of the first camera of the shot (OpenCV)",
    "y": "right-handed; y up, the first camera of the shot looks along -z",
    "z": "right-handed; z up, the first camera of the shot looks along +y",
}
"""The axes of an export in words, by the axis that points up."""

Y_UP_TO_Z_UP = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]])
"""y up to z up: who looked along +z, at the camera, looks along −y, which is the front in Blender."""


def place_world(
    gravity: Float[ndarray, "3"], up: Up | None, *, level: bool, floor_height: float = 0.0
) -> Float64[ndarray, "4 4"]:
    """From a shot's world (OpenCV axes of its first camera) to the axes that are asked for; a rigid motion, metres.

    Args:
        up: ``None`` leaves the world as it is.
        level: by gravity where it is known; else the first camera counts as upright.
        floor_height: of the floor in the turned world, which is moved to 0.
    """
    matrix = np.eye(4)
    if up is None:
        return matrix
    matrix[:3, :3] = upright(gravity) if level else FLIP_YZ
    matrix[1, 3] = -floor_height
    if up == "z":
        matrix[:3] = Y_UP_TO_Z_UP @ matrix[:3]
    return matrix


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
