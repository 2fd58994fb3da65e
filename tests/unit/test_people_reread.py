"""People whom the key points contradict, or of whom there is no pose, are read again where the points are."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from drawn_people import FRAME, Bodies, box_of, make_body
from unish.body import LANDMARK_NAMES
from unish.people.protocols import Observation
from unish.people.regions import Region
from unish.people.reread import read_points, whole_region

COCO = ["nose", *(f"{side}_{part}" for part in ("eye", "ear", "shoulder", "elbow", "wrist", "hip", "knee", "ankle")
                  for side in ("left", "right"))]  # fmt: skip
SAME = [LANDMARK_NAMES.index(name) for name in COCO]
LEGS = slice(11, 17)
STANDING = {"nose": (0, -0.24), "eye": (0.03, -0.28), "ear": (0.07, -0.22), "shoulder": (0.175, 0), "elbow": (0.2, 0.3),
            "wrist": (0.2, 0.55), "hip": (0.09, 0.5), "knee": (0.09, 0.95), "ankle": (0.09, 1.4)}  # fmt: skip


def stand(x: float, y: float, scale: float, *, legs: float = 0.9) -> np.ndarray:
    """COCO's key points of an adult, the middle of the shoulders at (x, y), so many pixels a metre; scores of legs."""
    points = []
    for name in COCO:
        side, _, part = name.partition("_")
        across, down = STANDING[part or side]
        points.append([x + scale * across * (1 if side == "left" else -1), y + scale * down, 0.9, 0.1])
    points = np.array(points, np.float32)
    points[LEGS, 2] = legs
    return points


class Seen:
    """A key point model that sees certain points in whatever it is shown, or others in a region that is larger."""

    def __init__(self, points: np.ndarray, wide: np.ndarray | None = None) -> None:
        self.points, self.wide, self.regions = points, wide, list[Region]()

    def read_points(self, picture, regions):
        first = self.regions[0] if self.regions else regions[0]
        self.regions += regions
        return np.stack(
            [self.points if self.wide is None or one.side <= 1.4 * first.side else self.wide for one in regions]
        )


def person(body=None, box=None) -> Observation:
    box = box_of(body) if box is None else np.array(box, float)
    return Observation(box_xyxy=box, score=0.9, appearance=np.zeros(72), pose=body)


def as_read(body) -> np.ndarray:
    points = np.full((17, 4), 0.9, np.float32)
    points[:, :2] = body.px[SAME, :2]
    return points


def read(people, model, landmarks):
    return read_points(FRAME, people, model, landmarks, min_landmark_score=0.5)


@pytest.mark.parametrize(("legs", "tilt"), [(0.9, 0.0), (0.9, 0.6), (0.1, 0.0)])
def test_the_region_of_a_whole_person_is_where_blazepose_wants_it(legs, tilt):
    """Centred at the hips, 1.25 times the circle around somebody who stands, turned along the trunk."""
    points = stand(100, 60, 80, legs=legs)
    turn = np.array([[np.cos(tilt), -np.sin(tilt)], [np.sin(tilt), np.cos(tilt)]])
    points[:, :2] = (points[:, :2] - [100, 60]) @ turn.T + [100, 60]
    region = whole_region(points)
    assert region is not None
    assert (region.x, region.y) == pytest.approx(tuple([100, 60] + turn @ [0, 40]), abs=1e-4)
    assert (region.side, region.angle) == pytest.approx((2 * 1.25 * 0.95 * 80, tilt), abs=1e-4)


def test_somebody_turned_away_is_as_large_as_their_longest_length():
    points = stand(100, 60, 80)
    points[:, 0] = 100 + 0.2 * (points[:, 0] - 100)
    sideways, straight = whole_region(points), whole_region(stand(100, 60, 80))
    assert sideways is not None and straight is not None and sideways.side == pytest.approx(straight.side)
    points[5, 2] = 0.29
    assert whole_region(points) is None, "one shoulder is not enough"


def test_lengths_with_an_end_that_is_not_seen_tell_no_size():
    """Without nose and ears, shoulders and hips tell it, and without all of them the shoulders alone."""
    points = stand(100, 60, 80)
    expected = whole_region(points)
    assert expected is not None
    for rows in (range(1), range(5), [*range(5), 11, 12]):
        hidden = points.copy()
        hidden[list(rows), :2], hidden[list(rows), 2] = 900, 0.1
        found = whole_region(hidden)
        assert found is not None and (found.x, found.y, found.side) == pytest.approx(
            (expected.x, expected.y, expected.side)
        )


def test_a_small_person_made_of_half_a_large_one_is_read_again():
    """The landmark model fits somebody into what is seen of a person who is cut off; the key points know better."""
    whole, squeezed = make_body(160, 220, 300), make_body(160, 150, 130)
    points = as_read(whole)
    landmarks = Bodies(squeezed, whole)
    (found,), _ = read([person(squeezed, (60, 70, 260, 240))], Seen(points), landmarks)
    assert found.pose is not None and np.array_equal(found.pose.px, whole.px) and landmarks.regions
    assert found.box_xyxy.tolist() == [60, 70, 260, 240]


@pytest.mark.parametrize("exchanged", [False, True])
def test_readings_that_agree_stay_whatever_is_left_and_right(exchanged):
    body = make_body(160, 120, 100)
    points = as_read(body)
    if exchanged:
        points[1:] = points[1:].reshape(8, 2, 4)[:, ::-1].reshape(16, 4)
    landmarks = Bodies(body)
    (found,), given = read([person(body)], Seen(points), landmarks)
    assert found.pose is body and not landmarks.regions and np.array_equal(given[0], points)


def test_points_beyond_the_border_of_the_picture_contradict_nothing():
    """Those are guesses; what is inside decides."""
    body = make_body(160, 200, 100)
    points = as_read(body)
    points[11:13, :2] = 160, 300
    landmarks = Bodies(body)
    (found,), _ = read([person(body)], Seen(points), landmarks)
    assert found.pose is body and not landmarks.regions


def test_people_without_a_pose_get_one_if_they_are_large_enough():
    body = make_body(160, 120, 200)
    for side, posed in ((63, False), (65, True)):
        box = (160 - side / 2, 120 - side / 2, 160 + side / 2, 120 + side / 2)
        points = as_read(body)
        points[:, :2] = (points[:, :2] - [160, 120]) * side / 200 + [160, 120]
        small = replace(body, px=np.concatenate([(body.px[:, :2] - [160, 120]) * side / 200 + [160, 120],
                                                 body.px[:, 2:]], axis=1).astype(np.float32))  # fmt: skip
        (found,), _ = read([person(None, box)], Seen(points), Bodies(small))
        assert (found.pose is not None) == posed


def test_somebody_of_whom_only_the_head_is_seen_is_looked_at_in_a_larger_region():
    whole = make_body(160, 220, 300)
    tight = as_read(whole)
    tight[:, 2] = 0.1
    model = Seen(tight, wide=as_read(whole))
    (found,), points = read([person(None, (100, 60, 220, 180))], model, Bodies(whole))
    assert found.pose is not None and np.array_equal(found.pose.px, whole.px)
    first, wide, last = model.regions
    assert wide.side > 1.5 * first.side and wide.y > first.y
    assert last.side > first.side, "the points are read once more, around the pose"
    assert np.array_equal(points[0], as_read(whole))


def test_what_contradicts_the_points_too_or_is_somebody_else_s_is_not_kept():
    squeezed, whole = make_body(160, 150, 130), make_body(160, 220, 300)
    points = as_read(whole)
    (found,), _ = read([person(squeezed, (60, 70, 260, 240))], Seen(points), Bodies(squeezed))
    assert found.pose is squeezed, "the new reading is no better"
    low = replace(whole, score=0.4)
    (found,), _ = read([person(None, (60, 70, 260, 240))], Seen(points), Bodies(low))
    assert found.pose is None, "the landmark model is not sure"
    people = [person(whole, (10, 70, 310, 240)), person(None, (60, 70, 260, 240))]
    first, second = read(people, Seen(points), Bodies(whole))[0]
    assert first.pose is whole and second.pose is None
