"""A box room with a texture on every wall, seen by pinhole cameras: pictures and exact depth for the depth layers."""

from __future__ import annotations

import torch
from torch import Tensor

from unish.geometry.camera import make_intrinsics, pixel_grid
from unish.geometry.rigid import invert_rigid, make_rigid
from unish.geometry.rotation import axis_angle_to_matrix

_HALF = (2.0, 1.3, 3.5)
"""Half the size of the room in metres; its centre is the world's origin, cameras look along z."""


def see_room(c2w: Tensor, intrinsics: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Pictures (N, 3, H, W) in 0…1 and log-depth (N, H, W) of cameras inside the room."""
    grid = pixel_grid(*size, like=c2w)
    rays = torch.cat([grid, torch.ones_like(grid[..., :1])], dim=-1) @ torch.linalg.inv(intrinsics).mT[:, None]
    turned = rays @ c2w[:, None, :3, :3].mT
    place = c2w[:, None, None, :3, 3]
    walls = torch.tensor(_HALF, dtype=c2w.dtype) * turned.sign()
    distance = (walls - place) / torch.where(turned.abs() < 1e-9, 1e-9, turned)
    depth, wall = distance.min(-1)
    points = place + depth[..., None] * turned
    return paint(points, wall), depth.log()


def paint(points: Tensor, wall: Tensor | int) -> Tensor:
    """Colours (N, 3, H, W) of points: waves of many directions and lengths, others on each wall."""
    generator = torch.Generator().manual_seed(7)
    waves = torch.randn(3, 24, 3, generator=generator).to(points.dtype)
    # Lengths from 30 cm to 2.5 m, which pictures of 100 pixels show at every distance here.
    waves = torch.nn.functional.normalize(waves, dim=-1) * torch.logspace(0.4, 1.3, 24, dtype=points.dtype)[:, None]
    phase = points @ waves.flatten(0, 1).mT + torch.as_tensor(wall)[..., None] * 2.3
    return 0.5 + 0.09 * phase.sin().unflatten(-1, (3, 24)).sum(-1).movedim(-1, 1)


def walk(num_frames: int, size: tuple[int, int], *, stride: float = 0.12) -> tuple[Tensor, Tensor]:
    """World to camera (N, 4, 4) of a camera that goes to the right and turns a little, and intrinsics (N, 3, 3)."""
    step = torch.arange(num_frames) - (num_frames - 1) / 2
    turns = torch.stack([0.01 * step, -0.04 * step, 0.01 * step], dim=-1)
    places = torch.stack([stride * step, 0.2 * stride * step.abs(), -1.5 + 0.3 * stride * step], dim=-1)
    c2w = make_rigid(axis_angle_to_matrix(turns), places)
    return invert_rigid(c2w), make_intrinsics(torch.tensor(0.8 * size[1]), *size).expand(num_frames, 3, 3)
