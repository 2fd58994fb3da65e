"""Motion capture as it comes: any skeleton, joint positions and rotations over time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy import ndarray


@dataclass(frozen=True, kw_only=True)
class SourceClip:
    """A skeleton of J joints that moves; any unit of length, y or z up.

    Attributes:
        names: joint names of the file.
        rest: (J, 3) joint positions with all rotations at zero.
        positions: (N, J, 3) posed joint positions.
        turns: (N, J, 3, 3) world rotation of each joint from that rest pose.
        rate_hz: frames per second.
        name: where the clip comes from.
    """

    names: tuple[str, ...]
    rest: Float[ndarray, "J 3"]
    positions: Float[ndarray, "N J 3"]
    turns: Float[ndarray, "N J 3 3"]
    rate_hz: float
    name: str


def pose_source(
    names: tuple[str, ...],
    parents: list[int],
    offsets: Float[ndarray, "J 3"],
    local: Float[ndarray, "N J 3 3"],
    root: Float[ndarray, "N 3"],
    *,
    rate_hz: float,
    name: str,
) -> SourceClip:
    """Forward kinematics of a joint tree in which every parent comes before its children."""
    rest = np.zeros_like(offsets)
    turns = np.empty_like(local)
    positions = np.empty((*local.shape[:2], 3))
    for joint, parent in enumerate(parents):
        if parent < 0:
            turns[:, joint], positions[:, joint] = local[:, joint], root
        else:
            rest[joint] = rest[parent] + offsets[joint]
            turns[:, joint] = turns[:, parent] @ local[:, joint]
            positions[:, joint] = positions[:, parent] + turns[:, parent] @ offsets[joint]
    return SourceClip(names=names, rest=rest, positions=positions, turns=turns, rate_hz=rate_hz, name=name)
