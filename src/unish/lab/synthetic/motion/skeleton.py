"""A nominal adult skeleton in SMPL joint order, and which of its points can touch a floor.

Motions are made and stored for this skeleton, so that they need no body file. ``ground_motion`` moves a motion to
the proportions of a real body. Axes in the rest pose: y up, facing +z, the person's left is +x, pelvis at 0.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from unish.body.skinning import chain_joints

NOMINAL_REST_JOINTS: Float[Tensor, "24 3"] = torch.tensor(
    [
        [0.000, 0.000, 0.000], [0.075, -0.085, 0.000], [-0.075, -0.085, 0.000], [0.000, 0.115, -0.010],
        [0.100, -0.470, 0.000], [-0.100, -0.470, 0.000], [0.000, 0.245, 0.000], [0.090, -0.875, -0.035],
        [-0.090, -0.875, -0.035], [0.000, 0.300, 0.020], [0.115, -0.930, 0.090], [-0.115, -0.930, 0.090],
        [0.000, 0.500, -0.020], [0.075, 0.410, -0.010], [-0.075, 0.410, -0.010], [0.000, 0.570, 0.030],
        [0.175, 0.440, -0.025], [-0.175, 0.440, -0.025], [0.435, 0.435, -0.040], [-0.435, 0.435, -0.040],
        [0.685, 0.440, -0.045], [-0.685, 0.440, -0.045], [0.770, 0.435, -0.055], [-0.770, 0.435, -0.055],
    ]
)  # fmt: skip
"""(24, 3) metres: an adult of about 1.68 m in a T pose."""

CONTACT_JOINTS = (7, 8, 7, 8, 10, 11, 10, 11, 4, 5, 22, 23, 18, 19, 0, 0, 15, 6, 16, 17)
"""Joint that carries each contact point: heels, ankles' inner sides, balls, toe tips, knees, hands, elbows, …"""

CONTACT_OFFSETS: Float[Tensor, "20 3"] = torch.tensor(
    [
        [0.00, -0.070, -0.045], [0.00, -0.070, -0.045], [0.00, -0.070, 0.030], [0.00, -0.070, 0.030],
        [0.00, -0.015, 0.000], [0.00, -0.015, 0.000], [0.00, -0.015, 0.065], [0.00, -0.015, 0.065],
        [0.00, 0.000, 0.050], [0.00, 0.000, 0.050], [0.05, -0.010, 0.000], [-0.05, -0.010, 0.000],
        [0.00, 0.000, -0.040], [0.00, 0.000, -0.040], [0.06, -0.060, -0.110], [-0.06, -0.060, -0.110],
        [0.00, 0.080, -0.080], [0.00, 0.000, -0.110], [0.00, 0.040, 0.000], [0.00, 0.040, 0.000],
    ]
)  # fmt: skip
"""(20, 3) metres from the carrying joint, in the rest pose."""

NUM_SOLE_POINTS = 8
"""The first eight contact points are under the feet: two heel and two toe points, left and right in turn."""


def pose_skeleton(
    local: Float[Tensor, "*batch 24 3 3"],
) -> tuple[Float[Tensor, "*batch 24 3"], Float[Tensor, "*batch 20 3"]]:
    """Joints and contact points around the pelvis (pelvis at 0), metres, in the frame of the root rotation's target.

    Args:
        local: rotations relative to the parent, root first.
    """
    world, posed = chain_joints(NOMINAL_REST_JOINTS.expand(*local.shape[:-3], 24, 3), local)
    carriers = list(CONTACT_JOINTS)
    contacts = posed[..., carriers, :] + (world[..., carriers, :, :] @ CONTACT_OFFSETS[..., None])[..., 0]
    return posed, contacts


def leg_length(rest_joints: Float[Tensor, "24 3"]) -> float:
    """Hip → knee → ankle in metres, mean of both sides."""
    bones = [(1, 4), (4, 7), (2, 5), (5, 8)]
    return float(sum((rest_joints[a] - rest_joints[b]).norm() for a, b in bones) / 2)
