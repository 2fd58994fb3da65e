"""Which way is down, and where the floor is, from the people who stand on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from unish.body import Body
from unish.geometry.camera import unproject
from unish.geometry.plane import fit_floor, median_direction
from unish.geometry.rigid import transform_points
from unish.reconstruction.shot import MetricShot
from unish.structs import CONFIDENT, BodyParams

NECK, ANKLES = 12, [7, 8]
UPRIGHT = 0.85
"""A pose is upright when neck and ankles are this close to as far apart as when standing straight."""

MIN_UPRIGHT_FRAMES = 3
FLOOR_BAND_M = 0.3
"""Scene points this close to the height of the feet are candidates for the floor."""

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
            ``feet`` that stand on it (``feet_plane``); a user (``given``); or nothing.
        refusal: why the feet have no say although somebody stands (``FeetPlane.refusal``), else empty.
        num_contacts: feet that were found to stand.
    """

    gravity: Float[Tensor, "3"]
    floor: Float[Tensor, "4"]
    source: Literal["scene", "people", "feet", "given", "none"]
    refusal: str = ""
    num_contacts: int = 0

    @property
    def known(self) -> bool:
        return bool(torch.isfinite(self.gravity).all())


def estimate_ground(shot: MetricShot, body: Body, *, seed: int = 0) -> Ground:
    """Gravity and floor of a shot from its people; NaN where they do not tell.

    Up is the robust mean of the ankles-to-neck direction of upright people; the floor is the plane through the scene
    points near the height of their feet, and a level plane at that height when there are too few such points.
    """
    trunk, upright = find_upright(shot, body)
    if int(upright.sum()) < min(MIN_UPRIGHT_FRAMES, len(shot.c2w)):
        return Ground(gravity=torch.full((3,), torch.nan), floor=torch.full((4,), torch.nan), source="none")
    up = median_direction(trunk[upright], torch.ones(int(upright.sum())))
    level = float(_find_feet_height(shot, body, upright, up))
    points, weights = _sample_scene(shot)
    near = (points @ up - level).abs() < FLOOR_BAND_M
    if int(near.sum()) >= MIN_FLOOR_POINTS:
        fit = fit_floor(points[near], weights[near], up, tolerance=FLOOR_TOLERANCE_M, seed=seed)
        if fit is not None and int(fit.inliers.sum()) >= MIN_FLOOR_POINTS:
            return Ground(gravity=-fit.plane[:3], floor=fit.plane, source="scene")
    return Ground(gravity=-up, floor=torch.cat([up, torch.tensor([-level])]), source="people")


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
