"""Pictures to match, with known answers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from unish.geometry.camera import pixel_grid, unproject

HEIGHT, WIDTH = 128, 160


@dataclass(frozen=True)
class Painting:
    """Rectangles of random colours with soft edges, a function of the place: a moved one is exact, not resampled."""

    corners: Float[Tensor, "R 4"]
    colours: Float[Tensor, "R 3"]
    softness_px: float = 1.0

    def draw(
        self, moved_px: Float[Tensor, "3 3"] | None = None, size: tuple[int, int] = (HEIGHT, WIDTH)
    ) -> Float[Tensor, "3 H W"]:
        """In [0, 1], after the point at x, a homogeneous pixel, went to ``moved_px`` x."""
        places = pixel_grid(*size, like=self.corners)
        return self.look_at(places if moved_px is None else move(places, torch.linalg.inv(moved_px)))

    def look_at(self, places: Float[Tensor, "H W 2"]) -> Float[Tensor, "3 H W"]:
        """The colours at some places of the painting."""
        picture = torch.full((3, *places.shape[:2]), 0.5)
        x, y = places.unbind(-1)
        for (left, top, right, bottom), colour in zip(self.corners.tolist(), self.colours, strict=True):
            inside = torch.ones_like(x)
            for distance in (x - left, right - x, y - top, bottom - y):
                inside = inside * (distance / self.softness_px).sigmoid()
            picture = picture + inside * (colour[:, None, None] - picture)
        return picture


def paint(seed: int, *, size: tuple[int, int] = (HEIGHT, WIDTH), num: int = 150, softness_px: float = 1.0) -> Painting:
    """Rectangles of 4 to 24 times the softness all over the picture, and a little beyond."""
    dice = torch.Generator().manual_seed(seed)
    middle = (torch.rand(num, 2, generator=dice) * 1.2 - 0.1) * torch.tensor([size[1], size[0]])
    half = torch.rand(num, 2, generator=dice).mul(10).add(2) * softness_px
    return Painting(torch.cat([middle - half, middle + half], 1), torch.rand(num, 3, generator=dice), softness_px)


def photograph_corner(paintings: tuple[Painting, Painting], intrinsics: Tensor, w2c: Tensor) -> Float[Tensor, "3 H W"]:
    """A wall at z = 4 and a floor at y = 1, 60 units of a painting for one of length, seen by a camera."""
    rays = unproject(torch.ones(HEIGHT, WIDTH), intrinsics) @ w2c[:3, :3]
    centre = -w2c[:3, :3].T @ w2c[:3, 3]
    to_wall, to_floor = (4 - centre[2]) / rays[..., 2:], (1 - centre[1]) / rays[..., 1:2]
    is_floor = (to_floor[..., 0] > 0) & (to_floor < to_wall)[..., 0]
    on_wall, on_floor = centre + to_wall * rays, centre + to_floor.clamp(0, 9) * rays
    middle = torch.tensor([WIDTH / 2, HEIGHT / 2])
    wall = paintings[0].look_at(60 * on_wall[..., :2] + middle)
    floor = paintings[1].look_at(60 * on_floor[..., [0, 2]] - torch.tensor([0.0, 100.0]) + middle)
    return torch.where(is_floor, floor, wall)


def move(px: Float[Tensor, "*batch 2"], moved_px: Float[Tensor, "3 3"]) -> Float[Tensor, "*batch 2"]:
    """Where pixels of a picture are in the moved one."""
    moved = torch.cat([px, torch.ones_like(px[..., :1])], dim=-1) @ moved_px.T.to(px.dtype)
    return moved[..., :2] / moved[..., 2:]


def shift(x: float, y: float) -> Float[Tensor, "3 3"]:
    return torch.tensor([[1.0, 0.0, x], [0.0, 1.0, y], [0.0, 0.0, 1.0]])


def read(path: Path) -> Float[Tensor, "3 H W"]:
    """RGB in [0, 1]."""
    with Image.open(path) as image:
        return torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1).float() / 255
