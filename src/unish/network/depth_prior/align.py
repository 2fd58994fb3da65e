"""A depth prior takes the place of the depth that the scene branch found: in the unit of the scene, by its kind.

    metric      one factor for all frames; its inverse says how many metres a unit of the scene has
    scale-free  one factor for each frame (or for all: ``PriorDepth.one_scale``)
    affine      factor and offset of 1 / z for each frame, once by the depth of the scene branch, and where the camera
                moves once more by the anchors of the bundle adjustment, which know better

All fits are medians or least absolute deviations, of a fixed number of steps: people, sky and what either depth gets
wrong do not matter much. Legend: N frames, K samples of a frame.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from unish.geometry.camera import make_intrinsics, resize_intrinsics, unproject
from unish.geometry.linear import solve_positive_definite
from unish.geometry.statistics import weighted_median
from unish.network.depth_prior.record import PriorDepth
from unish.network.outputs import SceneOutput

_MIN_DEPTH = 1e-3
_FARTHEST = 4.0
"""An affine prior puts nothing farther away than this times the farthest depth of the scene branch in the frame."""

_SAMPLES_PER_SIDE = 64
_LEAST_SAMPLES = 64
_FIT_STEPS = 20
_LEAST_RATIO = 0.05  # of 1 / z over what it is fitted to, in a step that would go below zero
_SMALL_RESIDUAL = 0.01  # of log-depth, below which least absolute deviations go over into least squares
_ANCHOR_SIGMA, _BEFORE_SIGMA = 0.03, 0.3  # of log-depth: of anchors beside what they say themselves, of the first fit
_BEFORE_PER_SIDE = 8


@dataclass(frozen=True, kw_only=True)
class AffineDepth:
    """The values of an affine prior, for a fit to anchors.

    Attributes:
        values: 1 / z up to a factor and an offset of each frame.
        known: where the prior stands in the scene's depth now.
        least: lower limit of 1 / z of each frame.
    """

    values: Float[Tensor, "N H W"]
    known: Bool[Tensor, "N H W"]
    least: Float[Tensor, "N"]


def place_prior(
    scene: SceneOutput,
    priors: Sequence[PriorDepth],
    *,
    static: Bool[Tensor, "B N H W"],
    known_camera: bool,
    picture_size: tuple[int, int],
) -> tuple[SceneOutput, list[AffineDepth | None]]:
    """The scene with the depth of the priors wherever they know it and can be aligned; its own depth elsewhere.

    Args:
        scene: of B clips.
        priors: one for each clip.
        static: pixels that show the scene, and not people, sky or padding: both depths are compared there.
        known_camera: the intrinsics of ``scene`` are right; else the focal length of a prior that has one is taken.
        picture_size: see ``UniSH.forward``.

    Returns:
        The scene, and for each clip what ``refit_at_anchors`` needs; ``None`` for priors that need no such fit.
    """
    log_depth = scene.local_points[..., 2].float().clamp_min(_MIN_DEPTH).log()
    size = (log_depth.shape[-2], log_depth.shape[-1])
    intrinsics = scene.intrinsics
    placed, affine, metres = [], list[AffineDepth | None](), []
    for clip, prior in enumerate(priors):
        if prior.focal is not None and not known_camera:
            found = _camera_with(prior.focal, picture_size, size).to(intrinsics)
            intrinsics = intrinsics.index_copy(
                0, torch.tensor([clip], device=intrinsics.device), found.expand(1, log_depth.shape[1], 3, 3)
            )
        values, known = (part.to(log_depth.device) for part in prior.resized(size))
        if prior.kind == "affine":
            depth, fit = _place_affine(log_depth[clip], values, known, static[clip])
            affine.append(fit)
        else:
            depth, unit = _place_scaled(log_depth[clip], values, known, static[clip], prior)
            affine.append(None)
        metres.append((-unit).exp() if prior.kind == "metric" else log_depth.new_tensor(torch.nan))
        placed.append(depth)
    metres_per_unit = torch.stack(metres)
    return replace(
        scene,
        local_points=unproject(torch.stack(placed).exp(), intrinsics.float()),
        intrinsics=intrinsics,
        metres_per_unit=metres_per_unit if metres_per_unit.isfinite().all() else None,
    ), affine


def refit_at_anchors(
    log_depth: Float[Tensor, "N H W"],
    prior: AffineDepth,
    values: Float[Tensor, "N A"],
    anchors_log_depth: Float[Tensor, "N A"],
    information: Float[Tensor, "N A"],
) -> Float[Tensor, "N H W"]:
    """The depth of an affine prior once more, with factor and offset of each frame that fit points of known depth.

    The first fit stays as weak evidence, so that anchors that all lie at one distance do not decide about others.

    Args:
        log_depth: with the prior in its place.
        values: of ``prior`` at the anchors.
        anchors_log_depth, information: in the unit of ``log_depth``, and 1 / variance; 0 where it is not known.
    """
    used = information > 0
    weights = used / (1 / torch.where(used, information, 1.0) + _ANCHOR_SIGMA**2)
    grid = _grid(log_depth, _BEFORE_PER_SIDE)
    factor, offset, _ = fit_affine(
        torch.cat([values, prior.values[grid].flatten(1)], dim=1),
        torch.cat([anchors_log_depth, log_depth[grid].flatten(1)], dim=1),
        torch.cat([weights, prior.known[grid].flatten(1) / _BEFORE_SIGMA**2], dim=1),
    )
    inverse = prior.values * factor[:, None, None] + offset[:, None, None]
    fits = prior.known & (factor > 0)[:, None, None]
    return torch.where(fits, -torch.maximum(inverse, prior.least[:, None, None]).log(), log_depth)


def fit_affine(
    values: Float[Tensor, "N K"], log_depth: Float[Tensor, "N K"], weights: Float[Tensor, "N K"]
) -> tuple[Float[Tensor, "N"], Float[Tensor, "N"], Bool[Tensor, "N"]]:
    """Factor a and offset b of each frame with 1 / z ≈ a · value + b: least absolute errors of log(1 / z).

    Gauss–Newton steps with weights 1 / |error| (iteratively reweighted least squares), from the median depth on.

    Args:
        weights: 1 / variance of ``log_depth``; 0 = not used.

    Returns:
        a, b, and whether there were enough samples for a fit with a > 0.
    """
    count = (weights > 0).sum(1)
    used = torch.where(weights > 0, weights, 0.0).double()
    middle = weighted_median(values, used.to(values.dtype)).nan_to_num(0.0).double()[:, None]
    away = torch.where(used > 0, values.double() - middle, 0.0)
    spread = ((away.abs() * used).sum(1, keepdim=True) / used.sum(1, keepdim=True).clamp_min(1e-12)).clamp_min(1e-12)
    level = weighted_median(log_depth, used.to(log_depth.dtype)).nan_to_num(0.0).double()[:, None]
    # Of about 1 in all respects, whatever the units.
    depth = torch.where(used > 0, (log_depth.double() - level).exp(), 1.0)
    columns = torch.stack([away / spread * depth, depth], dim=-1)
    found = columns.new_tensor([0.0, 1.0]).expand(len(values), 2)
    ridge = 1e-9 * torch.eye(2, dtype=torch.float64, device=values.device)
    for _ in range(_FIT_STEPS):
        fitted = (columns @ found[..., None])[..., 0]
        ratio = fitted.clamp_min(_LEAST_RATIO)
        error, rows = ratio.log(), columns / ratio[..., None]
        weight = used / error.abs().clamp_min(_SMALL_RESIDUAL)
        normal = (rows * weight[..., None]).mT @ rows
        right = (rows * (weight * (fitted / ratio - error))[..., None]).sum(1)
        scale = normal.diagonal(dim1=-2, dim2=-1).sum(-1).clamp_min(1e-12)
        found = solve_positive_definite(normal / scale[:, None, None] + ridge, right / scale[:, None])
    factor = found[:, :1] / spread * (-level).exp()
    offset = found[:, 1:] * (-level).exp() - factor * middle
    enough = (count >= _LEAST_SAMPLES) & (factor[:, 0] > 0) & factor[:, 0].isfinite()
    return factor[:, 0].to(values.dtype), offset[:, 0].to(values.dtype), enough


def _place_affine(
    log_depth: Float[Tensor, "N H W"],
    values: Float[Tensor, "N H W"],
    known: Bool[Tensor, "N H W"],
    static: Bool[Tensor, "N H W"],
) -> tuple[Float[Tensor, "N H W"], AffineDepth]:
    grid = _grid(log_depth, _SAMPLES_PER_SIDE)
    factor, offset, fits = fit_affine(
        values[grid].flatten(1), log_depth[grid].flatten(1), (known & static)[grid].flatten(1).to(values.dtype)
    )
    least = (-log_depth.flatten(1).amax(1)).exp() / _FARTHEST
    placed = known & fits[:, None, None]
    inverse = torch.maximum(values * factor[:, None, None] + offset[:, None, None], least[:, None, None])
    return torch.where(placed, -inverse.log(), log_depth), AffineDepth(values=values, known=placed, least=least)


def _place_scaled(
    log_depth: Float[Tensor, "N H W"],
    values: Float[Tensor, "N H W"],
    known: Bool[Tensor, "N H W"],
    static: Bool[Tensor, "N H W"],
    prior: PriorDepth,
) -> tuple[Float[Tensor, "N H W"], Float[Tensor, ""]]:
    """Depth in the unit of the scene, and log(units of the scene over units of the prior) of the first frame."""
    known = known & (values > 0)
    log_values = torch.where(known, values, 1.0).log()
    grid = _grid(log_depth, _SAMPLES_PER_SIDE)
    apart = (log_depth - log_values)[grid].flatten(1)
    compared = (known & static)[grid].flatten(1).to(apart.dtype)
    if prior.kind == "metric" or prior.one_scale:
        apart, compared = apart.reshape(1, -1), compared.reshape(1, -1)
    unit = weighted_median(apart, compared).expand(len(log_depth))
    fits = known & unit.isfinite()[:, None, None]
    unit = unit.nan_to_num(0.0)
    return torch.where(fits, log_values + unit[:, None, None], log_depth), unit[0]


def _grid(maps: Float[Tensor, "N H W"], per_side: int) -> tuple[slice, slice, slice]:
    """Every k-th pixel, about ``per_side`` of them along each side."""
    down, across = (max(1, side // per_side) for side in maps.shape[-2:])
    return slice(None), slice(down // 2, None, down), slice(across // 2, None, across)


def _camera_with(focal: float, picture_size: tuple[int, int], size: tuple[int, int]) -> Float[Tensor, "3 3"]:
    """Intrinsics in pixels of ``size`` of a picture with this focal length over its diagonal."""
    height, width = picture_size
    return resize_intrinsics(make_intrinsics(torch.tensor(focal * (height**2 + width**2) ** 0.5), height, width),
                             picture_size, size)  # fmt: skip
