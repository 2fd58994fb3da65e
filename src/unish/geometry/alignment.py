"""Aligning one set of measurements with another: scale, scale and shift, rigid, similarity; weighted and batched."""

from __future__ import annotations

from dataclasses import dataclass

import roma
import torch
from jaxtyping import Float
from torch import Tensor

from unish.geometry.rigid import make_rigid
from unish.geometry.statistics import MAD_TO_SIGMA, weighted_mean, weighted_median

_CAUCHY_TUNING = 2.385
"""Cauchy weight constant that keeps 95 % efficiency on normal noise (in units of its σ)."""


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
    source: Float[Tensor, "*batch N"], target: Float[Tensor, "*batch N"], weights: Float[Tensor, "*batch N"]
) -> Float[Tensor, "*batch"]:
    """The exact minimiser of Σ w·|scale · source − target|: the median of target / source with weights w·|source|.

    This is the "robust, optimal, efficient" scale of MoGe without truncation. Points go in with their coordinates laid
    out along N. Differentiable through the sample that is picked, which is the minimiser's own derivative. NaN where no
    sample has weight and a source other than 0.
    """
    used = (weights > 0) & (source != 0)
    ratio = target / torch.where(used, source, 1.0)
    return weighted_median(ratio, torch.where(used, weights * source.abs(), 0.0))


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
    comes from ``roma.special_procrustes``, whose gradient stays finite where singular values meet.

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
    rotation = roma.special_procrustes(covariance)
    if with_scale:
        spread = (weights * source.square().sum(-1)).sum(-1)
        along = (covariance * rotation).sum((-1, -2))
        known = spread > 0
        scale = torch.where(known, along / torch.where(known, spread, 1.0), 1.0)
    else:
        scale = torch.ones_like(weights.sum(-1))
    translation = mean_target - scale[..., None] * (rotation @ mean_source[..., None])[..., 0]
    return Similarity(scale=scale, rotation=rotation, translation=translation)
