"""Depth, points and confidence against exact truth, up to one scale per clip.

Legend: B clips, N frames, H×W pixels; p predicted point, q true point, z its depth, s scale, w weight, n normal.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional

from unish.geometry.alignment import solve_scale
from unish.geometry.statistics import weighted_median
from unish.geometry.surfaces import link_neighbours, normals_from_points
from unish.lab.training.losses.penalties import angle_between, mean_where

_FAR = 80.0  # metres: beyond, depth is "far" (sky included); it is clipped to this and counts less
_FAR_WEIGHT = 0.2
_NUM_SOLVER_SAMPLES = 4096
_HALF_GOOD = 0.15  # relative depth error below which a pixel counts as right


@dataclass(frozen=True, kw_only=True)
class PointLosses:
    """The terms of ``compare_points``, and the scale (B,) that brings each clip onto the truth (no gradient)."""

    log_depth: Tensor
    points: Tensor
    edges: Tensor
    anchor: Tensor
    confidence: Tensor
    scale: Float[Tensor, "B"]


def compare_points(
    local_points: Float[Tensor, "B N H W 3"],
    conf_logits: Float[Tensor, "B N H W"],
    true_points: Float[Tensor, "B N H W 3"],
) -> PointLosses:
    """All losses on the point map. Pixels whose true depth is 0 are undefined.

    ``log_depth``: mean |log z|; ``points``: mean |p|₁/z; ``edges``: differences of log-depth between neighbours; each
    after the scale that minimises it exactly. ``anchor``: |mean log-depth error| before any scale, which ties the
    prediction to metres. ``confidence``: cross-entropy against "relative depth error below 15 %".
    """
    true_depth = true_points[..., 2]
    defined = true_depth > 0
    # Far points keep their direction but not their distance: nobody can see whether a cloud is at 200 m or 2 km.
    shrink = (_FAR / true_depth.clamp_min(1e-3)).clamp_max(1.0)
    target = true_points * shrink[..., None]
    weight = torch.where(shrink < 1.0, _FAR_WEIGHT, 1.0) * defined
    inverse_depth = 1.0 / target[..., 2].clamp_min(1e-3)

    scale = find_scale(local_points, target, weight * inverse_depth)
    scaled = local_points * scale[:, None, None, None, None]
    far_capped = scaled * (_FAR / scaled[..., 2:].detach().clamp_min(1e-3)).clamp_max(1.0)
    raw_error = far_capped[..., 2].clamp_min(1e-3).log() - target[..., 2].clamp_min(1e-3).log()
    log_error = raw_error - find_median(raw_error, weight)[:, None, None, None]
    total = weight.sum().clamp_min(1.0)
    wrong = ((far_capped - target).abs().sum(-1) * inverse_depth).clamp_max(5.0)
    near = defined & (shrink >= 1)
    offset = (local_points[..., 2].clamp_min(1e-3).log() - target[..., 2].clamp_min(1e-3).log()) * near
    count = near.sum(dim=(1, 2, 3)).clamp_min(1)
    return PointLosses(
        log_depth=(log_error.abs() * weight).sum() / total,
        points=(wrong * weight).sum() / total,
        edges=_edge_loss(log_error, near),
        anchor=(offset.sum(dim=(1, 2, 3)) / count).abs().mean(),
        confidence=confidence_loss(conf_logits, log_error, defined),
        scale=scale,
    )


def local_point_loss(
    predicted: Float[Tensor, "B N H W 3"],
    truth: Float[Tensor, "B N H W 3"],
    valid: Bool[Tensor, "B N H W"],
    *,
    truncation: float = 1.0,
) -> tuple[Tensor, Float[Tensor, "B N H W"], Float[Tensor, "B"]]:
    """Scale-invariant local points: mean of min(|s·p − q|/z, truncation) over valid pixels and coordinates.

    π³ (Wang et al. 2025), with one scale per clip from the truncated solver of MoGe (Wang et al. 2024). The
    loss is truncated like the sum that the scale minimises. With any other pair of the two the network could lower the
    loss by drifting in scale.

    Returns:
        The loss; the relative error ‖s·p − q‖₁/z of every pixel (0 where not valid; see ``confidence_loss``); s.
    """
    weight = torch.where(valid, 1.0 / torch.where(valid, truth[..., 2], 1.0), 0.0)
    truth = torch.where(valid[..., None], truth, 0.0)
    scale = find_scale(predicted, truth, weight, truncation=truncation)
    wrong = (predicted * scale[:, None, None, None, None] - truth).abs() * weight[..., None]
    return mean_where(wrong.clamp_max(truncation).mean(-1), valid), wrong.sum(-1), scale


def normal_loss(
    predicted: Float[Tensor, "B N H W 3"],
    truth: Float[Tensor, "B N H W 3"],
    valid: Bool[Tensor, "B N H W"],
    *,
    relative_step: float = 0.1,
) -> Tensor:
    """Mean angle (radians) between the normals of predicted and true points: arccos(n̂ · n) (π³, MoGe).

    Neighbours whose true depths differ by more than ``relative_step`` lie on two surfaces; no triangle joins them, in
    the truth and in the prediction alike, so a pixel without neighbours on its own surface has no normal.
    """
    links = link_neighbours(truth[..., 2], valid, relative_step=relative_step)
    found, found_exists = normals_from_points(predicted, valid, links=links)
    wanted, wanted_exists = normals_from_points(truth, valid, links=links)
    return mean_where(angle_between(found, wanted), found_exists & wanted_exists)


def posture_loss(
    predicted: Float[Tensor, "B N H W 3"],
    truth: Float[Tensor, "B N H W 3"],
    valid: Bool[Tensor, "B N H W"],
    *,
    relative_step: float = 0.1,
    strides: tuple[int, ...] = (1, 4),
) -> Tensor:
    """Mean of ``normal_loss`` over pixel grids of several strides: neighbours show folds, wider ones limbs."""
    grids = [(slice(None), slice(None), slice(k // 2, None, k), slice(k // 2, None, k)) for k in strides]
    angles = [normal_loss(predicted[at], truth[at], valid[at], relative_step=relative_step) for at in grids]
    return torch.stack(angles).mean()


def confidence_loss(
    conf_logits: Float[Tensor, "B N H W"],
    relative_error: Float[Tensor, "B N H W"],
    defined: Bool[Tensor, "B N H W"],
    *,
    threshold: float = _HALF_GOOD,
) -> Tensor:
    """Cross-entropy of "the error is below the threshold" (π³); where nothing is defined nothing is right."""
    right = ((relative_error.detach().abs() < threshold) & defined).to(conf_logits.dtype)
    return functional.binary_cross_entropy_with_logits(conf_logits, right)


@torch.no_grad()
def find_median(values: Float[Tensor, "B *shape"], weight: Float[Tensor, "B *shape"]) -> Float[Tensor, "B"]:
    """The offset that minimises Σ w·|value − offset|, on an even sample; 0 for a clip without truth."""
    step = max(1, weight[0].numel() // _NUM_SOLVER_SAMPLES)
    return weighted_median(values.flatten(1)[:, ::step], weight.flatten(1)[:, ::step]).nan_to_num(0.0)


@torch.no_grad()
def find_scale(
    predicted: Float[Tensor, "B *shape 3"],
    target: Float[Tensor, "B *shape 3"],
    weight: Float[Tensor, "B *shape"],
    *,
    truncation: float | None = None,
) -> Float[Tensor, "B"]:
    """The scale that minimises Σ min(w·|s·p − q|, truncation) exactly, on an even sample of the points.

    1 for a clip without truth. The sum goes over points and coordinates.

    It has no gradient, which is right because it is the minimiser: with any other fixed scale the loss could be lowered
    by drifting, until depth is constant. (The same scale in another loss, log-depth for one, is such an "other".)
    """
    num_clips, num_points = weight.shape[0], weight[0].numel()
    step = max(1, num_points // _NUM_SOLVER_SAMPLES)
    source, wanted = (x.reshape(num_clips, num_points, 3)[:, ::step].flatten(1) for x in (predicted, target))
    mass = weight.reshape(num_clips, num_points, 1)[:, ::step].expand(-1, -1, 3).flatten(1)
    scale = solve_scale(source, wanted, mass, truncation=truncation)
    return torch.where(scale > 1e-4, scale, torch.ones_like(scale))  # NaN compares false


def _edge_loss(log_error: Float[Tensor, "B N H W"], valid: Bool[Tensor, "B N H W"]) -> Tensor:
    """Mean absolute change of the log-depth error between pixels 1 and 4 apart, along rows and columns."""
    terms = []
    for step in (1, 4):
        for dim in (-1, -2):
            size = log_error.shape[dim] - step
            change = (log_error.narrow(dim, step, size) - log_error.narrow(dim, 0, size)).abs().clamp_max(1.0)
            both = valid.narrow(dim, step, size) & valid.narrow(dim, 0, size)
            terms.append((change * both).sum() / both.sum().clamp_min(1))
    return torch.stack(terms).mean()
