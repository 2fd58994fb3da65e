"""Measures of the ground, in a room whose every number is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from made_room import CAMERA_HEIGHT, HEIGHT, make_room, turn_world
from unish.reconstruction.checks.ground import _fit_normal, find_upright, measure_ground, read_ground
from unish.structs import Reconstruction

ALL = np.arange(6)


def _ground(record: Reconstruction, body: object, frames: np.ndarray = ALL) -> list[float]:
    rest = body.rest_joints(torch.from_numpy(record.betas)).numpy()
    found = measure_ground(record, read_ground(record), rest, frames)
    return [found.scene_level_cm, found.scene_tilt_deg, found.people_tilt_deg]


def test_ground_agrees_in_a_level_room() -> None:
    record, body = make_room()
    for same in (record, turn_world(record)):
        level, tilt, lean = _ground(same, body)
        # Measured 2e-5 cm, 2e-4 degrees: depth in float32, and the foot of the wall is in the band. People lean by
        # what ankles and neck are apart in depth: nothing in the rest pose of the figure.
        assert (level, tilt, lean) == (
            pytest.approx(0, abs=0.05), pytest.approx(0, abs=0.05), pytest.approx(0, abs=1e-2)
        )  # fmt: skip


@pytest.mark.parametrize("metres", [0.25, -0.25])
def test_a_floor_at_the_wrong_height_is_seen_in_the_scene(metres: float) -> None:
    record, body = make_room()
    floor = record.floor.copy()
    floor[:, 3] -= metres
    level, tilt, _ = _ground(replace(record, floor=floor), body)
    # The ground lies where it was, seen from a floor that is higher (lower) now.
    assert level == pytest.approx(-100 * metres, abs=0.05) and tilt == pytest.approx(0, abs=0.05)


def test_a_tilted_floor_is_seen_in_scene_and_people() -> None:
    record, body = make_room()
    turn = Rotation.from_euler("z", 8, degrees=True).as_matrix()
    normal = turn @ [0, -1, 0]
    foot = np.array([0, CAMERA_HEIGHT, 4.0])
    tilted = replace(record, floor=np.float32([[*normal, -normal @ foot]]))
    level, tilt, lean = _ground(tilted, body)
    assert tilt == pytest.approx(8, abs=0.1) and lean == pytest.approx(8, abs=0.01)
    assert abs(level) < 1


def test_ground_is_looked_for_near_feet_and_floor_alone() -> None:
    record, body = make_room()
    far = record.depth.copy()
    # The floor beyond 2 m from the feet is raised by 40 cm: nobody stands there.
    z = far[0, :, 0]
    beyond = (z > 6) & (np.arange(HEIGHT) > 60)
    far[:, beyond] *= (CAMERA_HEIGHT - 0.4) / CAMERA_HEIGHT
    level, tilt, _ = _ground(replace(record, depth=far), body)
    # Measured 0.15 degrees: the foot of the step is in the band.
    assert level == pytest.approx(0, abs=0.05) and tilt == pytest.approx(0, abs=0.3)
    nowhere = replace(record, joints=record.joints + np.float32([0, 0, 50]))
    assert np.isnan(_ground(nowhere, body)[:2]).all()
    nothing = replace(record, floor=np.full((1, 4), np.nan, np.float32))
    assert np.isnan(_ground(nothing, body)).all()


@pytest.mark.parametrize(("pixels", "frames", "known"), [(100, 2, True), (99, 2, False), (25, 8, True), (24, 8, False)])
def test_ground_needs_two_hundred_points(pixels: int, frames: int, known: bool) -> None:
    record, body = make_room(num_frames=frames)
    flat = record.depth[0].copy()
    depth = np.zeros_like(flat)
    # Before the feet, which are 4 m away, in row 85: at most 1.2 m beside them.
    rows, columns = (index.ravel()[:pixels] for index in np.mgrid[88:90, 34:94])
    depth[rows, columns] = flat[rows, columns]
    found = _ground(replace(record, depth=np.tile(depth, (frames, 1, 1))), body, np.arange(frames))
    assert np.isfinite(found[0]) == known and np.isfinite(found[1]) == known


def test_ground_is_looked_at_in_eight_frames_that_are_evenly_spread() -> None:
    """Of fifteen frames every second: the others are broken, and most points are theirs. Of eight or fewer, all."""
    record, body = make_room(num_frames=15)
    depth = record.depth.copy()
    depth[::2, :, :80] = 0
    depth[1::2] *= 0.7
    assert _ground(replace(record, depth=depth), body, np.arange(15))[0] == pytest.approx(0, abs=0.05)
    assert _ground(replace(record, depth=depth), body, np.arange(4))[0] == pytest.approx(45, abs=1)


def test_the_plane_of_the_ground_is_where_its_weights_have_settled() -> None:
    """A kerb of 12 cm over a third of the ground: the plane of the definition, iterated until nothing moves."""
    rng = np.random.default_rng(0)
    points = rng.uniform(-1.5, 1.5, (4000, 3)) * [1, 0.01, 1]
    points[points[:, 0] > 0.5, 1] -= 0.12
    found = _fit_normal(points, np.array([0.0, -1.0, 0.0]))
    residual = np.median(points[:, 1]) - points[:, 1]
    for _ in range(100):
        weights = 1 / (1 + (residual / 0.05) ** 2)
        middle = np.average(points, axis=0, weights=weights)
        normal = np.linalg.svd((points - middle) * np.sqrt(weights)[:, None], full_matrices=False)[2][2]
        residual = (points - middle) @ normal
    # Measured 6e-6 degrees; half as many rounds leave 2e-3.
    assert np.degrees(np.arccos(min(1.0, abs(float(normal @ found))))) < 1e-4
    assert found[1] < -0.99


def test_upright_people_stand_nearly_straight() -> None:
    record, body = make_room(num_people=2)
    rest = body.rest_joints(torch.from_numpy(record.betas)).numpy()
    assert find_upright(record, rest).all()
    joints = record.joints.copy()
    neck, ankles = joints[0, :, 12], joints[0, :, [7, 8]].mean(0)
    joints[0, :2, 12] = (ankles + 0.86 * (neck - ankles))[:2]
    joints[0, 2:, 12] = (ankles + 0.84 * (neck - ankles))[2:]
    found = find_upright(replace(record, joints=joints), rest)
    assert found[0].tolist() == [True, True, False, False, False, False] and found[1].all()
    hidden = replace(record, person_valid=np.array([[True] * 6, [False] * 6]))
    assert not find_upright(hidden, rest)[1].any()
    # Three upright frames tell which way is up, two do not.
    assert np.isfinite(_ground(replace(record, joints=joints, person_valid=hidden.person_valid), body, ALL[:2])[2]) == 0
    level = replace(record, person_valid=np.array([[True] * 6, [False] * 6]))
    assert np.isfinite(_ground(level, body, ALL[:3])[2])
