"""Legs that reach for a place: analytic two-bone inverse kinematics that keeps the direction of the knee."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy import ndarray

REACH = 0.9985
"""A leg is never stretched further than this share of its length: knees that snap straight look broken."""


@dataclass(frozen=True, kw_only=True)
class Legs:
    """Both legs (left, right) in the world over N frames.

    Attributes:
        hips, knees, ankles: (N, 2, 3) metres.
        thighs, shanks: (N, 2, 3, 3) world rotations from the rest pose.
    """

    hips: Float[ndarray, "N 2 3"]
    knees: Float[ndarray, "N 2 3"]
    ankles: Float[ndarray, "N 2 3"]
    thighs: Float[ndarray, "N 2 3 3"]
    shanks: Float[ndarray, "N 2 3 3"]


def reach_ankles(
    legs: Legs, targets: Float[ndarray, "N 2 3"], turns: Float[ndarray, "N 2"]
) -> tuple[Float[ndarray, "N 2 3 3"], Float[ndarray, "N 2 3 3"]]:
    """Rotations of thighs and shanks that bring the ankles to ``targets`` (or as near as the legs are long).

    Nothing changes where the target is the ankle. ``turns`` swings each knee about the line from ankle to hip (radians,
    positive to the left seen from above), so that a turned foot does not twist the ankle alone.
    """
    thigh, shank = legs.knees - legs.hips, legs.ankles - legs.knees
    upper, lower = np.linalg.norm(thigh, axis=-1), np.linalg.norm(shank, axis=-1)
    old_line, _ = _split(legs.ankles - legs.hips)
    new_line, distance = _split(targets - legs.hips)
    distance = np.clip(distance, 0.3 * (upper + lower), REACH * (upper + lower))
    # A straight leg says little about its knee: there the front of the thigh decides.
    bent = thigh - (thigh * old_line).sum(-1, keepdims=True) * old_line
    share = np.clip(np.linalg.norm(bent, axis=-1, keepdims=True) / (0.1 * upper[..., None]), 0, 1)
    pole, _ = _split(bent * share + _reject(legs.thighs[..., 2], old_line) * (1 - share) * 0.1)
    pole, _ = _split(_reject(pole, old_line))
    swing = _roll(new_line, -turns) @ swing_between(old_line, new_line)
    pole = (swing @ pole[..., None])[..., 0]
    along = (upper**2 - lower**2 + distance**2) / (2 * distance)
    across = np.sqrt(np.maximum(upper**2 - along**2, 0))
    new_thigh = along[..., None] * new_line + across[..., None] * pole
    new_shank = distance[..., None] * new_line - new_thigh
    results = []
    for bone, new_bone, rotation in ((thigh, new_thigh, legs.thighs), (shank, new_shank, legs.shanks)):
        carried, _ = _split((swing @ bone[..., None])[..., 0])
        aimed, _ = _split(new_bone)
        results.append(swing_between(carried, aimed) @ swing @ rotation)
    return results[0], results[1]


def swing_between(start: Float[ndarray, "*B 3"], end: Float[ndarray, "*B 3"]) -> Float[ndarray, "*B 3 3"]:
    """Shortest rotation that takes one unit vector to another (not opposite) one: I + [v] + [v]² / (1 + c)."""
    skew = _skew(np.cross(start, end))
    cosine = (start * end).sum(-1)[..., None, None]
    return np.eye(3) + skew + skew @ skew / np.maximum(1 + cosine, 1e-6)


def _roll(axis: Float[ndarray, "*B 3"], angle: Float[ndarray, "*B"]) -> Float[ndarray, "*B 3 3"]:
    """Rodrigues' rotation about unit axes."""
    skew, angle = _skew(axis), angle[..., None, None]
    return np.eye(3) + np.sin(angle) * skew + (1 - np.cos(angle)) * (skew @ skew)


def _skew(vector: Float[ndarray, "*B 3"]) -> Float[ndarray, "*B 3 3"]:
    x, y, z = np.moveaxis(vector, -1, 0)
    zero = np.zeros_like(x)
    return np.stack([zero, -z, y, z, zero, -x, -y, x, zero], axis=-1).reshape(*x.shape, 3, 3)


def _split(vector: Float[ndarray, "*B 3"]) -> tuple[Float[ndarray, "*B 3"], Float[ndarray, "*B"]]:
    """Direction and length."""
    length = np.linalg.norm(vector, axis=-1)
    return vector / np.maximum(length, 1e-9)[..., None], length


def _reject(vector: Float[ndarray, "*B 3"], unit: Float[ndarray, "*B 3"]) -> Float[ndarray, "*B 3"]:
    return vector - (vector * unit).sum(-1, keepdims=True) * unit
