"""Camera matrices from where a camera is and how it is turned."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from numpy import ndarray


def look_matrices(
    position: Float[ndarray, "N 3"], yaw: Float[ndarray, "N"], down: Float[ndarray, "N"], roll: Float[ndarray, "N"]
) -> Float[ndarray, "N 4 4"]:
    """Camera-to-stage matrices. ``yaw`` from +z towards +x, ``down`` below the horizon, ``roll`` about the axis."""
    forward = np.stack([np.sin(yaw) * np.cos(down), -np.sin(down), np.cos(yaw) * np.cos(down)], axis=1)
    right = np.stack([-np.cos(yaw), np.zeros(len(yaw)), np.sin(yaw)], axis=1)
    below = np.cross(forward, right)
    c, s = np.cos(roll)[:, None], np.sin(roll)[:, None]
    matrices = np.tile(np.eye(4), (len(yaw), 1, 1))
    matrices[:, :3, 0] = c * right + s * below
    matrices[:, :3, 1] = -s * right + c * below
    matrices[:, :3, 2] = forward
    matrices[:, :3, 3] = position
    return matrices


def look_angles(away: Float[ndarray, "N 3"]) -> tuple[Float[ndarray, "N"], Float[ndarray, "N"]]:
    """Yaw (unwrapped) and angle below the horizon of directions, as ``look_matrices`` takes them."""
    yaw = np.unwrap(np.arctan2(away[:, 0], away[:, 2]))
    return yaw, np.arctan2(-away[:, 1], np.hypot(away[:, 0], away[:, 2]))
