"""Weighted order statistics on tensors, the robust part of every alignment here."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

MAD_TO_SIGMA = 1.4826
"""Median absolute deviation × this = standard deviation of a normal distribution."""


def weighted_median(values: Float[Tensor, "*batch N"], weights: Float[Tensor, "*batch N"]) -> Float[Tensor, "*batch"]:
    """Lower weighted median over the last axis, a minimiser of Σ w·|value − x|. See ``weighted_quantile``."""
    return weighted_quantile(values, weights, 0.5)


def weighted_quantile(
    values: Float[Tensor, "*batch N"], weights: Float[Tensor, "*batch N"], share: float
) -> Float[Tensor, "*batch"]:
    """The smallest value over the last axis at which a share of the weight is reached.

    Values of weight 0 may be anything, NaN included. NaN where all weight is 0. Differentiable with respect to the
    value that is picked.
    """
    if values.shape[-1] == 0:
        return values.new_full(values.shape[:-1], torch.nan)
    finite = torch.where(weights > 0, values, torch.inf)
    ordered, order = finite.sort(dim=-1)
    cumulative = weights.clamp_min(0).gather(-1, order).cumsum(-1)
    total = cumulative[..., -1:]
    index = (cumulative < total * share).sum(-1, keepdim=True).clamp_max(values.shape[-1] - 1)
    picked = ordered.gather(-1, index)[..., 0]
    return torch.where(total[..., 0] > 0, picked, torch.nan)


def weighted_mean(values: Float[Tensor, "*batch N D"], weights: Float[Tensor, "*batch N"]) -> Float[Tensor, "*batch D"]:
    """Σ w·value / Σ w over the N axis; 0 where all weight is 0. Values of weight 0 may be NaN."""
    kept = torch.where(weights[..., None] > 0, values, 0.0)
    total = weights.sum(-1)[..., None]
    return (weights[..., None] * kept).sum(-2) / torch.where(total > 0, total, 1.0)
