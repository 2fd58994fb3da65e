"""Endless motion without any file: an action for the legs, one for the arms, a personal style, a heading, a path."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, Float64
from numpy import ndarray
from torch import Tensor

from unish.errors import InputError
from unish.lab.synthetic.motion.anatomy import mirror_channels, rotations_from_channels
from unish.lab.synthetic.motion.arm_actions import ARM_ACTIONS
from unish.lab.synthetic.motion.body_actions import BODY_ACTIONS
from unish.lab.synthetic.motion.leg_actions import LEG_ACTIONS
from unish.lab.synthetic.motion.record import Motion, resample_motion
from unish.lab.synthetic.motion.score import Curve, Score
from unish.lab.synthetic.motion.skeleton import pose_skeleton

_LEGS = LEG_ACTIONS | BODY_ACTIONS
ACTIONS = (*_LEGS, *(name for name in ARM_ACTIONS if name != "hang"))
"""Names that ``sample_motion`` accepts as ``action``."""

_RATE_HZ = 60.0
_LEG_WEIGHTS = {"walk": 7.0, "idle": 1.8, "run": 2.5, "sit": 2.2, "free": 2.0, "squat": 1.0, "bend": 1.0}
_FADE_SHARE = 0.3
_FADE_S = (0.6, 1.3)


def sample_motion(rng: np.random.Generator, timestamps_s: Float64[Tensor, "N"], *, action: str | None = None) -> Motion:
    """A random motion at the given times; some go over from one action to another (named ``a+b>c+d``).

    The world has **y up and the floor at y = 0**; the path starts above the origin with a heading drawn uniformly
    (``turn_motion`` turns it). See ``Motion`` for the frames, ``ground_motion`` for bodies of another size, and
    subtract the rest pelvis from the path to get SMPL's ``transl``.

    Args:
        rng: the only source of chance.
        timestamps_s: (N,) seconds, increasing; any spacing.
        action: one of ``ACTIONS``; drawn when not given.

    Raises:
        InputError: an unknown action.
    """
    if action is not None and action not in ACTIONS:
        raise InputError(f"unknown action {action!r}; use one of {', '.join(ACTIONS)}")
    start, end = float(timestamps_s[0]), float(timestamps_s[-1])
    time = start + np.arange(int(np.ceil((end - start) * _RATE_HZ)) + 2) / _RATE_HZ
    name, score = _perform(rng, time, action)
    if action is None and rng.uniform() < _FADE_SHARE:
        next_name, other = _perform(rng, time, None)
        score.fade(other, rng.uniform(start, end), rng.uniform(*_FADE_S))
        name = f"{name}>{next_name}"
    channels, turn_rate = score.radians(), np.radians(score.turn_rate)
    if rng.uniform() < 0.5:
        channels, turn_rate = mirror_channels(channels), -turn_rate
    heading = rng.uniform(-np.pi, np.pi) + np.concatenate([[0.0], np.cumsum(turn_rate[:-1]) / _RATE_HZ])
    rotations = rotations_from_channels(channels, heading)
    motion = Motion(
        timestamps_s=torch.from_numpy(time), global_orient=rotations[:, 0], body_pose=rotations[:, 1:],
        root=path_from_contacts(rotations, score.clearance, _RATE_HZ), name=name,
    )  # fmt: skip
    return resample_motion(motion, timestamps_s)


def _perform(rng: np.random.Generator, time: Curve, action: str | None) -> tuple[str, Score]:
    """Name and score of an action of the legs with one of the arms; what is not given is drawn."""
    legs = action if action in _LEGS else _sample_legs(rng, action)
    arms = action if action in ARM_ACTIONS else _sample_arms(rng, legs)
    score = _LEGS[legs](rng, time)
    ARM_ACTIONS[arms](rng, score)
    return f"{legs}+{arms}", score


def path_from_contacts(
    rotations: Float[Tensor, "N 24 3 3"], clearance: Float[ndarray, "N"], rate_hz: float
) -> Float[Tensor, "N 3"]:
    """Pelvis path for which what touches the floor does not slide: (N, 3) metres, y up, starting over the origin.

    Each contact point pulls with a weight that falls with its height above the lowest one; in flight (``clearance``
    above a millimetre) the speed is interpolated between take-off and landing.
    """
    _, contacts = pose_skeleton(rotations)
    height = contacts[..., 1] - contacts[..., 1].amin(dim=-1, keepdim=True)
    weight = torch.softmax(-height / 0.004, dim=-1)
    moved = contacts[1:, :, [0, 2]] - contacts[:-1, :, [0, 2]]
    shared = (weight[1:] * weight[:-1]).clamp_min(1e-12)
    step = -(moved * (shared / shared.sum(-1, keepdim=True))[..., None]).sum(dim=-2).numpy().astype(np.float64)
    grounded = np.maximum(clearance[1:], clearance[:-1]) < 1e-3
    if grounded.any():
        index = np.arange(len(step))
        step = np.stack([np.interp(index, index[grounded], step[grounded, axis]) for axis in range(2)], axis=-1)
    path = np.zeros((len(rotations), 3))
    path[1:, [0, 2]] = np.cumsum(step, axis=0)
    path[:, 1] = clearance - contacts[..., 1].amin(dim=-1).numpy()
    return torch.from_numpy(path.astype(np.float32))


def _sample_legs(rng: np.random.Generator, arms: str | None) -> str:
    """Common actions more often; arm actions go with legs that leave the arms alone."""
    names = list(_LEGS) if arms is None else ["idle", "walk", "sit", "turn", "crouch"]
    weights = np.array([_LEG_WEIGHTS.get(name, 0.7) for name in names])
    return str(rng.choice(names, p=weights / weights.sum()))


def _sample_arms(rng: np.random.Generator, legs: str) -> str:
    """The legs' action keeps its own arms half of the time."""
    if legs in ("free", "lie", "pick_up", "stretch", "dance") or rng.uniform() < 0.45:
        return "hang"
    return str(rng.choice([name for name in ARM_ACTIONS if name != "hang"]))
