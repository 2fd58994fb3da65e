"""From the rate at which a method works (6 frames a second) to that of the truth (30): by times, never by counting.

Places go linearly from one known time to the next, rotations along the shortest turn at constant speed (slerp), so that
motion at constant velocity comes out exactly. Nothing is extrapolated.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from unish.geometry.rotation import axis_angle_to_matrix, matrix_to_axis_angle

_SAME_TIME_S = 1e-4


@dataclass(frozen=True, kw_only=True)
class Bracket:
    """For each of N wanted times its neighbours among the known ones.

    Attributes:
        before, after: indices of the known times; the same where the wanted time is a known one.
        share: 0 at ``before`` … 1 at ``after``.
        inside: the wanted time lies between them and they are near enough to each other.
    """

    before: Int64[Tensor, "N"]
    after: Int64[Tensor, "N"]
    share: Float[Tensor, "N"]
    inside: Bool[Tensor, "N"]


def bracket_times(
    known: Float[Tensor, "K"],
    wanted: Float[Tensor, "N"],
    *,
    max_gap_s: float,
    segment: Int64[Tensor, "K"] | None = None,
) -> Bracket:
    """Find the neighbours of each wanted time. All times in seconds; ``known`` strictly increasing.

    Args:
        max_gap_s: between two known times further apart than this nothing is known.
        segment: a number per known time; nothing is known between two of different numbers either.
    """
    if len(known) == 0:
        nothing = torch.zeros(len(wanted), dtype=torch.int64)
        return Bracket(before=nothing, after=nothing, share=wanted.new_zeros(len(wanted)), inside=nothing.bool())
    nearest = (known[None] - wanted[:, None]).abs().argmin(1)
    exact = (known[nearest] - wanted).abs() <= _SAME_TIME_S
    after = torch.searchsorted(known, wanted).clamp(0, len(known) - 1)
    before = (after - 1).clamp_min(0)
    gap = known[after] - known[before]
    inside = (known[before] <= wanted) & (wanted <= known[after]) & (gap <= max_gap_s + _SAME_TIME_S)
    if segment is not None:
        inside &= segment[before] == segment[after]
    share = torch.where(gap > 0, (wanted - known[before]) / torch.where(gap > 0, gap, 1.0), 0.0)
    return Bracket(
        before=torch.where(exact, nearest, before),
        after=torch.where(exact, nearest, after),
        share=torch.where(exact, 0.0, share.clamp(0, 1)),
        inside=exact | inside,
    )


def resample_points(values: Float[Tensor, "K *shape"], bracket: Bracket) -> Float[Tensor, "N *shape"]:
    """Values that may be averaged (places, lengths) at the wanted times; meaningless where not ``inside``."""
    share = bracket.share.to(values).reshape(-1, *[1] * (values.dim() - 1))
    start, end = values[bracket.before], values[bracket.after]
    return start + share * (end - start)


def resample_rotations(rotations: Float[Tensor, "K *shape 3 3"], bracket: Bracket) -> Float[Tensor, "N *shape 3 3"]:
    """Rotations at the wanted times: the shortest turn between the neighbours, at constant speed (slerp)."""
    start, end = rotations[bracket.before], rotations[bracket.after]
    turn = matrix_to_axis_angle(start.transpose(-1, -2) @ end)
    share = bracket.share.to(rotations).reshape(-1, *[1] * (turn.dim() - 1))
    return start @ axis_angle_to_matrix(share * turn)


def resample_poses(c2w: Float[Tensor, "K 4 4"], bracket: Bracket) -> Float[Tensor, "N 4 4"]:
    """Camera poses at the wanted times: the centre goes straight, the camera turns evenly."""
    poses = resample_points(c2w, bracket)
    poses[:, :3, :3] = resample_rotations(c2w[:, :3, :3], bracket)
    return poses
