"""Rotated squares of a picture: what landmark models look at, and the way back to the picture."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Float32
from numpy import ndarray
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Region:
    """A square of the picture, possibly beyond its border.

    Attributes:
        x, y: centre, pixels of the picture (pixel centres at +0.5).
        side: pixels.
        angle: radians, positive from x (right) to y (down): the direction in the picture of the square's own right.
    """

    x: float
    y: float
    side: float
    angle: float = 0.0

    @classmethod
    def around_box(cls, box_xyxy: Float[ndarray, "4"], *, margin: float) -> Region:
        """Upright, ``margin`` times the longer side of the box."""
        x0, y0, x1, y1 = (float(value) for value in box_xyxy)
        return cls(x=(x0 + x1) / 2, y=(y0 + y1) / 2, side=margin * max(x1 - x0, y1 - y0, 1.0))

    @classmethod
    def around_body(cls, centre: Float[ndarray, "2"], top: Float[ndarray, "2"], *, margin: float) -> Region:
        """From the two alignment points of BlazePose: hip centre, and a point on the circle around the whole body.

        The direction hip → head becomes "up" in the region (Bazarevsky et al., "BlazePose", 2020, §2.2; the constants
        are those of the published MediaPipe graph).
        """
        dx, dy = float(top[0] - centre[0]), float(top[1] - centre[1])
        angle = math.pi / 2 - math.atan2(-dy, dx)
        angle -= 2 * math.pi * math.floor((angle + math.pi) / (2 * math.pi))
        side = max(2 * math.hypot(dx, dy) * margin, 1.0)
        return cls(x=float(centre[0]), y=float(centre[1]), side=side, angle=angle)

    @classmethod
    def around_points(cls, points: Float[ndarray, "N 2"], *, angle: float, margin: float) -> Region:
        """The smallest square at this angle that holds the points, its side times ``margin``."""
        upright = cls(x=0.0, y=0.0, side=1.0, angle=angle)
        local = upright.from_picture(points)
        low, high = local.min(axis=0), local.max(axis=0)
        x, y = upright.to_picture((low + high) / 2).tolist()
        return cls(x=x, y=y, side=margin * max(float((high - low).max()), 1.0), angle=angle)

    def to_picture(self, points: Float[ndarray, "*batch 2"]) -> Float[ndarray, "*batch 2"]:
        """Region coordinates in [0, 1]² (x right, y down in the region) to pixels of the picture."""
        local = (np.asarray(points) - 0.5) * self.side
        return local @ self.axes().T + np.array([self.x, self.y])

    def from_picture(self, points: Float[ndarray, "*batch 2"]) -> Float[ndarray, "*batch 2"]:
        """Inverse of ``to_picture``."""
        return (np.asarray(points) - np.array([self.x, self.y])) @ self.axes() / self.side + 0.5

    def axes(self) -> Float[ndarray, "2 2"]:
        """Columns: the region's right and down, in the picture. Also turns its 3-D x and y into the picture's."""
        cos, sin = math.cos(self.angle), math.sin(self.angle)
        return np.array([[cos, -sin], [sin, cos]])

    def bounds(self) -> tuple[float, float, float, float]:
        """(x0, y0, x1, y1) of the smallest upright box around the region."""
        half = self.side / 2 * (abs(math.cos(self.angle)) + abs(math.sin(self.angle)))
        return self.x - half, self.y - half, self.x + half, self.y + half


def region_distance(first: Region, second: Region, *, max_ratio: float = 2.0) -> float:
    """Distance of the centres over the larger side; infinite when the sides differ by more than ``max_ratio``."""
    if not 1 / max_ratio < first.side / second.side < max_ratio:
        return math.inf
    return math.hypot(first.x - second.x, first.y - second.y) / max(first.side, second.side)


def cut_region(picture: Float32[Tensor, "C H W"], region: Region, size: int) -> Float32[Tensor, "C size size"]:
    """Bilinear samples of a region at size² pixel centres; zero outside the picture (padded, never squeezed)."""
    height, width = picture.shape[-2:]
    scale = picture.new_tensor([width, height])
    cos, sin = math.cos(region.angle) * region.side, math.sin(region.angle) * region.side
    # The region spans [-1, 1], and for grid_sample the picture does: edges, not centres, are at ±1.
    centre = 2 * picture.new_tensor([region.x, region.y]) / scale - 1
    to_right, down = picture.new_tensor([[cos, sin], [-sin, cos]]) / scale
    along = ((torch.arange(size, dtype=picture.dtype) + 0.5) * (2 / size) - 1)[:, None]
    # Not affine_grid, which multiplies matrices with two columns and takes longer than the sampling.
    grid = (along * down + centre)[:, None] + along * to_right
    return torch.nn.functional.grid_sample(
        picture[None], grid[None], mode="bilinear", padding_mode="zeros", align_corners=False
    )[0]
