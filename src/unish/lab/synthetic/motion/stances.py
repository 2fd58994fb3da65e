"""When a foot carries: stretches of a motion in which a foot is on the floor and ought to stay where it is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray
from scipy.ndimage import uniform_filter1d
from torch import Tensor

from unish.lab.synthetic.motion.record import Motion
from unish.lab.synthetic.motion.skeleton import NUM_SOLE_POINTS

CARRYING = ((0.05, 0.5), (0.08, 0.4))
"""A foot carries when its lowest point is lower (metres, nominal skeleton) and slower (metres per second) than one of
these pairs: captured floors are uneven, and the second leg of a standing procedural person may hang a little."""
PITCH = (np.radians(-70.0), np.radians(38.0))
"""A foot carries between standing on its toes and landing on its heel (elevation of its axis)."""
_TILT = np.sin(np.radians(32.0))
_MAX_TURN = 0.55
_MAX_DRIFT = 0.12
_SHORTEST_S = 0.06
_STEP_S = 0.26
_GAP_S = 0.12
_GAP = 0.08


@dataclass(frozen=True, kw_only=True)
class Stance:
    """One foot on the floor for the frames ``start`` … ``stop - 1``."""

    start: int
    stop: int

    @property
    def frames(self) -> slice:
        return slice(self.start, self.stop)


def find_stances(
    motion: Motion,
    nominal: Float[Tensor, "N 20 3"],
    feet: Float[ndarray, "N 2 3 3"],
    places: Float[ndarray, "N 2 2"],
) -> tuple[list[Stance], list[Stance]]:
    """Stances of the left and of the right foot.

    Where a foot that seems to stand turns or creeps too far (standing people who slowly turn), its stance is parted and
    leaves room for a small step.

    Args:
        motion: evenly sampled, on the nominal skeleton; nominal: contact points of this skeleton around its pelvis.
        feet: world rotations of both feet.
        places: (x, z) of both feet on the body that will move, metres.
    """
    rate = (motion.num_frames - 1) / max(motion.duration_s, 1e-6)
    yaw = np.unwrap(np.arctan2(feet[..., 0, 2], feet[..., 2, 2]), axis=0)
    carries = _find_carrying(nominal + motion.root[:, None], feet, rate)
    step, shortest = round(_STEP_S * rate / 2), max(round(_SHORTEST_S * rate), 2)
    found: tuple[list[Stance], list[Stance]] = ([], [])
    for side in range(2):
        edges = np.flatnonzero(np.diff(np.concatenate([[0], carries[:, side].astype(np.int8), [0]])))
        waiting = _merge(edges.reshape(-1, 2), places[:, side], round(_GAP_S * rate))
        while waiting:
            start, stop = waiting.pop(0)
            if stop - start < shortest:
                continue
            turned, moved = np.ptp(yaw[start:stop, side]), np.ptp(places[start:stop, side], axis=0).max()
            if stop - start > 6 * step and (turned > 2 * _MAX_TURN or moved > 2 * _MAX_DRIFT):
                middle = (start + stop) // 2 + (step if side else -step)
                waiting[:0] = [(start, middle - step), (middle + step, stop)]
            else:
                found[side].append(Stance(start=start, stop=stop))
    return found


def _merge(stretches: Int[ndarray, "S 2"], place: Float[ndarray, "N 2"], gap: int) -> list[tuple[int, int]]:
    """Join stretches between which the foot hardly went anywhere: it only rolled on."""
    merged: list[tuple[int, int]] = []
    for start, stop in stretches.tolist():
        if merged and start - merged[-1][1] <= gap and np.linalg.norm(place[start] - place[merged[-1][1] - 1]) < _GAP:
            start = merged.pop()[0]
        merged.append((start, stop))
    return merged


def _find_carrying(
    contacts: Float[Tensor, "N 20 3"], feet: Float[ndarray, "N 2 3 3"], rate_hz: float
) -> Bool[ndarray, "N 2"]:
    """Low, slow and neither on edge nor on the tips, in each frame; one-frame gaps are closed."""
    soles = contacts[:, :NUM_SOLE_POINTS].numpy().astype(np.float64)
    soles = soles.reshape(len(soles), NUM_SOLE_POINTS // 2, 2, 3)
    lowest = soles[..., 1].argmin(axis=1)
    height = soles[..., 1].min(axis=1)
    velocity = np.gradient(soles, axis=0) * rate_hz if len(soles) > 1 else np.zeros_like(soles)
    speed = np.linalg.norm(velocity, axis=-1)
    speed = uniform_filter1d(np.take_along_axis(speed, lowest[:, None], axis=1)[:, 0], 3, axis=0)
    elevation = np.arcsin(np.clip(feet[..., 1, 2], -1, 1))
    level = (elevation > PITCH[0]) & (elevation < PITCH[1]) & (np.abs(feet[..., 1, 0]) < _TILT) & (feet[..., 1, 1] > 0)
    carries = level & np.any([(height < low) & (speed < slow) for low, slow in CARRYING], axis=0)
    carries[1:-1] |= carries[:-2] & carries[2:]
    return carries
