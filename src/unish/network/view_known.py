"""Where cameras are known: the unit of the depth prior, and whether the pictures agree with them.

Legend: B clips, N frames, A anchors of a frame, P pairs of frames.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional

from unish.geometry.rigid import invert_rigid, make_rigid
from unish.geometry.statistics import weighted_median, weighted_quantile
from unish.geometry.two_view import compose_essential, sampson_errors
from unish.network.matching.records import SparseMatches
from unish.network.view_config import ViewSolverConfig
from unish.network.view_parallax import largest_of_gaps
from unish.network.view_start import USUAL_SIDE, ViewStart

_MOST_PARALLAX_PX = 10.0  # from which on a match says no more about the unit: the prior's own relief is the error then
_TINY = 1e-12


@dataclass(frozen=True, kw_only=True)
class KnownStart:
    """A start at given cameras.

    Attributes:
        start: every frame is joined, every pair believed; without places where the pictures show no parallax.
        log_unit: what the log-depth prior lacks to be in the unit of the cameras; 0 without parallax.
        error_px: median Sampson error of all matches, in pixels of a picture whose long side has 640.
    """

    start: ViewStart
    log_unit: Float[Tensor, "B"]
    error_px: Float[Tensor, "B"]


@torch.no_grad()
def start_at_cameras(
    matches: SparseMatches,
    pairs: list[tuple[int, int]],
    prior_log_depth: Float[Tensor, "B N A"],
    w2c: Float[Tensor, "B N 4 4"],
    intrinsics: Float[Tensor, "B N 3 3"],
    long_side: int,
    config: ViewSolverConfig,
) -> KnownStart:
    """Let the matches say what the unit of the depth prior is among cameras that are known.

    Args:
        pairs: those of ``matches`` that go forward.
        prior_log_depth: of the anchors.
        w2c: world = first camera.
        long_side: of the images, pixels.
    """
    first, second = torch.tensor(pairs, device=w2c.device).T
    targets, weights = matches.targets_px[:, : len(pairs)], matches.weights[:, : len(pairs)]
    unit = USUAL_SIDE / long_side
    focal, centre = intrinsics.diagonal(dim1=-2, dim2=-1)[..., :2], intrinsics[..., :2, 2]
    relative = w2c[:, second] @ invert_rigid(w2c)[:, first]
    own = _rays(matches.anchors_px[:, first], focal[:, first], centre[:, first])
    seen = _rays(targets, focal[:, second], centre[:, second])
    turned = own @ relative[..., :3, :3].mT
    translation = relative[..., None, :3, 3]

    at_infinity = turned[..., :2] / turned[..., 2:].clamp_min(1e-3)
    parallax_px = ((seen[..., :2] - at_infinity) * focal[:, second, None]).norm(dim=-1) * unit
    usable = (weights > 0).sum(-1) >= config.min_matches
    far_apart = largest_of_gaps(weighted_quantile(parallax_px, weights, config.quantile), usable, pairs, config)

    # (s·z·R·ray + t) × ray' = 0, and every match votes for the s by which its prior depth z is to be multiplied.
    across = torch.linalg.cross(turned, seen)
    offset = torch.linalg.cross(translation.expand_as(seen), seen)
    depth = -(across * offset).sum(-1) / across.square().sum(-1).clamp_min(_TINY)
    tells = weights * (depth > 0) * parallax_px.clamp_max(_MOST_PARALLAX_PX)
    votes = depth.clamp_min(_TINY).log() - prior_log_depth[:, first]
    log_unit = weighted_median(votes.flatten(1), tells.flatten(1)).nan_to_num(0.0)

    path = w2c[..., :3, 3].norm(dim=-1).amax(1)
    moves = (far_apart > config.parallax_px) & (path > 0) & (tells.flatten(1).sum(1) > 0)
    every_frame = torch.ones(w2c.shape[:2], dtype=torch.bool, device=w2c.device)
    never = torch.zeros_like(moves)
    return KnownStart(
        start=ViewStart(
            w2c=make_rigid(w2c[..., :3, :3], w2c[..., :3, 3] * moves[:, None, None]),
            joined=every_frame,
            believed=torch.ones(len(w2c), len(pairs), dtype=torch.bool, device=w2c.device),
            moves=moves,
            zooms=never,
            still=never,
            log_zoom=torch.zeros(w2c.shape[:2], dtype=w2c.dtype, device=w2c.device),
            certain=every_frame,
            turn_deg=torch.zeros_like(path),
        ),
        log_unit=log_unit * moves,
        error_px=_median_error(relative, own, seen, weights, focal[:, second].prod(-1).sqrt()) * unit,
    )


def keep_length(
    adjusted: Float[Tensor, "B N 4 4"], given: Float[Tensor, "B N 4 4"], moves: Bool[Tensor, "B"]
) -> Float[Tensor, "B"]:
    """Logarithm of the factor that brings adjusted cameras (w2c) to the size of those they started from.

    Least squares over the places of the cameras. The adjustment holds the size by the depth prior alone.
    """
    places, wanted = (invert_rigid(w2c)[..., :3, 3].flatten(1) for w2c in (adjusted, given))
    factor = (places * wanted).sum(1) / places.square().sum(1).clamp_min(_TINY)
    return torch.where(moves & (factor > 0), factor.clamp_min(_TINY).log(), 0.0)


def _rays(px: Float[Tensor, "B P A 2"], focal: Tensor, centre: Tensor) -> Float[Tensor, "B P A 3"]:
    return functional.pad((px - centre[:, :, None]) / focal[:, :, None], (0, 1), value=1.0)


def _median_error(
    relative: Float[Tensor, "B P 4 4"],
    own: Float[Tensor, "B P A 3"],
    seen: Float[Tensor, "B P A 3"],
    weights: Float[Tensor, "B P A"],
    focal_px: Float[Tensor, "B P"],
) -> Float[Tensor, "B"]:
    """Of a pair without a baseline every match lies on the epipolar line: it counts as 0, and says nothing."""
    direction = functional.normalize(relative[..., :3, 3], dim=-1)
    essential = compose_essential(relative[..., :3, :3].flatten(0, 1), direction.flatten(0, 1))
    errors = sampson_errors(essential[:, None], own.flatten(0, 1), seen.flatten(0, 1))[:, 0].abs()
    errors = errors.unflatten(0, own.shape[:2]) * focal_px[..., None]
    return weighted_median(errors.flatten(1), weights.flatten(1)).nan_to_num(0.0)
