"""A camera that ends where it began: closed to the bit, and nearer to the truth along its whole path."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from torch import Tensor

from unish.geometry.rigid import invert_rigid, make_rigid
from unish.geometry.rotation import axis_angle_to_matrix, rotation_angle
from unish.reconstruction.loop_closure import close_path


def circle(num: int, radius_m: float = 2.0) -> Tensor:
    """Once around a place, looking ahead; the last pose is the first."""
    angle = torch.linspace(0, 2 * torch.pi, num, dtype=torch.float64)
    turn = torch.stack([torch.zeros_like(angle), angle, torch.zeros_like(angle)], -1)
    place = torch.stack([1 - angle.cos(), torch.zeros_like(angle), angle.sin()], -1) * radius_m
    return make_rigid(axis_angle_to_matrix(turn), place)


def add_drift(c2w: Tensor, turn: list[float], move: list[float]) -> Tensor:
    """Every step turns a little too far, and goes a little too far into one direction of the world."""
    step = make_rigid(axis_angle_to_matrix(torch.tensor(turn).double()), torch.zeros(3).double())
    poses = [c2w[0]]
    for before, after in pairwise(c2w):
        poses.append(poses[-1] @ invert_rigid(before) @ after @ step)
    drifted = torch.stack(poses)
    drifted[:, :3, 3] += torch.arange(len(c2w))[:, None] * torch.tensor(move).double()
    return drifted.float()


@pytest.mark.parametrize(
    ("turn", "move"),
    [
        ([0.0, 0.004, 0.0], [0.0, 0.0, 0.0]),
        ([0.0, 0.0, 0.0], [0.01, 0.004, 0.0]),
        ([0.002, -0.003, 0.001], [0.0, 0.01, 0.01]),
    ],
    ids=["turns", "moves", "both"],
)
def test_drift_is_shared_out(turn: list[float], move: list[float]) -> None:
    true = circle(41)
    drifted = add_drift(true, turn, move)
    closed = close_path(drifted)
    assert torch.equal(closed[-1], closed[0]) and torch.equal(closed[0], drifted[0])

    def miss(c2w: Tensor) -> tuple[float, float]:
        off = (c2w[:, :3, 3] - true[:, :3, 3]).norm(dim=-1).max()
        return float(off), float(rotation_angle(c2w[:, :3, :3].double().mT @ true[:, :3, :3]).max())

    (metres, angle), (was_metres, was_angle) = miss(closed), miss(drifted)
    assert metres < 0.35 * was_metres and angle <= 0.35 * was_angle + 1e-3
    torch.testing.assert_close(
        closed[:, :3, :3] @ closed[:, :3, :3].mT, torch.eye(3).expand(41, 3, 3), atol=1e-5, rtol=0
    )


def test_who_stands_still_for_a_while_drifts_nowhere_meanwhile() -> None:
    walk = add_drift(circle(21), [0.0, 0.003, 0.0], [0.01, 0.0, 0.0])
    waiting = torch.cat([walk[:10], walk[9:10].expand(15, 4, 4), walk[10:]])
    closed = close_path(waiting)
    torch.testing.assert_close(closed[9:25], closed[9:10].expand(16, 4, 4))
    torch.testing.assert_close(closed[[*range(10), *range(25, 36)]], close_path(walk))


def test_what_is_closed_stays_as_it_is() -> None:
    still = torch.eye(4).repeat(5, 1, 1)
    assert close_path(still) is still
    one = make_rigid(axis_angle_to_matrix(torch.tensor([0.1, 0.2, 0.3])), torch.tensor([1.0, 2.0, 3.0]))[None]
    assert close_path(one) is one


def test_a_camera_that_only_turns_keeps_its_place() -> None:
    turns = torch.stack([torch.zeros(9), torch.linspace(0, 0.4, 9), torch.zeros(9)], -1)
    closed = close_path(make_rigid(axis_angle_to_matrix(turns), torch.zeros(9, 3)))
    assert torch.equal(closed[:, :3, 3], torch.zeros(9, 3)) and torch.equal(closed[-1], torch.eye(4))
