"""A smooth correction of log-depth that makes a depth prior agree with sparse points whose depth is known.

The error of a monocular depth prior is not one scale or shift of the picture: it varies smoothly over it. So the
correction is a uniform cubic B-spline over the picture (de Boor, 1978), fitted by regularised least squares. A spline
and not a bilinear surface, since a bilinear one has creases at its knots, which the normals of the corrected surface
show.

Legend: N frames, A anchors of a frame, R×C control points.
"""

from __future__ import annotations

from math import log

import torch
from jaxtyping import Float, Int
from torch import Tensor

from unish.geometry.linear import solve_positive_definite
from unish.geometry.statistics import weighted_mean, weighted_median
from unish.geometry.surfaces import dilate

GRID = (12, 16)
"""Control points along the columns and the rows of a picture."""

STEP_SIGMA = 0.1
"""Standard deviation, in log-depth, by which neighbouring control points are expected to differ."""

LEVEL_SIGMA = 1.0
"""Standard deviation, in log-depth, of a control point about the level of its frame. It only matters far from every
anchor, where the field returns to that level."""

HUBER = 0.1
"""Residual in log-depth beyond which an anchor pulls with constant strength: those on a depth edge belong to another
surface than the prior shows there."""

OUTLIER = log(6.0)
"""Deviation in log-depth from the level of the frame beyond which an anchor says nothing: no prior that is right
elsewhere is so wrong at one place, but a wrong match is."""

FEW = 4
"""Anchors that count as much about the level of a frame as its prior does. Where a picture shows hardly any parallax,
the only anchors that seem to be known are the wrong ones: what is taken for near moves much, and few are left to say
otherwise."""

_ROUNDS = 5
_SOLE_SHARE = 0.1  # of the height of a person in the picture
_BESIDE = 3  # pixels around the feet
_HIDDEN_GROUND = 1e-4  # weight of a person's own pixels beside that of the ground


def fit_depth_field(
    anchors_px: Float[Tensor, "N A 2"],
    log_ratio: Float[Tensor, "N A"],
    weights: Float[Tensor, "N A"],
    size: tuple[int, int],
    *,
    grid: tuple[int, int] = GRID,
    step_sigma: float = STEP_SIGMA,
) -> Float[Tensor, "N R C"]:
    """Control points of the correction of every frame: depth = prior · exp(field); ``sample_depth_field`` gives pixels.

    Minimises Σ w·huber(field − log_ratio) + Σ (difference of neighbours / step_sigma)² + Σ (deviation from the level of
    the frame / LEVEL_SIGMA)² by a fixed number of re-weighted least-squares solves, where the level is the weighted
    median of ``log_ratio`` and of ``FEW`` times a zero. Without a usable anchor the field of a frame is zero.
    Differentiable.

    Args:
        anchors_px: (x, y) in pixels of a picture of ``size``.
        log_ratio: log of the depth of the anchor over that of the prior at its pixel.
        weights: ≥ 0, 1/variance of ``log_ratio``; 0 = not usable, the other values of the anchor may then be NaN.
        size: (height, width).
        grid: (R, C), at least 4 each.
        step_sigma: see ``STEP_SIGMA``.
    """
    usable = weights > 0
    ratio = torch.where(usable, log_ratio, 0.0)
    place = torch.where(usable[..., None], anchors_px, 0.0)
    rows, columns = (
        _spline_basis(place[..., axis], size[1 - axis], grid[1 - axis]) for axis in (1, 0)
    )  # (N, A, R), (N, A, C)
    basis = (rows[..., :, None] * columns[..., None, :]).flatten(-2)  # (N, A, RC)
    level = _find_level(ratio, weights)
    deviation = ratio - level[:, None]
    weights = weights * (deviation.abs() < OUTLIER)
    stiffness = _stiffness(grid, like=ratio) / step_sigma**2
    stiffness = stiffness + torch.eye(len(stiffness), dtype=ratio.dtype, device=ratio.device) / LEVEL_SIGMA**2
    solution = torch.zeros_like(basis[:, 0])
    for _ in range(_ROUNDS):
        residual = (basis @ solution[..., None])[..., 0] - deviation
        trusted = basis * (weights * HUBER / residual.abs().clamp_min(HUBER))[..., None]
        solution = solve_positive_definite(trusted.mT @ basis + stiffness, (trusted.mT @ deviation[..., None])[..., 0])
    return level[:, None, None] + solution.unflatten(-1, grid)


def sample_depth_field(field: Float[Tensor, "N R C"], size: tuple[int, int]) -> Float[Tensor, "N H W"]:
    """The field at every pixel of a picture of ``size`` = (height, width): that of the fit, or the same one resized."""
    rows, columns = (
        _spline_basis(torch.arange(length, dtype=field.dtype, device=field.device) + 0.5, length, count)
        for length, count in zip(size, field.shape[1:], strict=True)
    )
    return rows @ field @ columns.mT


def ground_shift(correction: Float[Tensor, "N h w"], people: Int[Tensor, "N h w"]) -> Float[Tensor, "N P"]:
    """By how much the ground under each person moves, in log-depth; P is the highest index + 1.

    People are no evidence for a correction of the scene, and what it is at their pixels is only what the wall behind
    and the floor below have in common: it would tilt and bend a body. But a person who got none at all would be torn
    off from a floor that moves. So a person should keep the shape that the prior gave and move by one factor: that of
    the scene beside the lowest tenth of the person in the picture, which are the feet, or what is nearest to them.
    Where other people hide all of it, that of the person's own pixels there. 0 for who is not in the frame.

    Args:
        people: index of the person at each pixel, −1 = scene.
    """
    count = int(people.max()) + 1 if people.numel() else 0
    shown = people[:, None] == torch.arange(count, device=people.device)[:, None, None]  # (N, P, h, w)
    row = torch.arange(people.shape[1], dtype=correction.dtype, device=people.device)
    in_row = shown.any(-1)
    last = torch.where(in_row, row, -torch.inf).amax(-1)
    height = last - torch.where(in_row, row, torch.inf).amin(-1)
    low = row >= (last - _SOLE_SHARE * height)[..., None]  # (N, P, h)
    beside = dilate(shown & low[..., None], _BESIDE) & (people < 0)[:, None]
    weights = (beside + _HIDDEN_GROUND * (shown & low[..., None])).to(correction.dtype).flatten(2)
    values = correction[:, None, :, :, None].expand(*shown.shape, 1).flatten(2, 3)
    return weighted_mean(values, weights)[..., 0]


def _find_level(ratio: Float[Tensor, "N A"], weights: Float[Tensor, "N A"]) -> Float[Tensor, "N"]:
    """Weighted median of the ratios and of ``FEW`` zeros, each of the mean weight of an anchor."""
    of_prior = FEW * weights.sum(-1) / (weights > 0).sum(-1).clamp_min(1)
    zero = torch.zeros_like(ratio[:, :1])
    return weighted_median(torch.cat([ratio, zero], -1), torch.cat([weights, of_prior[:, None]], -1)).nan_to_num(0.0)


def _spline_basis(places: Float[Tensor, "*batch"], length: int, count: int) -> Float[Tensor, "*batch K"]:
    """Weight of each of ``count`` control points at places 0…``length`` along one axis; the weights sum to 1.

    One control point lies beyond each end, so that every place has its four.
    """
    control = torch.arange(count, dtype=places.dtype, device=places.device) - 1.0
    distance = ((places / length).clamp(0.0, 1.0) * (count - 3))[..., None] - control
    distance = distance.abs()
    return ((2 - distance).clamp_min(0) ** 3 - 4 * (1 - distance).clamp_min(0) ** 3) / 6


def _stiffness(grid: tuple[int, int], *, like: Tensor) -> Float[Tensor, "K K"]:
    """Σ (difference of neighbours)² as a quadratic form of the control points: the Laplacian of the grid."""
    rows, columns = (_path_laplacian(count, like=like) for count in grid)
    identities = [torch.eye(count, dtype=like.dtype, device=like.device) for count in grid]
    return torch.kron(rows, identities[1]) + torch.kron(identities[0], columns)


def _path_laplacian(count: int, *, like: Tensor) -> Float[Tensor, "K K"]:
    difference = torch.eye(count, dtype=like.dtype, device=like.device).diff(dim=0)
    return difference.mT @ difference
