"""What hands and feet do to a camera: drift, sway, tremor and steps."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from numpy import ndarray

Rng = np.random.Generator
SHAKE = (((0.08, 0.4), 1.1, 0.012), ((0.6, 2.0), 0.25, 0.004), ((5.0, 11.0), 0.06, 0.0003))
"""Slow drift, sway and physiological tremor: range of the rate (Hz), standard deviation in degrees and in metres."""


def sample_shake(rng: Rng, timestamps_s: Float[ndarray, "N"]) -> tuple[Float[ndarray, "N 3"], Float[ndarray, "N 3"]]:
    """Yaw, pitch and roll (radians) and displacement (metres) of a camera that is held in the hands."""
    total = np.zeros((2, len(timestamps_s), 3))
    for (slow, fast), degrees, metres in SHAKE:
        rates = rng.uniform(slow, fast, (2, 1, 3, 2))
        phases = rng.uniform(0, 2 * np.pi, (2, 1, 3, 2))
        waves = np.sin(2 * np.pi * rates * timestamps_s[:, None, None] + phases).sum(-1)
        total += waves * np.array([np.radians(degrees), metres])[:, None, None]
    return total[0], total[1]


def sample_steps(
    rng: Rng, timestamps_s: Float[ndarray, "N"], speed: float, heading: float
) -> tuple[Float[ndarray, "N 3"], Float[ndarray, "N 3"]]:
    """The same two for someone who walks at ``speed`` (m/s) towards ``heading`` (yaw): the body rises and falls with
    every step and swings to the side with every second one. Step rate and height grow with the speed as they do in
    people: 1.5 steps/s at 0.6 m/s, 1.95 at 1.4 m/s; 1 to 4 cm from top to bottom."""
    rate = (1.2 + 0.53 * speed) * rng.uniform(0.92, 1.08)
    phase = 2 * np.pi * (rate * timestamps_s + rng.random())
    damped = rng.uniform(0.4, 1.0)
    bob = damped * (0.006 + 0.01 * speed) * (np.sin(phase) + 0.25 * np.sin(2 * phase + rng.uniform(0, 6)))
    swing = damped * rng.uniform(0.005, 0.02) * np.sin(phase / 2 + rng.uniform(0, 6))
    turn = np.radians(rng.uniform(0.1, 0.8, 3)) * damped
    angles = turn * np.sin(phase[:, None] * [0.5, 1.0, 0.5] + rng.uniform(0, 6, 3))
    side = np.array([np.cos(heading), 0.0, -np.sin(heading)])
    return angles, swing[:, None] * side + bob[:, None] * np.array([0.0, 1.0, 0.0])
