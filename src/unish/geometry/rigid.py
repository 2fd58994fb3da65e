"""Rigid transforms as 4×4 matrices, named by direction (``c2w``, ``w2c``)."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor


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
