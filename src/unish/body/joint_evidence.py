"""Which landmarks tell where each joint is: how sure a joint is, by how well its landmarks were seen."""

from __future__ import annotations

from functools import cache

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from unish.body.joints import JOINT_LANDMARKS, JOINT_NAMES, LANDMARK_NAMES, NUM_JOINTS

VISIBLE = 0.5
"""Visibility below which a landmark is a guess."""

_HALF_SURE_M = 0.05  # standard error, at the person, with which a landmark that is seen counts half
_UP_THE_TRUNK = {"spine1": 0.25, "spine2": 0.5, "spine3": 0.75}  # from the middle of the hips to that of the shoulders
_BESIDE = {
    "pelvis": ("left_hip", "right_hip"), "neck": ("left_shoulder", "right_shoulder"),
    "head": ("nose", "left_ear", "right_ear"),
} | {
    f"{side}_{joint}": tuple(f"{side}_{landmark}" for landmark in landmarks)
    for side in ("left", "right")
    for joint, landmarks in {
        "collar": ("shoulder",), "hand": ("pinky", "index", "thumb"), "foot": ("heel", "foot_index")
    }.items()
}  # fmt: skip


def find_seen(landmarks_px: Float[Tensor, "*batch 33 3"], image_size: tuple[int, int]) -> Bool[Tensor, "*batch 33"]:
    """Landmarks that were seen: visible (``VISIBLE``), and inside the picture. NaN where there are none is not seen.

    Args:
        landmarks_px: x, y in pixels of a picture of ``image_size`` (height, width), and visibility.
    """
    height, width = image_size
    x, y, visibility = landmarks_px.unbind(-1)
    return (x >= 0) & (x <= width) & (y >= 0) & (y <= height) & (visibility >= VISIBLE)


def landmark_certainty(
    seen: Float[Tensor, "*batch 33"], sigma_m: Float[Tensor, "*batch 33"]
) -> Float[Tensor, "*batch 33"]:
    """Visibility (0 where a landmark was not seen) times 1 / (1 + (σ / 5 cm)²), σ its standard error at the person.

    Args:
        sigma_m: metres across the viewing ray; NaN where nobody has said, which takes nothing off.
    """
    return seen / (1 + (sigma_m.nan_to_num(0.0) / _HALF_SURE_M).square())


def joint_certainty(landmarks: Float[Tensor, "*batch 33"]) -> Float[Tensor, "*batch 24"]:
    """Certainty of each joint from that of the landmarks which tell where it is, weighted by nearness.

    The spine lies between hips and shoulders, the neck between the shoulders; a hand and a foot are told by their own
    points. 0 where none was seen: the joint follows from the prior alone.
    """
    return landmarks @ landmark_shares().to(landmarks).mT


@cache
def landmark_shares() -> Float[Tensor, "24 33"]:
    """By which share each landmark tells where each joint is; rows sum to 1."""
    shares = torch.zeros(NUM_JOINTS, len(LANDMARK_NAMES))
    for landmark, joint in JOINT_LANDMARKS.items():
        shares[joint, landmark] = 1.0
    for name, landmarks in _BESIDE.items():
        shares[JOINT_NAMES.index(name), [LANDMARK_NAMES.index(one) for one in landmarks]] = 1 / len(landmarks)
    pelvis, neck = (shares[JOINT_NAMES.index(name)] for name in ("pelvis", "neck"))
    for name, height in _UP_THE_TRUNK.items():
        shares[JOINT_NAMES.index(name)] = torch.lerp(pelvis, neck, height)
    return shares
