"""Aligning one set of measurements with another: scale, scale and shift, rigid, similarity; weighted and batched."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from unish.geometry.rigid import make_rigid
from unish.geometry.rotation import nearest_rotation
from unish.geometry.statistics import MAD_TO_SIGMA, weighted_mean, weighted_median

_CAUCHY_TUNING = 2.385
"""Cauchy weight constant that keeps 95 % efficiency on normal noise (in units of its σ)."""

_EVENTS_AT_ONCE = 2**23
"""Elements that the search over anchors sorts at once; it goes in blocks above."""


@dataclass(frozen=True, kw_only=True)
class Similarity:
    """x ↦ scale · rotation · x + translation, any leading batch dimensions.

    Attributes:
        scale: (...), 1 for a rigid alignment.
        rotation: (..., 3, 3) proper (determinant +1).
        translation: (..., 3) in the unit of the target.
    """

    scale: Float[Tensor, "*batch"]
    rotation: Float[Tensor, "*batch 3 3"]
    translation: Float[Tensor, "*batch 3"]

    def apply(self, points: Float[Tensor, "*batch N 3"]) -> Float[Tensor, "*batch N 3"]:
        turned = points @ self.rotation.transpose(-1, -2)
        return self.scale[..., None, None] * turned + self.translation[..., None, :]

    def inverse(self) -> Similarity:
        back = self.rotation.transpose(-1, -2) / self.scale[..., None, None]
        return Similarity(
            scale=1 / self.scale,
            rotation=self.rotation.transpose(-1, -2),
            translation=-(back @ self.translation[..., None])[..., 0],
        )

    def apply_to_poses(self, c2w: Float[Tensor, "*batch N 4 4"]) -> Float[Tensor, "*batch N 4 4"]:
        """Camera poses in the target's world: the rotation turns them, centres move like points."""
        rotation = self.rotation[..., None, :, :] @ c2w[..., :3, :3]
        return make_rigid(rotation, self.apply(c2w[..., :3, 3]))


def solve_scale(
    source: Float[Tensor, "*batch N"],
    target: Float[Tensor, "*batch N"],
    weights: Float[Tensor, "*batch N"],
    *,
    truncation: float | None = None,
) -> Float[Tensor, "*batch"]:
    """The exact minimiser of Σ min(w·|scale · source − target|, truncation): one of the ratios target / source.

    The "robust, optimal, efficient" (ROE) scale of MoGe (Wang et al. 2024). Without truncation it is the median of
    target / source with weights w·|source|; with it, one sort of the 3·N kinks of the sum finds the best of all its
    minima. Points go in with their coordinates laid out along N. Differentiable through the sample that is picked,
    which is the minimiser's own derivative. NaN where no sample has weight and a source other than 0.
    """
    used = (weights > 0) & (source != 0)
    ratio = target / torch.where(used, source, 1.0)
    slope = torch.where(used, weights * source.abs(), 0.0)
    if truncation is None:
        return weighted_median(ratio, slope)
    picked = ratio.gather(-1, _find_median(ratio, slope, truncation)[..., None])[..., 0]
    return torch.where(used.any(-1), picked, torch.nan)


def solve_exact_scale_shift(
    source: Float[Tensor, "*batch N"],
    target: Float[Tensor, "*batch N"],
    weights: Float[Tensor, "*batch N"],
    *,
    truncation: float | None = None,
) -> tuple[Float[Tensor, "*batch"], Float[Tensor, "*batch"]]:
    """The exact minimiser of Σ min(w·|scale · source + shift − target|, truncation), for N up to some hundreds.

    At the minimum some sample, the anchor, has no residual, so the shift is target − scale · source there. Every sample
    is tried as anchor, and what is left is ``solve_scale`` (MoGe, Wang et al. 2024): O(N² log N) where
    ``solve_scale_shift`` takes O(N). Differentiable through the samples that are picked. Where the source does not
    vary, the scale is 1; without any weight, scale 1 and shift 0.
    """
    used = weights > 0
    source, target = torch.where(used, source, 0.0), torch.where(used, target, 0.0)
    weights = torch.where(used, weights, 0.0)
    with torch.no_grad():
        anchor = _try_anchors(source, target, weights, truncation).argmin(-1, keepdim=True)
    at_source, at_target = source.gather(-1, anchor), target.gather(-1, anchor)
    scale = _default_to_one(solve_scale(source - at_source, target - at_target, weights, truncation=truncation))
    return scale, at_target[..., 0] - scale * at_source[..., 0]


def solve_scale_shift(
    source: Float[Tensor, "*batch N"],
    target: Float[Tensor, "*batch N"],
    weights: Float[Tensor, "*batch N"],
    *,
    robust_iterations: int = 10,
) -> tuple[Float[Tensor, "*batch"], Float[Tensor, "*batch"]]:
    """Scale and shift with scale · source + shift ≈ target: weighted least squares, then L1 by re-weighting.

    Each of the ``robust_iterations`` divides the weights by the current |residual| (at least a thousandth of the
    target's mean deviation), which approaches Σ w·|residual|. Where the source does not vary, the scale is 1.
    """
    used = weights > 0
    weights = torch.where(used, weights, 0.0)
    source, target = torch.where(used, source, 0.0), torch.where(used, target, 0.0)
    scale, shift = _fit_line(source, target, weights)
    mean = weighted_mean(target[..., None], weights)
    deviation = weighted_mean((target - mean).abs()[..., None], weights)
    floor = 1e-3 * torch.where(deviation > 0, deviation, 1.0)
    for _ in range(robust_iterations):
        residual = (scale[..., None] * source + shift[..., None] - target).abs()
        scale, shift = _fit_line(source, target, weights / torch.maximum(residual, floor))
    return scale, shift


def align_similarity(
    source: Float[Tensor, "*batch N 3"],
    target: Float[Tensor, "*batch N 3"],
    weights: Float[Tensor, "*batch N"],
    *,
    with_scale: bool = True,
    robust_iterations: int = 0,
) -> Similarity:
    """The similarity that minimises Σ w·‖scale · R · source + t − target‖², never a reflection.

    Umeyama, "Least-squares estimation of transformation parameters between two point patterns", 1991. The rotation
    comes from ``nearest_rotation``, whose gradient stays finite where singular values meet.

    Args:
        source, target: points of weight 0 may be NaN. With fewer than three points that are not on a line the rotation
            is one of many best ones; without any weight the result is the identity.
        with_scale: false fits a rigid transform (Kabsch).
        robust_iterations: further fits with Cauchy weights, their width from the weighted median of the residuals.
    """
    used = (weights > 0)[..., None]
    weights = weights.clamp_min(0)
    source, target = torch.where(used, source, 0.0), torch.where(used, target, 0.0)
    found = _fit_similarity(source, target, weights, with_scale)
    for _ in range(robust_iterations):
        squared = (found.apply(source) - target).square().sum(-1)
        sigma2 = (MAD_TO_SIGMA * _CAUCHY_TUNING) ** 2 * weighted_median(squared, weights).nan_to_num(0.0)
        width = sigma2.clamp_min(torch.finfo(source.dtype).tiny)
        found = _fit_similarity(source, target, weights / (1 + squared / width[..., None]), with_scale)
    return found


def align_rigid(
    source: Float[Tensor, "*batch N 3"],
    target: Float[Tensor, "*batch N 3"],
    weights: Float[Tensor, "*batch N"],
    *,
    robust_iterations: int = 0,
) -> Similarity:
    """``align_similarity`` with scale 1."""
    return align_similarity(source, target, weights, with_scale=False, robust_iterations=robust_iterations)


@torch.no_grad()
def _find_median(
    values: Float[Tensor, "*batch N"], weights: Float[Tensor, "*batch N"], truncation: float
) -> Int[Tensor, "*batch"]:
    """Index of the value x that minimises Σ min(w·|value − x|, truncation); any index where all weight is 0.

    The sum is piecewise linear. Each term bends down by w where it leaves the truncation and where it reaches it again,
    and up by 2·w at its value: only there can a minimum lie. Slopes and values along all sorted kinks are running sums.
    """
    used = weights > 0
    weights = torch.where(used, weights, 0.0).double()
    values = torch.where(used, values, 0.0).double()
    reach = torch.where(used, truncation / torch.where(used, weights, 1.0), 0.0)
    kinks, order = torch.cat([values - reach, values, values + reach], dim=-1).sort(dim=-1)
    slopes = torch.cat([-weights, 2 * weights, -weights], dim=-1).gather(-1, order).cumsum(-1)
    rises = torch.cat([torch.zeros_like(kinks[..., :1]), slopes[..., :-1] * kinks.diff(dim=-1)], dim=-1)
    cost = torch.empty_like(kinks).scatter(-1, order, rises.cumsum(-1))
    num = values.shape[-1]
    return torch.where(used, cost[..., num : 2 * num], torch.inf).argmin(-1)


def _try_anchors(
    source: Float[Tensor, "*batch N"],
    target: Float[Tensor, "*batch N"],
    weights: Float[Tensor, "*batch N"],
    truncation: float | None,
) -> Float[Tensor, "*batch N"]:
    """The sum that the exact fit of each sample leaves, with the scale that is best then; ∞ for those of weight 0."""
    num = weights.shape[-1]
    costs = []
    for block in torch.arange(num, device=source.device).split(max(1, _EVENTS_AT_ONCE // (3 * source.numel()))):
        # (..., anchors, N): every sample relative to every anchor
        near, wanted = (x[..., None, :] - x[..., block, None] for x in (source, target))
        mass = weights[..., None, :].expand_as(near)
        scale = _default_to_one(solve_scale(near, wanted, mass, truncation=truncation))
        residual = mass * (scale[..., None] * near - wanted).abs()
        costs.append((residual if truncation is None else residual.clamp_max(truncation)).sum(-1))
    return torch.where(weights > 0, torch.cat(costs, dim=-1), torch.inf)


def _default_to_one(scale: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
    """1 where the scale is undetermined (NaN)."""
    return torch.where(scale.isnan(), 1.0, scale)


def _fit_line(
    source: Float[Tensor, "*batch N"], target: Float[Tensor, "*batch N"], weights: Float[Tensor, "*batch N"]
) -> tuple[Float[Tensor, "*batch"], Float[Tensor, "*batch"]]:
    mean_source, mean_target = (weighted_mean(x[..., None], weights) for x in (source, target))
    centred = source - mean_source
    spread = (weights * centred.square()).sum(-1)
    varies = spread > torch.finfo(source.dtype).eps ** 2 * (weights * source.square()).sum(-1)
    slope = (weights * centred * (target - mean_target)).sum(-1) / torch.where(varies, spread, 1.0)
    scale = torch.where(varies, slope, 1.0)
    return scale, mean_target[..., 0] - scale * mean_source[..., 0]


def _fit_similarity(
    source: Float[Tensor, "*batch N 3"],
    target: Float[Tensor, "*batch N 3"],
    weights: Float[Tensor, "*batch N"],
    with_scale: bool,
) -> Similarity:
    mean_source, mean_target = weighted_mean(source, weights), weighted_mean(target, weights)
    source, target = source - mean_source[..., None, :], target - mean_target[..., None, :]
    covariance = (weights[..., None] * target).transpose(-1, -2) @ source
    rotation = nearest_rotation(covariance)
    if with_scale:
        spread = (weights * source.square().sum(-1)).sum(-1)
        along = (covariance * rotation).sum((-1, -2))
        known = spread > 0
        scale = torch.where(known, along / torch.where(known, spread, 1.0), 1.0)
    else:
        scale = torch.ones_like(weights.sum(-1))
    translation = mean_target - scale[..., None] * (rotation @ mean_source[..., None])[..., 0]
    return Similarity(scale=scale, rotation=rotation, translation=translation)
