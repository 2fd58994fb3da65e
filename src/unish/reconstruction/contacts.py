"""Where feet stand: heels and toes that are low, that stay where they are, and that were seen."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from unish.body import Body, pick_vertices
from unish.reconstruction.anchor import landmark_weights
from unish.reconstruction.shot import MetricShot, ShotEvidence
from unish.structs import BodyParams

REGIONS = ("left_heel", "left_toe", "right_heel", "right_toe")
"""Contact regions of the body (``Body.contact_vertices``), two for each foot."""

FOOT_LANDMARKS = ((27, 29, 31), (28, 30, 32))
"""BlazePose ankle, heel and toe of the left and the right foot."""

LEVEL_M = 0.06
"""A foot that is higher than this over the lowest part of both feet is lifted."""

SPEED_M_S = 0.4
"""A foot that moves faster than this across the viewing ray does not stand."""

MAX_STEP_S = 0.5
"""Frames farther apart than this say nothing about speed."""

MAX_SIGMA = 0.1
"""Relative error of a person's distance from which on their feet are not asked."""

TOUCH_M, TOUCH_M_S = 0.08, 0.5
"""Height over the floor and speed across the ray at which a heel or toe touches with probability one half each."""

TOUCH_SPREAD = 0.25
"""How gradually, as a share of these: width of the logistic functions."""

STANCE_S = 0.5
"""Frames within this time repeat what they say of one stance: together they count as one."""

_BLOCK = 256
"""Bodies that are posed at once."""


@dataclass(frozen=True, kw_only=True)
class FootPoints:
    """Heels and toes (``REGIONS``) of everybody in the world of the shot, metres; NaN where a person is not valid.

    Attributes:
        lowest: the vertex of each region that is lowest against ``up``.
        middle: mean of the vertices of each region: it moves with the foot and does not change from vertex to vertex.
        up: (3,) unit vector.
    """

    lowest: Float[Tensor, "P T 4 3"]
    middle: Float[Tensor, "P T 4 3"]
    up: Float[Tensor, "3"]


@dataclass(frozen=True, kw_only=True)
class Contacts:
    """K feet that stand, in the world of their shot.

    Attributes:
        person, frame: who and when; indices of the people and of the shot's frames.
        points: lowest point of the foot, metres.
        camera: centre of the camera of that frame, metres.
        depth: z of the point in that camera, metres.
        weights: share of a stance that a frame tells, at most 1.
    """

    person: Int64[Tensor, "K"]
    frame: Int64[Tensor, "K"]
    points: Float[Tensor, "K 3"]
    camera: Float[Tensor, "K 3"]
    depth: Float[Tensor, "K"]
    weights: Float[Tensor, "K"]

    def __len__(self) -> int:
        return len(self.weights)

    def of_people(self, chosen: Bool[Tensor, "P"]) -> Contacts:
        """Those of some people."""
        return self.pick(chosen[self.person])

    def pick(self, kept: Bool[Tensor, "K"]) -> Contacts:
        """Some of them."""
        return Contacts(**{name: value[kept] for name, value in vars(self).items()})


def pose_feet(shot: MetricShot, body: Body, up: Float[Tensor, "3"]) -> FootPoints:
    """Where heels and toes are; only their vertices are posed, in blocks."""
    regions = [body.contact_vertices[name] for name in REGIONS]
    feet = pick_vertices(body, torch.cat(regions))
    sizes = [len(region) for region in regions]
    lowest, middle = torch.full((2, *shot.valid.shape, len(REGIONS), 3), torch.nan)
    person, frame = shot.valid.nonzero(as_tuple=True)
    for block in torch.arange(len(person)).split(_BLOCK):
        at = (person[block], frame[block])
        params = BodyParams(**{name: value[at] for name, value in vars(shot.params).items()})
        parts = feet.vertices(params).split(sizes, dim=1)
        lowest[at] = torch.stack([part[torch.arange(len(part)), (part @ up).argmin(1)] for part in parts], dim=1)
        middle[at] = torch.stack([part.mean(1) for part in parts], dim=1)
    return FootPoints(lowest=lowest, middle=middle, up=up)


def find_contacts(feet: FootPoints, shot: MetricShot, evidence: ShotEvidence) -> Contacts:
    """Feet that stand. Each foot is told by the lower of its heel and its toes.

    A foot stands where it is at most ``LEVEL_M`` over the lower foot, moves less than ``SPEED_M_S`` to the frame before
    or to the one after, its ankle, heel and toes are seen, and its person is well measured. What a user says of a heel
    or toe (``ShotEvidence.given_contacts``) comes before its height and speed, and it need not be seen.
    """
    standing, lower = find_standing_feet(feet, shot, evidence)
    person, frame, side = standing.nonzero(as_tuple=True)
    points = feet.lowest[person, frame, lower[person, frame, side]]
    camera, forward = shot.c2w[frame, :3, 3], shot.c2w[frame, :3, 2]
    return Contacts(
        person=person,
        frame=frame,
        points=points,
        camera=camera,
        depth=((points - camera) * forward).sum(-1),
        weights=(_time_per_frame(evidence.timestamps_s) / STANCE_S).clamp_max(1.0)[frame],
    )


def find_standing_feet(
    feet: FootPoints, shot: MetricShot, evidence: ShotEvidence
) -> tuple[Bool[Tensor, "P T 2"], Int64[Tensor, "P T 2"]]:
    """Which of both feet stand (``find_contacts``), and which of ``REGIONS`` is the lower one of each foot."""
    height = feet.lowest @ feet.up
    over_lowest = height - height.amin(-1, keepdim=True)
    lower = height.unflatten(-1, (2, 2)).argmin(-1) + torch.tensor([0, 2])
    still = measure_speed(feet, shot, evidence).gather(-1, lower) < SPEED_M_S
    low = over_lowest.gather(-1, lower) < LEVEL_M
    measured = (shot.valid & (shot.distance_sigma < MAX_SIGMA))[..., None]
    stands = low & still & find_seen_feet(evidence)
    if evidence.given_contacts is not None:
        given = evidence.given_contacts.gather(-1, lower)
        stands = torch.where(torch.isfinite(given), given > 0, stands)
    return stands & measured, lower


def measure_contact(
    feet: FootPoints,
    floor: Float[Tensor, "4"],
    shot: MetricShot,
    evidence: ShotEvidence,
    support: Float[Tensor, "P T 4"] | None = None,
) -> Float[Tensor, "P T 4"]:
    """Probability that heels and toes (``REGIONS``) touch what is under them; NaN where a foot is not seen, or no floor
    is known.

    The product of two logistic functions: of the height over the support, by its amount, and of the speed. Where a user
    says whether it touches, it is 1 or 0.

    Args:
        support: height over the floor, metres, of what is under each heel and toe (``supports``); ``None``: the floor.
    """
    height = feet.lowest @ floor[:3] + floor[3]
    if support is not None:
        height = height - support
    low = torch.sigmoid((1 - height.abs() / TOUCH_M) / TOUCH_SPREAD)
    still = torch.sigmoid((1 - measure_speed(feet, shot, evidence) / TOUCH_M_S) / TOUCH_SPREAD)
    seen = find_seen_feet(evidence).repeat_interleave(2, dim=-1) & shot.valid[..., None]
    measured = torch.where(seen, low * still, torch.nan)
    if evidence.given_contacts is None:
        return measured
    given = evidence.given_contacts
    return torch.where(torch.isfinite(given) & shot.valid[..., None], given, measured)


def find_seen_feet(evidence: ShotEvidence) -> Bool[Tensor, "P T 2"]:
    """Left and right feet whose ankle, heel and toes are visible and inside the picture."""
    height, width = evidence.masks.shape[1:]
    visible = landmark_weights(evidence.landmarks_px, (int(height), int(width))) > 0
    return torch.stack([visible[..., list(marks)].all(-1) for marks in FOOT_LANDMARKS], dim=-1)


def measure_speed(feet: FootPoints, shot: MetricShot, evidence: ShotEvidence) -> Float[Tensor, "P T 4"]:
    """Speed (m/s) across the viewing ray to the frame before or the one after, the lower of both; inf if there is none.

    Along the ray a body jitters by far more than a foot moves.
    """
    across = measure_steps(feet, shot, evidence)
    never = torch.full_like(feet.middle[:, :1, :, 0], torch.inf)
    return torch.minimum(torch.cat([never, across], 1), torch.cat([across, never], 1))


def measure_steps(feet: FootPoints, shot: MetricShot, evidence: ShotEvidence) -> Float[Tensor, "P U 4"]:
    """Speed (m/s) across the viewing ray from each of the T frames to the next (U = T − 1); inf where unknown."""
    gaps = evidence.timestamps_s.diff()
    rays = torch.nn.functional.normalize(feet.middle - shot.c2w[:, None, :3, 3], dim=-1)
    steps, ray = feet.middle.diff(dim=1), rays[:, 1:]
    across = (steps - (steps * ray).sum(-1, keepdim=True) * ray).norm(dim=-1) / gaps[:, None]
    known = torch.isfinite(across) & (gaps <= MAX_STEP_S)[:, None]
    return torch.where(known, across, torch.inf)


def _time_per_frame(timestamps_s: Float[Tensor, "T"]) -> Float[Tensor, "T"]:
    """Half of the time between the frames before and after; at the ends, the time to the only neighbour."""
    gaps = timestamps_s.diff()
    if len(gaps) == 0:
        return torch.full_like(timestamps_s, STANCE_S)
    return (torch.cat([gaps[:1], gaps]) + torch.cat([gaps, gaps[-1:]])) / 2
