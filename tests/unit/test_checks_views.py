"""Half a person, a picture of a person, and somebody in a mirror."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from made_room import make_room
from unish.body.joints import MIRRORED_JOINTS
from unish.reconstruction.checks.views import change_of_shape_percent, lower_body_frames, measure_reflections
from unish.structs import Reconstruction

NUM_FRAMES = 8


def with_landmarks(places: np.ndarray, num_people: int = 1, visibility: float = 0.9) -> Reconstruction:
    """(T, 33, 2) landmarks of the first person, all as visible."""
    record, _ = make_room(num_people=num_people, num_frames=len(places))
    landmarks = np.full((num_people, len(places), 33, 3), visibility, np.float32)
    landmarks[0, ..., :2] = places
    return replace(record, landmarks_px=landmarks)


def figure(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(0, 100, (33, 2))


def seen_from_the_side(num_frames: int) -> np.ndarray:
    """A poster before which the camera walks: turned, sheared, nearer every frame."""
    frames = []
    for frame in range(num_frames):
        turn, size = 0.05 * frame, 1 + 0.03 * frame
        affine = size * np.array([[np.cos(turn), 0.02 * frame], [-np.sin(turn), 1.0]])
        frames.append(figure() @ affine + [3 * frame, -frame])
    return np.stack(frames)


def test_a_poster_keeps_its_shape_however_the_camera_moves() -> None:
    assert change_of_shape_percent(with_landmarks(np.stack([figure()] * NUM_FRAMES)), 0) == pytest.approx(0, abs=1e-4)
    assert change_of_shape_percent(with_landmarks(seen_from_the_side(NUM_FRAMES)), 0) == pytest.approx(0, abs=1e-4)


def test_an_arm_that_moves_is_measured_against_the_box() -> None:
    """Noise of σ pixels on each coordinate of two frames: √2 · √2 σ, less what the affine map takes."""
    sigma, places = 2.0, np.stack([figure()] * 200)
    places = places + np.random.default_rng(1).normal(0, sigma, places.shape)
    record = with_landmarks(places)
    side = float((record.boxes_xyxy[0, 0, 2:] - record.boxes_xyxy[0, 0, :2]).max())
    expected = 100 * 2 * sigma * np.sqrt(30 / 33) / side
    assert change_of_shape_percent(record, 0) == pytest.approx(expected, rel=0.03)


def test_few_frames_or_landmarks_tell_nothing() -> None:
    assert np.isnan(change_of_shape_percent(with_landmarks(np.stack([figure()] * 4)), 0))
    assert np.isnan(change_of_shape_percent(with_landmarks(np.stack([figure()] * 8), visibility=0.5), 0))
    record = with_landmarks(np.stack([figure()] * 8))
    landmarks = record.landmarks_px.copy()
    landmarks[:, :, 5:, 2] = 0.1
    assert np.isnan(change_of_shape_percent(replace(record, landmarks_px=landmarks), 0))
    assert np.isnan(change_of_shape_percent(replace(record, landmarks_px=np.full_like(landmarks, np.nan)), 0))


def test_frames_in_which_a_person_is_not_seen_do_not_count() -> None:
    places = np.stack([figure()] * 9)
    places[4] = figure(1)
    record = with_landmarks(places)
    valid = record.person_valid.copy()
    valid[0, 4] = False
    assert change_of_shape_percent(replace(record, person_valid=valid), 0) == pytest.approx(0, abs=1e-4)


@pytest.mark.parametrize(
    ("top", "shoulders", "visibility", "cut"),
    [(1.0, -20.0, 0.9, True), (1.9, 30.0, 0.2, True), (1.0, np.nan, np.nan, True), (1.0, 30.0, 0.9, False),
     (20.0, 30.0, 0.2, False), (20.0, -20.0, 0.9, False)],
    ids=["above the picture", "not visible", "unread", "seen", "free above", "free above, read outside"],
)  # fmt: skip
def test_who_is_cut_off_above(top: float, shoulders: float, visibility: float, cut: bool) -> None:
    record = with_landmarks(np.full((NUM_FRAMES, 33, 2), 40.0))
    boxes, landmarks, valid = record.boxes_xyxy.copy(), record.landmarks_px.copy(), record.person_valid.copy()
    boxes[0, 2:, 1] = top
    landmarks[0, 2:, 11:13, 1:] = shoulders, visibility
    valid[0, 7] = False
    found = lower_body_frames(replace(record, boxes_xyxy=boxes, landmarks_px=landmarks, person_valid=valid), 0)
    assert found == (5 if cut else 0)


def test_one_shoulder_is_enough() -> None:
    record = with_landmarks(np.full((NUM_FRAMES, 33, 2), 40.0))
    boxes, landmarks = record.boxes_xyxy.copy(), record.landmarks_px.copy()
    boxes[..., 1], landmarks[:, :, 11, 2] = 0.0, 0.1
    assert lower_body_frames(replace(record, boxes_xyxy=boxes, landmarks_px=landmarks), 0) == 0


def moving_pair(other: np.ndarray, moves: np.ndarray) -> Reconstruction:
    """Two people; the joints of the first move by ``moves`` (T, 24, 3), those of the second by ``other``."""
    record, _ = make_room(num_people=2, num_frames=len(moves))
    joints = record.joints.copy()
    joints[0] += moves
    joints[1] += other
    return replace(record, joints=joints)


def some_moves(seed: int, metres: float = 0.1) -> np.ndarray:
    moves = np.random.default_rng(seed).normal(0, metres, (NUM_FRAMES, 24, 3)).astype(np.float32)
    moves[:, 0] = 0
    return moves


@pytest.mark.parametrize("turn", [0.0, 0.7, 3.0])
def test_a_reflection_has_left_and_right_exchanged(turn: float) -> None:
    """Wherever the mirror hangs: a reflection in another plane is the same one, turned."""
    moves = some_moves(0)
    rotation = Rotation.from_euler("y", turn).as_matrix().astype(np.float32)
    image = (moves[:, MIRRORED_JOINTS] * np.float32([-1, 1, 1])) @ rotation.T
    (pair,) = measure_reflections(moving_pair(image, moves))
    assert (pair.first, pair.second) == (3, 4) and pair.mirrored == pytest.approx(1.0, abs=1e-4)
    assert pair.direct < 0.5


def test_the_movement_is_that_of_the_one_who_moves_less() -> None:
    moves, few = some_moves(0), some_moves(1, 0.02)
    (pair,) = measure_reflections(moving_pair(few, moves))
    expected = 100 * np.sqrt(((few - few.mean(0)) ** 2).sum(-1).mean())
    assert pair.movement_cm == pytest.approx(expected, rel=1e-4)


def test_two_who_move_alike_and_two_strangers() -> None:
    moves = some_moves(0)
    turned = moves @ Rotation.from_euler("y", 2.0).as_matrix().astype(np.float32).T
    (alike,) = measure_reflections(moving_pair(turned, moves))
    assert alike.direct == pytest.approx(1.0, abs=1e-4) and alike.mirrored < 0.5
    (strangers,) = measure_reflections(moving_pair(some_moves(7), moves))
    assert strangers.direct < 0.5 and strangers.mirrored < 0.5


def test_who_stands_still_or_is_seen_too_briefly_correlates_with_nobody() -> None:
    moves = some_moves(0)
    (pair,) = measure_reflections(moving_pair(np.zeros_like(moves), moves))
    assert np.isnan(pair.mirrored) and pair.movement_cm == 0.0
    record = moving_pair(moves, moves)
    valid = record.person_valid.copy()
    valid[0, :2], valid[1, 6:] = False, False
    assert measure_reflections(replace(record, person_valid=valid)) == []
