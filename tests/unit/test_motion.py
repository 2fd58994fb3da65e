"""Procedural motion and what can be done with motions: frames, floor contact, anatomy, mirroring, resampling."""

import numpy as np
import pytest
import torch

from unish.errors import InputError
from unish.lab.synthetic.motion import (
    ACTIONS,
    Motion,
    mirror_motion,
    resample_motion,
    sample_motion,
    turn_motion,
)
from unish.lab.synthetic.motion.skeleton import NUM_SOLE_POINTS, pose_skeleton

TIMES = torch.arange(0, 3, 1 / 15, dtype=torch.float64)


def world_points(motion: Motion) -> tuple[torch.Tensor, torch.Tensor]:
    joints, contacts = pose_skeleton(motion.rotations)
    return joints + motion.root[:, None], contacts + motion.root[:, None]


def knee_bend(motion: Motion) -> torch.Tensor:
    """Component of thigh × shank along the pelvis's left axis: positive when the shank goes backward."""
    joints, _ = pose_skeleton(motion.rotations)
    thigh = joints[:, [4, 5]] - joints[:, [1, 2]]
    shank = joints[:, [7, 8]] - joints[:, [4, 5]]
    return torch.linalg.cross(thigh, shank)


@pytest.mark.parametrize("action", ACTIONS)
def test_lowest_point_is_on_the_floor_unless_in_flight(action: str) -> None:
    motion = sample_motion(np.random.default_rng(3), TIMES, action=action)
    _, contacts = world_points(motion)
    lowest = contacts[..., 1].amin(dim=-1)
    assert lowest.min() > -0.02
    flies = any(name in motion.name for name in ("run", "jump"))
    assert (lowest < 0.02).float().mean() > (0.2 if flies else 0.99)


def test_rotations_are_rotations_and_time_is_kept() -> None:
    motion = sample_motion(np.random.default_rng(0), TIMES)
    rotations = motion.rotations
    eye = torch.eye(3).expand_as(rotations)
    torch.testing.assert_close(rotations @ rotations.transpose(-1, -2), eye, atol=1e-5, rtol=0)
    assert torch.linalg.det(rotations).min() > 0.99
    assert torch.equal(motion.timestamps_s, TIMES)


def test_walking_goes_forward_and_its_feet_do_not_slide() -> None:
    for seed in range(12):
        motion = sample_motion(
            np.random.default_rng(seed), torch.arange(0, 3, 1 / 60, dtype=torch.float64), action="walk"
        )
        _, contacts = world_points(motion)
        soles = contacts[:, :NUM_SOLE_POINTS]
        step = (soles[1:] - soles[:-1])[..., [0, 2]].norm(dim=-1)
        lowest = soles[:-1, :, 1].argmin(dim=-1)
        assert step[torch.arange(len(lowest)), lowest].median() < 0.004
        forward = motion.global_orient[:-1, :, 2]
        assert ((motion.root[1:] - motion.root[:-1]) * forward).sum() > 0.5, f"seed {seed}"


@pytest.mark.parametrize("action", ["walk", "run", "squat", "sit", "crouch", "lunge"])
def test_knees_bend_backward(action: str) -> None:
    motion = sample_motion(np.random.default_rng(1), TIMES, action=action)
    left = motion.global_orient[:, None, :, 0]
    bend = (knee_bend(motion) * left).sum(-1)
    assert bend.min() > -0.01
    assert bend.max() > 0.02


def test_left_is_left() -> None:
    motion = sample_motion(np.random.default_rng(2), TIMES, action="idle")
    joints, _ = pose_skeleton(motion.rotations)
    across = joints[:, 1] - joints[:, 2]
    assert ((across * motion.global_orient[:, :, 0]).sum(-1) > 0.1).all()


def test_mirror_twice_is_the_same_and_once_mirrors_the_points() -> None:
    motion = sample_motion(np.random.default_rng(4), TIMES)
    twice = mirror_motion(mirror_motion(motion))
    torch.testing.assert_close(twice.rotations, motion.rotations)
    joints, _ = world_points(motion)
    mirrored, _ = world_points(mirror_motion(motion))
    torch.testing.assert_close(
        mirrored[:, [16, 20, 7]], joints[:, [17, 21, 8]] * torch.tensor([-1.0, 1, 1]), atol=2e-3, rtol=0
    )


def test_turning_turns_the_points() -> None:
    motion = sample_motion(np.random.default_rng(5), TIMES)
    joints, _ = world_points(motion)
    turned, _ = world_points(turn_motion(motion, np.pi / 2))
    expected = torch.stack([joints[..., 2], joints[..., 1], -joints[..., 0]], dim=-1)
    torch.testing.assert_close(turned, expected, atol=1e-5, rtol=0)


def test_resampling_at_own_times_changes_nothing_and_ends_are_held() -> None:
    motion = sample_motion(np.random.default_rng(6), TIMES)
    torch.testing.assert_close(resample_motion(motion, TIMES).rotations, motion.rotations, atol=1e-5, rtol=0)
    outside = resample_motion(motion, torch.tensor([-1.0, 99.0], dtype=torch.float64))
    torch.testing.assert_close(outside.root, motion.root[[0, -1]])


def test_same_seed_same_motion_and_unknown_action_is_refused() -> None:
    first, second = (sample_motion(np.random.default_rng(8), TIMES) for _ in range(2))
    assert torch.equal(first.rotations, second.rotations)
    with pytest.raises(InputError, match="unknown action"):
        sample_motion(np.random.default_rng(0), TIMES, action="fly")


def test_one_frame() -> None:
    assert sample_motion(np.random.default_rng(9), TIMES[:1]).num_frames == 1
