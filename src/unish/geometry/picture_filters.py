"""Filters of maps that follow a picture: means over squares, the guided filter, filling in, and enlarging.

All are linear in the maps that they filter and take a fixed number of operations.

Legend: F frames, h×w a small size, H×W a large one.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional

_LEAST_LIKENESS = 1e-3  # of neighbouring pixels, however different their colours are
_LEAST_WEIGHT = 1e-3  # mean weight of a square in which nothing counts
_TINY = 1e-12


def box_mean(maps: Float[Tensor, "*batch h w"], radius: int) -> Float[Tensor, "*batch h w"]:
    """Mean over a square of (2·radius + 1)² pixels, the border repeated. Its cost does not depend on the radius.

    By running sums: values far from zero lose digits in float32, so bring them near zero first where digits matter.
    """
    side = 2 * radius + 1
    flat = maps.reshape(1, -1, *maps.shape[-2:])
    padded = functional.pad(flat, (radius + 1, radius, radius + 1, radius), mode="replicate")
    rows = padded.cumsum(-1)
    columns = (rows[..., side:] - rows[..., :-side]).cumsum(-2)
    return ((columns[..., side:, :] - columns[..., :-side, :]) / side**2).reshape(maps.shape)


def guided_filter(
    maps: Float[Tensor, "F C h w"],
    guide: Float[Tensor, "F h w"],
    weights: Float[Tensor, "F h w"],
    *,
    radius: int,
    epsilon: float,
) -> Float[Tensor, "F C h w"]:
    """Smooth maps, but not across edges of the picture (He et al., 2010).

    Args:
        guide: grey value.
        weights: ≥ 0, what each pixel counts in every mean; a map stays as it is where no weight is near.
        radius: of the squares in which a map is explained as a line of the grey value.
        epsilon: variance of the grey value below which a square counts as even, and is averaged.
    """
    guide, weights = guide[:, None], weights[:, None]
    near = box_mean(weights, radius).clamp_min(_LEAST_WEIGHT)

    def mean(values: Tensor) -> Tensor:
        return box_mean(weights * values, radius) / near

    mean_guide, mean_maps = mean(guide), mean(maps)
    variance = (mean(guide * guide) - mean_guide.square()).clamp_min(0)
    slope = (mean(guide * maps) - mean_guide * mean_maps) / (variance + epsilon)
    line = mean(slope) * guide + mean(mean_maps - slope * mean_guide)
    return torch.where(near > _LEAST_WEIGHT, line, maps)


def fill_in(
    values: Float[Tensor, "F h w"],
    precision: Float[Tensor, "F h w"],
    pictures: Float[Tensor, "F 3 h w"],
    shown: Bool[Tensor, "F h w"],
    *,
    step_sigma: float,
    colour_sigma: float,
    num_steps: int,
    num_levels: int = 1,
) -> Float[Tensor, "F h w"]:
    """Spread values to where they are not known, but not across edges of the picture.

    Minimises Σ precision·(x − value)² + Σ over neighbouring pixels of likeness·(difference of x / step_sigma)²
    (weighted least squares, Farbman et al., 2008) by a fixed number of steps of conjugate gradients, preconditioned
    with the diagonal. A step reaches one pixel farther, so they begin at the solution for pictures of half the size.
    Where no precision reaches x stays 0, so ``values`` are deviations from a good guess.

    Args:
        precision: ≥ 0, 1/variance of the value.
        pictures: RGB in 0…1.
        shown: where the picture shows what is filled in; where it does not all neighbours count as alike.
        step_sigma: standard deviation of the difference of neighbouring pixels of one colour.
        colour_sigma: distance of colours at which neighbours begin to be different things.
        num_steps: at each size.
        num_levels: how many sizes.
    """
    likeness = []
    for axis in (-1, -2):
        pairs = shown.shape[axis] - 1
        both = shown.narrow(axis, 0, pairs) & shown.narrow(axis, 1, pairs)
        unlike = pictures.diff(dim=axis).square().sum(1) * both
        likeness.append((-unlike / (2 * colour_sigma**2)).exp().clamp_min(_LEAST_LIKENESS) / step_sigma**2)
    start = torch.zeros_like(values)
    if num_levels > 1:
        total = _halve(precision[:, None]) * 4
        coarse = fill_in(
            _halve((precision * values)[:, None])[:, 0] * 4 / total[:, 0].clamp_min(_TINY),
            # A difference between pixels twice as far apart may be twice as large, and there are a quarter as many.
            total[:, 0],
            _halve(pictures),
            _halve(shown[:, None].to(values.dtype))[:, 0] == 1,
            step_sigma=step_sigma,
            colour_sigma=colour_sigma,
            num_steps=num_steps,
            num_levels=num_levels - 1,
        )
        start = functional.interpolate(coarse[:, None], values.shape[-2:], mode="bilinear", align_corners=False)[:, 0]
    return _descend(precision * values, precision, likeness, start, num_steps)


def _descend(
    target: Float[Tensor, "F h w"],
    precision: Float[Tensor, "F h w"],
    likeness: list[Tensor],
    x: Float[Tensor, "F h w"],
    num_steps: int,
) -> Float[Tensor, "F h w"]:
    """Conjugate gradients from ``x`` for (precision + Laplacian of the likeness to the right and below)·x = target."""
    across, down = likeness
    zero = torch.zeros_like(x)
    diagonal = precision + _spread(across, -1, zero, sign=1.0) + _spread(down, -2, zero, sign=1.0) + _TINY

    def apply(x: Tensor) -> Tensor:
        pulled = _spread(across * x.diff(dim=-1), -1, zero, sign=-1.0)
        return (precision + _TINY) * x + pulled + _spread(down * x.diff(dim=-2), -2, zero, sign=-1.0)

    residual = target - apply(x)
    step = residual / diagonal
    size = (residual * step).sum((-2, -1), keepdim=True)
    for _ in range(num_steps):
        moved = apply(step)
        length = size / (step * moved).sum((-2, -1), keepdim=True).clamp_min(_TINY)
        x, residual = x + length * step, residual - length * moved
        scaled = residual / diagonal
        new_size = (residual * scaled).sum((-2, -1), keepdim=True)
        step = scaled + new_size / size.clamp_min(_TINY) * step
        size = new_size
    return x


def _halve(maps: Float[Tensor, "F C h w"]) -> Float[Tensor, "F C h2 w2"]:
    return functional.avg_pool2d(maps, 2, ceil_mode=True)


def _spread(between: Tensor, axis: int, zero: Float[Tensor, "F h w"], *, sign: float) -> Float[Tensor, "F h w"]:
    """What lies between neighbours along an axis, added at the second of each and ``sign`` times at the first."""
    before = [0, 1, 0, 0] if axis == -1 else [0, 0, 0, 1]
    after = [1, 0, 0, 0] if axis == -1 else [0, 0, 1, 0]
    return zero + functional.pad(between, after) + sign * functional.pad(between, before)
