"""Surface detail of people from a single-image depth expert, without its idea of where the surface lies.

After the refinement stage of UniSH: in every small neighbourhood of a person the prediction is aligned to the expert's
depth by a scale and a shift of its own, with the truncated solver of MoGe (Wang et al. 2024). What no local scale and
shift explains is detail, and only that is learnt.

Legend: B clips, N frames, H×W pixels; M = B·N maps of L = H·W pixels in a row; D pixels that are drawn; K anchors,
S samples in the neighbourhood of each; z predicted depth, d the expert's, c confidence, s scale, t shift, P points.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional

from unish.geometry.alignment import solve_exact_scale_shift
from unish.lab.training.losses.penalties import mean_where
from unish.lab.training.losses.sampling import sample_entries, take

_EXACTLY = "donot_use_mm_for_euclid_dist"  # a matrix product loses the digits of small distances far away
_LEAST_SHARE = 0.1  # of a square that people take, below which their mean says little


@dataclass(frozen=True, kw_only=True)
class DistillationConfig:
    """How neighbourhoods are drawn.

    Attributes:
        num_anchors: neighbourhoods per frame.
        radius: of a neighbourhood (τ of the paper), in the unit of ``positions``.
        num_pixels: of a frame's people that are looked at in one step; a bound on memory.
        num_samples: of one neighbourhood that take part; the solver's work grows with their square.
        min_samples: a neighbourhood with fewer says nothing.
        truncation: residual, relative to depth, from which a sample is an outlier (another surface, not detail).
    """

    num_anchors: int = 32
    radius: float = 0.15
    num_pixels: int = 4096
    num_samples: int = 64
    min_samples: int = 8
    truncation: float = 0.05


def detail_loss(
    local_points: Float[Tensor, "B N H W 3"],
    expert_depth: Float[Tensor, "B N H W"],
    person_mask: Bool[Tensor, "B N H W"],
    *,
    confidence: Float[Tensor, "B N H W"],
    positions: Float[Tensor, "B N H W 3"],
    generator: torch.Generator,
    config: DistillationConfig,
) -> Tensor:
    """Σ min(c · |s_k·z + t_k − d| / d, truncation) / Σ c over the samples of all neighbourhoods.

    s_k and t_k minimise the share of neighbourhood k, so no other local scale or shift of the prediction changes the
    loss: an expert that is wrong by a smooth factor or offset costs nothing, and cannot move the person. Gradients pass
    through both, that is through the two samples that they meet exactly. Dividing by the expert's depth makes the loss
    independent of its unit. Only depth is compared: the expert's rays are not ours.

    Args:
        expert_depth: any unit; not positive where the expert does not know.
        person_mask: the pixels that show people.
        confidence: in [0, 1], how much a pixel counts; a constant, or the network could buy a lower loss with doubt.
        positions: where distances between pixels are measured, without gradient: the points of the *frozen* network
            times its scale, so that neighbourhoods have one size in metres and stay the same all through training.
        generator: decides which pixels and anchors are drawn.
    """
    flat = [x.flatten(0, 1).flatten(1, 2) for x in (expert_depth, person_mask, confidence.detach())]
    depth, known, weight = flat[0], flat[1] & (flat[0] > 0) & (flat[2] > 0), flat[2]
    pixels, drawn = sample_entries(known, config.num_pixels, generator)
    places = take(positions.detach().flatten(0, 1).flatten(1, 2), pixels)
    neighbours, chosen = _find_neighbours(places, drawn, config)

    samples = take(pixels[..., None], neighbours)[..., 0]
    predicted, wanted, mass = (
        take(x[..., None], samples)[..., 0] for x in (local_points[..., 2].flatten(0, 1).flatten(1, 2), depth, weight)
    )
    # What is not chosen repeats some pixel, perhaps one without depth.
    wanted = torch.where(chosen, wanted, 1.0)
    mass = torch.where(chosen, mass, 0.0)
    scale, shift = (
        x[..., None] for x in solve_exact_scale_shift(predicted, wanted, mass / wanted, truncation=config.truncation)
    )
    # Turned inside out, or too few to tell: no alignment, no lesson.
    mass = mass * ((scale > 0) & (chosen.sum(-1, keepdim=True) >= config.min_samples))
    residual = mass * (scale * predicted + shift - wanted).abs() / wanted
    return residual.clamp_max(config.truncation).sum() / mass.sum().clamp_min(torch.finfo(mass.dtype).tiny)


def forgetting_loss(
    local_points: Float[Tensor, "B N H W 3"],
    frozen_points: Float[Tensor, "B N H W 3"],
    mask: Bool[Tensor, "B N H W"],
) -> Tensor:
    """Mean ‖P − P_frozen‖₁ / z_frozen over the mask: what the network knew about everything else, it keeps.

    Args:
        frozen_points: of the network before the stage, in the same scale.
        mask: the pixels that do not show people, or all of them for the term as published.
    """
    frozen = frozen_points.detach()
    change = (local_points - frozen).abs().sum(-1) / frozen[..., 2].clamp_min(1e-6)
    return mean_where(change, mask)


def place_loss(
    local_points: Float[Tensor, "B N H W 3"],
    frozen_points: Float[Tensor, "B N H W 3"],
    person_mask: Bool[Tensor, "B N H W"],
    *,
    cell: int = 8,
) -> Tensor:
    """Mean |mean of log z − log z_frozen| over squares of ``cell`` pixels that show people: they stay where they are.

    Inside of a square the surface is free, which ``forgetting_loss`` on people would not allow.
    """
    mask = person_mask.to(local_points.dtype)
    frozen = frozen_points.detach()[..., 2]
    change = torch.where(person_mask, local_points[..., 2].log() - frozen.log(), 0.0)
    total, share = (functional.avg_pool2d(x.flatten(0, 1)[:, None], cell, ceil_mode=True) for x in (change, mask))
    return mean_where((total / share.clamp_min(1e-6)).abs(), share > _LEAST_SHARE)


@torch.no_grad()
def _find_neighbours(
    places: Float[Tensor, "M D 3"], drawn: Bool[Tensor, "M D"], config: DistillationConfig
) -> tuple[Int[Tensor, "M K S"], Bool[Tensor, "M K S"]]:
    """Drawn pixels within the radius of each anchor, and which of them are real; the first K drawn ones are anchors.

    They were drawn in random order, so the first are as good as any.
    """
    anchors = slice(0, config.num_anchors)
    within = torch.cdist(places[:, anchors], places, compute_mode=_EXACTLY) <= config.radius
    within &= drawn[:, anchors, None] & drawn[:, None]
    order = torch.arange(places.shape[1], 0, -1, device=places.device)
    rank, index = (within * order).topk(min(config.num_samples, places.shape[1]), dim=-1)
    return index, rank > 0
