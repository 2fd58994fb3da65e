"""Focal length and depth shift of camera-space point maps: the pinhole camera that explains them best."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Bool, Float
from numpy import ndarray
from scipy.optimize import least_squares
from torch import Tensor

from unish.geometry.camera import pixel_grid

SAMPLES_PER_SIDE = 64

PUBLISHED_FTOL = 1e-3
"""Where the published network stops: see ``ftol`` of ``recover_focal_and_shift``."""

_MIN_SAMPLES = 2
_DOUBLE = torch.zeros((), dtype=torch.float64)
_ROUNDING = float(np.finfo(np.float64).eps)
_SMALLEST_STEP = 1e-12
"""Of the shift, relative."""


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
    closed form, f(δ) = Σ p·uv / Σ p·p with p = (x, y)/(z + δ); what is left is one unknown. As there, MINPACK's
    Levenberg–Marquardt (in SciPy) finds it from δ = 0, on the CPU, in float64, one map after the other. Not
    differentiable: both numbers are constants to whoever uses them.

    Args:
        points: camera coordinates, any unit.
        mask: the pixels that count. Points that are not finite, or at z = 0, never count.
        focal: known focal length in units of half the image diagonal; then only δ is solved for.
        ftol: stop when a step lowers the sum of squares by no more than this fraction, and was not expected to. 0 goes
            to full convergence; ``PUBLISHED_FTOL`` stops where the published network does, short of the optimum.
        picture_size: see ``view_plane_grid``.

    Returns:
        The focal length in units of half the image diagonal (see ``focal_to_pixels``), and δ in the unit of the points;
        1 (or the given focal length) and 0 with fewer than two valid samples.
    """
    batch, (height, width) = points.shape[:-3], points.shape[-3:-1]
    grid = view_plane_grid(height, width, like=_DOUBLE, picture_size=picture_size)
    sampled, used = sample_points(points, mask)
    known = None if focal is None else focal.detach().reshape(-1)
    uv = _sample_plane(grid).expand(*batch, -1, 2)
    return _solve(sampled, uv, used, batch=batch, known_focal=known, ftol=ftol, like=points)


def recover_shared_focal_and_shift(
    points: Float[Tensor, "*batch T H W 3"],
    mask: Bool[Tensor, "*batch T H W"],
    *,
    picture_size: tuple[int, int] | None = None,
) -> tuple[Float[Tensor, "*batch"], Float[Tensor, "*batch"]]:
    """``recover_focal_and_shift`` for T frames of one camera in one unit: a single focal length and a single shift."""
    batch, (num_frames, height, width) = mask.shape[:-3], mask.shape[-3:]
    grid = view_plane_grid(height, width, like=_DOUBLE, picture_size=picture_size)
    uv = _sample_plane(grid).expand(*batch, num_frames, -1, 2)
    sampled, used = sample_points(points, mask)
    return _solve(sampled, uv, used, batch=batch, like=points)


def recover_shift(
    points: Float[Tensor, "*batch T H W 3"],
    mask: Bool[Tensor, "*batch T H W"],
    intrinsics: Float[Tensor, "*batch T 3 3"],
) -> Float[Tensor, "*batch"]:
    """The shift δ of all z with which the maps of T frames fit known cameras best.

    Minimises Σ ‖(x, y)/(z + δ) − r‖² over δ, r the ray (x/z, y/z) of the pixel: whatever the principal point, and
    whether pixels are square or not. Not differentiable; 0 with fewer than two valid samples.
    """
    size = (int(mask.shape[-2]), int(mask.shape[-1]))
    return recover_shift_of_samples(*sample_points(points, mask), size, intrinsics).to(points)


def recover_shift_of_samples(
    samples: Float[Tensor, "*batch T K 3"],
    used: Bool[Tensor, "*batch T K"],
    size: tuple[int, int],
    intrinsics: Float[Tensor, "*batch T 3 3"],
) -> Float[Tensor, "*batch"]:
    """``recover_shift`` from what ``sample_points`` takes of maps of (height, width) ``size``."""
    batch = samples.shape[:-3]
    pixels = _sample_plane(pixel_grid(*size, like=_DOUBLE))
    rays = torch.nn.functional.pad(pixels, (0, 1), value=1.0) @ torch.linalg.inv(intrinsics.cpu().double()).mT
    unit_focal = torch.ones(batch.numel())
    solved = _solve(samples.cpu().double(), rays[..., :2], used, batch=batch, known_focal=unit_focal, like=samples)
    return solved[1]


def sample_points(
    points: Float[Tensor, "*batch H W 3"], mask: Bool[Tensor, "*batch H W"]
) -> tuple[Float[Tensor, "*batch K 3"], Bool[Tensor, "*batch K"]]:
    """64×64 points of each map in float64, and which of them count; on the CPU, for not every device has float64."""
    height, width = mask.shape[-2:]
    rows, columns = _nearest_indices(height, points.device), _nearest_indices(width, points.device)
    sampled = points.detach()[..., rows, :, :][..., columns, :].flatten(-3, -2).cpu().double()
    used = mask[..., rows, :][..., columns].flatten(-2).cpu()
    return sampled, used & sampled.isfinite().all(-1) & (sampled[..., 2] != 0)


def _sample_plane(grid: Float[Tensor, "H W 2"]) -> Float[Tensor, "K 2"]:
    """What ``sample_points`` takes of a map, of a grid of pixels."""
    rows, columns = (_nearest_indices(size, grid.device) for size in grid.shape[:2])
    return grid[rows][:, columns].reshape(-1, 2)


def _nearest_indices(size: int, device: torch.device) -> Tensor:
    """floor(i · size / 64): nearest neighbour as image resizers do it, whatever the aspect ratio."""
    return torch.arange(SAMPLES_PER_SIDE, device=device) * size // SAMPLES_PER_SIDE


def _solve(
    points: Float[Tensor, "*samples 3"],
    uv: Float[Tensor, "*samples 2"],
    used: Bool[Tensor, "*samples"],
    *,
    batch: torch.Size,
    like: Tensor,
    known_focal: Float[Tensor, "B"] | None = None,
    ftol: float = 0.0,
) -> tuple[Float[Tensor, "*batch"], Float[Tensor, "*batch"]]:
    """Focal length and shift for every element of the batch; the other axes in front are samples of one camera."""
    num_maps = batch.numel()
    shape = num_maps, used.numel() // max(num_maps, 1)
    maps = (x.cpu().reshape(*shape, *tail).numpy() for x, tail in ((points, (3,)), (uv, (2,)), (used, ())))
    known = [None] * num_maps if known_focal is None else known_focal.tolist()
    rows = [
        _fit_pinhole(xyz[keep], plane[keep], focal, ftol) for xyz, plane, keep, focal in zip(*maps, known, strict=True)
    ]
    focal, shift = torch.tensor(rows, dtype=torch.float64).reshape(num_maps, 2).to(like).unbind(-1)
    return focal.reshape(batch), shift.reshape(batch)


def _fit_pinhole(
    points: Float[ndarray, "K 3"], uv: Float[ndarray, "K 2"], known_focal: float | None, ftol: float
) -> tuple[float, float]:
    """Focal length and shift of one map; 1 (or the known one) and 0 with fewer than two samples."""
    if len(points) < _MIN_SAMPLES:
        return 1.0 if known_focal is None else known_focal, 0.0

    def explain(shift: Float[ndarray, "1"]) -> tuple[float, ndarray, ndarray]:
        """Best focal length at a shift, the residuals f·p − uv there, and their derivative by the shift."""
        depth = points[:, 2:] + shift
        p = points[:, :2] / depth
        slope = -p / depth
        square = np.square(p).sum()
        if known_focal is not None:
            focal, focal_slope = known_focal, 0.0
        elif square == 0:
            focal, focal_slope = 1.0, 0.0
        else:
            focal = float((p * uv).sum() / square)
            focal_slope = ((slope * uv).sum() - 2 * focal * (p * slope).sum()) / square
        return focal, (focal * p - uv).ravel(), (focal_slope * p + focal * slope).reshape(-1, 1)

    # A step may put a point into the camera's plane; it is then taken back. The scale of the unknown is given because
    # the default of SciPy changed between versions.
    with np.errstate(all="ignore"):
        shift = least_squares(
            lambda shift: explain(shift)[1], 0.0, lambda shift: explain(shift)[2], method="lm",
            x_scale=1.0, ftol=max(ftol, _ROUNDING), xtol=_SMALLEST_STEP, gtol=_ROUNDING,
        ).x  # fmt: skip
        return explain(shift)[0], float(shift[0])
