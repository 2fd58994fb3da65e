"""Surfaces seen through a pixel grid: normals, depth edges, grown and shrunk masks, what hides what."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from unish.geometry.camera import project, unproject


def normals_from_points(
    points: Float[Tensor, "*batch H W 3"], valid: Bool[Tensor, "*batch H W"]
) -> tuple[Float[Tensor, "*batch H W 3"], Bool[Tensor, "*batch H W"]]:
    """Unit surface normals towards the camera, and where they exist (with exact zeros elsewhere).

    The four triangles between a pixel and its pairs of neighbours each give the cross product of two edges; those whose
    three points are valid are added (so larger triangles count more) and normalised.
    """
    points = torch.where(valid[..., None], points, 0.0)
    padded = torch.nn.functional.pad(points.movedim(-1, -3), (1, 1, 1, 1)).movedim(-3, -1)
    seen = torch.nn.functional.pad(valid, (1, 1, 1, 1))
    neighbours = [(0, 1), (1, 2), (2, 1), (1, 0)]  # up, right, down, left: turning clockwise in the image
    height, width = points.shape[-3:-1]
    edges = [padded[..., i : i + height, j : j + width, :] - points for i, j in neighbours]
    known = [seen[..., i : i + height, j : j + width] & valid for i, j in neighbours]
    normal = torch.zeros_like(points)
    for first in range(4):
        second = (first + 1) % 4
        both = known[first] & known[second]
        cross = torch.linalg.cross(edges[second], edges[first], dim=-1)
        normal = normal + torch.where(both[..., None], cross, 0.0)
    length = normal.norm(dim=-1, keepdim=True)
    exists = length[..., 0] > 0
    return normal / torch.where(exists[..., None], length, 1.0), exists


def normals_from_depth(
    depth: Float[Tensor, "*batch H W"], intrinsics: Float[Tensor, "*batch 3 3"]
) -> tuple[Float[Tensor, "*batch H W 3"], Bool[Tensor, "*batch H W"]]:
    """``normals_from_points`` of a z-depth map; depths that are not positive are not valid."""
    return normals_from_points(unproject(depth, intrinsics), depth > 0)


def depth_edges(
    depth: Float[Tensor, "*batch H W"], valid: Bool[Tensor, "*batch H W"], *, relative_step: float = 0.04
) -> Bool[Tensor, "*batch H W"]:
    """Pixels whose 3×3 neighbourhood spans more than ``relative_step`` of its nearest valid depth."""
    far = _pool(torch.where(valid, depth, -torch.inf), 1)
    near = -_pool(torch.where(valid, -depth, -torch.inf), 1)
    return valid & (far - near > relative_step * near)


def dilate(mask: Bool[Tensor, "*batch H W"], radius: int) -> Bool[Tensor, "*batch H W"]:
    """Grow a mask by ``radius`` pixels in a (2·radius + 1)² square."""
    return _pool(mask.float(), radius) > 0 if radius > 0 else mask


def erode(mask: Bool[Tensor, "*batch H W"], radius: int) -> Bool[Tensor, "*batch H W"]:
    """Shrink a mask by ``radius`` pixels; what lies outside the image does not eat into it."""
    return ~dilate(~mask, radius)


def visible_points(
    points: Float[Tensor, "*batch N 3"],
    depth: Float[Tensor, "*batch H W"],
    intrinsics: Float[Tensor, "*batch 3 3"],
    *,
    tolerance: float,
) -> Bool[Tensor, "*batch N"]:
    """Camera points that fall into the image and are not more than ``tolerance`` (depth units) behind its depth there.

    Where the depth is not positive nothing hides anything.
    """
    height, width = depth.shape[-2:]
    pixel = project(points, intrinsics).floor()
    x, y = pixel[..., 0], pixel[..., 1]
    inside = (points[..., 2] > 0) & (x >= 0) & (x < width) & (y >= 0) & (y < height)
    index = (y.clamp(0, height - 1) * width + x.clamp(0, width - 1)).nan_to_num(0).long()
    surface = depth.flatten(-2).gather(-1, index)
    return inside & ((surface <= 0) | (points[..., 2] <= surface + tolerance))


def _pool(values: Float[Tensor, "*batch H W"], radius: int) -> Float[Tensor, "*batch H W"]:
    """Maximum over a square window; max pooling pads with −∞."""
    shape = values.shape
    flat = values.reshape(-1, 1, *shape[-2:])
    return torch.nn.functional.max_pool2d(flat, 2 * radius + 1, stride=1, padding=radius).reshape(shape)
