"""Focal length and depth shift of a camera-space point map: the pinhole camera that explains it best."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

SAMPLES_PER_SIDE = 64
_MAX_STEPS = 100
_MIN_SAMPLES = 2


def view_plane_grid(height: int, width: int, *, like: Tensor) -> Float[Tensor, "H W 2"]:
    """Pixel centres around the image centre, in units of half the image diagonal."""
    diagonal = (height**2 + width**2) ** 0.5
    u = (torch.arange(width, dtype=like.dtype, device=like.device) * 2 + 1 - width) / diagonal
    v = (torch.arange(height, dtype=like.dtype, device=like.device) * 2 + 1 - height) / diagonal
    return torch.stack([u[None, :].expand(height, width), v[:, None].expand(height, width)], -1)


def focal_to_pixels(focal: Float[Tensor, "*batch"], height: int, width: int) -> Float[Tensor, "*batch"]:
    """From units of half the image diagonal to pixels of a height × width image."""
    return focal * ((height**2 + width**2) ** 0.5 / 2)


def recover_focal_and_shift(
    points: Float[Tensor, "*batch H W 3"],
    mask: Bool[Tensor, "*batch H W"],
    *,
    focal: Float[Tensor, "*batch"] | None = None,
) -> tuple[Float[Tensor, "*batch"], Float[Tensor, "*batch"]]:
    """Minimise Σ ‖f·(x, y)/(z + δ) − uv‖² over the focal length f and the depth shift δ, for every map by itself.

    The published network (by the rule of MoGe and π³) samples the map to 64×64 by nearest neighbour and eliminates f in
    closed form, f(δ) = Σ p·uv / Σ p·p with p = (x, y)/(z + δ); what is left is one unknown. Levenberg–Marquardt from
    δ = 0 runs here in float64 on all maps at once and to full convergence (MINPACK stops at a relative gain of 1e-3, so
    results differ by up to about 1e-5). Not differentiable: both numbers are constants to whoever uses them.

    Args:
        points: camera coordinates, any unit.
        mask: the pixels that count. Points that are not finite never count.
        focal: known focal length in units of half the image diagonal; then only δ is solved for.

    Returns:
        The focal length in units of half the image diagonal (see ``focal_to_pixels``), and δ in the unit of the points;
        1 (or the given focal length) and 0 with fewer than two valid samples.
    """
    batch, (height, width) = points.shape[:-3], points.shape[-3:-1]
    grid = view_plane_grid(height, width, like=points.new_zeros((), dtype=torch.float64))
    rows, columns = _nearest_indices(height, points.device), _nearest_indices(width, points.device)
    uv = grid[rows][:, columns].reshape(-1, 2)
    sampled = points.detach()[..., rows, :, :][..., columns, :].reshape(-1, uv.shape[0], 3).double()
    used = mask[..., rows, :][..., columns].reshape(-1, uv.shape[0]) & sampled.isfinite().all(-1)
    sampled = torch.where(used[..., None], sampled, torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64).to(sampled))
    weights = used.double()
    known = None if focal is None else focal.detach().reshape(-1).double()

    shift = _solve_shift(sampled, uv, weights, known)
    enough = weights.sum(-1) >= _MIN_SAMPLES
    shift = torch.where(enough, shift, 0.0).to(points.dtype)
    solved = _explain(sampled, uv, weights, shift.double(), known)[0]
    solved = torch.where(enough, solved, torch.ones_like(solved) if known is None else known)
    return solved.to(points.dtype).reshape(batch), shift.reshape(batch)


def _nearest_indices(size: int, device: torch.device) -> Tensor:
    """floor(i · size / 64): nearest neighbour as image resizers do it, whatever the aspect ratio."""
    return torch.arange(SAMPLES_PER_SIDE, device=device) * size // SAMPLES_PER_SIDE


def _explain(
    points: Float[Tensor, "B K 3"],
    uv: Float[Tensor, "K 2"],
    weights: Float[Tensor, "B K"],
    shift: Float[Tensor, "B"],
    known_focal: Float[Tensor, "B"] | None,
) -> tuple[Float[Tensor, "B"], Float[Tensor, "B K 2"], Float[Tensor, "B K 2"]]:
    """Best focal length at a shift, the residuals f·p − uv there, and their derivative by the shift."""
    depth = (points[..., 2] + shift[:, None])[..., None]
    weight = weights[..., None]
    p = weight * points[..., :2] / depth
    slope = -p / depth
    if known_focal is None:
        cross, square = (p * uv).sum((-1, -2)), p.square().sum((-1, -2))
        safe = torch.where(square > 0, square, 1.0)
        focal = torch.where(square > 0, cross / safe, 1.0)
        focal_slope = ((slope * uv).sum((-1, -2)) - 2 * focal * (p * slope).sum((-1, -2))) / safe
    else:
        focal, focal_slope = known_focal, torch.zeros_like(known_focal)
    residual = focal[:, None, None] * p - weight * uv
    return focal, residual, focal_slope[:, None, None] * p + focal[:, None, None] * slope


def _solve_shift(
    points: Float[Tensor, "B K 3"],
    uv: Float[Tensor, "K 2"],
    weights: Float[Tensor, "B K"],
    known_focal: Float[Tensor, "B"] | None,
) -> Float[Tensor, "B"]:
    """Levenberg–Marquardt on one unknown per map: a step that raises the error is undone and the damping grows."""
    shift = points.new_zeros(points.shape[0])
    damping = torch.full_like(shift, 1e-6)
    _, residual, jacobian = _explain(points, uv, weights, shift, known_focal)
    error = residual.square().sum((-1, -2))
    for _ in range(_MAX_STEPS):
        square = jacobian.square().sum((-1, -2))
        step = -(jacobian * residual).sum((-1, -2)) / (square * (1 + damping)).clamp_min(1e-300)
        _, new_residual, new_jacobian = _explain(points, uv, weights, shift + step, known_focal)
        new_error = new_residual.square().sum((-1, -2))
        better = new_error < error
        keep = better[:, None, None]
        residual, jacobian = torch.where(keep, new_residual, residual), torch.where(keep, new_jacobian, jacobian)
        shift, error = torch.where(better, shift + step, shift), torch.where(better, new_error, error)
        damping = torch.where(better, damping / 10, (damping * 10).clamp_min(1e-3))
        small = step.abs() <= 1e-12 * shift.abs() + 1e-15
        if bool((small | (damping > 1e12)).all()):
            break
    return shift
