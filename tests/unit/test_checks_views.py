"""Half a person, a picture of a person, and somebody in a mirror."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from scipy.spatial.transform import Rotation

from made_room import make_room
from unish.body.joints import MIRRORED_JOINTS
from unish.reconstruction.checks.views import likeness, lower_body_frames, measure_reflections, trunk_down
from unish.structs import Reconstruction

NUM_FRAMES = 8


MOVES = [
    np.array([[1 + 0.01 * k, 0.004 * k], [-0.006 * k, 1 + 0.008 * k], [0.3 * k, -0.4 * k]]) for k in range(NUM_FRAMES)
]
"""Where a camera that walks before a poster sees a point (x, y, 1) of its first picture in each frame."""

POINTS = np.random.default_rng(0).uniform(20, 76, (33, 2))


def texture() -> Image.Image:
    noise = np.random.default_rng(1).integers(0, 255, (48, 64), dtype=np.uint8)
    return Image.fromarray(noise).resize((128, 96), Image.Resampling.BICUBIC)


def poster(moves: list[np.ndarray], *, noise: float = 0.0, wobble: float = 0.0) -> Reconstruction:
    """A person who is a flat picture and fills most of the frame; ``noise`` is that of the landmarks, pixels.

    ``wobble`` pixels is how far the lower half of the person moves to and fro against the upper one.
    """
    record, _ = make_room(num_people=1, num_frames=len(moves))
    draw, images, marks = np.random.default_rng(2), [], []
    for frame, move in enumerate(moves):
        # What the frame shows at a pixel: the place of the picture that the inverse map gives.
        inverse = np.linalg.inv(np.concatenate([move.T, [[0, 0, 1]]]))[:2]
        seen = np.asarray(
            texture().transform((128, 96), Image.Transform.AFFINE, inverse.ravel(), Image.Resampling.BICUBIC)
        )
        seen = seen.copy()
        seen[48:] = np.roll(seen[48:], round(wobble * (-1) ** (frame // 4)), axis=1)
        images.append(np.repeat(seen[..., None], 3, -1))
        marks.append(np.concatenate([POINTS, np.ones((33, 1))], 1) @ move + draw.normal(0, noise, (33, 2)))
    landmarks = np.full((1, len(moves), 33, 3), 0.9, np.float32)
    landmarks[0, ..., :2] = np.stack(marks)
    masks = np.full((len(moves), 96, 128), -1, np.int16)
    masks[:, 12:84, 24:104] = 0
    return replace(record, images=np.stack(images), landmarks_px=landmarks, person_masks=masks)


@pytest.mark.parametrize("noise", [0.0, 1.0])
def test_a_poster_is_found_again_however_the_camera_moves(noise: float) -> None:
    assert likeness(poster([MOVES[0]] * NUM_FRAMES, noise=noise), 0) > 0.9999
    assert likeness(poster(MOVES, noise=noise), 0) > 0.995


def test_somebody_who_moves_a_part_is_not() -> None:
    assert likeness(poster([MOVES[0]] * NUM_FRAMES, wobble=2.0), 0) < 0.9


def test_frames_in_which_a_person_is_not_seen_do_not_count() -> None:
    record = poster([MOVES[0]] * 9)
    images, valid = record.images.copy(), record.person_valid.copy()
    images[4], valid[0, 4] = images[4, ::-1], False
    assert likeness(replace(record, images=images, person_valid=valid), 0) > 0.9999


@pytest.mark.parametrize("hidden", [slice(5, None), slice(None)])
def test_landmarks_need_not_be_seen_where_box_or_place_tell(hidden: slice) -> None:
    """The box grows as the picture does; before a camera that stands still, nothing has to move."""
    record = poster(MOVES)
    landmarks, boxes = record.landmarks_px.copy(), record.boxes_xyxy.copy()
    landmarks[:, :, hidden, 2] = 0.1
    for frame, move in enumerate(MOVES):
        boxes[0, frame] = (np.array([[24.0, 12, 1], [104, 84, 1]]) @ move).ravel()
    assert likeness(replace(record, landmarks_px=landmarks, boxes_xyxy=boxes), 0) > 0.995
    still = replace(poster([MOVES[0]] * 8), landmarks_px=np.full_like(landmarks, np.nan))
    assert likeness(still, 0) > 0.9999


def test_few_frames_or_pixels_tell_nothing() -> None:
    record = poster([MOVES[0]] * 8)
    few, masks = record.person_valid.copy(), record.person_masks.copy()
    few[0, 4:], masks[:, 13:] = False, -1
    masks[:, :, 60:] = -1
    for change in (
        {"person_valid": few}, {"person_masks": masks}, {"images": np.full_like(record.images, 90)},
    ):  # fmt: skip
        assert np.isnan(likeness(replace(record, **change), 0))


@pytest.mark.parametrize(("angle", "cosine"), [(0.0, -1.0), (90.0, 0.0), (180.0, 1.0), (60.0, -0.5)])
def test_how_far_people_are_upside_down_in_the_picture(angle: float, cosine: float) -> None:
    """Whatever the way that the camera is held in the world."""
    record, _ = make_room(num_people=2, num_frames=4)
    turn = Rotation.from_euler("z", angle, degrees=True).as_matrix()
    joints = record.joints[:, :, :1] + (record.joints - record.joints[:, :, :1]) @ turn.T
    found = replace(record, joints=joints.astype(np.float32))
    assert trunk_down(found, np.arange(4)) == pytest.approx(cosine, abs=0.02)
    c2w = record.c2w.copy()
    c2w[:, :3, :3] = turn
    assert trunk_down(replace(found, c2w=c2w), np.arange(4)) == pytest.approx(-1.0, abs=0.02)


def test_nobody_is_upside_down_where_nobody_is() -> None:
    record, _ = make_room(num_people=1, num_frames=4)
    nobody = replace(record, person_valid=np.zeros((1, 4), bool))
    assert np.isnan(trunk_down(nobody, np.arange(4))) and trunk_down(record, np.arange(2)) < -0.9


def with_landmarks() -> Reconstruction:
    """All of a person's landmarks in the picture, and visible."""
    record, _ = make_room(num_people=1, num_frames=NUM_FRAMES)
    landmarks = np.full((1, NUM_FRAMES, 33, 3), 40.0, np.float32)
    landmarks[..., 2] = 0.9
    return replace(record, landmarks_px=landmarks)


@pytest.mark.parametrize(
    ("top", "shoulders", "visibility", "cut"),
    [(1.0, -20.0, 0.9, True), (1.9, 30.0, 0.2, True), (1.0, np.nan, np.nan, True), (1.0, 30.0, 0.9, False),
     (20.0, 30.0, 0.2, False), (20.0, -20.0, 0.9, False)],
    ids=["above the picture", "not visible", "unread", "seen", "free above", "free above, read outside"],
)  # fmt: skip
def test_who_is_cut_off_above(top: float, shoulders: float, visibility: float, cut: bool) -> None:
    record = with_landmarks()
    boxes, landmarks, valid = record.boxes_xyxy.copy(), record.landmarks_px.copy(), record.person_valid.copy()
    boxes[0, 2:, 1] = top
    landmarks[0, 2:, 11:13, 1:] = shoulders, visibility
    valid[0, 7] = False
    found = lower_body_frames(replace(record, boxes_xyxy=boxes, landmarks_px=landmarks, person_valid=valid), 0)
    assert found == (5 if cut else 0)


def test_one_shoulder_is_enough() -> None:
    record = with_landmarks()
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
