"""Carry a person's shape from one body model, or one size, to another."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from unish.body.joints import PARENTS
from unish.body.model import Body

_HEIGHT_STEPS = 4


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
    wanted = _bones_and_stature(source_body, source_betas).to(mean) - _bones_and_stature(target_body, mean)
    return _solve_shape(target_body, wanted, prior_metres)


def resize_shape(
    body: Body, betas: Float[Tensor, "*batch S"], log_factor: Float[Tensor, "*batch"], *, prior_metres: float = 0.005
) -> Float[Tensor, "*batch S"]:
    """Betas of the same person exp(``log_factor``) times as large: the nearest skeleton, as in ``match_shape``.

    Args:
        prior_metres: how far all bones together may be off to save a change of one unit of beta.
    """
    larger = _bones_and_stature(body, betas) * torch.expm1(log_factor)[..., None]
    return betas + _solve_shape(body, larger, prior_metres)


def resize_to_height(
    body: Body, betas: Float[Tensor, "*batch S"], height_m: Float[Tensor, "*batch"]
) -> Float[Tensor, "*batch S"]:
    """Betas of the same person with this standing height (metres); the person's own where it is NaN.

    ``resize_shape`` comes near it, for a shape is not free to be larger alone; a few steps leave less than
    a millimetre.
    """
    for _ in range(_HEIGHT_STEPS):
        log_factor = (height_m / body.standing_height(betas)).log().nan_to_num(0.0)
        betas = resize_shape(body, betas, log_factor)
    return betas


def _solve_shape(body: Body, change: Float[Tensor, "*batch 70"], prior_metres: float) -> Float[Tensor, "*batch S"]:
    """The small change of betas that changes bones and stature by nearly ``change`` metres."""
    units = torch.eye(body.num_betas).to(body.template)
    matrix = (_bones_and_stature(body, units) - _bones_and_stature(body, torch.zeros_like(units))).mT
    normal = matrix.mT @ matrix + prior_metres**2 * units
    return torch.linalg.solve(normal, (change @ matrix)[..., None])[..., 0]


def _bones_and_stature(body: Body, betas: Float[Tensor, "*batch S"]) -> Float[Tensor, "*batch 70"]:
    """Every joint minus its parent, the pelvis left out, and the standing height, metres."""
    joints = body.rest_joints(betas)
    bones = joints[..., 1:, :] - joints[..., list(PARENTS[1:]), :]
    return torch.cat([bones.flatten(-2), body.standing_height(betas)[..., None]], dim=-1)
