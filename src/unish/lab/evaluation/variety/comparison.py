"""Two sets of clips, quantity by quantity: how far apart, and in what."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from unish.lab.evaluation.variety.quantities import QUANTITIES, Quantity, Row

BINS = 240
_DRAWS = 200
_SHARES = (0.05, 0.5, 0.95)


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One quantity in both sets; every clip weighs the same, however many values it has.

    Attributes:
        quantity: what was measured.
        synthetic, real: (BINS,) shares of the values along the axis of the quantity, summing to 1.
        num_real: real clips that have the quantity.
        distance: Wasserstein distance along that axis, in pooled standard deviations.
        chance: the distance that 19 of 20 random sets of ``num_real`` synthetic clips keep below: what is not above
            it may be the accident of few real clips.
        shift: mean of synthetic minus mean of real, in pooled standard deviations.
        spread: standard deviation of synthetic over that of real.
    """

    quantity: Quantity
    synthetic: Float[ndarray, "bins"]
    real: Float[ndarray, "bins"]
    num_real: int
    distance: float
    chance: float
    shift: float
    spread: float

    def describe(self) -> str:
        """What the synthetic clips are beside the real ones, in words; empty where the difference may be chance."""
        if self.distance <= self.chance:
            return ""
        words = []
        if abs(self.shift) > 0.5 * self.distance:
            words.append("higher" if self.shift > 0 else "lower")
        if not 0.8 < self.spread < 1.25:
            words.append("wider" if self.spread > 1 else "narrower")
        return ", ".join(words) or "shaped differently"

    def cells(self) -> list[str]:
        """Cells of a table: name, synthetic and real as 5 % – median – 95 %, distance, chance, words."""
        name = f"{self.quantity.name} ({self.quantity.unit})" if self.quantity.unit else self.quantity.name
        both = (_quantile_text(self.quantity, shares) for shares in (self.synthetic, self.real))
        return [name, *both, f"{self.distance:.2f}", f"{self.chance:.2f}", self.describe()]


TABLE_HEADER = ["quantity", "synthetic: 5 % · median · 95 %", "real", "distance (sd)", "by chance", "synthetic is"]


def compare_rows(synthetic: Sequence[Row], real: Sequence[Row]) -> list[Difference]:
    """Every quantity that both sets have, the biggest difference first."""
    found = []
    for quantity in QUANTITIES:
        ours, theirs = spread_clips(synthetic, quantity), spread_clips(real, quantity)
        if len(ours) and len(theirs):
            found.append(_compare(quantity, ours, theirs))
    return sorted(found, key=lambda difference: -difference.distance)


def axis_position(quantity: Quantity, values: Float[ndarray, "N"]) -> Float[ndarray, "N"]:
    """0 at the low end of the axis, 1 at the high end, clipped."""
    low, high, inside = quantity.low, quantity.high, np.clip(values, quantity.low, quantity.high)
    if quantity.log:
        low, high, inside = np.log(low), np.log(high), np.log(inside)
    return (inside - low) / (high - low)


def axis_value(quantity: Quantity, position: float) -> float:
    """The value at a position of the axis: the inverse of ``axis_position``."""
    if quantity.log:
        return float(quantity.low * (quantity.high / quantity.low) ** position)
    return float(quantity.low + (quantity.high - quantity.low) * position)


def spread_clips(rows: Sequence[Row], quantity: Quantity) -> Float[ndarray, "clips bins"]:
    """Shares of each clip's values along the axis, for the clips that have any; a clip sums to 1."""
    shares = []
    for row in rows:
        values = np.array(row.get(quantity.name, []), np.float64)
        if len(values):
            slots = np.minimum((axis_position(quantity, values) * BINS).astype(int), BINS - 1)
            shares.append(np.bincount(slots, minlength=BINS) / len(values))
    return np.array(shares).reshape(-1, BINS)


def _compare(quantity: Quantity, ours: Float[ndarray, "N bins"], theirs: Float[ndarray, "M bins"]) -> Difference:
    synthetic, real = ours.mean(0), theirs.mean(0)
    mean, deviation = _moments(synthetic)
    real_mean, real_deviation = _moments(real)
    # Half a bin is the finest that the shares resolve; two spikes are not infinitely far apart.
    pooled = max(float(np.hypot(deviation, real_deviation) / np.sqrt(2)), 0.5 / BINS)
    rng = np.random.default_rng(0)
    draws = [ours[rng.integers(len(ours), size=len(theirs))].mean(0) for _ in range(_DRAWS)]
    return Difference(
        quantity=quantity,
        synthetic=synthetic,
        real=real,
        num_real=len(theirs),
        distance=_wasserstein(synthetic, real) / pooled,
        chance=float(np.quantile([_wasserstein(synthetic, draw) / pooled for draw in draws], 0.95)),
        shift=(mean - real_mean) / pooled,
        spread=deviation / max(real_deviation, 0.5 / BINS),
    )


def _wasserstein(first: Float[ndarray, "bins"], second: Float[ndarray, "bins"]) -> float:
    """In lengths of the axis: the area between the two cumulative shares."""
    return float(np.abs(np.cumsum(first - second)).sum() / BINS)


def _moments(shares: Float[ndarray, "bins"]) -> tuple[float, float]:
    """Mean and standard deviation in lengths of the axis."""
    centres = (np.arange(BINS) + 0.5) / BINS
    mean = float(shares @ centres)
    return mean, float(np.sqrt(shares @ (centres - mean) ** 2))


def _quantile_text(quantity: Quantity, shares: Float[ndarray, "bins"]) -> str:
    slots = np.searchsorted(np.cumsum(shares), np.array(_SHARES) - 1e-9)
    return " · ".join(_value_text(quantity, axis_value(quantity, (slot + 0.5) / BINS)) for slot in slots)


def _value_text(quantity: Quantity, value: float) -> str:
    """As many digits as the bins resolve."""
    if quantity.log:
        return f"{float(f'{value:.2g}'):g}"
    digits = max(0, round(-math.log10((quantity.high - quantity.low) / BINS)))
    return f"{round(value, digits) + 0.0:.{digits}f}".replace("-", "−")
