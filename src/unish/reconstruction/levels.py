"""Feet on several levels, and which of these is the ground: somebody stands on a wall, and somebody on the lawn."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from unish.geometry.plane import span_tangents
from unish.geometry.statistics import weighted_mean
from unish.reconstruction.contacts import Contacts
from unish.reconstruction.feet_plane import FOOT_SIGMA_M, FOOT_SIGMA_SHARE, MANY_CONTACTS, allow_misfit

LEVEL_SIGMAS = 2.5
"""Feet within so many standard deviations of one height stand on one level."""

MIN_LEVEL_STANCES = 1.0
"""Stances of half a second (``Contacts.weights``) that make a level."""

MAX_LEVELS = 8
MIN_EXPLAINED = 0.7
"""Share of the feet, by weight, that all levels together have to explain: else nothing is known of levels."""

CELL_M = 0.5
"""Who stands still says again and again what is known of one place: places of this size count, not frames."""

SCENE_BAND = 0.25
"""Share of the camera's height over a level, within which points of the scene speak for it: scenes are drawn at a
depth that is off by as much."""

_STEPS = 5


def find_ground_level(
    contacts: Contacts, plane: Float[Tensor, "4"], scene: Float[Tensor, "N 3"]
) -> Bool[Tensor, "K"] | None:
    """The feet that stand on the ground, where others stand higher or lower; ``None`` where there are no two levels, or
    too few feet on each.

    Heights along the normal of the plane are grouped: the height with the most weight around it, by the errors of feet,
    is a level; its feet are taken out, and the next is looked for. The ground is the level with the largest sum of two
    shares: of the places (``CELL_M``) where feet stand, and of the points of the scene that lie at the height of some
    level.

    Args:
        plane: n·x + d = 0 with n up; it need not be at the height of any level.
        scene: points of the static scene, metres, world.
    """
    level = group_heights(contacts, plane)
    count = int(level.max()) + 1 if len(level) else 0
    if count < 2 or float(contacts.weights[level >= 0].sum()) < MIN_EXPLAINED * float(contacts.weights.sum()):
        return None
    height = contacts.points @ plane[:3] + plane[3]
    above = (contacts.camera - contacts.points) @ plane[:3]
    places = torch.zeros(count)
    near = torch.zeros(count)
    scene_height = scene @ plane[:3] + plane[3]
    for number in range(count):
        own = level == number
        places[number] = _count_places(contacts.points[own], plane[:3])
        band = SCENE_BAND * float(above[own].mean())
        near[number] = ((scene_height - height[own].mean()).abs() < band).sum()
    votes = places / places.sum() + near / near.sum().clamp_min(1.0)
    large = torch.stack([(level == number).sum() >= MANY_CONTACTS for number in range(count)])
    if not large.any():
        return None
    return level == int(torch.where(large, votes, -1.0).argmax())


def group_heights(contacts: Contacts, plane: Float[Tensor, "4"]) -> Int64[Tensor, "K"]:
    """Number of the level of each foot, 0 for that with the most weight; −1 for feet on none."""
    height = contacts.points @ plane[:3] + plane[3]
    over = ((contacts.camera - contacts.points) @ plane[:3]).clamp_min(0.0)
    sigma = torch.hypot(torch.full_like(over, FOOT_SIGMA_M), FOOT_SIGMA_SHARE * over)
    level = torch.full((len(contacts),), -1)
    for number in range(MAX_LEVELS):
        left = level < 0
        weights = contacts.weights * left
        if float(weights.sum()) < MIN_LEVEL_STANCES:
            break
        # The median of the feet around the best of evenly spread candidates.
        low, high = height[left].aminmax()
        candidates = torch.linspace(float(low), float(high), 257)
        near = ((height - candidates[:, None]) / sigma).abs() < LEVEL_SIGMAS
        middle = candidates[(near * weights).sum(1).argmax()]
        for _ in range(_STEPS):
            own = left & ((height - middle).abs() < LEVEL_SIGMAS * sigma)
            middle = weighted_mean(height[own, None], weights[own])[0]
        if float(weights[own].sum()) < MIN_LEVEL_STANCES:
            break
        level[own] = number
    return level


def choose_inliers(contacts: Contacts, plane: Float[Tensor, "4"]) -> Bool[Tensor, "K"]:
    """Feet that a plane explains (``feet_plane.allow_misfit``)."""
    height = contacts.points @ plane[:3] + plane[3]
    return height.abs() <= allow_misfit(contacts.camera @ plane[:3] + plane[3])


def _count_places(points: Float[Tensor, "N 3"], up: Float[Tensor, "3"]) -> int:
    cells = (points @ span_tangents(up).mT / CELL_M).floor().long()
    return len(cells.unique(dim=0))
