"""Robust non-linear least squares with a fixed number of steps."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

CAUCHY_SCALE = 2.0
"""Residual, in standard deviations, at which a measurement counts half."""

_DAMPING = 1e-9

Residuals = Callable[[Float[Tensor, "N"]], tuple[Float[Tensor, "M"], Float[Tensor, "M N"]]]
"""Unknowns → residuals in standard deviations, and their derivatives."""


def solve_robust_least_squares(
    measurements: Residuals,
    priors: Residuals,
    start: Float[Tensor, "N"],
    weights: Float[Tensor, "M"],
    *,
    steps: int,
) -> Float[Tensor, "N"]:
    """Gauss–Newton on Σ w ρ(r) + Σ p², ρ(r) = c² log(1 + r²/c²) (Cauchy), by iteratively re-weighted least squares.

    Args:
        measurements: may be wrong in any way; their pull fades beyond ``CAUCHY_SCALE``.
        priors: squared. Together with the measurements they must determine all unknowns.
        weights: of the measurements, ≥ 0.
    """
    unknowns = start
    identity = torch.eye(len(start), dtype=start.dtype, device=start.device)
    for _ in range(steps):
        residual, slope = measurements(unknowns)
        robust = weights / (1.0 + (residual / CAUCHY_SCALE).square())
        expected, prior_slope = priors(unknowns)
        weighted = (slope * robust[:, None]).mT
        normal = weighted @ slope + prior_slope.mT @ prior_slope
        gradient = weighted @ residual + prior_slope.mT @ expected
        unknowns = unknowns - torch.linalg.solve(normal + _DAMPING * identity, gradient)
    return unknowns
