"""A monotone curve from the scene's depth to a better one, told by the ground under feet and by people's own pixels."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from unish.geometry.robust import solve_robust_least_squares

NUM_KNOTS = 5
SLOPE_SIGMA = 0.06
"""How steep the curve is expected to be: change of log factor per unit of log depth; and how much that may change from
one knot to the next."""

MAX_SLOPE = 0.8
"""Beyond this a curve would all but turn round; only bad evidence asks for it."""

LEVEL_SIGMA, LEVEL_WEIGHT = 0.15, 0.5
"""Error of body depth over scene depth at a person's own pixels: networks draw people at another depth than the ground
under them."""

STRIP_SIGMA = 0.08
RESIZE_SIGMA = 0.08
"""1σ of the mean offset: strips share the error of their people's distance, so many of them are not sure of it."""

STEPS = 15


@dataclass(frozen=True, kw_only=True)
class DepthCurve:
    """log depth after = log depth before + offset(log depth before), z in metres.

    The offset is linear between knots and constant beyond the first and the last; the curve rises everywhere.

    Attributes:
        knots: log depth before, rising.
        offsets: at the knots.
    """

    knots: Float[Tensor, "K"]
    offsets: Float[Tensor, "K"]

    @property
    def mean(self) -> float:
        """Logarithm of the one factor that stands for the curve, for lengths that have no depth."""
        return float(self.offsets.mean())

    def offset(self, log_depth: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """What is added to a log depth; NaN stays NaN."""
        offsets = self.offsets.to(log_depth)
        left, share = _place(log_depth, self.knots.to(log_depth))
        return torch.lerp(offsets[left], offsets[1:][left], share)

    def slope(self, log_depth: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """Change of the offset per unit of log depth there."""
        inside = (log_depth >= self.knots[0]) & (log_depth <= self.knots[-1])
        slopes = self.offsets.diff() / self.knots.diff()
        return torch.where(inside, slopes[_place(log_depth, self.knots)[0]], 0.0)

    def apply(self, depth: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """Depth after; what is not above 0 stays as it is."""
        known = depth > 0
        log_depth = torch.where(known, depth, 1.0).log()
        return torch.where(known, (log_depth + self.offset(log_depth)).exp(), depth)

    def as_table(self) -> Float[Tensor, "K 2"]:
        """Log depth before and after at the knots."""
        return torch.stack([self.knots, self.knots + self.offsets], dim=-1)


@dataclass(frozen=True, kw_only=True)
class DepthEvidence:
    """N places where the scene should have another depth.

    Attributes:
        log_depth: of the scene as it is, metres.
        offset: log of the right depth over that.
        sigma: 1σ of ``offset``.
        weights: how many independent measurements each stands for.
    """

    log_depth: Float[Tensor, "N"]
    offset: Float[Tensor, "N"]
    sigma: Float[Tensor, "N"]
    weights: Float[Tensor, "N"]


def fit_depth_curve(evidence: DepthEvidence, low: float, high: float) -> DepthCurve:
    """The curve with ``NUM_KNOTS`` knots evenly from log depth ``low`` to ``high`` that fits the evidence robustly.

    Its slope and the change of its slope are held near 0 by ``SLOPE_SIGMA``: one factor for all depths is nearly the
    whole of what people can tell.
    """
    knots = torch.linspace(low, max(high, low + 0.1), NUM_KNOTS, dtype=torch.float64)
    step = float(knots[1] - knots[0])
    slope = torch.eye(NUM_KNOTS, dtype=torch.float64).diff(dim=0) / step
    prior = torch.cat(
        [slope / SLOPE_SIGMA, slope.diff(dim=0) / SLOPE_SIGMA, torch.full_like(slope[:1], 1 / NUM_KNOTS) / RESIZE_SIGMA]
    )
    hats = hat_weights(evidence.log_depth.double(), knots) / evidence.sigma.double()[:, None]
    wanted = evidence.offset.double() / evidence.sigma.double()

    def residuals(offsets: Float[Tensor, "K"]) -> tuple[Float[Tensor, "N"], Float[Tensor, "N K"]]:
        return hats @ offsets - wanted, hats

    def priors(offsets: Float[Tensor, "K"]) -> tuple[Float[Tensor, "M"], Float[Tensor, "M K"]]:
        return prior @ offsets, prior

    offsets = solve_robust_least_squares(
        residuals, priors, torch.zeros(NUM_KNOTS, dtype=torch.float64), evidence.weights.double(), steps=STEPS
    )
    steps = offsets.diff().clamp(-MAX_SLOPE * step, MAX_SLOPE * step)
    risen = torch.cat([torch.zeros(1, dtype=torch.float64), steps.cumsum(0)])
    return DepthCurve(knots=knots.float(), offsets=(risen - risen.mean() + offsets.mean()).float())


def hat_weights(values: Float[Tensor, "N"], knots: Float[Tensor, "K"]) -> Float[Tensor, "N K"]:
    """Weights of linear interpolation between knots: value at x = weights(x) @ values at the knots; constant beyond."""
    left, share = _place(values, knots)
    units = torch.eye(len(knots), dtype=knots.dtype)
    return torch.lerp(units[left], units[left + 1], share[..., None])


def _place(values: Float[Tensor, "*shape"], knots: Float[Tensor, "K"]) -> tuple[Tensor, Float[Tensor, "*shape"]]:
    """Index of the knot at the left of each value (another one is at its right), and how far it is between the two."""
    left = (torch.searchsorted(knots, values.contiguous(), right=True) - 1).clamp(0, len(knots) - 2)
    return left, ((values - knots[left]) / knots.diff()[left]).clamp(0.0, 1.0)
