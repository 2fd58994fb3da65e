"""The ground that a reconstruction itself states, per frame, and how the scene and the people agree with it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Integer
from numpy import ndarray

from unish.geometry.plane import level_axes
from unish.reconstruction.ground import ANKLES, NECK, UPRIGHT
from unish.reconstruction.height_map import BOTH_CONFIDENCE, FOOT_CONFIDENCE
from unish.structs import Reconstruction

NEAR_PEOPLE_M = 1.5
GROUND_BAND_M = 0.5
"""Scene points at most this far above or below the floor are taken for ground when its plane is looked at again."""

MIN_GROUND_POINTS = 200
MAX_GROUND_FRAMES = 8
MAX_GROUND_POINTS = 20_000
SUPPORT_REACH_M = 1.5
"""So far along the floor from where a foot was found to stand, what it stood on may go on: a place is off by a tenth of
the distance, and who jumps on a roof stands still on few places of it."""

RADIUS_M = 0.05
"""Residual at which a point counts half in the robust plane: the thickness of a good floor."""


@dataclass(frozen=True, kw_only=True)
class Ground:
    """What the reconstruction says about down and floor, at every frame.

    Attributes:
        shot: (T,) number of the shot of each frame, counted from 0.
        up: (T, 3) unit vector against gravity in the world of the shot, NaN when unknown.
        floor: (T, 4) plane n·x + d = 0 there, n up, NaN when there is none.
    """

    shot: Integer[ndarray, "T"]
    up: Float[ndarray, "T 3"]
    floor: Float[ndarray, "T 4"]


@dataclass(frozen=True, kw_only=True)
class GroundAgreement:
    """How one shot's floor plane agrees with the scene and the people beside it; NaN where that cannot be measured.

    Attributes:
        scene_level_cm: median signed height of the scene points around people's feet over the floor plane.
        scene_tilt_deg: angle between the floor's normal and the plane through those points.
        people_tilt_deg: angle between the floor's normal and the median ankles-to-neck direction of upright people.
    """

    scene_level_cm: float
    scene_tilt_deg: float
    people_tilt_deg: float


def read_ground(reconstruction: Reconstruction) -> Ground:
    """Gravity and floor of each frame's shot."""
    shot = reconstruction.shot_of_frame()
    gravity, floor = reconstruction.gravity.astype(np.float64), reconstruction.floor.astype(np.float64)
    return Ground(shot=shot, up=-gravity[shot], floor=floor[shot])


def read_supports(
    reconstruction: Reconstruction, points: Float[ndarray, "K 3"], frames: Integer[ndarray, "K"]
) -> tuple[Float[ndarray, "K"], Bool[ndarray, "K"]]:
    """Height over the floor (metres) of what feet were found to stand on at the places of points, and whether points of
    the scene show the same.

    Of the cells within ``SUPPORT_REACH_M`` that feet have told (``height_map``) and the floor itself, 0, the one whose
    height is nearest to that of the point: who stands beside a wall is on the floor, who jumps on it is over the wall.

    Args:
        points: lowest ones of people, world, metres.
        frames: of each point.
    """
    height, confirmed = np.zeros(len(points)), np.ones(len(points), bool)
    if reconstruction.ground_height is None:
        return height, confirmed
    assert reconstruction.ground_confidence is not None and reconstruction.ground_grid is not None
    shots = reconstruction.shot_of_frame()[frames]
    for shot in np.unique(shots[np.isfinite(points).all(1)]):
        rows, columns = np.nonzero(reconstruction.ground_confidence[shot] >= np.float32(FOOT_CONFIDENCE))
        if len(rows) == 0:
            continue
        own = np.flatnonzero((shots == shot) & np.isfinite(points).all(1))
        x, z, step, _ = reconstruction.ground_grid[shot].astype(np.float64)
        axes = level_axes(torch.from_numpy(reconstruction.gravity[shot].astype(np.float64))).numpy()
        cells = np.stack([x + (columns + 0.5) * step, z + (rows + 0.5) * step], axis=1)
        distance = np.linalg.norm((points[own] @ axes[[0, 2]].T)[:, None] - cells, axis=-1)
        floor = reconstruction.floor[shot].astype(np.float64)
        over_floor = points[own] @ floor[:3] + floor[3]
        told = reconstruction.ground_height[shot, rows, columns].astype(np.float64)
        off = np.where(distance < SUPPORT_REACH_M, np.abs(over_floor[:, None] - told), np.inf)
        nearest = off.argmin(1)
        carried = off[np.arange(len(own)), nearest] < np.abs(over_floor)
        at = (shot, rows[nearest], columns[nearest])
        height[own] = np.where(carried, reconstruction.ground_height[at], 0.0)
        confirmed[own] = ~carried | (reconstruction.ground_confidence[at] >= BOTH_CONFIDENCE)
    return height, confirmed


def find_upright(reconstruction: Reconstruction, rest_joints: Float[ndarray, "P 24 3"]) -> Bool[ndarray, "P T"]:
    """Where each person stands straight: neck and ankles are nearly as far apart as in the rest pose."""
    trunk = _trunk(reconstruction.joints)
    rest = np.linalg.norm(_trunk(rest_joints), axis=-1)
    with np.errstate(invalid="ignore"):
        return reconstruction.person_valid & (np.linalg.norm(trunk, axis=-1) > UPRIGHT * rest[:, None])


def measure_ground(
    reconstruction: Reconstruction, ground: Ground, rest_joints: Float[ndarray, "P 24 3"], frames: Integer[ndarray, "K"]
) -> GroundAgreement:
    """``GroundAgreement`` of the shot that consists of ``frames``.

    Ground points are scene pixels (no person, depth known) of at most ``MAX_GROUND_FRAMES`` evenly spread frames,
    within ``NEAR_PEOPLE_M`` of some foot along the floor and ``GROUND_BAND_M`` of its height.
    """
    floor = ground.floor[frames[0]] if len(frames) else np.full(4, np.nan)
    if not np.isfinite(floor).all():
        return GroundAgreement(scene_level_cm=np.nan, scene_tilt_deg=np.nan, people_tilt_deg=np.nan)
    normal, offset = floor[:3], floor[3]
    upright = find_upright(reconstruction, rest_joints)[:, frames]
    directions = _trunk(reconstruction.joints[:, frames].astype(np.float64))[upright]
    people_tilt = _angle(np.median(_unit(directions), axis=0), normal) if len(directions) >= 3 else np.nan
    points = _sample_scene(reconstruction, frames)
    feet = reconstruction.joints[:, frames][:, :, [10, 11]].reshape(-1, 3).astype(np.float64)
    feet = feet[np.isfinite(feet).all(-1)]
    height = points @ normal + offset
    points, height = points[np.abs(height) < GROUND_BAND_M], height[np.abs(height) < GROUND_BAND_M]
    near = _near_along_floor(points, feet, normal) if len(feet) and len(points) else np.zeros(len(points), bool)
    if near.sum() < MIN_GROUND_POINTS:
        return GroundAgreement(scene_level_cm=np.nan, scene_tilt_deg=np.nan, people_tilt_deg=people_tilt)
    return GroundAgreement(
        scene_level_cm=float(100 * np.median(height[near])),
        scene_tilt_deg=_angle(_fit_normal(points[near], normal), normal),
        people_tilt_deg=people_tilt,
    )


def _trunk(joints: Float[ndarray, "*batch 24 3"]) -> Float[ndarray, "*batch 3"]:
    return joints[..., NECK, :] - joints[..., ANKLES, :].mean(-2)


def _unit(vectors: Float[ndarray, "*batch 3"]) -> Float[ndarray, "*batch 3"]:
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def _angle(one: Float[ndarray, "3"], other: Float[ndarray, "3"]) -> float:
    """Degrees between two directions."""
    cosine = one @ other / (np.linalg.norm(one) * np.linalg.norm(other))
    return float(np.degrees(np.arccos(np.clip(cosine, -1.0, 1.0))))


def _sample_scene(reconstruction: Reconstruction, frames: Integer[ndarray, "K"]) -> Float[ndarray, "N 3"]:
    """World points of scene pixels, evenly spread over a few frames and over each of them."""
    pick = frames[np.unique(np.linspace(0, len(frames) - 1, min(len(frames), MAX_GROUND_FRAMES)).round().astype(int))]
    share = MAX_GROUND_POINTS // len(pick)
    found = []
    for frame in pick:
        rows, columns = np.nonzero((reconstruction.person_masks[frame] < 0) & (reconstruction.depth[frame] > 0))
        few = np.linspace(0, len(rows) - 1, min(len(rows), share)).round().astype(int)
        found.append(unproject_pixels(reconstruction, int(frame), rows[few], columns[few]))
    return np.concatenate(found)


def unproject_pixels(
    reconstruction: Reconstruction,
    frame: int,
    rows: Integer[ndarray, "N"],
    columns: Integer[ndarray, "N"],
    depth: Float[ndarray, "N"] | None = None,
) -> Float[ndarray, "N 3"]:
    """World points (metres) of some pixels of one frame, pixel centres at +0.5.

    Args:
        depth: of these pixels, for who has read it already.
    """
    depth = reconstruction.depth[frame, rows, columns] if depth is None else depth
    pixels = np.stack([columns + 0.5, rows + 0.5, np.ones(len(rows))], -1)
    rays = pixels @ np.linalg.inv(reconstruction.intrinsics[frame].astype(np.float64)).T
    local = rays * depth.astype(np.float64)[:, None]
    c2w = reconstruction.c2w[frame].astype(np.float64)
    return local @ c2w[:3, :3].T + c2w[:3, 3]


def _near_along_floor(
    points: Float[ndarray, "N 3"], feet: Float[ndarray, "K 3"], normal: Float[ndarray, "3"]
) -> Bool[ndarray, "N"]:
    """Points within ``NEAR_PEOPLE_M`` of some foot, heights left aside. At most 60 feet are asked, evenly spread."""
    feet = feet[np.linspace(0, len(feet) - 1, min(len(feet), 60)).round().astype(int)]
    flat = np.eye(3) - np.outer(normal, normal)
    points, feet = points @ flat, feet @ flat
    squared = (points**2).sum(1)[:, None] + (feet**2).sum(1)[None] - 2 * points @ feet.T
    return squared.min(1) < NEAR_PEOPLE_M**2


def _fit_normal(points: Float[ndarray, "N 3"], up: Float[ndarray, "3"]) -> Float[ndarray, "3"]:
    """Normal, on the side of ``up``, of the robust plane through points (Cauchy weights, from the level plane on)."""
    residual = points @ up - np.median(points @ up)
    normal = up
    for _ in range(15):
        weights = 1.0 / (1.0 + (residual / RADIUS_M) ** 2)
        middle = (weights[:, None] * points).sum(0) / weights.sum()
        spread = (points - middle).T @ (weights[:, None] * (points - middle))
        normal = np.linalg.eigh(spread)[1][:, 0]
        residual = (points - middle) @ normal
    return normal if normal @ up > 0 else -normal
