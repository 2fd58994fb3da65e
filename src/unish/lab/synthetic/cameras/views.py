"""What a camera path would see, from bounds alone: a few rays and the joints of the people."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray

from unish.lab.synthetic.stage import Stage

HEAD, CHEST, PELVIS = 15, 9, 0
RAYS = np.stack(np.meshgrid(np.linspace(0.08, 0.92, 6), np.linspace(0.08, 0.92, 5)), axis=-1).reshape(-1, 2)
"""Where rays pass through the picture: shares of width and height."""
SKY = np.inf
GROUND = -1


@dataclass(frozen=True, kw_only=True)
class View:
    """What the rays of one picture meet.

    Attributes:
        reach: (R,) metres along the rays, ``SKY`` where there is nothing.
        depth: (R,) the same along the optical axis.
        plane: (R,) number of the plane that is met: ``GROUND``, walls and ceiling below it, sides of props from 0 on
            (three per prop; opposite sides count as one, only one of them is ever seen).
    """

    reach: Float[ndarray, "R"]
    depth: Float[ndarray, "R"]
    plane: Int[ndarray, "R"]

    @property
    def on_prop(self) -> Bool[ndarray, "R"]:
        return self.plane >= 0

    @property
    def num_props(self) -> int:
        """How many things are in view."""
        return len(np.unique(self.plane[self.on_prop] // 3))

    @property
    def largest_plane(self) -> float:
        """Share of the picture that a single plane fills, the sky left out."""
        seen = self.plane[np.isfinite(self.reach)]
        return float(np.unique(seen, return_counts=True)[1].max(initial=0)) / len(self.plane)

    @property
    def spread(self) -> float:
        """Far over near depth: 90th over 10th percentile; the sky counts as 50 m."""
        near, far = np.quantile(np.clip(self.depth, 0.05, 50.0), [0.1, 0.9])
        return float(far / near)


def cast_rays(
    stage: Stage, c2stage: Float[ndarray, "4 4"], intrinsics: Float[ndarray, "3 3"], size: tuple[int, int]
) -> View:
    """The nearest of the bounds of the props, the ground and (indoors) the walls along each ray."""
    pixels = np.column_stack([RAYS * [size[1], size[0]], np.ones(len(RAYS))])
    away = pixels @ np.linalg.inv(intrinsics).T @ c2stage[:3, :3].T
    away /= np.linalg.norm(away, axis=1, keepdims=True)
    away = np.where(np.abs(away) < 1e-6, 1e-6, away)
    start = c2stage[:3, 3]
    floor = float(stage.ground(start[None, [0, 2]])[0])
    reach = np.where(away[:, 1] < 0, (floor - start[1]) / away[:, 1], SKY)
    ray, plane = np.arange(len(away)), np.full(len(away), GROUND)
    if not stage.outdoors:
        # The bounds of the camera lie a little inside the walls and the ceiling.
        walls = ((np.where(away > 0, stage.high, stage.low) - start) / away).clip(0)
        walls[away[:, 1] < 0, 1] = SKY
        side = walls.argmin(1)
        wall = walls[ray, side]
        plane = np.where(wall < reach, GROUND - 1 - 2 * side - (away[ray, side] > 0), plane)
        reach = np.minimum(reach, wall)
    if stage.props:
        low, high = stage.bounds
        near, far = (low - start) / away[:, None], (high - start) / away[:, None]
        entries, leave = np.minimum(near, far), np.maximum(near, far).min(-1)
        enter = entries.max(-1).clip(0)
        enter[enter > leave] = SKY
        first = enter.argmin(1)
        prop = enter[ray, first]
        plane = np.where(prop < reach, 3 * first + entries[ray, first].argmax(-1), plane)
        reach = np.minimum(reach, prop)
    return View(reach=reach, depth=reach * (away @ c2stage[:3, 2]), plane=plane)


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
