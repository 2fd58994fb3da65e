"""Soft matches against the flow that exact depth and cameras imply, occlusion and moving people taken into account.

Legend: B clips, N frames, E pairs, h×w the query grid (stride 8), Q = h·w.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional

from unish.geometry.camera import unproject
from unish.geometry.rigid import transform_points
from unish.lab.training.losses.sampling import look_up
from unish.network.correspondence import QUERY_STRIDE, TARGET_STRIDE

_SAME_SURFACE = 0.05  # relative difference of depth up to which two pixels show one surface
_GOOD_MATCH_PX = 1.5


@dataclass(frozen=True, kw_only=True)
class TrueMatches:
    """Where each query point of a pair's first frame is in the second.

    Attributes:
        targets_px: (B, E, Q, 2) pixels of the image.
        usable: (B, E, Q) in view, not hidden, part of the static scene: there is a right answer.
        judged: (B, E, Q) truth is defined, so that "no usable match here" is an answer too.
    """

    targets_px: Float[Tensor, "B E Q 2"]
    usable: Bool[Tensor, "B E Q"]
    judged: Bool[Tensor, "B E Q"]


@torch.no_grad()
def find_true_matches(
    depth: Float[Tensor, "B N H W"],
    person_ids: Int[Tensor, "B N H W"],
    intrinsics: Float[Tensor, "B N 3 3"],
    first_to_second: Float[Tensor, "B E 4 4"],
    pairs: Int[Tensor, "2 E"],
) -> TrueMatches:
    """Move the query points of the first frames into the second ones and look whether they are seen there."""
    first, second = pairs
    corners = torch.stack([depth[..., i::QUERY_STRIDE, j::QUERY_STRIDE] for i in (3, 4) for j in (3, 4)])
    # A query point lies between four pixels; where they show two surfaces it has no single depth.
    smooth = corners.amax(0) <= (1 + _SAME_SURFACE) * corners.amin(0)
    defined = (corners.amin(0) > 0).flatten(2)
    cells = intrinsics / intrinsics.new_tensor([QUERY_STRIDE, QUERY_STRIDE, 1.0])[:, None]
    points = unproject(corners.mean(0), cells).flatten(2, 3)[:, first]
    moved = transform_points(first_to_second, points)
    homogeneous = moved @ intrinsics[:, second].transpose(-1, -2)
    targets = homogeneous[..., :2] / homogeneous[..., 2:].clamp_min(1e-3)

    size = depth.shape[-2:]
    inside = (targets >= 0).all(-1) & (targets[..., 0] < size[1]) & (targets[..., 1] < size[0]) & (moved[..., 2] > 0.05)
    seen = look_up(depth[:, second], targets)
    visible = inside & ((seen - moved[..., 2]).abs() < _SAME_SURFACE * moved[..., 2])
    moving = (person_ids[..., 4::QUERY_STRIDE, 4::QUERY_STRIDE] >= 0).flatten(2)
    static = ~moving[:, first] & (look_up(person_ids[:, second], targets) < 0)
    return TrueMatches(
        targets_px=targets,
        usable=visible & static & (smooth.flatten(2) & defined)[:, first],
        judged=defined[:, first],
    )


def match_losses(
    targets_px: Float[Tensor, "U B E h w 2"],
    weight_logits: Float[Tensor, "B E h w"],
    log_probability: Float[Tensor, "B E Q Q"],
    truth: TrueMatches,
) -> dict[str, Tensor]:
    """Losses of matches against the truth.

    ``coarse``: cross-entropy of the comparison; ``flow``: distance in target cells, rounded off at zero; ``weight``:
    cross-entropy of "usable, and right within 1.5 pixels".
    """
    grid = (targets_px.shape[-3], targets_px.shape[-2])
    usable = truth.usable.to(log_probability.dtype)
    count = usable.sum().clamp_min(1.0)
    coarse = -_sample_cells(log_probability, truth.targets_px / QUERY_STRIDE - 0.5, grid)
    distance = (targets_px.flatten(3, 4) - truth.targets_px).norm(dim=-1)  # (U, B, E, Q)
    # A match that is two pixels off spoils a camera, so the loss stays steep down to half a pixel.
    flow = functional.smooth_l1_loss(distance / TARGET_STRIDE, torch.zeros_like(distance), beta=0.125, reduction="none")
    right = (truth.usable & (distance[-1].detach() < _GOOD_MATCH_PX)).to(weight_logits.dtype)
    judged = truth.judged.to(weight_logits.dtype)
    weight = functional.binary_cross_entropy_with_logits(weight_logits.flatten(2), right, reduction="none")
    return {
        "coarse": (coarse * usable).sum() / count,
        "flow": (flow.mean(0) * usable).sum() / count,
        "weight": (weight * judged).sum() / judged.sum().clamp_min(1.0),
    }


def _sample_cells(
    log_probability: Float[Tensor, "B E Q Q"], cells: Float[Tensor, "B E Q 2"], grid: tuple[int, int]
) -> Float[Tensor, "B E Q"]:
    """Bilinear mixture of the log-probabilities of the four cells around a position given in cell indices."""
    height, width = grid
    low = cells.floor()
    part = cells - low
    total = torch.zeros_like(cells[..., 0])
    for dx in (0, 1):
        for dy in (0, 1):
            column = (low[..., 0] + dx).clamp(0, width - 1).long()
            row = (low[..., 1] + dy).clamp(0, height - 1).long()
            share = (part[..., 0] if dx else 1 - part[..., 0]) * (part[..., 1] if dy else 1 - part[..., 1])
            value = log_probability.gather(-1, (row * width + column)[..., None])[..., 0]
            total = total + share * value
    return total
