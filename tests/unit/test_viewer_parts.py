"""Measuring by clicks, seeing through the camera, colours, and work that follows a timeline."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest
import torch

from unish.geometry.camera import project
from unish.viewer.colouring import MODES, colour_points
from unish.viewer.film_camera import fill_window, fit_window, vertical_fov
from unish.viewer.following import Follower
from unish.viewer.measuring import Place, find_place, measure_distance

FLOOR = 1.5


def floor_and_wall(seed: int, noise: float = 0.0) -> np.ndarray:
    """Random points on a floor 1.5 m below the camera (y down), up to a wall 6 m ahead."""
    rng = np.random.default_rng(seed)
    floor = np.column_stack([rng.uniform(-3, 3, 30_000), np.full(30_000, FLOOR), rng.uniform(1, 6, 30_000)])
    wall = np.column_stack([rng.uniform(-3, 3, 20_000), rng.uniform(-1.5, FLOOR, 20_000), np.full(20_000, 6.0)])
    points = np.concatenate([floor, wall])
    return points + noise * rng.normal(size=points.shape)


@pytest.mark.parametrize("seed", range(5))
def test_two_clicks_give_the_distance(seed: int) -> None:
    """Within 2 % + 1 cm where the depth is true: on the floor, seen at a flat angle, and on the wall behind it."""
    rng, points, eye = np.random.default_rng(seed), floor_and_wall(seed), np.array([0.2, 0.0, -0.3])
    for _ in range(10):
        wanted = [
            np.array([rng.uniform(-2, 2), FLOOR, rng.uniform(1.8, 5)]),
            np.array([rng.uniform(-2, 2), rng.uniform(-1, 1), 6.0]),
        ]
        places = [find_place(eye, goal - eye, points) for goal in wanted]
        assert all(place is not None for place in places)
        found = measure_distance(places[0], places[1], np.array([0.9, 1.1]))
        truth = float(np.linalg.norm(wanted[0] - wanted[1]))
        assert abs(found.metres - truth) < 0.02 * truth + 0.01
        assert found.low < truth < found.high


def test_the_nearest_surface_counts() -> None:
    rng = np.random.default_rng(0)
    near = np.column_stack([rng.uniform(-0.5, 0.5, (4000, 2)), np.full(4000, 2.0)])
    far = np.column_stack([rng.uniform(-2, 2, (8000, 2)), np.full(8000, 5.0)])
    behind = -near
    stray = np.array([[0.0, 0.0, 0.7]])
    place = find_place(np.zeros(3), np.array([0, 0, 3.0]), np.concatenate([far, near, behind, stray]))
    assert place is not None and abs(place.xyz[2] - 2.0) < 1e-6
    assert find_place(np.zeros(3), np.array([0, -1.0, 0.1]), near) is None
    assert find_place(np.zeros(3), np.array([0, 0, 1.0]), np.zeros((0, 3))) is None
    lonely = find_place(np.zeros(3), np.array([0, 0, 1.0]), np.array([[0.0, 0.01, 4.0]]))
    assert lonely is not None and abs(lonely.xyz[2] - 4.0) < 1e-3


def test_scatter_widens_the_interval() -> None:
    eye, goal = np.zeros(3), np.array([0.3, 0.1, 6.0])
    calm, rough = (find_place(eye, goal, floor_and_wall(0, noise)) for noise in (0.0, 0.05))
    assert calm is not None and rough is not None
    assert calm.sigma_m < 1e-6 and 0.02 < rough.sigma_m < 0.08


def test_intervals_of_distances() -> None:
    first, second = (Place(xyz=np.array([x, 0.0, 0.0]), sigma_m=0.0) for x in (0.0, 2.0))
    found = measure_distance(first, second, np.array([0.9, 1.2]))
    np.testing.assert_allclose([found.metres, found.low, found.high], [2.0, 1.8, 2.4])
    assert found.scale_known and found.describe() == "2.00 m (90 %: 1.80 to 2.40 m)"
    unknown = measure_distance(first, second, np.full(2, np.nan))
    assert not unknown.scale_known and "unknown" in unknown.describe() and unknown.low == unknown.high == 2.0
    rough = measure_distance(Place(xyz=first.xyz, sigma_m=0.3), Place(xyz=second.xyz, sigma_m=0.4), np.ones(2))
    np.testing.assert_allclose(rough.high - rough.metres, 1.645 * 0.5)


@pytest.mark.parametrize("aspect", [0.5, 1.0, 1.9, 4.0])
@pytest.mark.parametrize("middle", [(320, 180), (290, 230)])
def test_the_picture_lies_behind_what_it_shows(aspect: float, middle: tuple[int, int]) -> None:
    """A camera that looks along the middle of its window draws a point where its pixel of the picture lies."""
    intrinsics, size = np.array([[510.0, 0, middle[0]], [0, 480, middle[1]], [0, 0, 1]]), (360, 640)
    fov, (left, top, right, bottom) = fit_window(intrinsics, size, aspect)
    assert left >= -1e-9 and top >= -1e-9 and right <= 1 + 1e-9 and bottom <= 1 + 1e-9
    assert min(left, top, 1 - right, 1 - bottom) < 1e-9  # no wider than needed
    points = np.random.default_rng(0).uniform([-1, -0.6, 3], [1, 0.6, 5], (50, 3))
    pixels = project(torch.from_numpy(points), torch.from_numpy(intrinsics)).numpy()
    in_picture = np.array([left, top]) + pixels / [640, 360] * [right - left, bottom - top]
    half = np.tan(fov / 2)
    drawn = 0.5 + points[:, :2] / points[:, 2:] / (2 * half * np.array([aspect, 1]))
    np.testing.assert_allclose(in_picture, drawn, atol=1e-9)


def test_the_window_shows_the_picture_at_its_place() -> None:
    picture = np.zeros((36, 64, 3), np.uint8)
    picture[9:18, 32:48] = 255  # rows 0.25 to 0.5, columns 0.5 to 0.75
    window = fill_window(picture, (0.25, 0.0, 0.75, 1.0), (360, 640))
    rows, columns = np.nonzero(window[..., 0] > 127)
    assert (rows.min(), rows.max() + 1) == pytest.approx((90, 180), abs=1)
    assert (columns.min(), columns.max() + 1) == pytest.approx((320, 400), abs=1)
    assert not window[:, :150].any() and window.shape == (360, 640, 3)


def test_angle_of_view() -> None:
    fov, aspect = vertical_fov(np.array([[100.0, 0, 9], [0, 50, 9], [0, 0, 1]]), (100, 400))
    assert fov == pytest.approx(np.pi / 2) and aspect == pytest.approx(2.0)


def test_colours_of_points() -> None:
    given = {
        "picture": np.array([[200, 100, 0]] * 3, np.uint8),
        "distance": np.array([1.0, 2.0, 4.0]),
        "confidence": np.array([0.0, 0.5, 1.0]),
        "person": np.array([-1, 0, 1]),
        "person_ids": np.array([3, 0]),
        "depth_range": (1.0, 4.0),
    }
    colours = {mode: colour_points(mode, **given).astype(int) for mode in MODES}
    assert all(value.shape == (3, 3) for value in colours.values())
    np.testing.assert_array_equal(colours["picture"], given["picture"])
    assert colours["depth"][0, 0] > colours["depth"][0, 2] and colours["depth"][2, 0] < colours["depth"][2, 2]
    assert colours["confidence"][0, 0] > colours["confidence"][0, 1]  # red
    assert colours["confidence"][2, 1] > colours["confidence"][2, 0]  # green
    assert len(set(colours["person"][0])) == 1 and colours["person"][0, 0] == 45
    assert (colours["person"][1] != colours["person"][2]).any()
    nobody = {**given, "person": np.full(3, -1), "person_ids": np.zeros(0, int)}
    assert (colour_points("person", **nobody) == 45).all()


def test_only_the_newest_step_is_worked_on() -> None:
    """A slow window skips steps, and always ends at the last."""
    seen: list[tuple[int, int]] = []
    started, free = threading.Event(), threading.Event()

    def arrive(step: int, before: int) -> None:
        seen.append((step, before))
        started.set()
        free.wait(5)

    follower = Follower(arrive)
    follower.go_to(1)
    assert started.wait(5)
    for step in range(2, 50):
        follower.go_to(step)
    free.set()
    deadline = time.monotonic() + 5
    while len(seen) < 2 and time.monotonic() < deadline:
        time.sleep(0.005)
    follower.again()
    while len(seen) < 3 and time.monotonic() < deadline:
        time.sleep(0.005)
    assert seen == [(1, 0), (49, 1), (49, 49)] and follower.step == 49
    follower.stop()
    follower._thread.join(5)
    assert not follower._thread.is_alive()
