"""Feet are anchors: where a foot stands, body and scene touch. Ground, statures and the scene's depth follow from that.

Two stages, never one joint solve. First the plane on which feet stand and everybody's stature, in which no point of the
scene has a vote; feet on several levels are parted first (``levels``); a gate refuses what is not explained so, and
then all stays as it was. Then, the plane kept, the scale and the depth curve of the scene from the ground below the
feet. Numbers of steps are fixed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from unish.body import Body, resize_shape
from unish.geometry.plane import median_direction
from unish.geometry.statistics import weighted_median, weighted_quantile
from unish.reconstruction.contacts import Contacts, find_contacts, measure_contact, pose_feet
from unish.reconstruction.depth_curve import fit_depth_curve
from unish.reconstruction.feet_plane import (
    AGREE,
    AGREE_LOG_DEPTH,
    AGREE_SHARE,
    FOOT_SIGMA_M,
    KNOWN,
    SIZE,
    STATURES,
    TILT,
    TWO_LEVELS,
    FeetPlane,
    fit_feet_plane,
)
from unish.reconstruction.ground import Ground, estimate_ground, find_upright
from unish.reconstruction.ground_strips import collect_depth_evidence, find_depth_range
from unish.reconstruction.height_map import map_heights
from unish.reconstruction.levels import choose_inliers, find_ground_level
from unish.reconstruction.shot import ComparedShot, MetricShot, ShotEvidence, move_into_world, resize_people
from unish.reconstruction.static_points import sample_static
from unish.reconstruction.supports import find_stances
from unish.reconstruction.terrain import trusts_map

NOT_ONE_PLANE = (TWO_LEVELS, STATURES, TILT)
"""Refusals of one plane for all feet, after which several levels are tried."""

_LEVEL_STEPS = 3
MAX_LOG_RESIZE = 0.35
"""A scene that would change its size by more than this factor (logarithm) shows another ground than the feet stand on:
somebody on a table, say."""


@dataclass(frozen=True, kw_only=True)
class SettledShots:
    """Shots in metres, the ground of each, and everybody's shape."""

    shots: list[MetricShot]
    grounds: list[Ground]
    betas: Float[Tensor, "P 10"]


def settle_on_feet(
    compared: Sequence[ComparedShot], betas: Float[Tensor, "P 10"], body: Body, *, seed: int = 0
) -> SettledShots:
    """See the module. A stature is one for all shots: the mean of those that the shots tell, by their stances.

    Args:
        seed: of the search for the floor among scene points.
    """
    found = [move_into_world(one, body) for one in compared]
    grounds = [find_ground(shot, one.evidence, body, seed=seed) for one, shot in zip(compared, found, strict=True)]
    told = [_ask_feet(*one, body) for one in zip(compared, found, grounds, strict=True)]
    grounds = [
        ground if feet is None else replace(ground, refusal=feet.refusal, num_contacts=feet.num_contacts)
        for ground, feet in zip(grounds, told, strict=True)
    ]
    accepted = [feet for feet in told if feet is not None and not feet.refusal]
    if not accepted:
        return SettledShots(shots=found, grounds=grounds, betas=betas)
    log_stature = _join_statures(accepted)
    settled = []
    for one, ground, feet in zip(compared, grounds, told, strict=True):
        resized = resize_people(one, log_stature, body)
        if feet is not None and not feet.refusal:
            settled.append(_stand_on_feet(resized, ground, _choose_voters(feet, one.evidence), body)[:2])
        else:
            # Its people, and with them its scale, may have changed by what another shot has told.
            shot = move_into_world(resized, body)
            again = find_ground(shot, one.evidence, body, seed=seed)
            settled.append((shot, replace(again, refusal=ground.refusal, num_contacts=ground.num_contacts)))
    return SettledShots(
        shots=[shot for shot, _ in settled],
        grounds=[ground for _, ground in settled],
        betas=resize_shape(body, betas, log_stature),
    )


def find_ground(shot: MetricShot, evidence: ShotEvidence, body: Body, *, seed: int = 0) -> Ground:
    """Gravity and floor without the feet: ``estimate_ground`` with the scene's points."""
    return estimate_ground(shot, body, seed=seed, static=sample_static(shot, evidence))


def touch_ground(
    shot: MetricShot,
    evidence: ShotEvidence,
    ground: Ground,
    body: Body,
    support: Float[Tensor, "P T 4"] | None = None,
) -> Float[Tensor, "P T 4"]:
    """Probability that heels and toes touch the ground, or what else is under them (``contacts.measure_contact``)."""
    feet = pose_feet(shot, body, -ground.gravity)
    return measure_contact(feet, ground.floor, shot, evidence, support)


def _ask_feet(compared: ComparedShot, shot: MetricShot, ground: Ground, body: Body) -> FeetPlane | None:
    """What the feet of one shot say by themselves; ``None`` where there is nobody, no floor is known, or a user says
    where it is.

    Args:
        shot: as it is without them.
    """
    if compared.evidence.floor_given or len(shot.valid) == 0 or not ground.floor.isfinite().all():
        return None
    contacts, feet = _fit_plane(shot, compared.evidence, ground, body)
    if ground.source == "scene" and _stand_on_terrain(shot, compared.evidence, ground, body):
        return replace(feet, refusal=AGREE)
    if feet.refusal:
        return feet
    if _is_measured_without_feet(feet, compared):
        return replace(feet, refusal=KNOWN)
    if _agree(contacts, ground, shot, compared.evidence):
        return replace(feet, refusal=AGREE)
    resized = resize_people(compared, feet.log_stature, body)
    _, standing, resize = _stand_on_feet(resized, ground, _choose_voters(feet, compared.evidence), body)
    return replace(feet, refusal=SIZE if abs(resize) > MAX_LOG_RESIZE else standing.refusal)


def _agree(contacts: Contacts, ground: Ground, shot: MetricShot, evidence: ShotEvidence) -> bool:
    """Whether feet, the floor that scene points show, and the depth of the ground below the feet are one already."""
    if ground.source != "scene":
        return False
    heights = (contacts.points @ ground.floor[:3] + ground.floor[3]).abs()
    below = collect_depth_evidence(contacts, ground.floor, shot, evidence)
    off = weighted_median(below.offset.abs(), below.weights).nan_to_num(0.0)
    return bool(weighted_quantile(heights, contacts.weights, AGREE_SHARE) < FOOT_SIGMA_M and off < AGREE_LOG_DEPTH)


def _stand_on_terrain(shot: MetricShot, evidence: ShotEvidence, ground: Ground, body: Body) -> bool:
    """Whether feet stand on the floor that scene points show, and on stairs, ramps and walls that they show, too."""
    stances = find_stances(shot, evidence, ground.floor, body)
    heights = map_heights(sample_static(shot, evidence), ground, around=stances.place)
    return trusts_map(stances, heights)


def _is_measured_without_feet(feet: FeetPlane, compared: ComparedShot) -> bool:
    """Whether people of known height measure the scene, but only feet of others stand, whose size is less certain."""
    known = compared.evidence.known_height
    if known is None or not (compared.placed.is_ruler & known[:, None]).any():
        return False
    return not ((feet.weight > 0) & known).any()


def _choose_voters(feet: FeetPlane, evidence: ShotEvidence) -> Bool[Tensor, "P"]:
    """Whose feet are asked once statures are settled: people of known height alone, where any of them stands."""
    standing = feet.weight > 0
    if evidence.known_height is None or not (standing & evidence.known_height).any():
        return standing
    return standing & evidence.known_height


def _stand_on_feet(
    compared: ComparedShot, ground: Ground, voters: Bool[Tensor, "P"], body: Body
) -> tuple[MetricShot, Ground, float]:
    """Shot and ground after both stages, for people who have their statures, and the log resize that feet ask for.

    Args:
        voters: whose feet are asked.
    """
    shot = move_into_world(compared, body)
    contacts, feet = _fit_plane(shot, compared.evidence, ground, body, voters)
    evidence = collect_depth_evidence(contacts, feet.plane, shot, compared.evidence)
    if compared.shot.given_unit is None:
        curve = fit_depth_curve(evidence, *find_depth_range(shot))
        shot = move_into_world(compared, body, curve)
    # The camera's path has got another size, and with it where the people are.
    _, feet = _fit_plane(shot, compared.evidence, ground, body, voters)
    settled = Ground(
        gravity=-feet.plane[:3],
        floor=feet.plane,
        source="feet",
        refusal=feet.refusal,
        num_contacts=feet.num_contacts,
        sigma=ground.sigma,
        against=ground.against,
    )
    return shot, settled, float(evidence.offset.median()) if len(evidence.offset) else 0.0


def _fit_plane(
    shot: MetricShot, evidence: ShotEvidence, ground: Ground, body: Body, voters: Bool[Tensor, "P"] | None = None
) -> tuple[Contacts, FeetPlane]:
    """Feet that stand and the plane on which they do, from a ground whose gravity is known.

    Feet that no one plane explains may stand on several levels: then those on the ground are asked alone.

    Args:
        voters: whose feet are asked, who then keep their statures; ``None`` asks everybody.
    """
    contacts = find_contacts(pose_feet(shot, body, -ground.gravity), shot, evidence)
    trunk, upright = find_upright(shot, body)
    people_up = median_direction(trunk, upright.float())
    known = evidence.known_height
    if voters is not None:
        contacts, known = contacts.of_people(voters), torch.ones_like(voters)
    feet = fit_feet_plane(contacts, ground, people_up, known_size=known)
    if feet.refusal not in NOT_ONE_PLANE:
        return contacts, feet
    on_ground = find_ground_level(contacts, ground.floor, sample_static(shot, evidence).points)
    if on_ground is None:
        return contacts, feet
    for _ in range(_LEVEL_STEPS):
        # A level seen from farther away than the others leans with the plane that it was told from.
        level = contacts.pick(on_ground)
        feet = fit_feet_plane(level, ground, people_up, known_size=known)
        on_ground = choose_inliers(contacts, feet.plane)
    return level, feet


def _join_statures(told: Sequence[FeetPlane]) -> Float[Tensor, "P"]:
    """Mean over shots by the stances that told it; 0 of people whose feet were not seen to stand."""
    weight = torch.stack([feet.weight for feet in told])
    return (torch.stack([feet.log_stature for feet in told]) * weight).sum(0) / weight.sum(0).clamp_min(1e-6)
