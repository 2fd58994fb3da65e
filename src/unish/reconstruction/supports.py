"""What feet stand on that is not the floor: a wall, a stage, a step of stairs, a kerb, each of its own height."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from unish.body import Body
from unish.reconstruction.contacts import (
    SPEED_M_S,
    FootPoints,
    find_standing_feet,
    measure_steps,
    pose_feet,
)
from unish.reconstruction.feet_plane import FOOT_SIGMA_M, FOOT_SIGMA_SHARE, allow_misfit
from unish.reconstruction.levels import LEVEL_SIGMAS
from unish.reconstruction.shot import MetricShot, ShotEvidence

MAX_RISE_M = 0.06
"""A foot that rises or falls by more from one frame to the next does not stand on one thing."""

MIN_FRAMES, MIN_STANCE_S = 3, 0.3
"""How long a foot stays where it is before it tells the height of something: who jumps is as still at the top of the
jump, but within .15 s of it falls by 11 cm."""


@dataclass(frozen=True, kw_only=True)
class Stances:
    """N stretches of frames in which one foot stands still.

    Attributes:
        number: (P, T, 2) which stance each foot (left, right) is in, −1 where it does not stand.
        person: whose it is.
        place: mean of the foot's lowest point, world, metres.
        height: of ``place`` over the floor, metres.
        camera_height: mean height of the camera over ``place``, metres.
        long: whether it lasts long enough to tell the height of something.
    """

    number: Int64[Tensor, "P T 2"]
    person: Int64[Tensor, "N"]
    place: Float[Tensor, "N 3"]
    height: Float[Tensor, "N"]
    camera_height: Float[Tensor, "N"]
    long: Bool[Tensor, "N"]

    @property
    def sigma(self) -> Float[Tensor, "N"]:
        """1σ of ``height``: of the foot itself, and of its person's distance, which grows with the camera's height."""
        share = FOOT_SIGMA_SHARE * self.camera_height.clamp_min(0.0)
        return torch.hypot(torch.full_like(share, FOOT_SIGMA_M), share)


def find_stances(shot: MetricShot, evidence: ShotEvidence, floor: Float[Tensor, "4"], body: Body) -> Stances:
    """Stretches in which a foot is still, keeps its height, and stands (``contacts.find_contacts``) at least once.

    On stairs the foot on the higher step stands although the other one is lower: it will be the lowest once that one
    has been lifted over it.
    """
    feet = pose_feet(shot, body, floor[:3])
    standing, lower = find_standing_feet(feet, shot, evidence)
    number = _number_stretches(feet, lower, standing, shot, evidence)
    person, frame, side = (number >= 0).nonzero(as_tuple=True)
    index = number[person, frame, side]
    count = int(index.max()) + 1 if len(index) else 0
    points = feet.lowest[person, frame, lower[person, frame, side]]

    frames = torch.bincount(index, minlength=count)

    def mean(values: Float[Tensor, "M K"]) -> Float[Tensor, "N K"]:
        return torch.zeros(count, values.shape[1]).index_add_(0, index, values) / frames[:, None]

    times = evidence.timestamps_s.float()[frame]
    last = torch.zeros(count).scatter_reduce_(0, index, times, "amax", include_self=False)
    first = torch.zeros(count).scatter_reduce_(0, index, times, "amin", include_self=False)
    place, camera = mean(points), mean(shot.c2w[frame, :3, 3])
    return Stances(
        number=number,
        person=torch.zeros(count, dtype=torch.long).index_put_((index,), person),
        place=place,
        height=place @ floor[:3] + floor[3],
        camera_height=(camera - place) @ floor[:3],
        long=(frames >= MIN_FRAMES) & (last - first >= MIN_STANCE_S),
    )


def find_supports(stances: Stances) -> Float[Tensor, "N"]:
    """Height over the floor of what carries each stance, metres; 0 is the floor.

    A foot that stands, longer than who jumps can, farther above the floor than feet on it may be
    (``feet_plane.allow_misfit``) stands on something; below the floor, where bodies are found too far away rather than
    in a pit, it has to be off by ``LEVEL_SIGMAS``.
    """
    above = stances.height > allow_misfit(stances.camera_height + stances.height)
    below = stances.height < -LEVEL_SIGMAS * stances.sigma
    return torch.where(stances.long & (above | below), stances.height, 0.0)


def spread_supports(stances: Stances, heights: Float[Tensor, "N"]) -> Float[Tensor, "P T 4"]:
    """Height over the floor of what is under each heel and toe, metres.

    Between two stances a foot may be over either support, so the lower one counts; before the first and after the last
    only feet that still stand as high are on it. Stances that are too short to tell the height of something count where
    they are on the floor or under it.

    Args:
        heights: of what carries each stance, over the floor.
    """
    on_floor = stances.height <= allow_misfit(stances.camera_height + stances.height)
    tells = torch.cat([stances.long | on_floor, torch.zeros(1, dtype=torch.bool)])
    number = stances.number
    known = tells[number]  # −1 takes the one at the end
    index = torch.arange(number.shape[1])[None, :, None].expand_as(number)
    last = number.shape[1] - 1
    before = torch.where(known, index, -1).cummax(1).values
    after = torch.where(known, index, last + 1).flip(1).cummin(1).values.flip(1)
    at_end = (before < 0) | (after > last)
    before, after = torch.where(before < 0, after, before), torch.where(after > last, before, after)
    at = torch.cat([heights, torch.zeros(1)])[number]
    lower = torch.minimum(at.gather(1, before.clamp(0, last)), at.gather(1, after.clamp(0, last)))
    # Who has left what they stood on is not on it, nor is it above them.
    own = torch.cat([stances.height + allow_misfit(stances.camera_height), torch.tensor([-torch.inf])])[number]
    left = ~known & (own < lower) & ((number >= 0) | at_end)
    lower = torch.where(left, lower.clamp_max(0.0), lower)
    return torch.where(known.any(1, keepdim=True), lower, 0.0).repeat_interleave(2, dim=-1)


def _number_stretches(
    feet: FootPoints,
    lower: Int64[Tensor, "P T 2"],
    standing: Bool[Tensor, "P T 2"],
    shot: MetricShot,
    evidence: ShotEvidence,
) -> Int64[Tensor, "P T 2"]:
    """Stretches of still feet that stand at least once, numbered from 0; −1 elsewhere."""
    height = (feet.lowest @ feet.up).unflatten(-1, (2, 2)).amin(-1)
    steps = measure_steps(feet, shot, evidence).unflatten(-1, (2, 2)).amin(-1)
    goes_on = (steps < SPEED_M_S) & (height.diff(dim=1).abs() < MAX_RISE_M)
    goes_on &= (shot.valid[:, 1:] & shot.valid[:, :-1])[..., None]
    begins = torch.nn.functional.pad(~goes_on, (0, 0, 1, 0), value=True)
    number = begins.transpose(1, 2).flatten().cumsum(0).unflatten(0, begins.transpose(1, 2).shape).transpose(1, 2) - 1
    stands = torch.zeros(int(number.max()) + 1 if number.numel() else 0, dtype=torch.bool)
    stands[number[standing]] = True
    _, compact = number[stands[number]].unique(return_inverse=True)
    result = torch.full_like(number, -1)
    result[stands[number]] = compact
    return result
