"""How sure joints are follows from the landmarks that tell where they are."""

from __future__ import annotations

import pytest
import torch

from unish.body import JOINT_LANDMARKS, JOINT_NAMES, LANDMARK_NAMES, PARENTS
from unish.body.joint_evidence import find_seen, joint_certainty, landmark_certainty, landmark_shares
from unish.body.joints import MIRRORED_JOINTS, MIRRORED_LANDMARKS


def test_joints_are_as_sure_as_landmarks_that_are_all_alike() -> None:
    for value in (0.0, 0.4, 1.0):
        torch.testing.assert_close(joint_certainty(torch.full((2, 33), value)), torch.full((2, 24), value))


def test_each_landmark_at_a_joint_tells_that_joint_alone_and_its_neighbours_in_the_trunk() -> None:
    for landmark, joint in JOINT_LANDMARKS.items():
        alone = joint_certainty(torch.eye(33)[landmark])
        assert alone[joint] == 1, LANDMARK_NAMES[landmark]
        told = {JOINT_NAMES[index] for index in alone.nonzero()[:, 0].tolist()} - {JOINT_NAMES[joint]}
        trunk = {"pelvis", "spine1", "spine2", "spine3", "neck", "left_collar", "right_collar"}
        assert told <= trunk and bool(told) == (
            "hip" in LANDMARK_NAMES[landmark] or "shoulder" in LANDMARK_NAMES[landmark]
        )


def test_someone_cut_at_the_hips_is_sure_above_and_less_so_down_the_spine() -> None:
    seen = torch.tensor([float(index < LANDMARK_NAMES.index("left_hip")) for index in range(33)])
    found = dict(zip(JOINT_NAMES, joint_certainty(seen).tolist(), strict=True))
    assert [found[f"spine{number}"] for number in (1, 2, 3)] == pytest.approx([0.25, 0.5, 0.75])
    assert all(found[name] == 0 for name in ("pelvis", "left_hip", "right_knee", "left_ankle", "right_foot"))
    assert all(found[name] == pytest.approx(1) for name in ("neck", "head", "left_hand", "right_elbow", "left_collar"))


def test_left_is_right_in_the_mirror() -> None:
    shares = landmark_shares()
    torch.testing.assert_close(shares[list(MIRRORED_JOINTS)][:, list(MIRRORED_LANDMARKS)], shares)
    assert len(PARENTS) == len(shares)


def test_what_is_outside_or_hardly_visible_was_not_seen() -> None:
    points = torch.tensor(
        [[0.0, 0, 0.5], [64, 48, 1], [-0.1, 5, 1], [5, 48.1, 1], [5, -1, 1], [65, 5, 1], [5, 5, 0.49], [torch.nan] * 3]
    )
    points = torch.cat([points, torch.zeros(25, 3)])
    assert find_seen(points, (48, 64)).nonzero()[:, 0].tolist() == [0, 1]


def test_doubt_of_five_centimetres_halves_certainty_and_none_takes_nothing_off() -> None:
    for sigma, expected in ((0.0, 0.8), (0.05, 0.4), (torch.nan, 0.8)):
        found = landmark_certainty(torch.full((33,), 0.8), torch.full((33,), sigma))
        torch.testing.assert_close(found, torch.full((33,), expected))
    assert not landmark_certainty(torch.zeros(33), torch.full((33,), 0.01)).any()
