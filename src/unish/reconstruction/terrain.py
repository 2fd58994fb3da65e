"""The ground of a shot where it is not one plane: what is under each foot, and the local height everywhere."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from unish.body import Body
from unish.geometry.statistics import weighted_median
from unish.reconstruction.feet_plane import FOOT_SIGMA_M, allow_misfit
from unish.reconstruction.ground import Ground
from unish.reconstruction.height_map import TRUSTED, HeightMap, map_heights
from unish.reconstruction.shot import MetricShot, ShotEvidence
from unish.reconstruction.static_points import sample_static
from unish.reconstruction.supports import Stances, find_stances, find_supports, spread_supports
from unish.structs import FrameTensor

MIN_STANCES = 4
"""Stances that have to confirm the heights that the scene shows before feet are held by them."""

MIN_OFF_FLOOR = 0.25
"""Share of them that have to be off the floor by more than their own error: else it is flat, and the plane is known
better than any map."""

BETTER = 0.5
"""Share of what the floor leaves unexplained that these heights may leave."""

LARGEST_M = 0.2
"""A stance that is farther off counts as much as one that is off by this."""


@dataclass(frozen=True, kw_only=True)
class Terrain:
    """What is known of the ground of a shot beside its floor.

    Attributes:
        levels: heights over the floor of the supports that are not the floor, one for each stance on them, metres.
        map: local heights; ``None`` where gravity is unknown.
        support: height over the floor of what is under each heel and toe, metres; ``None`` where no floor is known.
    """

    levels: Float[Tensor, "N"]
    map: HeightMap | None = None
    support: Float[Tensor, "P T 4"] | None = None


def survey_terrain(
    shot: MetricShot,
    evidence: ShotEvidence,
    ground: Ground,
    body: Body,
    sky: Bool[FrameTensor, "D H W"] | None = None,
) -> Terrain:
    """Supports of the feet that stand, and the height map with what they say.

    Where stances confirm the heights that points of the scene show (``trusts_map``), these hold the feet; else each
    stance is held at its own height where it is not on the floor.

    Args:
        sky: where it is seen, left out of the map.
    """
    nothing = torch.zeros(0)
    if not ground.known:
        return Terrain(levels=nothing)
    static = sample_static(shot, evidence, sky)
    if not ground.floor.isfinite().all():
        return Terrain(map=map_heights(static, ground, around=torch.zeros(0, 3)), levels=nothing)
    stances = find_stances(shot, evidence, ground.floor, body)
    heights = map_heights(static, ground, around=stances.place)
    shown, confidence = heights.sample(stances.place)
    confirmed = (confidence >= TRUSTED) & ((shown - stances.height).abs() < allow_misfit(stances.camera_height))
    carried = find_supports(stances)
    if trusts_map(stances, heights):
        carried = torch.where(confirmed, shown, carried)
    return Terrain(
        map=heights.stamp(stances.place, carried, confirmed),
        support=spread_supports(stances, carried),
        levels=carried[carried.abs() > FOOT_SIGMA_M],
    )


def trusts_map(stances: Stances, heights: HeightMap) -> bool:
    """Whether feet that stand confirm the local heights of the scene, and the floor alone does not explain them."""
    shown, confidence = heights.sample(stances.place)
    asked = (confidence >= TRUSTED) & stances.long
    off_floor = asked & (stances.height.abs() > FOOT_SIGMA_M)
    if int(asked.sum()) < MIN_STANCES or float(off_floor.sum()) < MIN_OFF_FLOOR * float(asked.sum()):
        return False
    by_floor = stances.height[asked].abs()
    by_map = (stances.height - shown)[asked].abs()
    close = weighted_median(by_map, torch.ones_like(by_map)) < FOOT_SIGMA_M
    return bool(close and by_map.clamp_max(LARGEST_M).sum() < BETTER * by_floor.clamp_max(LARGEST_M).sum())
