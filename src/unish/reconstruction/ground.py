"""Which way is down, and where the floor is, from the people who stand on it, or from the scene alone."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from unish.body import Body
from unish.geometry.camera import unproject
from unish.geometry.plane import fit_floor, median_direction
from unish.geometry.rigid import transform_points
from unish.reconstruction.scene_gravity import SceneUp, vote_up
from unish.reconstruction.shot import MetricShot
from unish.reconstruction.static_points import LEVEL_COSINE, StaticPoints
from unish.structs import CONFIDENT, BodyParams

NECK, ANKLES = 12, [7, 8]
UPRIGHT = 0.85
"""A pose is upright when neck and ankles are this close to as far apart as when standing straight."""

MIN_UPRIGHT_FRAMES = 3
FLOOR_BAND_M = 0.3
"""Scene points this close to the height of the feet are candidates for the floor."""

MAX_TILT = 0.35
"""Radians by which a floor may lean against the up of people."""

UP_SIGMA = math.radians(10.0)
"""1σ of people's own up: people lean, and so do their reconstructed bodies."""

FLOOR_SIGMA = math.radians(6.0)
"""1σ of the normal of a floor that scene points show."""

TOO_FAR = 2.0
"""Two directions contradict one another when they are this many standard deviations apart."""

NEAR = math.radians(60.0)
MAX_SIGMA = math.radians(15.0)
"""1σ from which on a direction of gravity is not worth having."""

FLOOR_SHARE = 0.03
"""Of the scene's points, that a floor has where no feet tell how high it is."""

FLOOR_TOLERANCE_M = 0.05
MIN_FLOOR_POINTS = 200
MAX_FLOOR_FRAMES = 8
_BLOCK = 64
"""Bodies that are posed at once."""


@dataclass(frozen=True, kw_only=True)
class Ground:
    """Of one shot, in its own world.

    Attributes:
        gravity: (3,) unit vector down; NaN when unknown.
        floor: (4,) plane n·x + d = 0 with n up; NaN when unknown.
        source: what says so: a plane of ``scene`` points; the up of the ``people`` and the height of their feet; the
            ``feet`` that stand on it (``feet_plane``); the ``directions`` of the scene's surfaces, where nobody stands
            upright (``scene_gravity``); a user (``given``); or nothing.
        refusal: why the feet have no say although somebody stands (``FeetPlane.refusal``), else empty.
        num_contacts: feet that were found to stand.
        sigma: 1σ of the direction of gravity, radians; NaN when unknown.
        against: what the directions of the scene's surfaces say where they contradict (``Dispute``).
        levels: heights over the floor of what else people stand on, one for each stance there, metres (``terrain``).
    """

    gravity: Float[Tensor, "3"]
    floor: Float[Tensor, "4"]
    source: Literal["scene", "people", "feet", "directions", "given", "none"]
    refusal: str = ""
    num_contacts: int = 0
    sigma: float = math.nan
    against: Dispute | None = None
    levels: tuple[float, ...] = ()

    @property
    def known(self) -> bool:
        return bool(torch.isfinite(self.gravity).all())


@dataclass(frozen=True, kw_only=True)
class Dispute:
    """Two sources of gravity that are farther apart than their errors explain.

    Attributes:
        angle: between the two, radians.
        sigma: 1σ of the other source's direction, radians.
    """

    angle: float
    sigma: float


def estimate_ground(shot: MetricShot, body: Body, *, seed: int = 0, static: StaticPoints | None = None) -> Ground:
    """Gravity and floor of a shot from its people and its scene; NaN where they do not tell.

    Up is the robust mean of the ankles-to-neck direction of upright people; the floor is the plane through the scene
    points near the height of their feet, and a level plane at that height when there are too few such points. Where
    that plane leans against the level surfaces of the scene by more than these are spread, it goes over stairs or a
    ramp: then the level plane with the most points is the floor. Without upright people the directions of the scene's
    surfaces tell which way is up.

    Args:
        static: points of the scene; ``None`` asks people alone.
    """
    trunk, upright = find_upright(shot, body)
    if int(upright.sum()) < min(MIN_UPRIGHT_FRAMES, len(shot.c2w)):
        return _ask_scene(static, seed)
    up = median_direction(trunk[upright], torch.ones(int(upright.sum())))
    level = float(_find_feet_height(shot, body, upright, up))
    points, weights = _sample_scene(shot)
    found = _find_floor(points, weights, up, level, seed)
    told = None if static is None else vote_up(static, near=up if found is None else found[:3], within=NEAR)
    if found is not None and told is not None and _angle(found[:3], told.up) > TOO_FAR * told.sigma:
        level = float(_find_feet_height(shot, body, upright, told.up))
        found = _find_floor(points, weights, told.up, level, seed, max_tilt=told.sigma)
    if found is not None:
        return Ground(gravity=-found[:3], floor=found, source="scene", sigma=FLOOR_SIGMA, against=_dispute(up, told))
    floor = torch.cat([up, torch.tensor([-level])])
    return Ground(gravity=-up, floor=floor, source="people", sigma=UP_SIGMA, against=_dispute(up, told))


def _find_floor(
    points: Float[Tensor, "N 3"],
    weights: Float[Tensor, "N"],
    up: Float[Tensor, "3"],
    level: float,
    seed: int,
    max_tilt: float = MAX_TILT,
) -> Float[Tensor, "4"] | None:
    """The plane with the most points near a height along ``up``, if these are enough."""
    near = (points @ up - level).abs() < FLOOR_BAND_M
    if int(near.sum()) < MIN_FLOOR_POINTS:
        return None
    fit = fit_floor(points[near], weights[near], up, tolerance=FLOOR_TOLERANCE_M, max_tilt=max_tilt, seed=seed)
    return None if fit is None or int(fit.inliers.sum()) < MIN_FLOOR_POINTS else fit.plane


def _ask_scene(static: StaticPoints | None, seed: int) -> Ground:
    """Gravity from the directions of the scene's surfaces, and the floor that lies level with it, if they tell it."""
    told = None if static is None else vote_up(static)
    if static is None or told is None or told.sigma > MAX_SIGMA:
        return Ground(gravity=torch.full((3,), torch.nan), floor=torch.full((4,), torch.nan), source="none")
    level = static.pick(static.normals @ told.up > LEVEL_COSINE)
    fit = fit_floor(
        level.points, level.conf, told.up, tolerance=FLOOR_TOLERANCE_M, max_tilt=told.sigma, seed=seed
    )  # fmt: skip
    if fit is None or int(fit.inliers.sum()) < max(MIN_FLOOR_POINTS, FLOOR_SHARE * len(static.points)):
        return Ground(
            gravity=-told.up, floor=torch.full((4,), torch.nan), source="directions", sigma=told.sigma
        )  # fmt: skip
    return Ground(gravity=-fit.plane[:3], floor=fit.plane, source="directions", sigma=told.sigma)


def _dispute(up: Float[Tensor, "3"], told: SceneUp | None) -> Dispute | None:
    """Whether people's own up and the scene's surfaces contradict one another."""
    if told is None or _angle(up, told.up) <= TOO_FAR * math.hypot(UP_SIGMA, told.sigma):
        return None
    return Dispute(angle=_angle(up, told.up), sigma=told.sigma)


def _angle(one: Float[Tensor, "3"], other: Float[Tensor, "3"]) -> float:
    return math.acos(max(-1.0, min(1.0, float(one @ other))))


def find_upright(shot: MetricShot, body: Body) -> tuple[Float[Tensor, "P T 3"], Bool[Tensor, "P T"]]:
    """The line from ankles to neck of everybody, world, metres; where people stand straight and are well measured."""
    rest = body.rest_joints(shot.params.betas)
    trunk = shot.joints[..., NECK, :] - shot.joints[..., ANKLES, :].mean(-2)
    straight = (rest[..., NECK, :] - rest[..., ANKLES, :].mean(-2)).norm(dim=-1)
    return trunk, shot.valid & (trunk.norm(dim=-1) > UPRIGHT * straight) & (shot.distance_sigma < 0.1)


def _find_feet_height(
    shot: MetricShot, body: Body, upright: Bool[Tensor, "P T"], up: Float[Tensor, "3"]
) -> Float[Tensor, ""]:
    """Median over upright people and frames of the height of the lowest body vertex."""
    params = BodyParams(
        betas=shot.params.betas[upright],
        global_orient=shot.params.global_orient[upright],
        body_pose=shot.params.body_pose[upright],
        transl=shot.params.transl[upright],
    )
    parts = [
        BodyParams(**{name: value[at : at + _BLOCK] for name, value in vars(params).items()})
        for at in range(0, len(params.transl), _BLOCK)
    ]
    return torch.cat([(body.vertices(part) @ up).amin(1) for part in parts]).median()


def _sample_scene(shot: MetricShot) -> tuple[Float[Tensor, "N 3"], Float[Tensor, "N"]]:
    """World points of a few frames, with their confidence; pixels of people are left to ``near`` and the tolerance."""
    step = max(1, shot.depth.shape[0] // MAX_FLOOR_FRAMES)
    depth, conf, frames = shot.depth[::step], shot.conf[::step], shot.dense[::step]
    local = unproject(depth, shot.intrinsics[frames])
    world = transform_points(shot.c2w[frames], local.flatten(1, 2))
    keep = ((depth > 0) & (conf >= CONFIDENT)).flatten(1) & ((torch.arange(world.shape[1]) % 7) == 0)
    return world[keep], conf.flatten(1)[keep]
