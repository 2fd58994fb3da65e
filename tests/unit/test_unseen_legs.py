"""Legs that were not seen: what stays, what replaces them, and over which time."""

from __future__ import annotations

import pytest
import torch

from moving_people import TIMES, normal
from unish.body import JOINT_NAMES
from unish.body.joints import MIRRORED_JOINTS
from unish.geometry.rotation import axis_angle_to_matrix, rotation_angle
from unish.network.human.unseen_legs import LEG_JOINTS, complete_legs

FLIP = torch.diag(torch.tensor([-1.0, 1.0, 1.0], dtype=torch.float64))


def sit(frames: int, rng: torch.Generator) -> torch.Tensor:
    """Hips bent by 90 degrees, and all else somehow."""
    turns = 0.3 * normal(1, 1, 24, 3, generator=rng).expand(-1, frames, -1, -1).clone()
    turns[:, :, [1, 2, 4, 5]] = torch.tensor([-1.5, 0.0, 0.0], dtype=torch.float64)
    return axis_angle_to_matrix(turns)


def sure(frames: int, **less: float) -> torch.Tensor:
    certainty = torch.ones(1, frames, 24, dtype=torch.float64)
    for name, value in less.items():
        certainty[..., JOINT_NAMES.index(name)] = value
    return certainty


def angles(rotations: torch.Tensor, *names: str) -> torch.Tensor:
    return rotation_angle(rotations[:, :, [JOINT_NAMES.index(name) for name in names]]).rad2deg()


def test_legs_that_were_seen_stay_to_the_bit_and_so_does_all_above(rng: torch.Generator) -> None:
    rotations = sit(5, rng)
    assert torch.equal(complete_legs(rotations, sure(5), TIMES[None]), rotations)
    blind = complete_legs(rotations, torch.zeros(1, 5, 24, dtype=torch.float64), TIMES[None])
    above = [joint for joint in range(24) if joint not in sum(LEG_JOINTS, ())]
    assert torch.equal(blind[:, :, above], rotations[:, :, above])


def test_legs_that_nobody_saw_are_straight(rng: torch.Generator) -> None:
    found = complete_legs(sit(5, rng), torch.zeros(1, 5, 24, dtype=torch.float64), TIMES[None])
    assert angles(found, *(JOINT_NAMES[joint] for joint in sum(LEG_JOINTS, ()))).max() < 1e-4


@pytest.mark.parametrize(("flexion", "bend"), [(90, 90), (20, 20), (0, 0), (-30, 0), (160, 140)])
def test_a_shank_that_was_not_seen_hangs_from_the_thigh_that_was(flexion, bend, rng: torch.Generator) -> None:
    """As of somebody who sits or stands; knees do not bend forward, nor further than they can."""
    rotations = sit(5, rng)
    turn = torch.tensor([-flexion, 0.0, 0.0], dtype=torch.float64).deg2rad()
    rotations[:, :, [1, 2]] = axis_angle_to_matrix(turn).expand(1, 5, 2, 3, 3)
    found = complete_legs(rotations, sure(5, left_ankle=0.0, left_foot=0.0, right_ankle=0, right_foot=0), TIMES[None])
    assert torch.equal(found[:, :, [1, 2]], rotations[:, :, [1, 2]])
    expected = torch.tensor([bend, 0.0, 0.0], dtype=torch.float64).deg2rad()
    torch.testing.assert_close(found[:, :, [4, 5]], axis_angle_to_matrix(expected).expand(1, 5, 2, 3, 3))


def test_legs_are_as_they_were_a_moment_ago_and_forgotten_later(rng: torch.Generator) -> None:
    times = torch.tensor([[0.0, 0.5, 30.0]], dtype=torch.float64)
    certainty = sure(3)
    certainty[:, 1:] = 0
    found = angles(complete_legs(sit(3, rng), certainty, times), "left_hip", "right_hip")[0]
    assert found[0].numpy() == pytest.approx(86, abs=1) and (found[1] > 70).all() and (found[2] < 1).all()


def test_the_other_leg_says_something_and_mirrored_people_get_mirrored_legs(rng: torch.Generator) -> None:
    rotations = sit(5, rng)
    left = dict.fromkeys(("left_hip", "left_knee", "left_ankle", "left_foot"), 0.0)
    right = dict.fromkeys(("right_hip", "right_knee", "right_ankle", "right_foot"), 0.0)
    one_seen = complete_legs(rotations, sure(5, **left), TIMES[None])
    assert (angles(one_seen, "left_hip") > 60).all()
    order = list(MIRRORED_JOINTS)
    mirrored = complete_legs(FLIP @ rotations[:, :, order] @ FLIP, sure(5, **right), TIMES[None])
    torch.testing.assert_close(FLIP @ mirrored[:, :, order] @ FLIP, one_seen)


def test_gradients_are_finite_where_nothing_is_certain(rng: torch.Generator) -> None:
    rotations = sit(5, rng).requires_grad_()
    certainty = torch.rand(1, 5, 24, generator=rng).double()
    complete_legs(rotations, certainty, TIMES[None]).square().sum().backward()
    assert rotations.grad is not None and rotations.grad.isfinite().all()
