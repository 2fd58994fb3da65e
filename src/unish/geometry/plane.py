"""Planes and directions among bad data: the floor, and which way is down."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

STEEP = 0.9
"""Cosine between gravity and the viewing direction from which on the latter tells no direction over the ground."""


@dataclass(frozen=True, kw_only=True)
class PlaneFit:
    """n·x + d = 0 with unit n.

    Attributes:
        plane: (4,) n and d; n is on the side of the ``up`` that was asked for.
        inliers: (N,) points within the tolerance.
    """

    plane: Float[Tensor, "4"]
    inliers: Bool[Tensor, "N"]


def fit_floor(
    points: Float[Tensor, "N 3"],
    weights: Float[Tensor, "N"],
    up: Float[Tensor, "3"],
    *,
    tolerance: float,
    max_tilt: float = 0.35,
    num_hypotheses: int = 512,
    below_penalty: float = 1.0,
    seed: int = 0,
) -> PlaneFit | None:
    """The floor: a plane that carries many points, faces up and has little below it. RANSAC, all hypotheses at once.

    A hypothesis through three points drawn by weight scores (weight within ``tolerance``) − ``below_penalty`` · (weight
    more than 2 × ``tolerance`` below), so a table does not win over the floor beneath it. The best one is fitted again
    to its inliers three times by weighted least squares.

    Args:
        points: metres (or any unit that ``tolerance`` shares), one world.
        weights: ≥ 0.
        up: rough unit direction against gravity; planes tilted from it by more than ``max_tilt`` radians do not count.
        seed: of the private random numbers; the same input gives the same plane.

    Returns:
        ``None`` with fewer than three weighted points or when no hypothesis faces up.
    """
    used = (weights > 0) & points.isfinite().all(-1)
    if int(used.sum()) < 3:
        return None
    safe_points, safe_weights = torch.where(used[:, None], points, 0.0), torch.where(used, weights, 0.0)
    generator = torch.Generator().manual_seed(seed)
    cumulative = safe_weights.double().cumsum(0)
    draws = torch.rand(num_hypotheses, 3, generator=generator, dtype=torch.float64).to(points.device) * cumulative[-1]
    corners = safe_points[torch.searchsorted(cumulative, draws).clamp_max(len(points) - 1)]
    normals = torch.linalg.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0], dim=-1)
    length = normals.norm(dim=-1, keepdim=True)
    normals = normals / length.clamp_min(1e-20)
    normals = normals * torch.where(normals @ up < 0, -1.0, 1.0)[:, None]
    steep = (length[:, 0] < 1e-12) | (normals @ up < math.cos(max_tilt))
    if bool(steep.all()):
        return None
    planes = torch.cat([normals, -(normals * corners[:, 0]).sum(-1, keepdim=True)], -1)[~steep]
    plane = planes[_score_floors(safe_points, safe_weights, planes, tolerance, below_penalty).argmax()]
    for _ in range(3):
        inliers = used & (_distance_to_plane(safe_points, plane) <= tolerance)
        plane = _fit_plane(safe_points, torch.where(inliers, safe_weights, 0.0), plane)
    return PlaneFit(plane=plane, inliers=used & (_distance_to_plane(safe_points, plane) <= tolerance))


def median_direction(
    directions: Float[Tensor, "*batch N 3"], weights: Float[Tensor, "*batch N"]
) -> Float[Tensor, "*batch 3"]:
    """A robust mean of unit vectors: the geometric median (Weiszfeld's iteration), normalised; NaN without any weight.

    Half of the weight may point anywhere. Good for "up" from many people's bodies, some of whom lie down.
    """
    used = (weights > 0) & directions.isfinite().all(-1)
    kept = torch.nn.functional.normalize(torch.where(used[..., None], directions, 0.0), dim=-1)
    weight = torch.where(used, weights, 0.0)[..., None]
    middle = (weight * kept).sum(-2) / weight.sum(-2)
    for _ in range(50):
        pull = weight / (kept - middle[..., None, :]).norm(dim=-1, keepdim=True).clamp_min(1e-6)
        middle = (pull * kept).sum(-2) / pull.sum(-2)
    return torch.nn.functional.normalize(middle, dim=-1)


def span_tangents(normal: Float[Tensor, "3"]) -> Float[Tensor, "2 3"]:
    """Two unit vectors at right angles to a unit vector and to each other."""
    least = torch.eye(3).to(normal)[normal.abs().argmin()]
    first = torch.nn.functional.normalize(torch.linalg.cross(normal, least), dim=0)
    return torch.stack([first, torch.linalg.cross(normal, first)])


def level_axes(gravity: Float[Tensor, "3"]) -> Float[Tensor, "3 3"]:
    """Unit vectors right, up and ahead (rows) of a level frame, for a world whose axes are those of its first camera.

    Ahead is the level part of the direction in which that camera looks (of its picture's up where it looks up or down
    steeply); right, down and ahead are a right-handed frame, as x, y and z of an OpenCV camera are.

    Args:
        gravity: unit vector down.
    """
    forward = gravity.new_tensor([0.0, 0.0, 1.0] if abs(float(gravity[2])) < STEEP else [0.0, -1.0, 0.0])
    ahead = torch.nn.functional.normalize(forward - (forward @ gravity) * gravity, dim=0)
    return torch.stack([torch.linalg.cross(gravity, ahead), -gravity, ahead])


def _score_floors(
    points: Float[Tensor, "N 3"],
    weights: Float[Tensor, "N"],
    planes: Float[Tensor, "M 4"],
    tolerance: float,
    below_penalty: float,
    *,
    chunk: int = 16_384,
) -> Float[Tensor, "M"]:
    score = planes.new_zeros(planes.shape[0])
    for start in range(0, len(points), chunk):
        height = points[start : start + chunk] @ planes[:, :3].T + planes[:, 3]
        part = (height.abs() <= tolerance).to(points.dtype) - below_penalty * (height < -2 * tolerance).to(points.dtype)
        score = score + weights[start : start + chunk] @ part
    return score


def _distance_to_plane(points: Float[Tensor, "N 3"], plane: Float[Tensor, "4"]) -> Float[Tensor, "N"]:
    return (points @ plane[:3] + plane[3]).abs()


def _fit_plane(
    points: Float[Tensor, "N 3"], weights: Float[Tensor, "N"], plane: Float[Tensor, "4"]
) -> Float[Tensor, "4"]:
    """Weighted total least squares: the direction of least spread; the old plane where the points do not span one."""
    total = weights.sum()
    if int((weights > 0).sum()) < 3:
        return plane
    centre = (weights[:, None] * points).sum(0) / total
    offset = points - centre
    spread, axes = torch.linalg.eigh((weights[:, None] * offset).T @ offset / total)
    if not bool(spread[1] > 1e-12):
        return plane
    normal = axes[:, 0] * torch.where(axes[:, 0] @ plane[:3] < 0, -1.0, 1.0)
    return torch.cat([normal, -(normal @ centre)[None]])
