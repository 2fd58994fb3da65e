"""How fast every pixel moves, from the truth."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Shaped
from numpy import ndarray

from unish.geometry.rotation import matrix_to_axis_angle
from unish.render import Frame

STRIDE = 2
"""The motion is found for every second pixel of every second row."""


def measure_motion(
    frames: Sequence[Frame],
    joints: Float[ndarray, "P T 24 3"],
    c2stage: Float[ndarray, "T 4 4"],
    intrinsics: Float[ndarray, "3 3"],
    timestamps_s: Float[ndarray, "T"],
) -> Float[ndarray, "T h w 2"]:
    """Image velocity (pixels per second, x and y): of the scene by its depth and the camera's own velocity, of people
    by that of the joint that is nearest in the picture. Joints are in stage axes. One frame alone does not move."""
    depth = np.stack([frame.depth[::STRIDE, ::STRIDE] for frame in frames]).astype(np.float64)
    ids = np.stack([frame.ids[::STRIDE, ::STRIDE] for frame in frames])
    if len(frames) < 2:
        return np.zeros((*depth.shape, 2))
    turn, shift = _camera_velocity(c2stage, timestamps_s)
    height, width = depth.shape[1:]
    x = (np.arange(width) * STRIDE + 0.5 - intrinsics[0, 2]) / intrinsics[0, 0]
    y = ((np.arange(height) * STRIDE + 0.5 - intrinsics[1, 2]) / intrinsics[1, 1])[:, None]
    nearness = np.where(depth > 0, 1 / np.maximum(depth, 0.1), 0)
    velocity = project_velocity(x, y, nearness, turn[:, None, None], shift[:, None, None])
    velocity *= [intrinsics[0, 0], intrinsics[1, 1]]
    for person in range(len(joints)):
        _move_person(velocity, ids == person, joints[person], c2stage, intrinsics, timestamps_s)
    return velocity


def project_velocity(
    x: Shaped[ndarray, "*#s"], y: Shaped[ndarray, "*#s"], nearness: ndarray, turn: ndarray, shift: ndarray
) -> ndarray:
    """Velocity of normalised image points (x, y) at depth 1/``nearness`` when the camera turns and moves at ``turn``
    (rad/s) and ``shift`` (m/s), both in its own axes (Longuet-Higgins and Prazdny 1980)."""
    tx, ty, tz = (turn[..., axis] for axis in range(3))
    vx, vy, vz = (shift[..., axis] for axis in range(3))
    moved_x = (x * vz - vx) * nearness + tx * x * y - ty * (1 + x**2) + tz * y
    moved_y = (y * vz - vy) * nearness + tx * (1 + y**2) - ty * x * y - tz * x
    return np.stack([moved_x, moved_y], axis=-1)


def _camera_velocity(
    c2stage: Float[ndarray, "T 4 4"], timestamps_s: Float[ndarray, "T"]
) -> tuple[Float[ndarray, "T 3"], Float[ndarray, "T 3"]]:
    """Angular and linear velocity in the axes of the camera, by differences of the neighbours."""
    last = len(c2stage) - 1
    before, after = np.maximum(np.arange(last + 1) - 1, 0), np.minimum(np.arange(last + 1) + 1, last)
    seconds = (timestamps_s[after] - timestamps_s[before])[:, None]
    relative = np.swapaxes(c2stage[before, :3, :3], 1, 2) @ c2stage[after, :3, :3]
    turn = matrix_to_axis_angle(torch.from_numpy(relative)).numpy() / seconds
    moved = (c2stage[after, :3, 3] - c2stage[before, :3, 3]) / seconds
    return turn, np.einsum("tji,tj->ti", c2stage[:, :3, :3], moved)


def _move_person(
    velocity: Float[ndarray, "T h w 2"],
    mask: ndarray,
    joints: Float[ndarray, "T 24 3"],
    c2stage: Float[ndarray, "T 4 4"],
    intrinsics: Float[ndarray, "3 3"],
    timestamps_s: Float[ndarray, "T"],
) -> None:
    """Overwrite the velocity of one person's pixels."""
    frame, row, column = np.nonzero(mask)
    if len(frame) == 0:
        return
    points = np.einsum("tji,tkj->tki", c2stage[:, :3, :3], joints - c2stage[:, None, :3, 3])
    pixels = points @ intrinsics.T
    pixels = pixels[..., :2] / np.maximum(pixels[..., 2:], 0.2)
    speed = np.gradient(pixels, timestamps_s, axis=0)
    place = np.stack([column, row], axis=1) * STRIDE + 0.5
    nearest = np.square(pixels[frame] - place[:, None]).sum(-1).argmin(1)
    velocity[frame, row, column] = speed[frame, nearest]
