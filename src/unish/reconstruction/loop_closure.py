"""A camera that ends where it began: what its path misses by is shared out over the path."""

from __future__ import annotations

from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from unish.geometry.rigid import make_rigid
from unish.geometry.rotation import axis_angle_to_matrix, matrix_to_axis_angle
from unish.reconstruction.stitch import Shot


def close_loop(shot: Shot) -> Shot:
    """The shot with its last camera at its first one, and with them all that is seen from the cameras between.

    Depth, poses and distances are told in each frame's camera, so scene and people go with it.
    """
    return replace(shot, c2w=close_path(shot.c2w))


def close_path(c2w: Float[Tensor, "T 4 4"]) -> Float[Tensor, "T 4 4"]:
    """Poses whose last one is the first, to the bit; steps that are longer take more of what the path misses by.

    The compass rule of surveying (Bowditch, 1808): first the angles are closed, in proportion to how far the camera
    turns from frame to frame; then the places, whose steps have turned with the cameras, in proportion to how far it
    goes. Computed in float64. A path that is closed already, and one of a single frame, stay as they are.
    """
    if len(c2w) < 2 or torch.equal(c2w[-1], c2w[0]):
        return c2w
    rotations, places = c2w[:, :3, :3].double(), c2w[:, :3, 3].double()
    angles = matrix_to_axis_angle(rotations[:-1].mT @ rotations[1:]).norm(dim=-1)
    missed = matrix_to_axis_angle(rotations[0] @ rotations[-1].mT)
    turns = axis_angle_to_matrix(_share(angles)[:, None] * missed)
    steps = places.diff(dim=0)
    # A step turns as the cameras at its two ends do on average.
    halfway = axis_angle_to_matrix(((_share(angles)[:-1] + _share(angles)[1:]) / 2)[:, None] * missed)
    walked = places[0] + torch.cat([torch.zeros(1, 3).double(), (halfway @ steps[..., None])[..., 0].cumsum(0)])
    walked = walked + _share(steps.norm(dim=-1))[:, None] * (places[0] - walked[-1])
    closed = make_rigid(turns @ rotations, walked).to(c2w.dtype)
    # What is left of rounding.
    closed[0] = closed[-1] = c2w[0]
    return closed


def _share(lengths: Float[Tensor, "S"]) -> Float[Tensor, "T"]:
    """Which part of the way is behind each of the T = S + 1 frames, from 0 to 1; by time where nothing moves."""
    gone = torch.cat([torch.zeros(1, dtype=lengths.dtype), lengths.cumsum(0)])
    return gone / gone[-1] if gone[-1] > 0 else torch.linspace(0, 1, len(gone), dtype=lengths.dtype)
