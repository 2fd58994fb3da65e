"""Several who say which way is up, and cameras that are held somehow: what most agree on."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from unish.geometry.rotation import axis_angle_to_matrix
from unish.reconstruction.joint_up import PITCH_SIGMA, ROLL_SIGMA, UpDirection, join_directions, measure_hold

LEVEL = torch.tensor([0.0, -1.0, 0.0])


def lean(degrees: float, axis: int = 2) -> Tensor:
    """Up of a level camera, turned about one of its axes."""
    turn = torch.zeros(3)
    turn[axis] = math.radians(degrees)
    return axis_angle_to_matrix(turn) @ LEVEL


def say(degrees: float, sigma: float, axis: int = 2) -> UpDirection:
    return UpDirection(up=lean(degrees, axis), sigma=math.radians(sigma))


def degrees_off(found: UpDirection, up: Tensor) -> float:
    return math.degrees(math.acos(min(1.0, float(found.up @ up))))


def make_cameras(roll: float = 0.0, pitch: float = 0.0) -> Tensor:
    """Cameras that look in different directions, in a world whose up is ``LEVEL``; positive pitch looks up."""
    cameras = torch.eye(4).repeat(3, 1, 1)
    for camera, yaw in zip(cameras, torch.linspace(-0.4, 0.4, 3), strict=True):
        turns = ([0.0, float(yaw), 0.0], [math.radians(pitch), 0.0, 0.0], [0.0, 0.0, math.radians(roll)])
        for turn in turns:
            camera[:3, :3] = camera[:3, :3] @ axis_angle_to_matrix(torch.tensor(turn))
    return cameras


def test_roll_and_pitch_are_those_of_the_cameras() -> None:
    roll, pitch = measure_hold(LEVEL[None].double(), make_cameras(roll=10.0, pitch=20.0)[:, :3, :3].double())
    torch.testing.assert_close(pitch.rad2deg(), torch.full((1, 3), 20.0).double(), atol=1e-4, rtol=0)
    expected = math.cos(math.radians(20)) * torch.full((1, 3), 10.0).double()
    torch.testing.assert_close(roll.rad2deg().abs(), expected, atol=1e-4, rtol=0)
    upside_down, _ = measure_hold(-LEVEL[None].double(), make_cameras()[:, :3, :3].double())
    torch.testing.assert_close(upside_down.abs(), torch.full((1, 3), math.pi).double())


def test_two_says_meet_by_their_certainty() -> None:
    """About the axis of the cameras' pitch, which hardly counts."""
    cameras = torch.eye(4)[None]
    found = join_directions([say(0.0, 2.0, axis=0), say(5.0, 4.0, axis=0)], cameras)
    assert degrees_off(found, lean(1.0, axis=0)) < 0.2
    assert math.degrees(found.sigma) == pytest.approx(2 / math.sqrt(1.25), rel=0.1)
    alone = join_directions([say(5.0, 4.0, axis=0)], cameras)
    assert degrees_off(alone, lean(5.0, axis=0)) < 0.2 and 3.8 < math.degrees(alone.sigma) < 4.2


def test_who_is_far_from_all_others_hardly_counts() -> None:
    """Somebody on their hands, and somebody who lies."""
    for wrong in (170.0, 90.0, -60.0):
        found = join_directions([say(wrong, 10.0), say(1.0, 10.0), say(2.0, 6.0)], make_cameras())
        assert degrees_off(found, lean(1.5)) < 2.0, f"{wrong}"


def test_a_level_camera_corrects_who_leans_and_a_rolled_one_is_believed() -> None:
    """One person who leans to the side, and cameras; then a floor besides."""
    leans = join_directions([say(9.0, 11.0)], make_cameras())
    assert degrees_off(leans, LEVEL) < 3.0
    rolled = join_directions([say(26.0, 11.0), say(24.0, 4.0)], make_cameras())
    assert degrees_off(rolled, lean(24.5)) < 2.0


def test_how_far_a_camera_looks_down_says_little() -> None:
    """25 degrees at a time are as likely as five of roll."""
    assert pytest.approx([math.radians(5), math.radians(25)]) == [ROLL_SIGMA, PITCH_SIGMA]
    steep = join_directions([say(0.0, 5.0)], make_cameras(pitch=-50.0))
    assert degrees_off(steep, LEVEL) < 1.0
    unsure = join_directions([say(20.0, 25.0, axis=0)], torch.eye(4)[None])
    assert 5.0 < degrees_off(unsure, LEVEL) < 15.0, "but something"


def test_the_misfit_tells_which_of_two_says_the_others_agree_with() -> None:
    others = [say(0.0, 5.0), say(3.0, 5.0)]
    near, far = (join_directions([*others, say(degrees, 4.0)], make_cameras()).misfit for degrees in (2.0, 20.0))
    assert 0 < near < 1 < far


def test_the_order_does_not_matter() -> None:
    says = [say(4.0, 6.0), say(-3.0, 8.0, axis=0), say(60.0, 10.0)]
    found, turned = join_directions(says, make_cameras()), join_directions(says[::-1], make_cameras().flip(0))
    torch.testing.assert_close(found.up, turned.up, atol=1e-4, rtol=0)
    assert found.sigma == pytest.approx(turned.sigma, rel=1e-3)
