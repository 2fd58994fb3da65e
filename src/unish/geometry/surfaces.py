"""Surfaces on a pixel grid: normals, depth edges, dilated and eroded masks, z-buffers, visibility."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int, Real
from torch import Tensor

from unish.geometry.camera import project

_NEIGHBOURS = ((0, 1), (1, 2), (2, 1), (1, 0))
"""(row, column) of the neighbours in a 3×3 window: up, right, down, left, turning clockwise in the image."""


def normals_from_points(
    points: Float[Tensor, "*batch H W 3"],
    valid: Bool[Tensor, "*batch H W"],
    *,
    links: Bool[Tensor, "*batch 4 H W"] | None = None,
) -> tuple[Float[Tensor, "*batch H W 3"], Bool[Tensor, "*batch H W"]]:
    """Unit surface normals towards the camera, and where they exist (with exact zeros elsewhere).

    The four triangles between a pixel and its pairs of neighbours each give the cross product of two edges; those whose
    three points are valid are added (so larger triangles count more) and normalised. With ``links`` (see
    ``link_neighbours``) only neighbours that are linked to the pixel take part.
    """
    points = torch.where(valid[..., None], points, 0.0)
    padded = torch.nn.functional.pad(points.movedim(-1, -3), (1, 1, 1, 1)).movedim(-3, -1)
    padded_valid = torch.nn.functional.pad(valid, (1, 1, 1, 1))
    height, width = points.shape[-3:-1]
    edges = [padded[..., i : i + height, j : j + width, :] - points for i, j in _NEIGHBOURS]
    known = [padded_valid[..., i : i + height, j : j + width] & valid for i, j in _NEIGHBOURS]
    if links is not None:
        known = [both & link for both, link in zip(known, links.unbind(-3), strict=True)]
    normal = torch.zeros_like(points)
    for first in range(4):
        second = (first + 1) % 4
        both = known[first] & known[second]
        cross = torch.linalg.cross(edges[second], edges[first], dim=-1)
        normal = normal + torch.where(both[..., None], cross, 0.0)
    length = normal.norm(dim=-1, keepdim=True)
    exists = length[..., 0] > 0
    return normal / torch.where(exists[..., None], length, 1.0), exists


def link_neighbours(
    depth: Float[Tensor, "*batch H W"], valid: Bool[Tensor, "*batch H W"], *, relative_step: float
) -> Bool[Tensor, "*batch 4 H W"]:
    """Which of the neighbours above, right, below, left are valid and lie on the same surface as the (valid) pixel.

    That is, depths differ by at most ``relative_step`` of the nearer one.
    """
    depth = torch.where(valid, depth, -torch.inf)
    padded = torch.nn.functional.pad(depth, (1, 1, 1, 1), value=-torch.inf)
    height, width = depth.shape[-2:]
    others = torch.stack([padded[..., i : i + height, j : j + width] for i, j in _NEIGHBOURS], dim=-3)
    near = torch.minimum(others, depth[..., None, :, :])
    # ∞ − ∞ is NaN and compares false, so nothing is linked to what is not valid.
    return (others - depth[..., None, :, :]).abs() <= relative_step * near


def depth_edges(
    depth: Float[Tensor, "*batch H W"],
    valid: Bool[Tensor, "*batch H W"],
    *,
    relative_step: float = 0.04,
    stride: int = 1,
) -> Bool[Tensor, "*batch h w"]:
    """Pixels whose 3×3 neighbourhood spans more than ``relative_step`` of its nearest valid depth.

    Args:
        stride: only every so many pixels along both sides are asked, from the first on.
    """
    far = highest_around(torch.where(valid, depth, -torch.inf), 1, stride=stride)
    near = -highest_around(torch.where(valid, -depth, -torch.inf), 1, stride=stride)
    return valid[..., ::stride, ::stride] & (far - near > relative_step * near)


def dilate(mask: Bool[Tensor, "*batch H W"], radius: int) -> Bool[Tensor, "*batch H W"]:
    """Grow a mask by ``radius`` pixels in a (2·radius + 1)² square."""
    return highest_around(mask.to(torch.uint8), radius).bool() if radius > 0 else mask


def erode(mask: Bool[Tensor, "*batch H W"], radius: int) -> Bool[Tensor, "*batch H W"]:
    """Shrink a mask by ``radius`` pixels; what lies outside the image does not eat into it."""
    return ~dilate(~mask, radius)


@torch.no_grad()
def rasterize_depth(
    vertices: Float[Tensor, "*batch V 3"],
    faces: Int[Tensor, "F 3"],
    intrinsics: Float[Tensor, "*batch 3 3"],
    size: tuple[int, int],
    *,
    near: float = 0.02,
) -> Float[Tensor, "*batch H W"]:
    """A z-buffer: depth of the nearest triangle at every pixel centre, 0 where there is none. No gradient.

    Mesh by mesh, so that memory stays bounded. Both sides of a triangle count.

    Args:
        vertices: camera axes; triangles with a vertex nearer than ``near``, or NaN, are left out whole.
        size: (height, width).
    """
    batch = vertices.shape[:-2]
    maps = [
        _rasterize_mesh(mesh[faces].double(), camera.double(), size, near)
        for mesh, camera in zip(vertices.reshape(-1, *vertices.shape[-2:]), intrinsics.reshape(-1, 3, 3), strict=True)
    ]
    empty = vertices.new_zeros(0, *size)
    return torch.stack(maps).to(vertices.dtype).reshape(*batch, *size) if maps else empty.reshape(*batch, *size)


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


def _rasterize_mesh(
    corners: Float[Tensor, "F 3 3"], intrinsics: Float[Tensor, "3 3"], size: tuple[int, int], near: float
) -> Float[Tensor, "H W"]:
    """Every pixel centre in the box around every triangle is tried; 1/z is linear in the image."""
    height, width = size
    corners = corners[(corners[..., 2] >= near).all(-1)]
    pixels = project(corners, intrinsics.expand(len(corners), 3, 3), min_depth=near)
    last_pixel = pixels.new_tensor([width - 1, height - 1])
    first = (pixels.amin(1) - 0.5).ceil().clamp_min(0)
    count = (torch.minimum((pixels.amax(1) - 0.5).floor(), last_pixel) - first + 1).clamp_min(0).long()

    num = count.prod(-1)
    triangle = torch.arange(len(corners), device=corners.device).repeat_interleave(num)
    within = torch.arange(len(triangle), device=corners.device) - (num.cumsum(0) - num)[triangle]
    offset = torch.stack([within % count[triangle, 0], within // count[triangle, 0]], dim=-1)
    place = first[triangle].long() + offset
    arms = pixels[triangle] - (place[:, None] + 0.5)
    following, last = arms.roll(-1, dims=1), arms.roll(-2, dims=1)
    # Twice the signed area of the pixel with the edge that faces each corner.
    areas = following[..., 0] * last[..., 1] - following[..., 1] * last[..., 0]
    total = areas.sum(-1)
    inside = ((areas >= 0).all(-1) | (areas <= 0).all(-1)) & (total != 0)
    depth = total / (areas / corners[triangle, :, 2]).sum(-1)

    buffer = corners.new_full((height * width,), torch.inf)
    index = place[:, 1] * width + place[:, 0]
    buffer.scatter_reduce_(0, index[inside], depth[inside], "amin")
    return torch.where(buffer.isinf(), 0.0, buffer).reshape(size)


def highest_around(values: Real[Tensor, "*batch H W"], radius: int, *, stride: int = 1) -> Real[Tensor, "*batch h w"]:
    """Maximum over a (2·``radius`` + 1)² square, of what lies in the picture: many times as fast as torch's on a CPU.

    Args:
        values: real numbers, or whole ones ≥ 0.
        stride: only every so many pixels along both sides are asked, from the first on.
    """
    outside = -torch.inf if values.is_floating_point() else 0
    padded = torch.nn.functional.pad(values, (radius,) * 4, value=outside)
    for dim in (-1, -2):
        length = values.shape[dim]
        highest = padded[..., 0:length:stride]
        for shift in range(1, 2 * radius + 1):
            highest = torch.maximum(highest, padded[..., shift : shift + length : stride])
        padded = highest.mT  # columns, then rows
    return padded
