"""What a camera path would see, from bounds alone: a few rays and the joints of the people."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray

from unish.synthetic.stage import Prop, Stage

HEAD, CHEST, PELVIS = 15, 9, 0
RAYS = np.stack(np.meshgrid(np.linspace(0.08, 0.92, 6), np.linspace(0.08, 0.92, 5)), axis=-1).reshape(-1, 2)
"""Where rays pass through the picture: shares of width and height."""
SKY = np.inf


def cast_rays(
    stage: Stage, c2stage: Float[ndarray, "4 4"], intrinsics: Float[ndarray, "3 3"], size: tuple[int, int]
) -> tuple[Float[ndarray, "R"], Bool[ndarray, "R"]]:
    """Metres to the bounds of the nearest prop, the ground or (indoors) a wall, ``SKY`` where there is nothing; and
    which rays meet a prop."""
    pixels = np.column_stack([RAYS * [size[1], size[0]], np.ones(len(RAYS))])
    away = pixels @ np.linalg.inv(intrinsics).T @ c2stage[:3, :3].T
    away /= np.linalg.norm(away, axis=1, keepdims=True)
    away = np.where(np.abs(away) < 1e-6, 1e-6, away)
    start = c2stage[:3, 3]
    floor = float(stage.ground(start[None, [0, 2]])[0])
    reach = np.where(away[:, 1] < 0, (floor - start[1]) / away[:, 1], SKY)
    if not stage.outdoors:
        # The bounds of the camera lie a little inside the walls and the ceiling.
        reach = np.minimum(reach, ((np.where(away > 0, stage.high, stage.low) - start) / away).min(1).clip(0))
    low, high = _stack_bounds(stage.props)
    near, far = (low - start) / away[:, None], (high - start) / away[:, None]
    enter, leave = np.minimum(near, far).max(-1).clip(0), np.maximum(near, far).min(-1)
    prop = np.where(enter <= leave, enter, SKY).min(1, initial=SKY)
    return np.minimum(reach, prop), prop < reach


def find_clear(
    stage: Stage, points: Float[ndarray, "N 3"], joints: Float[ndarray, "P N 24 3"], gap: float
) -> Bool[ndarray, "N"]:
    """Which points are free for a camera: away from walls, props (0.22 m) and every joint of a person (``gap``)."""
    if joints.shape[0]:
        apart = np.linalg.norm(joints - points[None, :, None], axis=-1).min((0, 2)) > gap
        return apart & stage.clear(points, 0.22) if apart.any() else apart
    return stage.clear(points, 0.22)


def find_people(
    joints: Float[ndarray, "P N 24 3"],
    c2stage: Float[ndarray, "N 4 4"],
    intrinsics: Float[ndarray, "3 3"],
    size: tuple[int, int],
) -> Bool[ndarray, "N"]:
    """In which frames the head, the chest or the pelvis of somebody lies in the picture."""
    points = joints[:, :, [HEAD, CHEST, PELVIS]]
    seen = np.einsum("nij,pnkj->pnki", c2stage[:, :3, :3].transpose(0, 2, 1), points - c2stage[None, :, None, :3, 3])
    pixels = seen @ intrinsics.T
    z = pixels[..., 2]
    share = pixels[..., :2] / np.maximum(z, 1e-3)[..., None] / [size[1], size[0]]
    return ((z > 0.15) & (share > 0).all(-1) & (share < 1).all(-1)).any((0, 2))


def _stack_bounds(props: tuple[Prop, ...]) -> tuple[Float[ndarray, "K 3"], Float[ndarray, "K 3"]]:
    low = np.array([prop.low for prop in props]).reshape(-1, 3)
    return low, np.array([prop.high for prop in props]).reshape(-1, 3)
