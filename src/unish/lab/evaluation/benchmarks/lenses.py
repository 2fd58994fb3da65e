"""Pictures of a lens that bends straight lines, as a camera without distortion would have taken them."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, UInt8
from numpy import ndarray
from torch import Tensor
from torch.nn import functional

from unish.geometry.camera import pixel_grid


def undistort(
    pictures: UInt8[Tensor, "N H W 3"], intrinsics: Float[ndarray, "3 3"], distortion: Float[ndarray, "5"]
) -> UInt8[Tensor, "N H W 3"]:
    """The same intrinsics without distortion; black where the lens did not see.

    The model is OpenCV's: with r² = x² + y² of the undistorted ray, radial 1 + k₁r² + k₂r⁴ + k₃r⁶ and tangential p₁, p₂
    (https://docs.opencv.org/4.x/d9/d0c/group__calib3d.html).

    Args:
        intrinsics: in pixels of the pictures.
        distortion: k₁, k₂, p₁, p₂, k₃.
    """
    height, width = pictures.shape[1:3]
    k = torch.from_numpy(np.asarray(intrinsics, np.float64))
    grid = pixel_grid(height, width, like=k)
    rays = (grid - k[:2, 2]) / k.diagonal()[:2]
    bent = distort(rays, distortion) * k.diagonal()[:2] + k[:2, 2]
    places = 2 * bent / torch.tensor([width, height], dtype=bent.dtype) - 1
    sampled = functional.grid_sample(
        pictures.permute(0, 3, 1, 2).float(),
        places.float().expand(len(pictures), -1, -1, -1),
        mode="bilinear",
        padding_mode="zeros",
        align_corners=False,
    )
    return sampled.permute(0, 2, 3, 1).round().clamp(0, 255).to(torch.uint8)


def distort(rays: Float[Tensor, "*batch 2"], distortion: Float[ndarray, "5"]) -> Float[Tensor, "*batch 2"]:
    """Where the lens shows a ray (x ÷ z, y ÷ z), likewise at z = 1; see ``undistort``."""
    k1, k2, p1, p2, k3 = (float(value) for value in distortion)
    x, y = rays.unbind(-1)
    squared = x * x + y * y
    radial = 1 + squared * (k1 + squared * (k2 + squared * k3))
    return torch.stack(
        [
            x * radial + 2 * p1 * x * y + p2 * (squared + 2 * x * x),
            y * radial + p1 * (squared + 2 * y * y) + 2 * p2 * x * y,
        ],
        dim=-1,
    )
