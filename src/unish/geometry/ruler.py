"""The person as a ruler (a reference of known size): the position of a metric body from its landmarks in the picture,
and the scale of the scene from its depth."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from unish.geometry.camera import project
from unish.geometry.statistics import MAD_TO_SIGMA, weighted_mean, weighted_median

STATURE_SPREAD = 0.05
"""Relative error of the scale from one adult of unknown height, the same in all of their frames."""

MIN_DEPTH_M = 0.1
_MIN_ROBUST_SCALE_PX = 1.0


def solve_translation(
    points: Float[Tensor, "*batch K 3"],
    observed_px: Float[Tensor, "*batch K 2"],
    weights: Float[Tensor, "*batch K"],
    intrinsics: Float[Tensor, "*batch 3 3"],
    *,
    iterations: int = 2,
    robust_iterations: int = 0,
    fallback_depth_m: float = 4.0,
) -> tuple[Float[Tensor, "*batch 3"], Float[Tensor, "*batch"]]:
    """Closed-form translation with which known camera-oriented points project onto their observed pixels.

    With r = K⁻¹(u, v, 1) = (a, b, 1), a point p + t on its ray obeys (p + t)_x = a·(p + t)_z and the same in y: linear
    in t. Each equation is off by (pixel error) · depth / focal, so the solve is repeated with weights focal / depth,
    which makes it the pixel error to first order. tx and ty are eliminated first (all sums are taken around weighted
    means), which leaves one division for tz and keeps float32 accurate. Differentiable through every step.

    Where the linear depth of the weighted centre is below ``MIN_DEPTH_M`` (points that look mirrored), the ratio of the
    sizes in metres and in ray units takes its place. Where there is no size at all (fewer than two distinct rays), the
    points are put at ``fallback_depth_m`` on the mean ray, or on the optical axis without any weight.

    Args:
        points: metres, camera axes, around any origin (usually the posed body with ``transl`` = 0).
        observed_px: pixels; may be NaN where the weight is 0.
        weights: ≥ 0.
        intrinsics: pixels.
        iterations: solves after the first one that re-weight by 1 / depth.
        robust_iterations: further solves with Cauchy weights 1 / (1 + (e / s)²), e the pixel error and s its weighted
            median (at least 1 px): a bad landmark then has little weight.

    Returns:
        transl in metres, and the weighted RMS pixel error with the given weights (inf without any weight).
    """
    used = (weights > 0) & observed_px.isfinite().all(-1)
    weights = torch.where(used, weights, 0.0)
    observed = torch.where(used[..., None], observed_px, 0.0)
    rays = torch.cat([observed, torch.ones_like(observed[..., :1])], -1)
    rays = (rays @ torch.linalg.inv(intrinsics).transpose(-1, -2))[..., :2]
    focal = intrinsics.diagonal(dim1=-2, dim2=-1)[..., None, :2]

    current = weights
    transl = _solve_weighted(points, rays, weights, focal, fallback_depth_m)
    for step in range(iterations + robust_iterations):
        depth = (points[..., 2] + transl[..., None, 2]).clamp_min(MIN_DEPTH_M)
        if step >= iterations:
            error = _squared_error(points + transl[..., None, :], observed, intrinsics)
            scale = weighted_median(error, weights).nan_to_num(0.0).clamp_min(_MIN_ROBUST_SCALE_PX**2)
            current = weights / (1 + error / scale[..., None])
        transl = _solve_weighted(points, rays, current / depth**2, focal, fallback_depth_m)

    error = _squared_error(points + transl[..., None, :], observed, intrinsics)
    total = weights.sum(-1)
    mean_error = (weights * error).sum(-1) / torch.where(total > 0, total, 1.0)
    # The tiny constant keeps the gradient of the root finite for a perfect fit.
    return transl, torch.where(total > 0, (mean_error + 1e-12).sqrt(), torch.inf)


def scale_from_person(
    body_depth_m: Float[Tensor, "P *samples"],
    scene_depth: Float[Tensor, "P *samples"],
    weights: Float[Tensor, "P *samples"],
    *,
    stature_spread: float = STATURE_SPREAD,
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """One factor from scene units to metres, from the metric depth of all people and the scene's depth at their pixels.

    exp of the weighted median of log(body depth / scene depth): half of the evidence may be wrong in any way.

    Args:
        body_depth_m: z of the metric body surface or joints, person axis first, then frames (and points).
        scene_depth: z of the unscaled scene at the same pixels; samples that are not positive and finite are left out.
        weights: ≥ 0, of each sample.
        stature_spread: relative 1σ error of everybody's size.

    Returns:
        The scale (NaN without any sample) and its relative uncertainty (1 σ; inf without any sample): the scatter of
        the samples over their effective number, (Σw)²/Σw², and the stature error of ``stature_spread`` over the
        effective number of people, which more frames of the same person cannot reduce.
    """
    used = (weights > 0) & (body_depth_m > 0) & (scene_depth > 0) & body_depth_m.isfinite() & scene_depth.isfinite()
    weights = torch.where(used, weights, 0.0)
    ratio = torch.where(used, body_depth_m, 1.0).log() - torch.where(used, scene_depth, 1.0).log()
    total = weights.sum()
    if total <= 0:
        return weights.new_tensor(torch.nan), weights.new_tensor(torch.inf)
    middle = weighted_median(ratio.flatten(), weights.flatten())
    spread = MAD_TO_SIGMA * weighted_median((ratio - middle).abs().flatten(), weights.flatten())
    per_person = weights.flatten(1).sum(1)
    samples = total.square() / weights.square().sum()
    people = total.square() / per_person.square().sum()
    return middle.exp(), (spread.square() / samples + stature_spread**2 / people).sqrt()


def _solve_weighted(
    points: Float[Tensor, "*batch K 3"],
    rays: Float[Tensor, "*batch K 2"],
    weights: Float[Tensor, "*batch K"],
    focal: Float[Tensor, "*batch 1 2"],
    fallback_depth_m: float,
) -> Float[Tensor, "*batch 3"]:
    """One weighted linear solve: rows (1, 0, −a)·t = a·z − x and (0, 1, −b)·t = b·z − y, times the focal lengths."""
    target = rays * points[..., 2:] - points[..., :2]
    mean_ray, mean_target = weighted_mean(rays, weights), weighted_mean(target, weights)
    mean_point = weighted_mean(points, weights)
    ray = (rays - mean_ray[..., None, :]) * focal
    offset = (target - mean_target[..., None, :]) * focal
    size = (points[..., :2] - mean_point[..., None, :2]) * focal
    ray_spread = (weights[..., None] * ray.square()).sum((-1, -2))
    size_spread = (weights[..., None] * size.square()).sum((-1, -2))

    # A hundredth of a pixel (RMS) of extent carries no depth.
    has_extent = ray_spread > 1e-4 * weights.sum(-1).clamp_min(1e-30)
    safe_spread = torch.where(has_extent, ray_spread, 1.0)
    linear = -(weights[..., None] * ray * offset).sum((-1, -2)) / safe_spread
    by_size = (torch.where(has_extent, size_spread, 1.0) / safe_spread + 1e-12).sqrt() - mean_point[..., 2]
    by_default = fallback_depth_m - mean_point[..., 2]
    in_front = linear + mean_point[..., 2] > MIN_DEPTH_M
    tz = torch.where(has_extent, torch.where(in_front, linear, by_size), by_default)
    return torch.cat([mean_target + mean_ray * tz[..., None], tz[..., None]], -1)


def _squared_error(
    points: Float[Tensor, "*batch K 3"],
    observed_px: Float[Tensor, "*batch K 2"],
    intrinsics: Float[Tensor, "*batch 3 3"],
) -> Float[Tensor, "*batch K"]:
    return (project(points, intrinsics, min_depth=MIN_DEPTH_M) - observed_px).square().sum(-1)
