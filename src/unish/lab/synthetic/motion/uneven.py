"""Feet on ground that is not flat: each stance is set on what is under its sole, and in between feet climb over."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from scipy.ndimage import gaussian_filter1d
from scipy.spatial.transform import Rotation

from unish.lab.synthetic.motion.stances import Stance

Heights = Callable[[Float[ndarray, "K 2"]], Float[ndarray, "K"]]
"""Height of the ground at places (x, z)."""

SOLE_M = (-0.06, 0.0, 0.06, 0.12, 0.18)
"""Points of the sole, ahead of the ankle, that may stand on something."""

STEEPEST = 0.4
"""Slope from which on a place is the edge of a step rather than a ramp."""

CLIMB_M = 0.08
"""How far a foot is lifted over the higher one of two supports of different heights."""

EARLY = 0.4
"""Share of the time between two stances in which a foot rises or falls to the height of the other."""

_PELVIS_S = 0.12
_PROBE_M = 0.02


def climb(
    ankles: Float[ndarray, "N 2 3"],
    feet: Float[ndarray, "N 2 3 3"],
    stances: tuple[list[Stance], list[Stance]],
    ground: Heights,
    rate: float,
) -> tuple[Float[ndarray, "N 2 3"], Float[ndarray, "N 2 3 3"], Float[ndarray, "N"]]:
    """From feet on flat ground to feet on uneven ground.

    Args:
        ankles, feet: places of the ankles over flat ground (metres, y up) and world rotations of the feet.
        stances: of the left and of the right foot.
        rate: frames a second.

    Returns:
        By how much each ankle moves (metres), the world rotation that tilts each foot with a ramp, and by how much the
        pelvis rises.
    """
    num = len(ankles)
    shift, tilt = np.zeros((num, 2, 3)), np.zeros((num, 2, 3))
    for side in range(2):
        for stance in stances[side]:
            own = ankles[stance.frames, side]
            spot = own[len(own) // 2, [0, 2]]
            height, slope = _set_sole(spot, feet[stance.start, side, :, 2], ground)
            # Turns the vertical (0, 1, 0) to the normal of the ramp (−slope x, 1, −slope z).
            steepness = max(float(np.linalg.norm(slope)), 1e-9)
            turn = Rotation.from_rotvec(np.array([-slope[1], 0.0, slope[0]]) * np.arctan(steepness) / steepness)
            foot = np.array([spot[0], 0.0, spot[1]])
            shift[stance.frames, side] = turn.apply(own - foot) + foot + [0.0, height, 0.0] - own
            tilt[stance.frames, side] = turn.as_rotvec()
        for before, after in pairwise([None, *stances[side], None]):
            first, last = (before.stop - 1 if before else None), (after.start if after else None)
            start, stop = (0 if first is None else first + 1), (num if last is None else last)
            ends = [value for value in (first, last) if value is not None]
            if not ends or stop <= start:
                continue
            share = np.linspace(0, 1, stop - start + 2)[1:-1, None]
            climbed = shift[ends[-1], side, 1] - shift[ends[0], side, 1]
            # Up early and down late, so that no foot goes through the edge of a step.
            ease = np.clip(share / EARLY if climbed > 0 else 1 - (1 - share) / EARLY, 0, 1)
            ease = ease * ease * (3 - 2 * ease)
            for values in (shift, tilt):
                low, high = values[ends[0], side], values[ends[-1], side]
                values[start:stop, side] = low + ease * (high - low)
            shift[start:stop, side, 1] += min(abs(climbed), CLIMB_M) * np.sin(np.pi * share[:, 0])
    turns = Rotation.from_rotvec(tilt.reshape(-1, 3)).as_matrix().reshape(num, 2, 3, 3)
    rise = gaussian_filter1d(shift[..., 1].min(axis=1), _PELVIS_S * rate, mode="nearest")
    return shift, turns, rise


def _set_sole(
    spot: Float[ndarray, "2"], ahead: Float[ndarray, "3"], ground: Heights
) -> tuple[float, Float[ndarray, "2"]]:
    """Height under the ankle, and slope (along x and z), of the plane on which a sole stands that nothing pierces."""
    probes = spot + _PROBE_M * np.array([[1, 0], [-1, 0], [0, 1], [0, -1]])
    east, west, north, south = ground(probes)
    slope = np.array([east - west, north - south]) / (2 * _PROBE_M)
    slope = np.where(np.abs(slope) < STEEPEST, slope, 0.0)
    along = ahead[[0, 2]] / max(float(np.linalg.norm(ahead[[0, 2]])), 1e-6)
    offsets = np.array(SOLE_M)[:, None] * along
    return float((ground(spot + offsets) - offsets @ slope).max()), slope
