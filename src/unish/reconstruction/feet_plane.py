"""The plane on which feet stand, and how tall the people are who stand on it."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from unish.geometry.plane import span_tangents
from unish.geometry.robust import solve_robust_least_squares
from unish.reconstruction.contacts import Contacts
from unish.reconstruction.ground import UP_SIGMA, Ground

FOOT_SIGMA_M, FOOT_SIGMA_SHARE = 0.025, 0.04
"""1σ of a foot's height over the ground: of its own, and as a share of the camera's height over it."""

FIXED_SIGMA = math.radians(0.7)
"""1σ of the tilt where contacts are few or all equally far: they tell the height of the ground, not its tilt."""

MIN_SPREAD = 0.2
"""Logarithm of the 95th over the 5th percentile of the contacts' depth, from which on they tell the tilt."""

FOUND_SIGMA, WEAK_UP_SIGMA = math.radians(6.0), math.radians(20.0)
"""1σ of the tilt against a floor that scene points show, and against one that they do not."""

STATURE_SIGMA = 0.06
"""1σ of the logarithm of a person's stature over what the network gave."""

MEAN_STATURE_SIGMA = 0.003
"""1σ of the mean log stature of those who stand: all people and the camera's height, enlarged together, look the same.
Left free, the mean would shrink, since a smaller world has smaller errors."""

HEIGHT_SIGMA_M = 1.0

STEPS = 15

MIN_CONTACTS, MANY_CONTACTS = 4, 8
"""So many feet tell the height of the ground, and so many its tilt, or that it has several levels."""

INLIER_M, INLIER_SHARE = 0.05, 0.05
"""A contact fits the plane within the greater of metres and share of the camera's height over it."""

IN_THE_AIR = 2.0
"""A foot that is so many times as far over the plane does not stand on it: at the top of a jump feet seem to stand."""

MIN_INLIERS = 0.7
MAX_LOG_STATURE = 0.1
MAX_TILT = math.radians(10.0)

MAX_STRAIN = 2.0
"""Tilt and the largest log stature, each in standard deviations, together: people on two levels can be explained by a
little of both."""

FEW, TWO_LEVELS, STATURES, TILT, SIZE, KNOWN = (
    "few contacts",
    "two levels",
    "statures disagree",
    "tilted against the found floor",
    "the scene would have another size",
    "nobody of known height stands",
)
"""Why feet are refused."""

AGREE = "they stand on the floor that was found"
"""Why they need not be asked: they would only add their own noise."""

AGREE_SHARE, AGREE_LOG_DEPTH = 0.9, 0.03
"""So many feet within ``FOOT_SIGMA_M`` of that floor, and so small a median error of the depth below them."""


@dataclass(frozen=True, kw_only=True)
class FeetPlane:
    """What the feet of one shot say.

    Attributes:
        plane: (4,) n·x + d = 0 in the world of the shot, n up.
        log_stature: (P,) logarithm of the factor on each person's stature, and with it on their distance.
        weight: (P,) stances of each person that told it; 0 of people who had no vote.
        num_contacts: feet that were found to stand.
        refusal: empty, or why the plane is not taken for the ground.
    """

    plane: Float[Tensor, "4"]
    log_stature: Float[Tensor, "P"]
    weight: Float[Tensor, "P"]
    num_contacts: int
    refusal: str


def fit_feet_plane(
    contacts: Contacts,
    ground: Ground,
    people_up: Float[Tensor, "P 3"],
    *,
    known_size: Bool[Tensor, "P"] | None = None,
) -> FeetPlane:
    """Robust plane through contacts, and a log stature per person: a body of e^s times the size is e^s times as far.

    Points of the scene have no vote: drawn by a network, a floor is rather a bowl, and would win by number. Neither
    have people whom no plausible stature brings to the plane of the others, as long as these others are most.

    Args:
        ground: with known gravity; its normal is where the search begins, and holds the plane.
        people_up: (P, 3) median direction from ankles to neck of each person, NaN where unknown.
        known_size: people who keep their stature; ``None`` for nobody.
    """
    known = torch.zeros(len(people_up), dtype=torch.bool) if known_size is None else known_size
    everybody, near = _fit_plane(contacts, ground, people_up, known)
    if not everybody.refusal and not near.all():
        # However far away they are, they would still pull a little.
        alone, _ = _fit_plane(contacts.pick(near), ground, people_up, known)
        return everybody if alone.refusal else replace(alone, num_contacts=len(contacts))
    if everybody.refusal != STATURES:
        return everybody
    plausible = contacts.of_people(everybody.log_stature.abs() < MAX_LOG_STATURE)
    if float(plausible.weights.sum()) <= float(contacts.weights.sum()) / 2:
        return everybody
    return _fit_plane(plausible, ground, people_up, known)[0]


def _fit_plane(
    contacts: Contacts, ground: Ground, people_up: Float[Tensor, "P 3"], known: Bool[Tensor, "P"]
) -> tuple[FeetPlane, Bool[Tensor, "K"]]:
    """The plane, and which of the feet are not in the air over it (``IN_THE_AIR``)."""
    normal = ground.floor[:3].double()
    points, camera = contacts.points.double(), contacts.camera.double()
    offset = -(points @ normal).median() if len(contacts) else ground.floor[3].double()
    tangents = span_tangents(normal)
    spread = _depth_spread(contacts) if len(contacts) >= MANY_CONTACTS else 0.0
    floor_sigma = FIXED_SIGMA if spread < MIN_SPREAD else FOUND_SIGMA if ground.source == "scene" else WEAK_UP_SIGMA
    up_sigma = WEAK_UP_SIGMA if spread < MIN_SPREAD else UP_SIGMA
    upright = people_up[torch.isfinite(people_up).all(-1)].double()
    num_people = len(people_up)
    whose = torch.nn.functional.one_hot(contacts.person, num_people).to(points)

    def measure(unknowns: Float[Tensor, "N"]) -> tuple[Float[Tensor, "M"], Float[Tensor, "M N"]]:
        """Heights of contacts over the plane and the plane's tilt from each person's up."""
        up, turn = _tilt_normal(normal, tangents, unknowns[:2])
        factor = unknowns[3:][contacts.person].exp()[:, None]
        grown = (points - camera) * factor
        reached = camera + grown
        # Held constant in the derivatives: an error model must not gain from moving the plane.
        above = camera @ up + unknowns[2]
        sigma = torch.hypot(torch.tensor(FOOT_SIGMA_M), FOOT_SIGMA_SHARE * above)
        height = (reached @ up + unknowns[2]) / sigma
        by_stature = whose * (grown @ up)[:, None]
        slope = torch.cat([reached @ turn.mT, torch.ones_like(height)[:, None], by_stature], 1) / sigma[:, None]
        lean = ((upright - up) @ tangents.mT / up_sigma).flatten()
        lean_slope = torch.zeros(len(lean), len(unknowns), dtype=lean.dtype)
        lean_slope[:, :2] = -(tangents @ turn.mT).repeat(len(upright), 1) / up_sigma
        return torch.cat([height, lean]), torch.cat([slope, lean_slope])

    sigmas = torch.tensor([floor_sigma, floor_sigma, HEIGHT_SIGMA_M] + [STATURE_SIGMA] * num_people).to(points)
    sigmas[3:][known] = 1e-6
    start = torch.cat([torch.zeros(2).to(points), offset[None], torch.zeros(num_people).to(points)])

    standing = (whose.sum(0) > 0).to(points)
    if known[standing > 0].any():
        # Somebody of known size says how large everything is: the others need not keep their mean.
        standing = torch.zeros_like(standing)
    mean = torch.cat([torch.zeros(3).to(points), standing / standing.sum().clamp_min(1.0) / MEAN_STATURE_SIGMA])
    held = torch.cat([torch.diag(1 / sigmas), mean[None]])

    def expect(unknowns: Float[Tensor, "N"]) -> tuple[Float[Tensor, "R"], Float[Tensor, "R N"]]:
        return held @ (unknowns - start), held

    weights = torch.cat([contacts.weights.to(points), torch.ones(2 * len(upright)).to(points)])
    found = solve_robust_least_squares(measure, expect, start, weights, steps=STEPS)
    up, _ = _tilt_normal(normal, tangents, found[:2])
    heights = (camera + (points - camera) * found[3:][contacts.person].exp()[:, None]) @ up + found[2]
    allowed = allow_misfit(camera @ up + found[2])
    found_plane = FeetPlane(
        plane=torch.cat([up, found[2:3]]).float(),
        log_stature=found[3:].float(),
        weight=whose.mT.float() @ contacts.weights,
        num_contacts=len(contacts),
        refusal=_refuse(heights.abs() <= allowed, found[3:], float(torch.arccos((up @ normal).clamp(-1.0, 1.0)))),
    )
    return found_plane, heights <= IN_THE_AIR * allowed


def allow_misfit(camera_height: Float[Tensor, "K"]) -> Float[Tensor, "K"]:
    """How far a foot that stands on a plane may be from it, metres.

    Args:
        camera_height: of the camera over the plane, metres.
    """
    return (INLIER_SHARE * camera_height).clamp_min(INLIER_M)


def _refuse(fits: Bool[Tensor, "K"], log_stature: Float[Tensor, "P"], tilt: float) -> str:
    """Why people do not stand on one plane; empty where they may."""
    if len(fits) < MIN_CONTACTS:
        return FEW
    if float(fits.double().mean()) < MIN_INLIERS:
        return TWO_LEVELS
    largest = float(log_stature.abs().amax())
    if largest >= MAX_LOG_STATURE:
        return STATURES
    if tilt >= MAX_TILT:
        return TILT
    return TWO_LEVELS if math.hypot(tilt / FOUND_SIGMA, largest / STATURE_SIGMA) >= MAX_STRAIN else ""


def _tilt_normal(
    normal: Float[Tensor, "3"], tangents: Float[Tensor, "2 3"], tilt: Float[Tensor, "2"]
) -> tuple[Float[Tensor, "3"], Float[Tensor, "2 3"]]:
    """The normal tilted by tan ``tilt`` towards the tangents, and its derivatives by ``tilt``."""
    leaning = normal + tilt @ tangents
    length = leaning.norm()
    unit = leaning / length
    return unit, (tangents - (tangents @ unit)[:, None] * unit) / length


def _depth_spread(contacts: Contacts) -> float:
    depth = contacts.depth[contacts.depth > 0]
    if len(depth) == 0:
        return 0.0
    low, high = depth.log().quantile(torch.tensor([0.05, 0.95])).tolist()
    return float(high - low)
