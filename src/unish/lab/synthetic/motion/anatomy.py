"""Anatomical channels (hip flexion, elbow flexion, …) and their conversion to SMPL joint rotations.

A pose is one number per channel in radians. All zero is standing with hanging arms. Signs are the clinical ones:
flexion forward (knee: backward), abduction outward, hip rotation outward, arm twist inward; the trunk leans and turns
to the left for positive ``side`` and ``twist``. Left and right channels have the same sign, so that swapping them
mirrors a pose.
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray
from torch import Tensor

SIDED = (
    "hip_flex", "hip_abduct", "hip_rotate", "knee", "ankle", "ankle_side", "toes",
    "arm_flex", "arm_abduct", "arm_twist", "elbow", "pronate", "wrist_flex", "collar_up", "collar_forward",
)  # fmt: skip
CENTRAL = (
    "pelvis_pitch", "pelvis_side", "pelvis_twist", "spine_flex", "spine_side", "spine_twist",
    "head_flex", "head_side", "head_twist",
)  # fmt: skip
CHANNELS = (*CENTRAL, *(f"{side}_{name}" for side in ("left", "right") for name in SIDED))
INDEX = {name: i for i, name in enumerate(CHANNELS)}

# Lower and upper limit of each channel in degrees, after clinical ranges of motion of healthy adults.
LIMITS_DEG = {
    "hip_flex": (-25, 120), "hip_abduct": (-20, 45), "hip_rotate": (-30, 45), "knee": (0, 145), "ankle": (-45, 32),
    "ankle_side": (-20, 25), "toes": (-20, 45), "arm_flex": (-50, 175), "arm_abduct": (-25, 165),
    "arm_twist": (-85, 75), "elbow": (0, 145), "pronate": (-70, 70),
    "wrist_flex": (-60, 60), "collar_up": (-8, 25), "collar_forward": (-15, 20),
    "pelvis_pitch": (-95, 100), "pelvis_side": (-20, 20), "pelvis_twist": (-30, 30), "spine_flex": (-30, 75),
    "spine_side": (-35, 35), "spine_twist": (-45, 45), "head_flex": (-45, 50), "head_side": (-35, 35),
    "head_twist": (-70, 70),
}  # fmt: skip

_SPINE_SHARES = {3: 0.4, 6: 0.35, 9: 0.25}
_NECK_SHARES = {12: 0.5, 15: 0.5}


def channel_limits() -> tuple[Float[ndarray, "C"], Float[ndarray, "C"]]:
    """Lower and upper limit of every channel in radians, in the order of ``CHANNELS``."""
    pairs = [LIMITS_DEG[name.removeprefix("left_").removeprefix("right_")] for name in CHANNELS]
    low, high = np.radians(np.array(pairs, dtype=np.float64)).T
    return low, high


def mirror_channels(channels: Float[ndarray, "N C"]) -> Float[ndarray, "N C"]:
    """Swap left and right, and change the sign of what leans or turns sideways."""
    mirrored = channels.copy()
    for name in CENTRAL:
        if name.endswith(("side", "twist")):
            mirrored[:, INDEX[name]] *= -1
    for name in SIDED:
        left, right = INDEX[f"left_{name}"], INDEX[f"right_{name}"]
        mirrored[:, [left, right]] = channels[:, [right, left]]
    return mirrored


def rotations_from_channels(channels: Float[ndarray, "N C"], heading: Float[ndarray, "N"]) -> Float[Tensor, "N 24 3 3"]:
    """SMPL rotations relative to the parent, root first; ``heading`` is the yaw of the root (positive: to the left)."""
    value = {name: channels[:, i] for name, i in INDEX.items()}
    rotations = np.tile(np.eye(3), (len(channels), 24, 1, 1))
    rotations[:, 0] = (
        _about("y", heading + value["pelvis_twist"])
        @ _about("x", value["pelvis_pitch"])
        @ _about("z", -value["pelvis_side"])
    )
    for shares, part in ((_SPINE_SHARES, "spine"), (_NECK_SHARES, "head")):
        for joint, share in shares.items():
            twist, flex, bend = (value[f"{part}_{what}"] * share for what in ("twist", "flex", "side"))
            rotations[:, joint] = _about("y", twist) @ _about("x", flex) @ _about("z", -bend)
    for side, sign, first in (("left", 1.0, 0), ("right", -1.0, 1)):
        limb = {name: value[f"{side}_{name}"] for name in SIDED}
        rotations[:, 1 + first] = (
            _about("x", -limb["hip_flex"])
            @ _about("z", sign * limb["hip_abduct"])
            @ _about("y", sign * limb["hip_rotate"])
        )
        rotations[:, 4 + first] = _about("x", limb["knee"])
        rotations[:, 7 + first] = _about("z", -sign * limb["ankle_side"]) @ _about("x", -limb["ankle"])
        rotations[:, 10 + first] = _about("x", -limb["toes"])
        rotations[:, 13 + first] = _about("y", -sign * limb["collar_forward"]) @ _about("z", sign * limb["collar_up"])
        # The rest pose has the arms out: bring them down first, then raise them the way that the channels say.
        hanging = sign * (limb["arm_abduct"] - limb["collar_up"] - np.pi / 2)
        rotations[:, 16 + first] = (
            _about("x", -limb["arm_flex"]) @ _about("z", hanging) @ _about("x", limb["arm_twist"])
        )
        rotations[:, 18 + first] = _about("y", -sign * limb["elbow"])
        rotations[:, 20 + first] = _about("x", limb["pronate"]) @ _about("z", -sign * limb["wrist_flex"])
    return torch.from_numpy(rotations.astype(np.float32))


def _about(axis: str, angle: Float[ndarray, "N"]) -> Float[ndarray, "N 3 3"]:
    """Rotation matrices about one coordinate axis."""
    i = "xyz".index(axis)
    j, k = (i + 1) % 3, (i + 2) % 3
    matrix = np.zeros((len(angle), 3, 3))
    matrix[:, i, i] = 1.0
    matrix[:, j, j] = matrix[:, k, k] = np.cos(angle)
    matrix[:, k, j] = np.sin(angle)
    matrix[:, j, k] = -np.sin(angle)
    return matrix
