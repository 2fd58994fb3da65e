"""Does a camera in one place explain the matches of a clip, at rest, turning, or zooming?

Legend: B clips, N frames, A anchors of a frame, P pairs of frames.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional

from unish.geometry.linear import solve_positive_definite
from unish.geometry.parallax import fit_turn
from unish.geometry.statistics import weighted_mean, weighted_quantile
from unish.network.view_config import ViewSolverConfig

_CELLS = 16  # of the long side of the picture
_NO_OPINION = 1e-4  # weight, beside that of a pair, with which the focal length stays from frame to frame
_TINY = 1e-9


@dataclass(frozen=True, kw_only=True)
class Parallax:
    """What the matches of B clips say of how their cameras move.

    Attributes:
        rotation: (B, P) of a camera that stays in its place, first to second.
        log_zoom: (B, P) log of the second focal length over the first.
        moves, zooms, still: the camera changes its place; its focal length; it does nothing at all.
    """

    rotation: Float[Tensor, "B P 3 3"]
    log_zoom: Float[Tensor, "B P"]
    moves: Bool[Tensor, "B"]
    zooms: Bool[Tensor, "B"]
    still: Bool[Tensor, "B"]


def ask_for_parallax(
    anchors: Float[Tensor, "B P A 2"],
    targets: Float[Tensor, "B P A 2"],
    weights: Float[Tensor, "B P A"],
    intrinsics: Float[Tensor, "B P 3 3"],
    pairs: list[tuple[int, int]],
    unit: float,
    config: ViewSolverConfig,
) -> Parallax:
    """Whether a camera in one place explains the matches."""
    usable = (weights > 0).sum(-1) >= config.min_matches
    turn = fit_turn(anchors, targets, weights, intrinsics, zooms=False)
    zoom = fit_turn(anchors, targets, weights, intrinsics)
    # In front of a single wall a zoom looks like coming nearer. It is taken for one only where it explains nearly all
    # matches, and these are all over the picture.
    most = [weighted_quantile(fit.residual_px, weights, config.zoom_explains) for fit in (turn, zoom)]
    half_sides = intrinsics[..., :2, 2]
    zooms = (zoom.log_zoom.abs() > config.min_log_zoom) & (most[1] < config.zoom_share * most[0])
    zooms &= (_measure_spread(anchors, weights) / half_sides).amin(-1) > config.min_spread
    # From one frame to the next a slow zoom is too small to be told: where frames farther apart tell it, it is the
    # zoom of all.
    zoomed = largest_of_gaps(zooms.to(weights), usable, pairs, config, share=0.5) > 0
    left = torch.where(zoomed[:, None, None], zoom.residual_px, turn.residual_px)
    residual = weighted_quantile(left, weights, config.quantile) * unit
    apart = (targets - anchors).norm(dim=-1) * unit
    stands = _ask_for_rest(anchors, apart, weights, half_sides, usable, pairs, config)
    moves = (largest_of_gaps(residual, usable, pairs, config) > config.parallax_px) & ~stands
    apart = weighted_quantile(apart, weights, config.quantile)
    still = stands | (~moves & (largest_of_gaps(apart, usable, pairs, config) <= config.still_px))
    rotation = torch.where(zoomed[:, None, None, None], zoom.rotation, turn.rotation)
    return Parallax(
        rotation=torch.where(still[:, None, None, None], torch.eye(3).to(rotation), rotation),
        log_zoom=zoom.log_zoom,
        moves=moves,
        zooms=zoomed & ~still,
        still=still,
    )


def chain_zooms(
    log_zoom: Float[Tensor, "B P"], weights: Float[Tensor, "B P"], pairs: list[tuple[int, int]], num_frames: int
) -> Float[Tensor, "B N"]:
    """Log focal lengths whose differences are those of the pairs, by least squares; 0 on average.

    A frame that no pair joins has the one of its neighbours.

    Args:
        log_zoom: log of the focal length of the second frame of a pair over that of the first.
        weights: ≥ 0.
    """
    first, second = torch.tensor(pairs, device=log_zoom.device).T
    steps = torch.arange(num_frames - 1, device=log_zoom.device)
    # Neighbours that hardly differ, and a mean of zero, decide what no pair does.
    left, right = torch.cat([first, steps]), torch.cat([second, steps + 1])
    difference = functional.one_hot(right, num_frames) - functional.one_hot(left, num_frames)
    rows = difference.to(log_zoom)
    weights = weights / weights.amax(1, keepdim=True).clamp_min(1.0)
    sure = functional.pad(weights, (0, len(steps)), value=_NO_OPINION)
    normal = rows.mT @ (sure[..., None] * rows) + torch.ones(num_frames, num_frames).to(log_zoom)
    wanted = functional.pad(log_zoom, (0, len(steps)))
    return solve_positive_definite(normal, (sure * wanted) @ rows)


def _ask_for_rest(
    anchors: Float[Tensor, "B P A 2"],
    apart_px: Float[Tensor, "B P A"],
    weights: Float[Tensor, "B P A"],
    half_sides: Float[Tensor, "B P 2"],
    usable: Bool[Tensor, "B P"],
    pairs: list[tuple[int, int]],
    config: ViewSolverConfig,
) -> Bool[Tensor, "B"]:
    """Whether in every pair some matches all over the picture keep their place, whatever the others do.

    What passes close by can have more texture than the scene, cover most of it, and leave little of it that two frames
    far apart both show. But no camera that moves leaves a part of the picture where it was. Every part of the picture
    has the same say, however many matches it has.
    """
    cell = (anchors / (half_sides.amax(-1)[..., None, None] * 2 / _CELLS)).floor().long()
    index = (cell[..., 1] * _CELLS + cell[..., 0]).clamp(0, _CELLS**2 - 1)
    crowd = functional.pad(torch.zeros_like(weights[..., :1]), (0, _CELLS**2 - 1)).scatter_add(-1, index, weights)
    weights = weights / crowd.gather(-1, index).clamp_min(_TINY)
    kept = weights * (apart_px <= config.still_px)
    share = kept.sum(-1) / weights.sum(-1).clamp_min(_TINY)
    spread = (_measure_spread(anchors, kept) / half_sides).amin(-1).nan_to_num(0.0)
    smallest = -largest_of_gaps(-share, usable, pairs, config)
    return (smallest > config.still_share) & (largest_of_gaps(spread, usable, pairs, config) > config.still_spread)


def largest_of_gaps(
    values: Float[Tensor, "B P"],
    usable: Bool[Tensor, "B P"],
    pairs: list[tuple[int, int]],
    config: ViewSolverConfig,
    *,
    share: float = 0.2,
) -> Float[Tensor, "B"]:
    """The largest value of all gaps between frames: of each gap the one that this share of its pairs exceed.

    A single pair can be matched wrongly; but a camera that is at rest for most of a clip does move.
    """
    # Pairs that are farther apart than those of every frame are one kind.
    gaps = torch.tensor([second - first for first, second in pairs], device=values.device)
    gaps = gaps.clamp_max(max(config.gaps) + 1)
    known = torch.where(usable, values, torch.nan)
    exceeded = [known[:, gaps == gap].nanquantile(1.0 - share, dim=1, interpolation="lower") for gap in gaps.unique()]
    # A gap without a pair that tells says nothing; where none does, the answer is 0.
    largest = torch.stack(exceeded).nan_to_num(-torch.inf).amax(0)
    return torch.where(largest == -torch.inf, 0.0, largest)


def _measure_spread(px: Float[Tensor, "B P A 2"], weights: Float[Tensor, "B P A"]) -> Float[Tensor, "B P 2"]:
    """Standard deviation of places, pixels."""
    middle = weighted_mean(px, weights)[..., None, :]
    return weighted_mean((px - middle).square(), weights).sqrt()
