"""The three stages of an SMPL-format body, as pure functions: shape → pose → skin. J joints: 24 in SMPL, 55 in SMPL-X.

Loper et al., "SMPL: A Skinned Multi-Person Linear Model", eqs. (2)–(9). All functions take any leading batch dimensions
and are differentiable in every float input.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from unish.body.joints import PARENTS


def apply_shape(
    template: Float[Tensor, "N C"], directions: Float[Tensor, "N C S"], betas: Float[Tensor, "*batch S"]
) -> Float[Tensor, "*batch N C"]:
    """Rest points of a shape (all coordinates or some): template + directions · betas, metres."""
    return template + (betas @ directions.flatten(0, 1).mT).unflatten(-1, template.shape)


def chain_joints(
    rest_joints: Float[Tensor, "*batch J 3"],
    rotations: Float[Tensor, "*batch J 3 3"],
    parents: tuple[int, ...] = PARENTS,
) -> tuple[Float[Tensor, "*batch J 3 3"], Float[Tensor, "*batch J 3"]]:
    """Forward kinematics.

    Args:
        rest_joints: metres.
        rotations: of every joint relative to its parent; the first is the root's, about the rest pelvis.
        parents: of each joint, parents before children; SMPL's unless given.

    Returns:
        Global rotations and positions of the joints, before ``transl``.
    """
    turned, placed = [rotations[..., 0, :, :]], [rest_joints[..., 0, :]]
    for joint, parent in enumerate(parents[1:], start=1):
        bone = rest_joints[..., joint, :] - rest_joints[..., parent, :]
        placed.append(placed[parent] + (turned[parent] @ bone[..., None])[..., 0])
        turned.append(turned[parent] @ rotations[..., joint, :, :])
    return torch.stack(turned, dim=-3), torch.stack(placed, dim=-2)


def pose_features(body_pose: Float[Tensor, "*batch K 3 3"]) -> Float[Tensor, "*batch F"]:
    """Rotations minus identity, row by row: what SMPL's pose correctives are linear in (eq. 9). F is 9 · K."""
    identity = torch.eye(3, dtype=body_pose.dtype, device=body_pose.device)
    return (body_pose - identity).flatten(-3)


def skin_points(
    rest_points: Float[Tensor, "*batch N 3"],
    weights: Float[Tensor, "N J"],
    rest_joints: Float[Tensor, "*batch J 3"],
    rotations: Float[Tensor, "*batch J 3 3"],
    positions: Float[Tensor, "*batch J 3"],
) -> Float[Tensor, "*batch N 3"]:
    """Linear blend skinning (eq. 2): Σⱼ wⱼ (Rⱼ (p − rest_jⱼ) + positionⱼ).

    ``rotations`` and ``positions`` are global, as ``chain_joints`` gives them.
    """
    offsets = positions - (rotations @ rest_joints[..., None])[..., 0]
    transforms = torch.cat([rotations, offsets[..., None]], dim=-1).flatten(-2)
    blended = (weights @ transforms).unflatten(-1, (3, 4))
    return (blended[..., :3] @ rest_points[..., None])[..., 0] + blended[..., 3]
