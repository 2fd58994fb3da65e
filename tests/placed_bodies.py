"""Bodies that stand where a test wants them, in the camera."""

from __future__ import annotations

import torch
from torch import Tensor

from unish.body import load_body
from unish.geometry.rotation import axis_angle_to_matrix
from unish.reconstruction.anchor import PlacedBodies
from unish.structs import BodyParams

BODY = load_body()
UPRIGHT = axis_angle_to_matrix(torch.tensor([torch.pi, 0.0, 0.0]))


def make_placed(pelvis: Tensor, sigma: Tensor | None = None, valid: Tensor | None = None) -> PlacedBodies:
    """Bodies of the mean shape with their rest pelvis at ``pelvis`` (P, T, 3)."""
    shape = pelvis.shape[:2]
    rest = BODY.rest_joints(torch.zeros(10))[0]
    params = BodyParams(
        betas=torch.zeros(*shape, 10),
        global_orient=UPRIGHT.expand(*shape, 3, 3),
        body_pose=torch.eye(3).expand(*shape, 23, 3, 3),
        transl=pelvis - rest,
    )
    return PlacedBodies(
        params=params,
        valid=torch.ones(shape, dtype=torch.bool) if valid is None else valid,
        distance_sigma=torch.full(shape, 0.05) if sigma is None else sigma,
        by_network=torch.zeros(shape, dtype=torch.bool),
    )


def pelvis_of(placed: PlacedBodies) -> Tensor:
    return placed.params.transl + BODY.rest_joints(placed.params.betas)[..., 0, :]
