"""Legs that were not seen: as at other times, as the other leg, else standing or sitting below the trunk.

What lies beyond the border of the picture, or behind a table, a landmark model has to guess; mostly it guesses a person
who fits into the part that is seen, and so does everything that starts from its landmarks. The solver's prior holds a
body to these rotations, and where no landmark says anything, it stays there.

Legend: S people of all clips, N frames, K = 24 joints.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from unish.body import JOINT_NAMES
from unish.geometry.rotation import axis_angle_to_matrix, nearest_rotation

_PARTS = ("hip", "knee", "ankle", "foot")
LEG_JOINTS = tuple(tuple(JOINT_NAMES.index(f"{side}_{part}") for side in ("left", "right")) for part in _PARTS)
"""Left and right hip, knee, ankle, foot."""

_SECONDS = 1.0  # after which what was seen of a leg counts 1/e
_OTHER_SIDE = 0.3  # of the weight of a leg that was seen, for the other one
_AT_REST = 0.1  # weight of a leg at rest
_MAX_BEND = math.radians(140)


def complete_legs(
    rotations: Float[Tensor, "S N K 3 3"], certainty: Float[Tensor, "S N K"], timestamps: Float[Tensor, "S N"]
) -> Float[Tensor, "S N K 3 3"]:
    """Local rotations with those of leg joints that were not seen replaced, the more the less certain they are.

    What turns a joint shows where its child is: of a hip the knee, of an ankle the foot. The replacement is the chordal
    mean of what was seen of the joint in all frames, by certainty and nearness in time, of the same on the other side,
    mirrored, and of a leg at rest: the thigh straight below the trunk, the shank along the trunk, too, whatever the
    thigh does, as of people who stand and who sit.

    Args:
        certainty: 0 to 1, of where each joint is; 1 leaves what turns its parent as it is.
        timestamps: seconds.
    """
    near = (-(timestamps[:, :, None] - timestamps[:, None, :]).abs() / _SECONDS).exp().to(rotations.dtype)
    completed = rotations
    straight = torch.eye(3, dtype=rotations.dtype, device=rotations.device)
    for part, (joints, children) in enumerate(zip(LEG_JOINTS, (*LEG_JOINTS[1:], LEG_JOINTS[-1]), strict=True)):
        hips = completed[:, :, LEG_JOINTS[0]]
        rest = _bend_below(hips) if _PARTS[part] == "knee" else straight.expand_as(hips)
        found = _complete(rotations[:, :, joints], certainty[:, :, children], near, rest)
        completed = completed.index_copy(2, torch.tensor(joints, device=rotations.device), found)
    return completed


def _complete(
    seen: Float[Tensor, "S N 2 3 3"],
    certainty: Float[Tensor, "S N 2"],
    near: Float[Tensor, "S N N"],
    rest: Float[Tensor, "S N 2 3 3"],
) -> Float[Tensor, "S N 2 3 3"]:
    """A pair of joints: what was seen where it is certain, see ``complete_legs`` elsewhere."""
    total = (near @ (certainty[..., None, None] * seen).flatten(2)).unflatten(2, (2, 3, 3))
    weight = near @ certainty
    flip = seen.new_tensor([-1.0, 1.0, 1.0])
    total = total + _OTHER_SIDE * total.flip(2) * (flip[:, None] * flip) + _AT_REST * rest
    weight = weight + _OTHER_SIDE * weight.flip(2) + _AT_REST
    share = certainty[..., None, None]
    mixed = nearest_rotation(share * seen + (1 - share) * total / weight[..., None, None])
    return torch.where(share < 1, mixed, seen)


def _bend_below(hips: Float[Tensor, "S N 2 3 3"]) -> Float[Tensor, "S N 2 3 3"]:
    """Knees that bring the shank back to where the trunk points, if the thigh is before it; knees bend one way."""
    thigh = -hips[..., :, 1]
    bend = torch.atan2(thigh[..., 2], -thigh[..., 1]).clamp(0.0, _MAX_BEND)
    return axis_angle_to_matrix(torch.stack([bend, torch.zeros_like(bend), torch.zeros_like(bend)], dim=-1))
