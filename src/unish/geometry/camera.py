"""Pinhole cameras: OpenCV axes (x right, y down, z forward), pixel centres at +0.5."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor


def pixel_grid(height: int, width: int, *, like: Tensor) -> Float[Tensor, "H W 2"]:
    """(x, y) of every pixel centre, in the dtype and on the device of ``like``."""
    y = torch.arange(height, dtype=like.dtype, device=like.device) + 0.5
    x = torch.arange(width, dtype=like.dtype, device=like.device) + 0.5
    return torch.stack([x[None, :].expand(height, width), y[:, None].expand(height, width)], dim=-1)


def make_intrinsics(focal_px: Float[Tensor, "*batch"], height: int, width: int) -> Float[Tensor, "*batch 3 3"]:
    """Square pixels, principal point in the image centre."""
    zero, one = torch.zeros_like(focal_px), torch.ones_like(focal_px)
    rows = [focal_px, zero, one * (width / 2), zero, focal_px, one * (height / 2), zero, zero, one]
    return torch.stack(rows, dim=-1).reshape(*focal_px.shape, 3, 3)


def project(
    points: Float[Tensor, "*batch N 3"], intrinsics: Float[Tensor, "*batch 3 3"], *, min_depth: float = 1e-3
) -> Float[Tensor, "*batch N 2"]:
    """Camera points to pixels; depths below ``min_depth`` are clamped to it (the caller masks what lies behind)."""
    scaled = points @ intrinsics.transpose(-1, -2)
    return scaled[..., :2] / scaled[..., 2:].clamp_min(min_depth)


def unproject(
    depth: Float[Tensor, "*batch H W"], intrinsics: Float[Tensor, "*batch 3 3"]
) -> Float[Tensor, "*batch H W 3"]:
    """z-depth of every pixel to camera points: depth · K⁻¹ · (x, y, 1)."""
    height, width = depth.shape[-2:]
    x, y = (torch.arange(side, dtype=depth.dtype, device=depth.device) + 0.5 for side in (width, height))
    # What a column and a row each add to the ray: quicker than a product of matrices for every pixel.
    of_x, of_y, of_one = torch.linalg.inv(intrinsics)[..., None].unbind(-2)
    columns, rows = (of_x * x).transpose(-1, -2), (of_y * y + of_one).transpose(-1, -2)
    return (rows[..., :, None, :] + columns[..., None, :, :]) * depth[..., None]


def resize_intrinsics(
    intrinsics: Float[Tensor, "*batch 3 3"], from_size: tuple[int, int], to_size: tuple[int, int]
) -> Float[Tensor, "*batch 3 3"]:
    """Intrinsics after the image was resized from (height, width) ``from_size`` to ``to_size``."""
    factors = intrinsics.new_tensor([to_size[1] / from_size[1], to_size[0] / from_size[0], 1.0])
    return intrinsics * factors[:, None]


def zoom_intrinsics(intrinsics: Float[Tensor, "3 3"], zoom: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch 3 3"]:
    """Intrinsics with focal lengths ``zoom`` times as long; the principal point stays."""
    longer = torch.stack([zoom, zoom, torch.ones_like(zoom)], dim=-1)
    return torch.cat(
        [intrinsics[..., :2] * longer[..., None, :2], intrinsics[..., 2:].expand(*zoom.shape, 3, 1)], dim=-1
    )


def thin_intrinsics(intrinsics: Float[Tensor, "*batch 3 3"], first: int, stride: int) -> Float[Tensor, "*batch 3 3"]:
    """Intrinsics of the image of pixels ``first``, ``first + stride``, … of every row and column.

    Its pixel k is pixel first + k·stride of the whole image, on the same ray (subsampling without averaging), and thus
    another principal point than after resizing.
    """
    thinned = intrinsics.clone()
    thinned[..., :2, :2] /= stride
    thinned[..., :2, 2] = (intrinsics[..., :2, 2] - (first + 0.5)) / stride + 0.5
    return thinned
