"""Which heels and toes are held from frame to frame: the stances of people, but for those that slide.

Legend: S people or pieces of people, N frames of each, C = 4 heels and toes (``contacts.REGIONS``).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int64, Shaped
from torch import Tensor
from torch.nn.functional import normalize, pad

from unish.body import Body
from unish.reconstruction.contacts import MAX_STEP_S, pose_feet
from unish.reconstruction.ground import Ground
from unish.reconstruction.shot import MetricShot, ShotEvidence

TOUCHES = 0.5
"""Probability from which on a heel or toe is held."""

SLIDE_M, SLIDE_M_S = 0.04, 0.08
"""A heel or toe that moves on steadily across the viewing ray, this far and fast, slides if the other foot does so."""

ALIKE, NEAR_S = 0.5, 1.0
"""So much of its velocity the other foot has to share, on average while it touches within this time: skates, a belt
and a camera whose path is wrong move both feet alike, while errors of a few frames move each stance another way."""

ALONG_RAY = 2.0
"""Along the ray it may move so many times as far and as fast: bodies jitter there."""

LIFTED_M_S, LIFTED_TIMES = 0.2, 4.0
"""What touches in two frames and moves faster than this across the viewing ray from one to the other, and so many times
as fast as the person's feet mostly do while they touch, was lifted, or rolled off, in between."""

CONTACT_LANDMARKS = (29, 31, 30, 32)
"""BlazePose heel and toe of each side, in the order of ``contacts.REGIONS``: they move with the foot as these do."""


@dataclass(frozen=True, kw_only=True)
class Touching:
    """Heels and toes of S people, or pieces of people.

    Attributes:
        weights: probability that it touches, 0 where it is not held.
        lower: of each foot, whether heel or toe is the lower one: it is what the floor holds at its height.
        stance: number of the stance that it belongs to, in each piece and for each heel or toe by itself.
        clearance: height of the landmark, metres, over the floor when its heel or toe touches what is under it: the
            landmark is higher than the lowest point, and what is under it may be higher than the floor.
        floor: of the shot.
        given: a user says that it touches: it is held wherever it is, and however it moves.
    """

    weights: Float[Tensor, "S N C"]
    lower: Bool[Tensor, "S N C"]
    stance: Int64[Tensor, "S N C"]
    clearance: Float[Tensor, "S N C"]
    floor: Float[Tensor, "4"]
    given: Bool[Tensor, "S N C"]

    def pick(self, at: tuple[Int64[Tensor, "S N"], Int64[Tensor, "S N"]], known: Bool[Tensor, "S N"]) -> Touching:
        """Pieces, by person and frame, in double precision; nothing touches but in the frames that are ``known``."""
        return Touching(
            weights=(self.weights[at] * known[..., None]).double(),
            lower=self.lower[at],
            stance=self.stance[at],
            clearance=self.clearance[at].double(),
            floor=self.floor.double(),
            given=self.given[at] & known[..., None],
        )


def find_touching(
    shot: MetricShot,
    evidence: ShotEvidence,
    ground: Ground,
    weights: Float[Tensor, "P T C"],
    solved: Bool[Tensor, "P T"],
    body: Body,
    support: Float[Tensor, "P T C"] | None = None,
) -> Touching:
    """Heels and toes that are held, of everybody; those of which a user says that they touch always are.

    Args:
        weights: probability that they touch, 0 where they do not.
        solved: frames that count; a stance goes on over others, if they are few.
        support: height over the floor, metres, of what is under them; ``None``: the floor.
    """
    touches, up = weights > 0, ground.floor[:3]
    points = body.landmarks(shot.params)[..., CONTACT_LANDMARKS, :]
    clearance = ((points - pose_feet(shot, body, up).lowest) @ up).nan_to_num()
    if support is not None:
        clearance = clearance + support
    height = (points @ up - clearance).unflatten(-1, (2, 2))
    given = torch.zeros_like(touches)
    if evidence.given_contacts is not None:
        given = (evidence.given_contacts > 0) & touches
    # The frames that count go first, so that those that follow one another are neighbours; the others are long after.
    order = (~solved).long().argsort(dim=1, stable=True)
    times = evidence.timestamps_s.double()
    times = torch.where(_take(solved, order), times[order], times[-1] + 2 * NEAR_S)
    ray = normalize(points - shot.c2w[:, None, :3, 3], dim=-1)
    points, ray, weighed, sure = (_take(one.nan_to_num(), order) for one in (points, ray, weights, given))
    number = _number_stances(weighed > 0, points, ray, times, sure)
    slides = _find_sliding(points, ray, times, weighed, number)
    back = order.argsort(dim=1)
    return Touching(
        weights=torch.where(_take(slides, back) & ~given, 0.0, weights),
        lower=(height == height.amin(-1, keepdim=True)).flatten(-2),
        stance=_take(number, back),
        clearance=clearance,
        floor=ground.floor,
        given=given,
    )


def _take(values: Shaped[Tensor, "P U *rest"], order: Int64[Tensor, "P T"]) -> Shaped[Tensor, "P T *rest"]:
    """Some of the U frames of each person, in another order."""
    return values[torch.arange(len(order))[:, None], order]


def _number_stances(
    touches: Bool[Tensor, "P T C"],
    points: Float[Tensor, "P T C 3"],
    ray: Float[Tensor, "P T C 3"],
    times: Float[Tensor, "P T"],
    given: Bool[Tensor, "P T C"],
) -> Int64[Tensor, "P T C"]:
    """A stance ends where the heel or toe is lifted (``LIFTED_M_S``), or was not seen for more than ``MAX_STEP_S``."""
    gaps = times.diff(dim=1)[..., None]
    both = touches[:, 1:] & touches[:, :-1] & (gaps <= MAX_STEP_S)
    steps, along = points.diff(dim=1), ray[:, 1:]
    across = (steps - (steps * along).sum(-1, keepdim=True) * along).norm(dim=-1) / gaps.clamp_min(1e-9)
    usual = torch.where(both, across, torch.nan).flatten(1).nanmedian(dim=1).values.nan_to_num()[:, None, None]
    still = across < (LIFTED_TIMES * usual).clamp_min(LIFTED_M_S)
    goes_on = both & (still | (given[:, 1:] & given[:, :-1]))
    return pad((~goes_on).long().cumsum(dim=1), (0, 0, 1, 0))


def _find_sliding(
    points: Float[Tensor, "P T C 3"],
    ray: Float[Tensor, "P T C 3"],
    times: Float[Tensor, "P T"],
    weights: Float[Tensor, "P T C"],
    number: Int64[Tensor, "P T C"],
) -> Bool[Tensor, "P T C"]:
    """Touching heels and toes whose stance moves on steadily, as the other foot's do (``SLIDE_M``)."""
    late = times[..., None, None].expand(*weights.shape, 1).to(points)
    both = torch.cat([points, late], dim=-1)
    mean = _mean_of_stances(both, weights, number)
    away, late = (both - mean)[..., :3], (both - mean)[..., 3:]
    # Straight line over time by least squares; the means of the products are those of a stance.
    moments = _mean_of_stances(torch.cat([away * late, late.square()], dim=-1), weights, number)
    velocity = moments[..., :3] / moments[..., 3:].clamp_min(1e-9)
    velocity = velocity - (1 - 1 / ALONG_RAY) * (velocity * ray).sum(-1, keepdim=True) * ray
    speed = velocity.norm(dim=-1)
    # Evenly timed frames of a span s have the variance s²/12.
    far = speed * (12 * moments[..., 3]).sqrt()
    near = _mean_of_stances(_sum_other_foot(velocity, weights, times), weights, number)
    others = near[..., :3] / near[..., 3:].clamp_min(1e-9)
    alike = (velocity * others).sum(-1) > ALIKE * speed.square()
    return (speed > SLIDE_M_S) & (far > SLIDE_M) & alike & (weights > 0)


def _sum_other_foot(
    velocity: Float[Tensor, "P T C 3"], weights: Float[Tensor, "P T C"], times: Float[Tensor, "P T"]
) -> Float[Tensor, "P T C 4"]:
    """Weighted sum of the velocity of the other foot's heel and toes within ``NEAR_S``, and of the weights."""
    weighted = torch.cat([velocity, torch.ones_like(velocity[..., :1])], dim=-1) * weights[..., None]
    summed = pad(weighted.unflatten(2, (2, 2)).sum(3).flip(2).cumsum(1).flatten(2), (0, 0, 1, 0))
    first = torch.searchsorted(times, times - NEAR_S)
    last = torch.searchsorted(times, times + NEAR_S, right=True)
    return (_take(summed, last) - _take(summed, first)).unflatten(-1, (2, 4)).repeat_interleave(2, dim=2)


def _mean_of_stances(
    values: Float[Tensor, "P T C K"], weights: Float[Tensor, "P T C"], number: Int64[Tensor, "P T C"]
) -> Float[Tensor, "P T C K"]:
    """Of each heel and toe over its stance, by the probability that it touches."""
    weighted = torch.cat([values, torch.ones_like(values[..., :1])], dim=-1) * weights[..., None]
    index = number[..., None].expand_as(weighted)
    summed = torch.zeros_like(weighted).scatter_add(1, index, weighted).gather(1, index)
    return summed[..., :-1] / summed[..., -1:].clamp_min(1e-9)
