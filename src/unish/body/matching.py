"""Carry a person's shape from one body model to another."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from unish.body.joints import PARENTS
from unish.body.model import Body


def match_shape(
    source_body: Body, source_betas: Float[Tensor, "*batch S"], target_body: Body, *, prior_metres: float = 0.005
) -> Float[Tensor, "*batch T"]:
    """Betas of ``target_body`` whose rest skeleton is nearest to the source's, by regularised least squares.

    Betas of two models are different spaces. What both have is SMPL's rest skeleton, so the bones (joint minus parent;
    the rest frames' origins differ) are compared, and the stature, to which bones above the head say nothing. Bones do
    not tell the mass of a person: such directions stay near the target's mean.

    Args:
        prior_metres: how far all bones together may be off to save one unit of beta (a Gaussian prior on the betas).
    """
    mean = target_body.template.new_zeros(target_body.num_betas)
    units = torch.eye(target_body.num_betas).to(mean)
    base = _bones_and_stature(target_body, mean)
    matrix = (_bones_and_stature(target_body, units) - base).mT
    residual = _bones_and_stature(source_body, source_betas).to(mean) - base
    normal = matrix.mT @ matrix + prior_metres**2 * units
    return torch.linalg.solve(normal, (residual @ matrix)[..., None])[..., 0]


def _bones_and_stature(body: Body, betas: Float[Tensor, "*batch S"]) -> Float[Tensor, "*batch 70"]:
    """Every joint minus its parent, the pelvis left out, and the standing height, metres."""
    joints = body.rest_joints(betas)
    bones = joints[..., 1:, :] - joints[..., list(PARENTS[1:]), :]
    return torch.cat([bones.flatten(-2), body.standing_height(betas)[..., None]], dim=-1)
