"""Two tracks of one person, and two people who change places."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from made_room import make_room, turn_world
from unish.reconstruction.checks.pairs import find_swaps, measure_colours, measure_overlaps
from unish.structs import Reconstruction


def _boxes(record: Reconstruction, first: list[float], second: list[float]) -> Reconstruction:
    boxes = np.stack([np.tile(np.float32(box), (record.num_frames, 1)) for box in (first, second)])
    return replace(record, boxes_xyxy=boxes)


def test_overlap_of_two_people_in_picture_and_space() -> None:
    record, _ = make_room(num_people=2)
    valid = np.array([[True] * 6, [False, False, True, True, True, True]])
    landmarks = np.full_like(record.landmarks_px, 50.0)
    landmarks[1, :, :, 0] += 3
    landmarks[1, :, :, 1] += 4
    landmarks[0, :, 5:] = np.nan
    record = replace(_boxes(record, [0, 0, 20, 40], [10, 20, 30, 40]), person_valid=valid, landmarks_px=landmarks)
    (found,) = measure_overlaps(turn_world(record))
    assert (found.first, found.second, found.frames, found.share) == (3, 4, 4, 1.0)
    assert found.box_iou == pytest.approx(200 / 1000) and found.contained == pytest.approx(200 / 400)
    # Five pixels over the longest side of both boxes.
    assert found.landmarks_apart == pytest.approx(5 / 40)
    assert found.apart_m == pytest.approx(0.8, abs=1e-5)
    assert found.size_ratio == pytest.approx(0.5)
    assert found.stacked == 0.0
    both = replace(record, person_valid=np.array([[True, True, True, False, False, False], [True] * 6]))
    assert measure_overlaps(both)[0].share == 1.0 and measure_overlaps(both)[0].frames == 3
    third = replace(record, person_valid=np.array([[True, True, True, True, True, False], [False] * 3 + [True] * 3]))
    assert measure_overlaps(third)[0].share == pytest.approx(2 / 3)


def test_people_who_never_meet_are_no_pair() -> None:
    record, _ = make_room(num_people=2)
    apart = np.array([[True] * 3 + [False] * 3, [False] * 3 + [True] * 3])
    assert measure_overlaps(replace(record, person_valid=apart)) == []
    assert [(pair.first, pair.second) for pair in measure_overlaps(make_room(num_people=3)[0])] == [
        (3, 4), (3, 5), (4, 5),
    ]  # fmt: skip


def test_without_landmarks_nothing_is_said_of_them() -> None:
    (found,) = measure_overlaps(make_room(num_people=2)[0])
    assert np.isnan(found.landmarks_apart)


@pytest.mark.parametrize(
    ("upper", "lower", "expected"),
    [
        ([10, 0, 30, 40], [10, 40, 30, 80], 1.0),
        ([10, 0, 30, 40], [20, 40, 60, 80], 0.5),
        ([10, 0, 30, 40], [10, 47, 30, 80], 0.0),  # a gap of 7 px, more than a fifth of 33
        ([10, 0, 30, 40], [10, 46, 30, 80], 1.0),
        ([10, 0, 30, 40], [10, 34, 30, 80], 1.0),
        ([10, 0, 30, 40], [10, 31, 30, 80], 0.0),
        ([10, 0, 30, 40], [40, 40, 60, 80], 0.0),
    ],
)
def test_halves_of_a_person_are_stacked(upper: list[float], lower: list[float], expected: float) -> None:
    record, _ = make_room(num_people=2)
    for first, second in ((upper, lower), (lower, upper)):
        assert measure_overlaps(_boxes(record, first, second))[0].stacked == pytest.approx(expected)


def _walk_towards(num_frames: int = 8) -> Reconstruction:
    """Two people: one goes right by 0.1 m a frame, the other stands 0.8 m to the right."""
    record, _ = make_room(num_people=2, num_frames=num_frames)
    joints = record.joints.copy()
    joints[0, ..., 0] += np.float32(0.1) * np.arange(num_frames)[:, None]
    return replace(record, joints=joints)


def _at(record: Reconstruction, frame: int) -> tuple[float, float]:
    (swap,) = [swap for swap in find_swaps(record) if swap.frame == frame]
    return swap.jump_m, swap.swapped_m


def test_steps_are_compared_with_those_of_the_exchanged_people() -> None:
    record = _walk_towards()
    assert [swap.frame for swap in find_swaps(record)] == list(range(1, 8))
    # At frame 3: from 0.2 to 0.3 and from 0.8 to 0.8; exchanged, from 0.2 to 0.8 and from 0.8 to 0.3.
    assert _at(turn_world(record), 3) == pytest.approx((0.1, 0.6), abs=1e-5)
    joints = record.joints.copy()
    joints[:, 4:] = joints[::-1, 4:]
    assert _at(replace(record, joints=joints), 4) == pytest.approx((0.5, 0.1), abs=1e-5)


def test_a_step_is_from_where_somebody_was_last_seen() -> None:
    record = _walk_towards()
    valid = np.ones((2, 8), bool)
    valid[0, 2:4] = False
    record = replace(record, person_valid=valid)
    # Half a second is three frames.
    assert _at(record, 4)[0] == pytest.approx(0.3, abs=1e-5)
    assert [swap.frame for swap in find_swaps(record)] == [1, 4, 5, 6, 7]
    valid = valid.copy()
    valid[0, 4] = False
    assert [swap.frame for swap in find_swaps(replace(record, person_valid=valid))] == [1, 6, 7]
    cut = replace(
        _walk_towards(), segment=(np.arange(8) >= 5).astype(np.int32), gravity=record.gravity.repeat(2, 0),
        floor=record.floor.repeat(2, 0),
    )  # fmt: skip
    assert [swap.frame for swap in find_swaps(cut)] == [1, 2, 3, 4, 6, 7]


def test_colours_are_of_the_upper_and_the_lower_half() -> None:
    record, _ = make_room()
    images = np.zeros_like(record.images)
    masks = np.full_like(record.person_masks, -1)
    masks[:, 10:30, 40:50] = 0
    images[:, 10:20, 40:50] = [255, 0, 51]
    images[:, 20:30, 40:50] = [0, 102, 0]
    masks[3:, 11:] = -1
    masks[3:, 10, 41:] = -1
    found = measure_colours(replace(record, images=images, person_masks=masks))
    np.testing.assert_allclose(found[0, :3], np.tile([1, 0, 0.2, 0, 0.4, 0], (3, 1)))
    # One pixel has no halves; who was not seen has no colour.
    assert np.isnan(found[0, 3:]).all()
    hidden = replace(record, images=images, person_masks=masks, person_valid=np.zeros((1, 6), bool))
    assert np.isnan(measure_colours(hidden)).all()


def _coloured(num_frames: int, change: int | None) -> Reconstruction:
    """One person in red, the other in blue; from frame ``change`` on the other way round."""
    record, _ = make_room(num_people=2, num_frames=num_frames)
    colours = np.array([[200, 0, 0], [0, 0, 200]], np.uint8)
    images = record.images.copy()
    for frame in range(num_frames):
        turned = colours[::-1] if change is not None and frame >= change else colours
        for person in (0, 1):
            images[frame][record.person_masks[frame] == person] = turned[person]
    return replace(record, images=images)


def test_colours_tell_when_two_people_change_places() -> None:
    colour = {swap.frame: swap.colour for swap in find_swaps(_coloured(12, 6))}
    assert colour[6] == 1.0
    # Two of the six frames before and after already have the others' colours: the median does not mind.
    assert colour[4] == 1.0 and colour[8] == 1.0
    assert {swap.frame: swap.colour for swap in find_swaps(_coloured(12, None))}[6] == -1.0
    # One frame is too few to tell.
    assert np.isnan(colour[11]) and np.isnan(colour[1]) and np.isfinite(colour[2]) and np.isfinite(colour[10])


def test_colours_are_compared_in_one_shot() -> None:
    record = _coloured(12, 6)
    cut = replace(
        record, segment=(np.arange(12) >= 6).astype(np.int32), gravity=record.gravity.repeat(2, 0),
        floor=record.floor.repeat(2, 0),
    )  # fmt: skip
    colour = {swap.frame: swap.colour for swap in find_swaps(cut)}
    assert 6 not in colour and colour[4] == -1.0 and colour[8] == -1.0
