"""Feet are anchors: where a foot stands, body and scene touch. Ground, statures and the scene's depth follow from that.

Two stages, never one joint solve. First the plane on which feet stand and everybody's stature, in which no point of the
scene has a vote; a gate refuses what one plane cannot explain, and then all stays as it was. Then, the plane kept, the
scale and the depth curve of the scene from the ground below the feet. Fixed numbers of steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from unish.body import Body, resize_shape
from unish.geometry.plane import median_direction
from unish.reconstruction.contacts import Contacts, find_contacts, pose_feet
from unish.reconstruction.depth_curve import fit_depth_curve
from unish.reconstruction.feet_plane import FeetPlane, fit_feet_plane
from unish.reconstruction.ground import Ground, estimate_ground, find_upright
from unish.reconstruction.ground_strips import collect_depth_evidence, find_depth_range
from unish.reconstruction.shot import ComparedShot, MetricShot, ShotEvidence, move_into_world, resize_people


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
    grounds = [estimate_ground(shot, body, seed=seed) for shot in found]
    fits = [
        _fit_plane(shot, one.evidence, ground, body)[1] if ground.known else None
        for shot, one, ground in zip(found, compared, grounds, strict=True)
    ]
    accepted = [fit for fit in fits if fit is not None and not fit.refusal]
    if not accepted:
        return SettledShots(shots=found, grounds=_say_why(grounds, fits), betas=betas)
    log_stature = _join_statures(accepted, len(betas))
    settled = [
        _settle_shot(resize_people(one, log_stature, body), ground, fit, body, seed)
        for one, ground, fit in zip(compared, _say_why(grounds, fits), fits, strict=True)
    ]
    return SettledShots(
        shots=[shot for shot, _ in settled],
        grounds=[ground for _, ground in settled],
        betas=resize_shape(body, betas, log_stature),
    )


def _settle_shot(
    compared: ComparedShot, ground: Ground, fit: FeetPlane | None, body: Body, seed: int
) -> tuple[MetricShot, Ground]:
    """Everybody has their stature."""
    shot = move_into_world(compared, body)
    if fit is None or fit.refusal:
        # Its people, and with them its scale, may have been resized for what another shot has told.
        return shot, replace(ground, floor=estimate_ground(shot, body, seed=seed).floor)
    contacts, fit = _fit_plane(shot, compared.evidence, ground, body, fix_statures=True)
    curve = fit_depth_curve(
        collect_depth_evidence(contacts, fit.plane, shot, compared.evidence), *find_depth_range(shot)
    )
    shot = move_into_world(compared, body, curve)
    # The camera's path has got another size, and with it where the people are.
    contacts, fit = _fit_plane(shot, compared.evidence, ground, body, fix_statures=True)
    settled = Ground(gravity=-fit.plane[:3], floor=fit.plane, source="feet", num_contacts=len(contacts))
    return shot, settled


def _fit_plane(
    shot: MetricShot, evidence: ShotEvidence, ground: Ground, body: Body, *, fix_statures: bool = False
) -> tuple[Contacts, FeetPlane]:
    """On which plane the feet stand, from a ground whose gravity is known."""
    contacts = find_contacts(pose_feet(shot, body, -ground.gravity), shot, evidence)
    trunk, upright = find_upright(shot, body)
    people_up = median_direction(trunk, upright.float())
    return contacts, fit_feet_plane(contacts, ground, people_up, fix_statures=fix_statures)


def _join_statures(fits: Sequence[FeetPlane], num_people: int) -> Float[Tensor, "P"]:
    """Mean over shots by the stances that told it; 0 of people whose feet were not seen to stand."""
    total, weight = torch.zeros(2, num_people)
    for fit in fits:
        total, weight = total + fit.weight * fit.log_stature, weight + fit.weight
    return total / weight.clamp_min(1e-6)


def _say_why(grounds: Sequence[Ground], fits: Sequence[FeetPlane | None]) -> list[Ground]:
    return [
        ground if fit is None else replace(ground, refusal=fit.refusal, num_contacts=fit.num_contacts)
        for ground, fit in zip(grounds, fits, strict=True)
    ]
