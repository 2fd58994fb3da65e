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
from unish.reconstruction.joint_up import UpDirection, join_directions
from unish.reconstruction.scene_gravity import vote_up
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

UP_SIGMA, LEAN_SIGMA = math.radians(10.0), math.radians(20.0)
"""1σ of a person's own up: of all frames alike, for people lean, and so do their reconstructed bodies; and of one."""

FLOOR_SIGMA, FLAT_SHARE = math.radians(4.0), 0.5
"""1σ of the normal of a floor that scene points show: of one on which so large a share of the points near it lie."""

TOO_FAR = 2.0
"""Two directions contradict one another when they are this many standard deviations apart."""

MAX_SIGMA = math.radians(15.0)
"""1σ from which on a direction of gravity is not worth having."""

FLOOR_SHARE = 0.03
"""Of the scene's points, that a floor has where no feet tell how high it is."""

FLOOR_TOLERANCE_M = 0.05
MIN_FLOOR_POINTS = 200
MAX_FLOOR_FRAMES, MAX_FLOOR_POINTS = 8, 20_000
"""Frames whose points are looked at, and points near the feet among which a plane is searched for."""

MAX_POSED = 64
"""Upright bodies whose feet tell how high the floor is."""


@dataclass(frozen=True, kw_only=True)
class Ground:
    """Of one shot, in its own world.

    Attributes:
        gravity: (3,) unit vector down; NaN when unknown.
        floor: (4,) plane n·x + d = 0 with n up; NaN when unknown.
        source: what says so: a plane of ``scene`` points, or a level one as high as it is under people's feet; the up
            of the ``people`` and the height of their feet; the ``feet`` that stand on it (``feet_plane``); the
            ``directions`` of the scene's surfaces, where nobody stands upright (``scene_gravity``); a user
            (``given``); or nothing.
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

    Up is what most agree on of each person's own up, the directions of the scene's surfaces, the floor, and how cameras
    are held (``joint_up``). The floor is the plane through the scene points near the height of upright people's feet.
    Where that is one of many (few of these points share it), or leans against the joined up by more than this is
    uncertain (stairs, a ramp, a bowl that a network draws), a level plane lies as high as it is at people's feet; where
    there are too few points, at the height of the feet. Without upright people surfaces and cameras tell which way is
    up.

    Args:
        static: points of the scene; ``None`` asks people and cameras alone.
    """
    trunk, upright = find_upright(shot, body)
    if int(upright.sum()) < min(MIN_UPRIGHT_FRAMES, len(shot.c2w)):
        return _ask_scene(shot, static, seed)
    people = _hear_people(trunk, upright)
    surfaces = _hear_surfaces(static)
    points, weights = _sample_scene(shot)
    place = _Place(bodies=_pose_upright(shot, body, upright), points=points, weights=weights, seed=seed)
    joined, found = join_directions([*people, *surfaces], shot.c2w), None
    for near in (joined.up, _join_own(people)):
        floor = place.find_floor(near)
        if floor is not None:
            heard = join_directions([*people, *surfaces, floor.normal], shot.c2w)
            if found is None or heard.misfit < joined.misfit:
                joined, found = heard, floor
    against, up = _dispute(people, surfaces), joined.up
    if found is None:
        level = place.find_level(up, torch.zeros(4))
        return Ground(gravity=-up, floor=level, source="people", sigma=joined.sigma, against=against)
    is_flat = found.share >= FLAT_SHARE and _angle(found.plane[:3], up) <= joined.sigma
    plane = found.plane if is_flat else place.find_level(up, found.plane)
    return Ground(gravity=-plane[:3], floor=plane, source="scene", sigma=joined.sigma, against=against)


@dataclass(frozen=True, kw_only=True)
class _Floor:
    """A plane through points that have a ``share`` of the weight of all near the height of the feet."""

    plane: Float[Tensor, "4"]
    share: float

    @property
    def normal(self) -> UpDirection:
        """A plane through a part of a bowl, or of a slope, is one of many."""
        return UpDirection(up=self.plane[:3], sigma=FLOOR_SIGMA * max(1.0, FLAT_SHARE / self.share))


@dataclass(frozen=True, kw_only=True)
class _Place:
    """Vertices of K upright bodies, and N points of the scene with their weights; world, metres."""

    bodies: Float[Tensor, "K V 3"]
    points: Float[Tensor, "N 3"]
    weights: Float[Tensor, "N"]
    seed: int

    def find_floor(self, up: Float[Tensor, "3"]) -> _Floor | None:
        """The plane with the most points near the height of the feet along ``up``, if these are enough, and if it
        passes near the feet along its own normal, too."""
        near = (self.points @ up - self._find_heights(up).median()).abs() < FLOOR_BAND_M
        if int(near.sum()) < MIN_FLOOR_POINTS:
            return None
        points, weights = self.points[near], self.weights[near]
        some = torch.linspace(0, len(points) - 1, min(len(points), MAX_FLOOR_POINTS)).round().long()
        fit = fit_floor(
            points[some], weights[some], up, tolerance=FLOOR_TOLERANCE_M, max_tilt=MAX_TILT, seed=self.seed
        )  # fmt: skip
        reach = FLOOR_BAND_M + FLOOR_TOLERANCE_M
        if fit is None or abs(float(self._find_heights(fit.plane[:3]).median() + fit.plane[3])) > reach:
            return None
        inliers = (points @ fit.plane[:3] + fit.plane[3]).abs() <= FLOOR_TOLERANCE_M
        if int(inliers.sum()) < MIN_FLOOR_POINTS:
            return None
        share = float(weights[inliers].sum() / weights.sum())
        return _Floor(plane=fit.plane, share=share)

    def find_level(self, up: Float[Tensor, "3"], plane: Float[Tensor, "4"]) -> Float[Tensor, "4"]:
        """The level plane at the median over bodies of a plane's height along ``up`` under the lowest vertex; of zeros,
        of that vertex itself."""
        feet = self.bodies[torch.arange(len(self.bodies)), (self.bodies @ up).argmin(1)]
        over = (feet @ plane[:3] + plane[3]) / (plane[:3] @ up).clamp_min(1e-6)
        return torch.cat([up, -(feet @ up - over).median()[None]])

    def _find_heights(self, up: Float[Tensor, "3"]) -> Float[Tensor, "K"]:
        return (self.bodies @ up).amin(1)


def _hear_people(trunk: Float[Tensor, "P T 3"], upright: Bool[Tensor, "P T"]) -> list[UpDirection]:
    """Each person's own up: the robust mean of the ankles-to-neck direction of their upright frames (``find_upright``).

    Bodies lean alike where the focal length is wrong, so many people tell it hardly better than one.
    """
    counts = upright.sum(1)
    return [
        UpDirection(
            up=median_direction(line, seen.float()),
            sigma=math.hypot(UP_SIGMA * math.sqrt(int((counts > 0).sum())), LEAN_SIGMA / math.sqrt(count)),
        )
        for line, seen, count in zip(trunk, upright, counts.tolist(), strict=True)
        if count
    ]


def _join_own(people: list[UpDirection]) -> Float[Tensor, "3"]:
    """What people alone say, each by their certainty."""
    return median_direction(torch.stack([one.up for one in people]), torch.tensor([1 / one.sigma for one in people]))


def _hear_surfaces(static: StaticPoints | None) -> list[UpDirection]:
    """What the scene's surfaces say, if they do."""
    told = None if static is None else vote_up(static)
    return [] if told is None else [UpDirection(up=told.up, sigma=told.sigma)]


def _ask_scene(shot: MetricShot, static: StaticPoints | None, seed: int) -> Ground:
    """Gravity from the directions of the scene's surfaces and how cameras are held, and the floor that lies level with
    it, if they tell it."""
    told = None if static is None else vote_up(static)
    if static is None or told is None or told.sigma > MAX_SIGMA:
        return Ground(gravity=torch.full((3,), torch.nan), floor=torch.full((4,), torch.nan), source="none")
    joined = join_directions([UpDirection(up=told.up, sigma=told.sigma)], shot.c2w)
    level = static.pick(static.normals @ joined.up > LEVEL_COSINE)
    fit = fit_floor(
        level.points, level.conf, joined.up, tolerance=FLOOR_TOLERANCE_M, max_tilt=joined.sigma, seed=seed
    )  # fmt: skip
    if fit is None or int(fit.inliers.sum()) < max(MIN_FLOOR_POINTS, FLOOR_SHARE * len(static.points)):
        unknown = torch.full((4,), torch.nan)
        return Ground(gravity=-joined.up, floor=unknown, source="directions", sigma=joined.sigma)
    return Ground(gravity=-fit.plane[:3], floor=fit.plane, source="directions", sigma=joined.sigma)


def _dispute(people: list[UpDirection], surfaces: list[UpDirection]) -> Dispute | None:
    """Whether people's own up and the scene's surfaces contradict one another."""
    if not surfaces:
        return None
    angle, sigma = _angle(_join_own(people), surfaces[0].up), surfaces[0].sigma
    return Dispute(angle=angle, sigma=sigma) if angle > TOO_FAR * math.hypot(UP_SIGMA, sigma) else None


def _angle(one: Float[Tensor, "3"], other: Float[Tensor, "3"]) -> float:
    return math.acos(max(-1.0, min(1.0, float(one @ other))))


def find_upright(shot: MetricShot, body: Body) -> tuple[Float[Tensor, "P T 3"], Bool[Tensor, "P T"]]:
    """The line from ankles to neck of everybody, world, metres; where people stand straight and are well measured."""
    rest = body.rest_joints(shot.params.betas)
    trunk = shot.joints[..., NECK, :] - shot.joints[..., ANKLES, :].mean(-2)
    straight = (rest[..., NECK, :] - rest[..., ANKLES, :].mean(-2)).norm(dim=-1)
    return trunk, shot.valid & (trunk.norm(dim=-1) > UPRIGHT * straight) & (shot.distance_sigma < 0.1)


def _pose_upright(shot: MetricShot, body: Body, upright: Bool[Tensor, "P T"]) -> Float[Tensor, "K V 3"]:
    """Vertices of upright people, world, of evenly spread ones where they are many."""
    rows = upright.nonzero()
    rows = rows[torch.linspace(0, len(rows) - 1, min(len(rows), MAX_POSED)).round().long()]
    params = {name: value[rows[:, 0], rows[:, 1]] for name, value in vars(shot.params).items()}
    return body.vertices(BodyParams(**params))


def _sample_scene(shot: MetricShot) -> tuple[Float[Tensor, "N 3"], Float[Tensor, "N"]]:
    """World points of a few frames, with their confidence; pixels of people are left to ``near`` and the tolerance."""
    step = max(1, shot.depth.shape[0] // MAX_FLOOR_FRAMES)
    depth, conf, frames = shot.depth[::step], shot.conf[::step], shot.dense[::step]
    local = unproject(depth, shot.intrinsics[frames])
    world = transform_points(shot.c2w[frames], local.flatten(1, 2))
    keep = ((depth > 0) & (conf >= CONFIDENT)).flatten(1) & ((torch.arange(world.shape[1]) % 7) == 0)
    return world[keep], conf.flatten(1)[keep]
