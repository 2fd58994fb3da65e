"""Video depth: one alignment for a whole sequence, then relative errors over its pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from unish.geometry.alignment import solve_scale, solve_scale_shift
from unish.geometry.statistics import weighted_median

DepthAlignment = Literal["none", "median", "scale", "scale_shift"]
"""none: metres against metres. median: the median of true / predicted. scale: least Σ|s·pred − true|. scale_shift: the
same with a shift."""

MAX_DEPTH_M = 70.0
"""True depths from here on do not count, as in the video-depth benchmarks."""


@dataclass(frozen=True, kw_only=True)
class DepthScores:
    """Scores of one or many sequences; NaN where a sequence has no valid pixel.

    Attributes:
        abs_rel: mean of |pred − true| / true.
        delta: share of pixels with max(pred / true, true / pred) < 1.25.
        num_pixels: valid pixels, the weight of the sequence in the mean over sequences.
    """

    abs_rel: Float[Tensor, "*batch"]
    delta: Float[Tensor, "*batch"]
    num_pixels: Float[Tensor, "*batch"]


def align_depth(
    predicted: Float[Tensor, "*batch N"],
    true: Float[Tensor, "*batch N"],
    valid: Bool[Tensor, "*batch N"],
    alignment: DepthAlignment,
) -> Float[Tensor, "*batch N"]:
    """The prediction in the units of the truth; N runs over all pixels of all frames of a sequence.

    Published code reaches the L1 scale by ten Weiszfeld steps from the ratio of means; here it is exact (the weighted
    median), which differs from it in the fourth digit at most.
    """
    weights = valid.to(predicted.dtype)
    if alignment == "none":
        return predicted
    if alignment == "median":
        ratio = true / torch.where(predicted > 0, predicted, 1.0)
        return weighted_median(ratio, weights * (predicted > 0))[..., None] * predicted
    if alignment == "scale":
        return solve_scale(predicted, true, weights)[..., None] * predicted
    scale, shift = solve_scale_shift(predicted, true, weights)
    return scale[..., None] * predicted + shift[..., None]


def score_depth(
    predicted: Float[Tensor, "*batch T H W"],
    true: Float[Tensor, "*batch T H W"],
    *,
    alignment: DepthAlignment,
    max_depth: float = MAX_DEPTH_M,
) -> DepthScores:
    """AbsRel and δ < 1.25 after one alignment per sequence.

    A pixel counts when 0 < true < ``max_depth``. A pixel that counts and has no prediction (0 or NaN) keeps the value 0
    when aligned, an AbsRel of 1: leaving pixels out is never rewarded. It has no say in the alignment.
    """
    predicted, true = predicted.double().flatten(-3), true.double().flatten(-3)
    valid = (true > 0) & (true < max_depth)
    made = valid & predicted.isfinite() & (predicted > 0)
    true = torch.where(valid, true, 1.0)
    aligned = align_depth(torch.where(made, predicted, 0.0), true, made, alignment)
    aligned = torch.where(made, aligned, 0.0)
    relative = (aligned - true).abs() / true
    ratio = torch.maximum(aligned / true, true / aligned.clamp_min(1e-12))
    total = valid.sum(-1).double()
    count = torch.where(total > 0, total, torch.nan)
    return DepthScores(
        abs_rel=torch.where(valid, relative, 0.0).sum(-1) / count,
        delta=(valid & (ratio < 1.25)).sum(-1) / count,
        num_pixels=total,
    )


def metric_scale_error(
    predicted: Float[Tensor, "*batch T H W"], true: Float[Tensor, "*batch T H W"], *, max_depth: float = MAX_DEPTH_M
) -> Float[Tensor, "*batch"]:
    """|exp(median of log(predicted / true)) − 1|: how far metres are from metres; 0.1 = everything 10 % off."""
    predicted, true = predicted.double().flatten(-3), true.double().flatten(-3)
    valid = (true > 0) & (true < max_depth) & predicted.isfinite() & (predicted > 0)
    ratio = torch.where(valid, predicted, 1.0).log() - torch.where(valid, true, 1.0).log()
    return (weighted_median(ratio, valid.double()).exp() - 1).abs()
