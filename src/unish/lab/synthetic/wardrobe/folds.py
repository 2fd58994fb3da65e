"""Folds of cloth: waves that lie still on the body's surface, each as high as a joint bends."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from unish.lab.synthetic.wardrobe.anatomy import Anatomy

Rng = np.random.Generator
CENTRES = (18, 19, 4, 5, 1, 2, 16, 17)
"""Joints whose bending folds cloth: elbows, knees, hips, shoulders; after them come the bent and the turned waist."""
FULL_BEND = np.array([1.7, 1.7, 1.7, 1.7, 1.5, 1.5, 1.2, 1.2, 0.6, 0.5])
"""Angles (radians) at which folds are as high as they get."""
NUM_FOLDS = 1 + len(FULL_BEND)


def fold_amounts(body_pose: Float[ndarray, "N 23 3 3"]) -> Float[ndarray, "N 11"]:
    """How high each set of folds stands, 0..1; the first (cloth at rest) is always 1."""
    trace = np.trace(body_pose, axis1=-2, axis2=-1)
    angle = np.arccos(np.clip((trace - 1) / 2, -1, 1))
    joints = angle[:, [joint - 1 for joint in CENTRES]]
    spine = body_pose[:, [2, 5, 8]]
    turn = np.abs((spine[..., 0, 2] - spine[..., 2, 0]).sum(-1) / 2)
    bends = np.concatenate([joints, angle[:, [2, 5, 8]].sum(-1, keepdims=True), turn[:, None]], axis=1)
    share = np.clip(bends / FULL_BEND, 0, 1.1)
    return np.concatenate([np.ones((len(share), 1)), share * share * (3 - 2 * share) * 0.7 + share * 0.3], axis=1)


def sample_folds(rng: Rng, anatomy: Anatomy, rest: Float[ndarray, "W 3"], height: float) -> Float[ndarray, "11 W"]:
    """Displacement (metres) of cloth points at ``rest`` on the mean body by each set of folds, ``height`` at most.

    Waves run along the limb and are bent around it, so that they look like creases that cross it askew.
    """
    fields = np.zeros((NUM_FOLDS, len(rest)), np.float32)
    if height == 0:
        return fields
    stretch = 0.6 + 0.8 * rng.random(3)
    fields[0] = 0.35 * height * _ripple(rng, rest * stretch, rng.uniform(0.08, 0.2))
    sides = {sign: np.flatnonzero(np.sign(rest[:, 0]) == sign) for sign in (-1, 1)}
    for number, joint in enumerate(CENTRES, start=1):
        centre = anatomy.joints[joint]
        near = sides[int(np.sign(centre[0]))]
        from_joint = rest[near] - centre
        upper = joint in (16, 17, 18, 19)
        along, around = (0, [1, 2]) if upper else (1, [0, 2])
        reach = 0.12 if joint in (4, 5, 18, 19) else 0.15
        # Only cloth on this limb is creased.
        limb = np.linalg.norm(from_joint[:, around], axis=1) < 0.2
        near, from_joint = near[limb], from_joint[limb]
        envelope = np.exp(-((from_joint[:, along] / reach) ** 2))
        # Cloth piles up on the inside of the bend: behind the knee, in front of elbow and hip, under the arm.
        inside = {18: (2, 1), 19: (2, 1), 4: (2, -1), 5: (2, -1), 1: (2, 1), 2: (2, 1)}.get(joint, (1, -1))
        side = np.clip(0.65 + 0.35 * inside[1] * from_joint[:, inside[0]] / 0.05, 0.2, 1)
        wave = _crease(rng, from_joint[:, along], from_joint[:, around[0]], from_joint[:, around[1]])
        fields[number, near] = height * envelope * side * wave
    waist = np.exp(-(((rest[:, 1] - anatomy.joints[3, 1]) / 0.14) ** 2)) * (np.abs(rest[:, 0]) < 0.24)
    fields[9] = height * waist * _crease(rng, rest[:, 1], rest[:, 0], rest[:, 2])
    askew = rest[:, 1] + rng.choice([-0.9, 0.9]) * np.arctan2(rest[:, 0], rest[:, 2]) * 0.12
    fields[10] = height * waist * _crease(rng, askew, rest[:, 0], rest[:, 2])
    return fields


def _crease(rng: Rng, along: ndarray, first: ndarray, second: ndarray) -> Float[ndarray, "W"]:
    """Sharp ridges and flat valleys about 4 cm apart, in −0.4..1."""
    length = rng.uniform(0.035, 0.06)
    bend = 0.35 * np.sin(first / 0.035 + rng.uniform(0, 6.3)) + 0.35 * np.sin(second / 0.04 + rng.uniform(0, 6.3))
    wave = 0.5 + 0.5 * np.cos(2 * np.pi * (along / length + bend + rng.random()))
    return 1.4 * wave**2 - 0.4


def _ripple(rng: Rng, points: ndarray, length: float) -> Float[ndarray, "W"]:
    """A sum of plane waves in random directions, mostly across the fall of the cloth, about −1..1."""
    total = np.zeros(len(points))
    for _ in range(4):
        direction = rng.normal(size=3) * (1.0, 0.45, 1.0)
        direction /= np.linalg.norm(direction)
        total += np.sin(2 * np.pi * points @ direction / (length * rng.uniform(0.6, 1.5)) + rng.uniform(0, 6.3))
    return total / 2.8
