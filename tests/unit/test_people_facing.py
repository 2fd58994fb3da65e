"""Front or back: what one picture says, and that bodies do not turn around and back from frame to frame."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch

from unish.body import LANDMARK_NAMES
from unish.body.joints import MIRRORED_LANDMARKS
from unish.people.facing import _choose, mirror_world, settle_facing, weigh_facing
from unish.people.movenet import MIRRORED_POINTS
from unish.people.protocols import Observation, Pose
from unish.people.regions import Region
from unish.structs import Clip

MIRRORED = list(MIRRORED_LANDMARKS)
REGION = Region(x=0.0, y=0.0, side=1.0)


def make_clip(times: list[float], segment: list[int] | None = None) -> Clip:
    count = len(times)
    return Clip(
        images=torch.zeros(count, 4, 4, 3, dtype=torch.uint8),
        timestamps_s=torch.tensor(times, dtype=torch.float64) + 50,
        frame_indices=torch.arange(count),
        segment=torch.tensor(segment or [0] * count),
        source_size=(4, 4),
    )


def stand(degrees: float, *, noise: int = 0) -> np.ndarray:
    """Landmarks of a body that is turned away from the camera by so much; its nose is in front of it."""
    left = np.array([("left" in name) - 1.0 * ("right" in name) for name in LANDMARK_NAMES])
    world = np.stack([0.2 * left, np.linspace(-0.8, 0.9, 33), np.zeros(33)], axis=-1)
    world[:11, 2] -= 0.1
    world[25:27, 2] -= 0.05
    turn = np.radians(degrees)
    world[:, [0, 2]] = world[:, [0, 2]] @ np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    return (world + 0.01 * np.random.default_rng(noise).standard_normal((33, 3))).astype(np.float32)


def see(world: np.ndarray, *, facing: float | None = None, wrong: bool = False) -> Observation:
    """Somebody who is read as ``world``, or as the body that looks the same."""
    px = np.concatenate([100 * world[:, :2] + 300, np.linspace(0.1, 1, 33)[:, None]], axis=-1).astype(np.float32)
    pose = Pose(px=px, world=world, score=0.9, region=REGION, next_region=REGION, sigma_px=px[:, 0] / 100)
    if wrong:
        pose = replace(pose, px=px[MIRRORED], world=mirror_world(world), sigma_px=pose.sigma_px[MIRRORED])
    return Observation(
        box_xyxy=np.array([0.0, 0, 4, 4]), score=1.0, appearance=np.zeros(3), pose=replace(pose, facing=facing)
    )


def assert_read_as(person, worlds) -> None:
    for frame, world in enumerate(worlds):
        truth = see(world).pose
        for name in ("px", "world", "sigma_px"):
            np.testing.assert_array_equal(getattr(person[frame].pose, name), getattr(truth, name), err_msg=str(frame))


def test_the_other_body_looks_the_same_from_the_camera():
    world = stand(20)
    other = mirror_world(world)
    np.testing.assert_array_equal(other[MIRRORED, :2], world[:, :2])
    np.testing.assert_array_equal(other[MIRRORED, 2], -world[:, 2])
    np.testing.assert_array_equal(mirror_world(other), world)


@pytest.mark.parametrize("facing", [None, 0.5])
def test_who_stands_does_not_turn_around_and_back(facing):
    """Neither alone in a frame, nor for a few: most frames say which it is. Nothing else of them changes."""
    worlds = [stand(10, noise=frame) for frame in range(16)]
    wrong = {2, 5, 6, 7, 11, 15}
    person = {frame: see(world, facing=facing, wrong=frame in wrong) for frame, world in enumerate(worlds)}
    other = {frame: see(stand(-170, noise=frame)) for frame in (0, 3)}
    settled = settle_facing({4: person, 7: other}, make_clip([frame / 6 for frame in range(16)]))
    assert list(settled) == [4, 7]
    assert_read_as(settled[4], worlds)
    for frame, seen in settled[4].items():
        expected = facing if frame not in wrong or facing is None else -facing
        assert seen.pose.facing == expected and (seen is person[frame]) == (frame not in wrong)
        assert replace(seen, pose=None).box_xyxy is person[frame].box_xyxy
    assert all(settled[7][frame] is other[frame] for frame in (0, 3))


def test_pictures_that_are_sure_outvote_those_that_are_not():
    """Most frames are wrong here, and hardly sure."""
    worlds = [stand(190, noise=frame) for frame in range(9)]
    wrong = {0, 1, 3, 4, 6, 7}
    person = {
        frame: see(world, wrong=frame in wrong, facing=0.2 if frame in wrong else 3.0)
        for frame, world in enumerate(worlds)
    }
    assert_read_as(settle_facing({0: person}, make_clip([frame / 6 for frame in range(9)]))[0], worlds)


def test_who_turns_around_is_left_to_turn():
    """Once, by 30 degrees from frame to frame, and for good; a frame in between that was misread does not hide it."""
    worlds = [stand(degrees, noise=degrees) for degrees in (0, 0, 0, 30, 60, 90, 120, 150, 180, 180, 180)]
    person = {frame: see(world, wrong=frame in (1, 9)) for frame, world in enumerate(worlds)}
    assert_read_as(settle_facing({0: person}, make_clip([frame / 6 for frame in range(11)]))[0], worlds)


@pytest.mark.parametrize(("gap", "segment"), [(0.2, 1), (6.0, 0)])
def test_frames_of_another_shot_or_of_long_ago_say_nothing(gap, segment):
    """People may have turned around by then."""
    worlds = [stand(0), stand(0), stand(180)]
    clip = make_clip([0.0, 0.2, 0.2 + gap], [0, 0, segment])
    person = {frame: see(world) for frame, world in enumerate(worlds)}
    assert_read_as(settle_facing({0: person}, clip)[0], worlds)
    near = settle_facing({0: person}, make_clip([0.0, 0.2, 0.4]))[0]
    assert near[2].pose.world[11, 0] > 0.1


def test_sure_pictures_are_believed_at_any_frame_rate():
    """Frames that are nearer than a second do not hold one another more than a second's would."""
    worlds = [stand(0, noise=frame) for frame in range(3)] + [stand(180, noise=frame) for frame in range(3)]
    person = {frame: see(world, facing=8.0) for frame, world in enumerate(worlds)}
    settled = settle_facing({0: person}, make_clip([frame / 30 for frame in range(6)]))
    assert_read_as(settled[0], worlds)


def test_frames_are_compared_in_the_order_of_time():
    """As they come from an identity that was put together of several tracks."""
    worlds = [stand(0, noise=frame) if frame < 4 else stand(180, noise=frame) for frame in range(8)]
    person = {
        frame: see(worlds[frame], wrong=frame == 2, facing=6.0 * (frame != 2)) for frame in (5, 0, 6, 1, 7, 2, 4, 3)
    }
    settled = settle_facing({0: person}, make_clip([frame / 6 for frame in range(8)]))[0]
    assert_read_as(settled, worlds)


def test_limbs_are_compared_and_what_hangs_on_them_is_not():
    """Face, hands and feet of one frame are those of the other body."""
    worlds = [stand(0, noise=frame) for frame in range(5)]
    limbs = [11, 12, 13, 14, 15, 16, 23, 24, 25, 26, 27, 28]
    worlds[2] = np.where(np.isin(np.arange(33), limbs)[:, None], worlds[2], mirror_world(worlds[2]))
    person = {frame: see(world, facing=0.3) for frame, world in enumerate(worlds)}
    assert_read_as(settle_facing({0: person}, make_clip([frame / 6 for frame in range(5)]))[0], worlds)


def test_frames_without_a_pose_are_passed_over():
    worlds = [stand(0), stand(0), stand(0), stand(0)]
    person = {frame: see(world, wrong=frame == 2) for frame, world in enumerate(worlds)}
    person[1] = replace(person[1], pose=None)
    boxes = {0: replace(person[0], pose=None)}
    settled = settle_facing({0: person, 1: boxes, 2: {}}, make_clip([0, 0.2, 0.4, 0.6]))
    assert settled[0][1] is person[1] and settled[1] == boxes and settled[2] == {}
    np.testing.assert_array_equal(settled[0][2].pose.world, worlds[2])


def test_the_cheapest_course_of_all():
    rng = np.random.default_rng(3)
    for _ in range(30):
        as_read, keep, change = rng.normal(0, 2, 7), rng.random(6) * 3, rng.random(6) * 3

        def cost(course, as_read=as_read, keep=keep, change=change):
            own = sum(np.log1p(np.exp(odds if one else -odds)) for one, odds in zip(course, as_read, strict=True))
            steps = zip(itertools.pairwise(course), keep, change, strict=True)
            return own + sum(stays if a == b else changes for (a, b), stays, changes in steps)

        best = min(itertools.product([False, True], repeat=7), key=cost)
        assert list(_choose(as_read, keep, change)) == list(best)


def make_points(own: float, other: float, face: float) -> np.ndarray:
    points = np.full((1, 17, 4), own, np.float32)
    points[..., 3], points[:, :3, 2] = other, face
    return points


def weigh(world, points, swapped=False) -> float:
    return float(weigh_facing(world[None], points, np.array([swapped]))[0])


def test_what_a_picture_says():
    """Decision 059: .3 for each unit of the log odds between both sides, 3.5 for the face, 4 for each metre apart."""
    world = stand(0, noise=1)
    alike = make_points(0.6, 0.6, 0.45)
    apart = np.linalg.norm(world - mirror_world(world), axis=-1)[
        [11, 12, 13, 14, 15, 16, 23, 24, 25, 26, 27, 28]
    ].mean()
    assert weigh(world, alike) == pytest.approx(0.7 + 4 * apart, abs=1e-5)
    assert weigh(world, alike, swapped=True) == pytest.approx(0.7 - 4 * apart, abs=1e-5)
    stronger = make_points(0.6, 0.1, 0.45)
    odds = np.log(0.6 / 0.4) - np.log(0.1 / 0.9)
    assert weigh(world, stronger) - weigh(world, alike) == pytest.approx(0.3 * odds, abs=1e-5)
    # Eyes, ears and nose do not tell left from right.
    stronger[:, :5, 3] = 0.99
    assert weigh(world, stronger) - weigh(world, alike) == pytest.approx(0.3 * odds, abs=1e-5)
    # A face is seen of who faces the camera, and of nobody who turns away.
    seen = make_points(0.6, 0.6, 0.85)
    assert weigh(world, seen) - weigh(world, alike) == pytest.approx(3.5 * 0.4, rel=1e-2)
    away = stand(180)
    assert weigh(away, seen) - weigh(away, alike) == pytest.approx(-3.5 * 0.4, rel=1e-2)
    aside = stand(90)
    assert abs(weigh(aside, seen) - weigh(aside, alike)) < 0.1
    # Scores of 0 and 1 have no logarithm of their odds.
    assert weigh(world, make_points(1.0, 0.0, 0.45)) == pytest.approx(0.7 + 0.3 * 10 + 4 * apart, abs=1e-5)


def test_the_other_side_of_a_key_point():
    names = ["nose", *(f"{side} {part}" for part in ("eye", "ear", "shoulder", "elbow", "wrist", "hip", "knee", "ankle")
                       for side in ("left", "right"))]  # fmt: skip
    for name, other in zip(names, MIRRORED_POINTS, strict=True):
        assert names[other] == name.replace("left", "?").replace("right", "left").replace("?", "right")
