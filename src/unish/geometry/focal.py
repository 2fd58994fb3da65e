"""Focal length and depth shift of camera-space point maps: the pinhole camera that explains them best."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from unish.geometry.camera import pixel_grid

SAMPLES_PER_SIDE = 64

PUBLISHED_FTOL = 1e-3
"""Where the published network stops: see ``ftol`` of ``recover_focal_and_shift``."""

_MAX_STEPS = 100
_MIN_SAMPLES = 2


def view_plane_grid(
    height: int, width: int, *, like: Tensor, picture_size: tuple[int, int] | None = None
) -> Float[Tensor, "H W 2"]:
    """Pixel centres around the image centre, in units of half the image diagonal.

    ``picture_size`` is the (height, width) of the picture with square pixels that was resized to this one; ``None``
    where these pixels are square.
    """
    rows, columns = (height, width) if picture_size is None else picture_size
    diagonal = (rows**2 + columns**2) ** 0.5
    u = (torch.arange(width, dtype=like.dtype, device=like.device) * 2 + 1 - width) / diagonal * (columns / width)
    v = (torch.arange(height, dtype=like.dtype, device=like.device) * 2 + 1 - height) / diagonal * (rows / height)
    return torch.stack([u[None, :].expand(height, width), v[:, None].expand(height, width)], -1)


def focal_to_pixels(focal: Float[Tensor, "*batch"], height: int, width: int) -> Float[Tensor, "*batch"]:
    """From units of half the image diagonal to pixels of a height × width image."""
    return focal * ((height**2 + width**2) ** 0.5 / 2)


def recover_focal_and_shift(
    points: Float[Tensor, "*batch H W 3"],
    mask: Bool[Tensor, "*batch H W"],
    *,
    focal: Float[Tensor, "*batch"] | None = None,
    ftol: float = 0.0,
    picture_size: tuple[int, int] | None = None,
) -> tuple[Float[Tensor, "*batch"], Float[Tensor, "*batch"]]:
    """Minimise Σ ‖f·(x, y)/(z + δ) − uv‖² over the focal length f and the depth shift δ, for every map by itself.

    The published network (by the rule of MoGe and π³) samples the map to 64×64 by nearest neighbour and eliminates f in
    closed form, f(δ) = Σ p·uv / Σ p·p with p = (x, y)/(z + δ); what is left is one unknown. Levenberg–Marquardt from
    δ = 0 runs here in float64 on all maps at once, each with the steps that MINPACK would take for it. Not
    differentiable: both numbers are constants to whoever uses them.

    Args:
        points: camera coordinates, any unit.
        mask: the pixels that count. Points that are not finite never count.
        focal: known focal length in units of half the image diagonal; then only δ is solved for.
        ftol: stop when a step lowers the sum of squares by no more than this fraction, and was not expected to. 0 goes
            to full convergence; ``PUBLISHED_FTOL`` stops where the published network does, short of the optimum.
        picture_size: see ``view_plane_grid``.

    Returns:
        The focal length in units of half the image diagonal (see ``focal_to_pixels``), and δ in the unit of the points;
        1 (or the given focal length) and 0 with fewer than two valid samples.
    """
    batch, (height, width) = points.shape[:-3], points.shape[-3:-1]
    grid = view_plane_grid(height, width, like=points.new_zeros((), dtype=torch.float64), picture_size=picture_size)
    sampled, weights = sample_points(points, mask)
    known = None if focal is None else focal.detach().reshape(-1).double()
    uv = _sample_plane(grid)
    solved, shift = _solve(sampled.reshape(-1, len(uv), 3), uv, weights.reshape(-1, len(uv)), known, ftol)
    return solved.to(points.dtype).reshape(batch), shift.to(points.dtype).reshape(batch)


def recover_shared_focal_and_shift(
    points: Float[Tensor, "*batch T H W 3"],
    mask: Bool[Tensor, "*batch T H W"],
    *,
    picture_size: tuple[int, int] | None = None,
) -> tuple[Float[Tensor, "*batch"], Float[Tensor, "*batch"]]:
    """``recover_focal_and_shift`` for T frames of one camera in one unit: a single focal length and a single shift."""
    batch, (num_frames, height, width) = mask.shape[:-3], mask.shape[-3:]
    grid = view_plane_grid(height, width, like=points.new_zeros((), dtype=torch.float64), picture_size=picture_size)
    uv = _sample_plane(grid).repeat(num_frames, 1)
    sampled, weights = sample_points(points, mask)
    focal, shift = _solve(sampled.reshape(-1, len(uv), 3), uv, weights.reshape(-1, len(uv)), None, 0.0)
    return focal.to(points.dtype).reshape(batch), shift.to(points.dtype).reshape(batch)


def recover_shift(
    points: Float[Tensor, "*batch T H W 3"],
    mask: Bool[Tensor, "*batch T H W"],
    intrinsics: Float[Tensor, "*batch T 3 3"],
) -> Float[Tensor, "*batch"]:
    """The shift δ of all z with which the maps of T frames are best seen through known cameras.

    Minimises Σ ‖(x, y)/(z + δ) − r‖² over δ, r the ray (x/z, y/z) of the pixel: whatever the principal point, and
    whether pixels are square or not. Not differentiable; 0 with fewer than two valid samples.
    """
    size = (int(mask.shape[-2]), int(mask.shape[-1]))
    return recover_shift_of_samples(*sample_points(points, mask), size, intrinsics).to(points.dtype)


def recover_shift_of_samples(
    samples: Float[Tensor, "*batch T K 3"],
    weights: Float[Tensor, "*batch T K"],
    size: tuple[int, int],
    intrinsics: Float[Tensor, "*batch T 3 3"],
) -> Float[Tensor, "*batch"]:
    """``recover_shift`` from what ``sample_points`` takes of maps of (height, width) ``size``."""
    batch = samples.shape[:-3]
    pixels = _sample_plane(pixel_grid(*size, like=samples.new_zeros((), dtype=torch.float64)))
    rays = torch.nn.functional.pad(pixels, (0, 1), value=1.0) @ torch.linalg.inv(intrinsics.double()).mT
    num_maps, num_samples = batch.numel(), samples.shape[-3] * len(pixels)
    rays = rays[..., :2].reshape(num_maps, num_samples, 2)
    one = torch.ones(num_maps, dtype=torch.float64, device=samples.device)
    _, shift = _solve(
        samples.double().reshape(num_maps, num_samples, 3),
        rays,
        weights.double().reshape(num_maps, num_samples),
        one,
        0.0,
    )
    return shift.reshape(batch)


def sample_points(
    points: Float[Tensor, "*batch H W 3"], mask: Bool[Tensor, "*batch H W"]
) -> tuple[Float[Tensor, "*batch K 3"], Float[Tensor, "*batch K"]]:
    """64×64 points of each map in float64 and their weights (1 where they count; those that do not are harmless)."""
    height, width = mask.shape[-2:]
    rows, columns = _nearest_indices(height, points.device), _nearest_indices(width, points.device)
    sampled = points.detach()[..., rows, :, :][..., columns, :].flatten(-3, -2).double()
    used = mask[..., rows, :][..., columns].flatten(-2) & sampled.isfinite().all(-1)
    harmless = torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64, device=points.device)
    return torch.where(used[..., None], sampled, harmless), used.double()


def _sample_plane(grid: Float[Tensor, "H W 2"]) -> Float[Tensor, "K 2"]:
    """What ``sample_points`` takes of a map, of a grid of pixels."""
    rows, columns = (_nearest_indices(size, grid.device) for size in grid.shape[:2])
    return grid[rows][:, columns].reshape(-1, 2)


def _solve(
    points: Float[Tensor, "B K 3"],
    uv: Float[Tensor, "*#B K 2"],
    weights: Float[Tensor, "B K"],
    known_focal: Float[Tensor, "B"] | None,
    ftol: float,
) -> tuple[Float[Tensor, "B"], Float[Tensor, "B"]]:
    """Focal length and shift of each map; 1 (or the known one) and 0 with fewer than two samples."""
    enough = weights.sum(-1) >= _MIN_SAMPLES
    shift = torch.where(enough, _solve_shift(points, uv, weights, known_focal, ftol), 0.0)
    focal = _explain(points, uv, weights, shift, known_focal)[0]
    return torch.where(enough, focal, torch.ones_like(focal) if known_focal is None else known_focal), shift


def _nearest_indices(size: int, device: torch.device) -> Tensor:
    """floor(i · size / 64): nearest neighbour as image resizers do it, whatever the aspect ratio."""
    return torch.arange(SAMPLES_PER_SIDE, device=device) * size // SAMPLES_PER_SIDE


def _explain(
    points: Float[Tensor, "B K 3"],
    uv: Float[Tensor, "*#B K 2"],
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
    uv: Float[Tensor, "*#B K 2"],
    weights: Float[Tensor, "B K"],
    known_focal: Float[Tensor, "B"] | None,
    ftol: float,
) -> Float[Tensor, "B"]:
    """Levenberg–Marquardt on one unknown per map, with the rules and constants of MINPACK's ``lmder``.

    Moré, "The Levenberg–Marquardt algorithm: implementation and theory" (1978). ftol alone decides in practice: xtol is
    1e-12, so that without ftol only rounding ends the search.
    """
    ftol, xtol = max(ftol, torch.finfo(torch.float64).eps), 1e-12
    shift = points.new_zeros(points.shape[0])
    radius, damping = torch.full_like(shift, 100.0), torch.zeros_like(shift)
    moved, done = (torch.zeros_like(shift, dtype=torch.bool) for _ in range(2))
    _, residual, jacobian = _explain(points, uv, weights, shift, known_focal)
    for _ in range(_MAX_STEPS):
        error, curvature = residual.square().sum((-1, -2)), jacobian.square().sum((-1, -2))
        newton = -(jacobian * residual).sum((-1, -2)) / curvature.clamp_min(1e-300)
        step, damping = _limit_step(newton, curvature, radius, damping)
        radius = torch.where(moved, radius, torch.minimum(radius, step.abs()))
        _, new_residual, new_jacobian = _explain(points, uv, weights, shift + step, known_focal)
        new_error = new_residual.square().sum((-1, -2))

        safe_error = error.clamp_min(1e-300)
        gain = torch.where(new_error < 100 * error, 1 - new_error / safe_error, -torch.inf)
        linear, damped = curvature * step.square() / safe_error, damping * step.square() / safe_error
        expected = linear + 2 * damped
        ratio = torch.where(expected > 0, gain / expected.clamp_min(1e-300), 0.0)
        radius, damping = _adapt_radius(radius, damping, step, gain, ratio, -(linear + damped))

        better = (ratio >= 1e-4) & ~done
        keep = better[:, None, None]
        residual, jacobian = torch.where(keep, new_residual, residual), torch.where(keep, new_jacobian, jacobian)
        shift, moved = torch.where(better, shift + step, shift), moved | better
        done |= (gain.abs() <= ftol) & (expected <= ftol) & (ratio <= 2)
        done |= radius <= xtol * shift.abs()
        if bool(done.all()):
            break
    return shift


def _limit_step(
    newton: Float[Tensor, "B"], curvature: Float[Tensor, "B"], radius: Float[Tensor, "B"], damping: Float[Tensor, "B"]
) -> tuple[Float[Tensor, "B"], Float[Tensor, "B"]]:
    """The step within 10 % of the trust radius, and its damping λ: newton · curvature / (curvature + λ).

    MINPACK searches for λ by iteration (``lmpar``); with one unknown the search ends at its lower bound at once.
    """
    length = newton.abs()
    excess = length / radius.clamp_min(1e-300)
    at_radius, upper = curvature * (excess - 1), curvature * excess
    damping = torch.minimum(torch.maximum(damping, at_radius), upper)
    shorter = length * curvature / (curvature + damping).clamp_min(1e-300)
    damping = torch.where(shorter < 0.9 * radius, at_radius, damping)
    damping = torch.where(excess <= 1.1, 0.0, damping)
    return newton * curvature / (curvature + damping).clamp_min(1e-300), damping


def _adapt_radius(
    radius: Float[Tensor, "B"],
    damping: Float[Tensor, "B"],
    step: Float[Tensor, "B"],
    gain: Float[Tensor, "B"],
    ratio: Float[Tensor, "B"],
    slope: Float[Tensor, "B"],
) -> tuple[Float[Tensor, "B"], Float[Tensor, "B"]]:
    """Trust less after a step that gained under a quarter of what was expected, more after three quarters."""
    shrink = torch.where(gain >= 0, 0.5, 0.5 * slope / (slope + 0.5 * gain)).clamp_min(0.1)
    poor, good = ratio <= 0.25, (damping == 0) | (ratio >= 0.75)
    grown = torch.where(good, 2 * step.abs(), radius)
    shrunk = shrink * torch.minimum(radius, 10 * step.abs())
    new_damping = torch.where(poor, damping / shrink, torch.where(good, damping / 2, damping))
    return torch.where(poor, shrunk, grown), new_damping
