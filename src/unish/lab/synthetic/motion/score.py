"""A score: anatomical channels while an action writes them, and the curves that actions are made of.

Angles in scores are in degrees and become radians when a score is read.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from scipy.interpolate import CubicSpline

from unish.lab.synthetic.motion.anatomy import CHANNELS, INDEX, channel_limits

Curve = Float[ndarray, "M"]
Keys = list[tuple[int | float, int | float]]


@dataclass
class Score:
    """Channels while they are written: degrees, one row per time.

    Attributes:
        time: (M,) seconds.
        degrees: (M, C) channel values.
        turn_rate: (M,) degrees per second of the heading, positive to the left.
        clearance: (M,) metres between the floor and the lowest point of the body; > 0 only in flight.
    """

    time: Curve
    degrees: Float[ndarray, "M C"]
    turn_rate: Curve
    clearance: Curve

    @classmethod
    def standing(cls, rng: np.random.Generator, time: Curve) -> Score:
        """A person's own way to stand: a fixed posture and slow sway."""
        score = cls(time, np.zeros((len(time), len(CHANNELS))), np.zeros(len(time)), np.zeros(len(time)))
        posture = {
            "hip_abduct": (5, 3), "hip_rotate": (6, 4), "knee": (5, 4), "arm_abduct": (9, 5), "arm_flex": (2, 6),
            "elbow": (18, 9), "arm_twist": (6, 12), "pronate": (0, 15), "collar_up": (0, 3), "collar_forward": (0, 4),
        }  # fmt: skip
        for side in ("left", "right"):
            for name, (mean, spread) in posture.items():
                score.add(f"{side}_{name}", rng.normal(mean, spread))
            score.add(f"{side}_hip_flex", score["right_knee"] * 0.5 if side == "right" else score["left_knee"] * 0.5)
        score.add("spine_flex", rng.normal(3, 4))
        score.add("head_flex", rng.normal(8, 10))
        score.add("head_twist", rng.normal(0, 16))
        score.add("head_side", rng.normal(0, 5))
        score.degrees += drift(rng, time, rate_hz=0.25, size=len(CHANNELS)) * _sway_degrees()
        return score

    def __getitem__(self, name: str) -> Curve:
        return self.degrees[:, INDEX[name]]

    def add(self, name: str, value: Curve | float | int) -> None:
        self.degrees[:, INDEX[name]] += value

    def put(self, name: str, value: Curve | float | int, weight: Curve | float = 1.0) -> None:
        """Blend a channel towards a value."""
        self.degrees[:, INDEX[name]] += weight * (value - self[name])

    def flatten_feet(self, weight: Curve | float = 1.0) -> None:
        """Turn the ankles so that the soles are parallel to the floor."""
        for side in ("left", "right"):
            level = self["pelvis_pitch"] - self[f"{side}_hip_flex"] + self[f"{side}_knee"]
            self.put(f"{side}_ankle", np.minimum(level, 32.0), weight)
            self.put(f"{side}_ankle_side", self[f"{side}_hip_abduct"], weight)

    def fade(self, other: Score, start: float, seconds: float) -> None:
        """Go over to another score from ``start`` on, smoothly and within ``seconds``."""
        share = np.clip((self.time - start) / seconds, 0, 1)
        share = share * share * (3 - 2 * share)
        self.degrees += share[:, None] * (other.degrees - self.degrees)
        self.turn_rate += share * (other.turn_rate - self.turn_rate)
        # Whoever comes from or goes to standing does so on the floor: no share of a jump hovers.
        self.clearance = np.where(share < 0.5, self.clearance * (1 - 2 * share), other.clearance * (2 * share - 1))

    def radians(self) -> Float[ndarray, "M C"]:
        """The channels in radians, held within the limits of the joints."""
        low, high = channel_limits()
        return np.clip(np.radians(self.degrees), low, high)


def drift(rng: np.random.Generator, time: Curve, *, rate_hz: float, size: int) -> Float[ndarray, "M K"]:
    """Smooth noise of unit variance: five random sinusoids around a rate, ``size`` independent channels."""
    rates = rate_hz * np.exp(rng.normal(0, 0.6, (5, size)))
    phases = rng.uniform(0, 2 * np.pi, (5, size))
    return np.sin(2 * np.pi * rates * time[:, None, None] + phases).sum(1) * np.sqrt(2 / 5)


def repeat(
    rng: np.random.Generator, time: Curve, *, rise: float, hold: float, fall: float, rest: float, spread: float = 0.25
) -> Curve:
    """A smooth 0 → 1 → 0 that repeats with varying durations (seconds) and a random start."""
    period = rise + hold + fall + rest
    count = int(np.ceil((time[-1] - time[0]) / period)) * 2 + 3
    lengths = np.array([rise, hold, fall, rest]) * np.exp(rng.normal(0, spread, (count, 4)))
    knots = time[0] - rng.uniform(0, period) + np.concatenate([[0.0], np.cumsum(lengths)])
    level = np.interp(time, knots, np.tile([0.0, 1.0, 1.0, 0.0], count + 1)[: len(knots)])
    return level * level * (3 - 2 * level)


def periodic(phase: Curve, keys: Keys) -> Curve:
    """Smooth periodic curve through (phase in [0, 1), value) keys."""
    x, y = np.array(keys).T
    return CubicSpline(np.append(x, 1 + x[0]), np.append(y, y[0]), bc_type="periodic")(phase % 1.0)


def _sway_degrees() -> Float[ndarray, "C"]:
    sway = {"head": 5.0, "arm": 2.5, "elbo": 3.0, "pron": 5.0, "wris": 5.0, "spin": 1.5, "pelv": 0.7, "coll": 1.0}
    prefix = [name.removeprefix("left_").removeprefix("right_")[:4].rstrip("_") for name in CHANNELS]
    return np.array([sway.get(p, 0.4) for p in prefix])
