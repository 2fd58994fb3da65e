"""From one frame rate to another: exact on even motion, nothing made up where nothing is known."""

from __future__ import annotations

import numpy as np
import torch
from scipy.spatial.transform import Rotation, Slerp

from unish.lab.evaluation.benchmarks.motion.resampling import (
    bracket_times,
    resample_points,
    resample_poses,
    resample_rotations,
)

USED = torch.arange(0, 31, 5).double() / 30
TRUE = torch.arange(31).double() / 30


def even_turn(times: torch.Tensor, speed: list[float]) -> torch.Tensor:
    return torch.from_numpy(Rotation.from_rotvec(np.outer(times.numpy(), speed)).as_matrix())


def test_even_motion_comes_out_exactly() -> None:
    bracket = bracket_times(USED, TRUE, max_gap_s=0.5)
    assert bracket.inside.all()
    velocity, start = torch.tensor([1.5, -0.3, 0.7]).double(), torch.tensor([4.0, 0, -2]).double()
    walked = resample_points(start + USED[:, None] * velocity, bracket)
    torch.testing.assert_close(walked, start + TRUE[:, None] * velocity, atol=1e-12, rtol=0)
    base = Rotation.from_rotvec([0.4, 2.0, -1.0]).as_matrix()
    # 3 rad in the second: more than half a turn in all, less between two known times.
    turned = resample_rotations(torch.from_numpy(base) @ even_turn(USED, [3.0, 1.0, -0.5]), bracket)
    torch.testing.assert_close(turned, torch.from_numpy(base) @ even_turn(TRUE, [3.0, 1.0, -0.5]), atol=1e-12, rtol=0)
    c2w = torch.eye(4).double().repeat(len(USED), 1, 1)
    c2w[:, :3, :3], c2w[:, :3, 3] = even_turn(USED, [0, 1, 0]), USED[:, None] * velocity
    poses = resample_poses(c2w, bracket)
    torch.testing.assert_close(poses[:, :3, :3], even_turn(TRUE, [0, 1, 0]), atol=1e-12, rtol=0)
    torch.testing.assert_close(poses[:, :3, 3], TRUE[:, None] * velocity, atol=1e-12, rtol=0)


def test_uneven_motion_agrees_with_scipy() -> None:
    known = torch.tensor([0.0, 0.13, 0.2, 0.41, 0.5]).double()
    wanted = torch.rand(50, generator=torch.Generator().manual_seed(0)).double() / 2
    rotations = Rotation.random(5, random_state=0)
    points = torch.randn(5, 7, 3, generator=torch.Generator().manual_seed(1)).double()
    bracket = bracket_times(known, wanted, max_gap_s=0.5)
    slerp = torch.from_numpy(Slerp(known.numpy(), rotations)(wanted.numpy()).as_matrix())
    stacked = torch.from_numpy(rotations.as_matrix())
    torch.testing.assert_close(resample_rotations(stacked, bracket), slerp, atol=1e-10, rtol=0)
    several = resample_rotations(stacked[:, None].expand(5, 3, 3, 3), bracket)
    torch.testing.assert_close(several, slerp[:, None].expand(50, 3, 3, 3), atol=1e-10, rtol=0)
    wanted_points = [np.interp(wanted, known, points[:, 4, axis]) for axis in range(3)]
    np.testing.assert_allclose(resample_points(points, bracket)[:, 4].T, wanted_points, atol=1e-12)


def test_nothing_is_known_in_gaps_beyond_the_ends_and_across_cuts() -> None:
    known = torch.tensor([0.1, 0.2, 0.3, 1.0, 1.1]).double()
    wanted = torch.tensor([0.0, 0.1, 0.25, 0.65, 1.0, 1.05, 1.1, 1.2]).double()
    inside = bracket_times(known, wanted, max_gap_s=0.5).inside
    assert inside.tolist() == [False, True, True, False, True, True, True, False]
    assert bracket_times(known, wanted, max_gap_s=0.8).inside.tolist() == [False, *[True] * 6, False]
    segment = torch.tensor([0, 0, 1, 1, 1])
    inside = bracket_times(known, wanted, max_gap_s=0.8, segment=segment).inside
    assert inside.tolist() == [False, True, False, True, True, True, True, False]


def test_a_known_time_needs_no_neighbour_and_none_known_gives_none() -> None:
    alone = bracket_times(torch.tensor([0.5]).double(), torch.tensor([0.4, 0.5, 0.50005]).double(), max_gap_s=0.5)
    assert alone.inside.tolist() == [False, True, True] and (alone.share == 0).all()
    assert resample_points(torch.tensor([[7.0]]), alone)[1:].tolist() == [[7.0], [7.0]]
    assert not bracket_times(torch.zeros(0).double(), TRUE, max_gap_s=0.5).inside.any()
