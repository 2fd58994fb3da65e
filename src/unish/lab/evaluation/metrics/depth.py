"""Video depth: one alignment for a whole sequence, then relative errors over its pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from unish.errors import InputError
from unish.geometry.alignment import solve_scale, solve_scale_shift
from unish.geometry.statistics import weighted_median

DepthAlignment = Literal["none", "median", "scale", "scale_exact", "scale_shift"]
"""none: metres against metres. median: the median of true / predicted. scale: least Σ|s·pred − true|, reached by ten
Weiszfeld steps from the ratio of means as published code does. scale_exact: the same sum's exact minimum (a weighted
median). scale_shift: least Σ|s·pred + t − true|, by ten re-weighted least squares."""

MAX_DEPTH_M = 70.0
"""True depths from here on do not count, as in the video-depth benchmarks."""

WEISZFELD_STEPS = 10
_WEISZFELD_FLOOR = 1e-8
_MIN_LOG_DEPTH_M = 1e-3


@dataclass(frozen=True, kw_only=True)
class DepthScores:
    """Scores of one or many sequences; NaN where a sequence has no valid pixel.

    Attributes:
        abs_rel: mean of |pred − true| / true.
        delta: share of pixels with max(pred / true, true / pred) < 1.25.
        log_rmse: root mean square of ln(pred) − ln(true); predictions below a millimetre count as one.
        num_pixels: valid pixels, the weight of the sequence in the mean over sequences.
    """

    abs_rel: Float[Tensor, "*batch"]
    delta: Float[Tensor, "*batch"]
    log_rmse: Float[Tensor, "*batch"]
    num_pixels: Float[Tensor, "*batch"]


def align_depth(
    predicted: Float[Tensor, "*batch N"],
    true: Float[Tensor, "*batch N"],
    valid: Bool[Tensor, "*batch N"],
    alignment: DepthAlignment,
) -> Float[Tensor, "*batch N"]:
    """The prediction in the units of the truth; N runs over all pixels of all frames of a sequence.

    Raises:
        InputError: unknown alignment.
    """
    weights = valid.to(predicted.dtype)
    if alignment == "none":
        return predicted
    if alignment == "median":
        ratio = true / torch.where(predicted > 0, predicted, 1.0)
        return weighted_median(ratio, weights * (predicted > 0))[..., None] * predicted
    if alignment == "scale":
        return _weiszfeld_scale(predicted, true, valid)[..., None] * predicted
    if alignment == "scale_exact":
        return solve_scale(predicted, true, weights)[..., None] * predicted
    if alignment != "scale_shift":
        raise InputError(
            f"unknown alignment of depth {alignment!r}; choose none, median, scale, scale_exact or scale_shift"
        )
    scale, shift = solve_scale_shift(predicted, true, weights)
    return scale[..., None] * predicted + shift[..., None]


def score_depth(
    predicted: Float[Tensor, "*batch T H W"],
    true: Float[Tensor, "*batch T H W"],
    *,
    alignment: DepthAlignment,
    max_depth: float = MAX_DEPTH_M,
    clip_predicted: float | None = None,
) -> DepthScores:
    """AbsRel, δ < 1.25 and log-RMSE after one alignment per sequence.

    A pixel counts when 0 < true < ``max_depth``. A pixel that counts and has no prediction (0 or NaN) keeps the value 0
    when aligned, an AbsRel of 1: leaving pixels out is never rewarded. It has no say in the alignment.

    Args:
        clip_predicted: aligned depths beyond it become it, as some published scripts do (70); off by default.
    """
    predicted, true = predicted.double().flatten(-3), true.double().flatten(-3)
    valid = (true > 0) & (true < max_depth)
    made = valid & predicted.isfinite() & (predicted > 0)
    true = torch.where(valid, true, 1.0)
    aligned = align_depth(torch.where(made, predicted, 0.0), true, made, alignment)
    aligned = torch.where(made, aligned, 0.0)
    if clip_predicted is not None:
        aligned = aligned.clamp_max(clip_predicted)
    relative = (aligned - true).abs() / true
    ratio = torch.maximum(aligned / true, true / aligned.clamp_min(1e-12))
    logs = aligned.clamp_min(_MIN_LOG_DEPTH_M).log() - true.log()
    total = valid.sum(-1).double()
    count = torch.where(total > 0, total, torch.nan)
    return DepthScores(
        abs_rel=torch.where(valid, relative, 0.0).sum(-1) / count,
        delta=(valid & (ratio < 1.25)).sum(-1) / count,
        log_rmse=(torch.where(valid, logs.square(), 0.0).sum(-1) / count).sqrt(),
        num_pixels=total,
    )


def average_depth_scores(scores: Sequence[DepthScores]) -> DepthScores:
    """Mean over sequences weighted by their valid pixels, as the field reports; sequences without any have no say.

    Raises:
        InputError: no sequence at all.
    """
    if not scores:
        raise InputError("there are no depth scores to average; score at least one sequence")
    pixels = torch.stack([score.num_pixels for score in scores])
    total = pixels.sum(0)
    share = pixels / torch.where(total > 0, total, torch.nan)

    def mean(values: list[Tensor]) -> Tensor:
        return torch.where(pixels > 0, share * torch.stack(values), share * 0).sum(0)

    return DepthScores(
        abs_rel=mean([score.abs_rel for score in scores]),
        delta=mean([score.delta for score in scores]),
        log_rmse=mean([score.log_rmse for score in scores]),
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


def _weiszfeld_scale(
    predicted: Float[Tensor, "*batch N"], true: Float[Tensor, "*batch N"], valid: Bool[Tensor, "*batch N"]
) -> Float[Tensor, "*batch"]:
    """Re-weighted least squares towards the L1 scale, from the ratio of means; NaN without a valid pixel."""
    predicted, true = torch.where(valid, predicted, 0.0), torch.where(valid, true, 0.0)
    scale = true.sum(-1) / predicted.sum(-1)
    for _ in range(WEISZFELD_STEPS):
        residual = (scale[..., None] * predicted - true).abs() + _WEISZFELD_FLOOR
        weights = torch.where(valid, 1 / residual, 0.0)
        scale = (weights * predicted * true).sum(-1) / (weights * predicted.square()).sum(-1)
    return scale
