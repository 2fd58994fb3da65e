"""Legs that were not seen: as at other times, as the other leg, else straight below the trunk.

What lies beyond the border of the picture, or behind a table, a landmark model has to guess; mostly it guesses a person
who fits into the part that is seen, and so does everything that starts from its landmarks. The solver's prior holds a
body to these rotations, and where no landmark says anything, it stays there.

Legend: S people of all clips, N frames, K = 24 joints.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from unish.body import JOINT_NAMES
from unish.body.joints import MIRRORED_JOINTS
from unish.geometry.rotation import nearest_rotation

_PARTS = ("hip", "knee", "ankle", "foot")
LEG_JOINTS = tuple(index for index, name in enumerate(JOINT_NAMES) if name.endswith(_PARTS))
_MIRROR = tuple(LEG_JOINTS.index(MIRRORED_JOINTS[joint]) for joint in LEG_JOINTS)
# What turns a joint is seen where its child is: a hip by the knee, an ankle by the foot, which has no child.
_CHILD = tuple(
    JOINT_NAMES.index(f"{side}_{_PARTS[min(_PARTS.index(part) + 1, 3)]}")
    for side, part in (JOINT_NAMES[joint].split("_") for joint in LEG_JOINTS)
)
_SECONDS = 1.0  # after which what was seen of a leg counts 1/e
_OTHER_SIDE = 0.3  # of the weight of a leg that was seen, for the other one
_STANDING = 0.1  # weight of a straight leg


def complete_legs(
    rotations: Float[Tensor, "S N K 3 3"], certainty: Float[Tensor, "S N K"], timestamps: Float[Tensor, "S N"]
) -> Float[Tensor, "S N K 3 3"]:
    """Local rotations with those of leg joints that were not seen replaced, the more the less certain they are.

    The replacement is the chordal mean of what was seen of the joint in all frames, by certainty and nearness in time,
    of the same on the other side, mirrored, and of the rest pose, in which legs are straight.

    Args:
        certainty: 0 to 1, of where each joint is; 1 leaves what turns its parent as it is.
        timestamps: seconds.
    """
    joints, children = list(LEG_JOINTS), list(_CHILD)
    legs, seen = rotations[:, :, joints], certainty[:, :, children]
    flip = rotations.new_tensor([-1.0, 1.0, 1.0])
    near = (-(timestamps[:, :, None] - timestamps[:, None, :]).abs() / _SECONDS).exp().to(legs.dtype)
    total = (near @ (seen[..., None, None] * legs).flatten(2)).unflatten(2, legs.shape[2:])
    weight = near @ seen
    mirror = list(_MIRROR)
    total = total + _OTHER_SIDE * total[:, :, mirror] * (flip[:, None] * flip)
    weight = weight + _OTHER_SIDE * weight[:, :, mirror] + _STANDING
    total = total + _STANDING * torch.eye(3, dtype=legs.dtype, device=legs.device)
    share = seen[..., None, None]
    mixed = nearest_rotation(share * legs + (1 - share) * total / weight[..., None, None])
    completed = rotations.clone()
    completed[:, :, joints] = torch.where(share < 1, mixed, legs)
    return completed
