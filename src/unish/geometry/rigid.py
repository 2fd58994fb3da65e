"""Rigid transforms as 4×4 matrices, named by direction (``c2w``, ``w2c``), and small motions as twists."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from unish.geometry.rotation import axis_angle_to_matrix, matrix_to_axis_angle


def make_rigid(
    rotation: Float[Tensor, "*batch 3 3"], translation: Float[Tensor, "*batch 3"]
) -> Float[Tensor, "*batch 4 4"]:
    """[[R, t], [0, 1]]."""
    top = torch.cat([rotation, translation[..., None]], dim=-1)
    bottom = top.new_tensor([0.0, 0.0, 0.0, 1.0]).expand(*top.shape[:-2], 1, 4)
    return torch.cat([top, bottom], dim=-2)


def invert_rigid(transform: Float[Tensor, "*batch 4 4"]) -> Float[Tensor, "*batch 4 4"]:
    """Closed form: [[Rᵀ, −Rᵀt], [0, 1]]."""
    rotation = transform[..., :3, :3].transpose(-1, -2)
    translation = -(rotation @ transform[..., :3, 3:])[..., 0]
    return make_rigid(rotation, translation)


def transform_points(
    transform: Float[Tensor, "*batch 4 4"], points: Float[Tensor, "*batch N 3"]
) -> Float[Tensor, "*batch N 3"]:
    """R·p + t for every point."""
    return points @ transform[..., :3, :3].transpose(-1, -2) + transform[..., None, :3, 3]


def exp_twist(twist: Float[Tensor, "*batch 6"]) -> Float[Tensor, "*batch 4 4"]:
    """[exp(rotation vector) | translation]: the retraction used here (no screw motion)."""
    return make_rigid(axis_angle_to_matrix(twist[..., 3:]), twist[..., :3])


def log_rigid(pose: Float[Tensor, "*batch 4 4"]) -> Float[Tensor, "*batch 6"]:
    """Inverse of ``exp_twist``."""
    return torch.cat([pose[..., :3, 3], matrix_to_axis_angle(pose[..., :3, :3])], dim=-1)


def twist_between(start: Float[Tensor, "*batch 4 4"], end: Float[Tensor, "*batch 4 4"]) -> Float[Tensor, "*batch 6"]:
    """Difference of two poses as (t_end − t_start, log(R_end·R_startᵀ))."""
    rotation = end[..., :3, :3] @ start[..., :3, :3].transpose(-1, -2)
    return torch.cat([end[..., :3, 3] - start[..., :3, 3], matrix_to_axis_angle(rotation)], dim=-1)


def rigid_adjoint(pose: Float[Tensor, "*batch 4 4"]) -> Float[Tensor, "*batch 6 6"]:
    """Ad with T·exp(twist) = exp(Ad·twist)·T to first order: [[R, [t]×R], [0, R]]."""
    rotation = pose[..., :3, :3]
    top = torch.cat([rotation, _cross_matrix(pose[..., :3, 3]) @ rotation], dim=-1)
    return torch.cat([top, torch.cat([torch.zeros_like(rotation), rotation], dim=-1)], dim=-2)


def _cross_matrix(vector: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 3 3"]:
    x, y, z = vector.unbind(-1)
    zero = torch.zeros_like(x)
    return torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], dim=-1).unflatten(-1, (3, 3))
