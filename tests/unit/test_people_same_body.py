"""One body or two: no body is given to two people."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest

from drawn_people import (
    TRUNK,
    Bodies,
    box_of,
    detect,
    make_body,
    observe_frame,
)
from unish.people.boxes import pose_similarity
from unish.people.protocols import Pose
from unish.people.reading import belongs_to_box, same_body


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_somebody_hardly_in_view_does_not_take_the_body_of_the_one_in_front(order):
    """The surer box, beside, leads to the body in front, too: the body is in the box that it fits."""
    front = make_body(100, 120, 160)
    boxes = [box_of(front, 3), box_of(front) + np.array([30, 10, 30, 0])]
    detections = [detect(boxes[0], 0.7), detect(boxes[1], 0.95)]
    found = observe_frame([detections[index] for index in order], landmarks=Bodies(front))
    with_pose = [one for one in found if one.pose is not None]
    assert len(with_pose) == 1 and with_pose[0].box_xyxy.tolist() == pytest.approx(box_of(front).tolist())
    assert with_pose[0].score == pytest.approx(1 - 0.3 * (1 - 0.6 * 0.95))
    # The other one keeps a box, well apart and sure as it is, and comes after those with a body.
    assert [one.pose is None for one in found] == [False, True] and found[1].box_xyxy.tolist() == boxes[1].tolist()


def test_a_second_box_of_one_body_is_nobody():
    body = make_body(100, 120, 160)
    inner, outer = box_of(body, -12), box_of(body, 3)
    for detections in itertools.permutations([detect(inner, 0.95), detect(outer, 0.6)]):
        (one,) = observe_frame(detections, landmarks=Bodies(body))
        assert one.pose is not None


def test_two_people_side_by_side_have_a_body_each():
    bodies = make_body(100, 120, 120), make_body(150, 120, 120)
    found = observe_frame([detect(box_of(body, 2)) for body in bodies], landmarks=Bodies(*bodies))
    assert [one.pose.region.x for one in found] == pytest.approx([100, 150])


def test_the_neighbour_s_body_is_not_mine():
    """Landmarks that fit a neighbour's box better than mine are the neighbour's, however well they fit mine."""
    neighbour = make_body(100, 120, 100)
    mine, other = box_of(neighbour) + np.array([12, 0, 12, 0]), box_of(neighbour)
    assert belongs_to_box(neighbour, mine[None], 0)
    assert not belongs_to_box(neighbour, np.stack([mine, other]), 0)
    assert belongs_to_box(neighbour, np.stack([mine, other]), 1)
    # A tenth of overlap is no difference.
    close = np.stack([box_of(neighbour) + np.array([2, 0, 2, 0]), other])
    assert belongs_to_box(neighbour, close, 0) and belongs_to_box(neighbour, close, 1)


def test_the_same_landmarks_are_one_body_and_others_are_not():
    body = make_body(100, 120, 100)
    area = float(np.prod(box_of(body)[2:] - box_of(body)[:2]))
    assert same_body(body, body, area)
    far = make_body(160, 120, 100)
    assert not same_body(body, far, area)
    # Limbs elsewhere, trunk in the very same place.
    strange = replace(body, px=body.px.copy())
    strange.px[[i for i in range(33) if i not in TRUNK], 0] += 80
    assert same_body(body, strange, area)
    # Nothing visible in both: the trunk decides.
    half_seen = np.array([1, 1, 0.49], np.float32)
    assert not same_body(body, replace(far, px=far.px * half_seen), area)
    assert same_body(body, replace(body, px=body.px * half_seen), area)


def test_landmarks_that_one_reading_does_not_see_are_not_compared():
    """Two bodies apart whose few shared landmarks agree: what either reading guesses does not make them two."""
    first = make_body(100, 120, 100)
    second = replace(first, px=first.px.copy())
    second.px[TRUNK, 1] += 60
    second.px[15:, 0] += 200
    second.px[15:, 2] = 0.49
    second.px[TRUNK, 2] = 0.49
    assert same_body(first, second, 4000.0) and same_body(second, first, 4000.0)


@pytest.mark.parametrize(("shift", "same"), [(0.24, True), (0.26, False)])
def test_trunks_a_quarter_of_their_length_apart_are_two(shift, same):
    """Limbs told apart by their visibility, so that the trunk alone decides."""
    first = make_body(100, 120, 100)
    first.px[:, 2] = 0.4
    length = 32.0
    second = replace(first, px=first.px + np.array([shift * length, 0, 0], np.float32))
    assert same_body(first, second, 4000.0) == same
    # Also when left and right are mixed up, and whichever of the two is longer counts.
    mixed = replace(second, px=second.px.copy())
    mixed.px[TRUNK] = second.px[[12, 11, 24, 23]]
    assert same_body(first, mixed, 4000.0) == same and same_body(mixed, first, 4000.0) == same


def test_the_longer_trunk_sets_the_measure():
    first = make_body(100, 120, 100)
    first.px[:, 2] = 0
    short = replace(first, px=first.px.copy())
    short.px[[23, 24], 1] = 95.0
    # Hips 27 pixels higher: 13.5 on average, against a quarter of 32 and of 5.
    assert not same_body(first, short, 4000.0)
    long = replace(first, px=first.px.copy())
    long.px[[23, 24], 1] += 27.0
    assert same_body(first, long, 4000.0) and same_body(long, first, 4000.0)


@pytest.mark.parametrize(("shift", "same"), [(0, True), (6, True), (8, False)])
def test_silhouettes_that_agree_by_seven_tenths_are_one_body(shift, same):
    """Rectangles 40 wide of 128: (40 − s) / (40 + s) is .74 for 6 and .67 for 8."""
    first = make_body(100, 120, 128 / 1.25, mask=True)
    turned = make_body(100 + shift, 120, 128 / 1.25, mask=True)
    turned.px[:, 1] = 240 - turned.px[:, 1]
    assert same_body(first, turned, 4000.0) == same


def test_a_pose_similarity_of_six_tenths_is_one_body():
    """Every landmark moved by d; the trunks are so far apart that they do not decide."""
    first = make_body(100, 120, 100)
    everything = np.ones(33, bool)

    def moved(d: float) -> Pose:
        px = first.px + np.array([d, 0, 0], np.float32)
        px[TRUNK, 1] += 60
        return replace(first, px=px)

    seen_one, seen_two = False, False
    for d in np.linspace(0, 40, 81):
        other = moved(float(d))
        similar = pose_similarity(first.px[:, :2], other.px[:, :2], everything, 4000.0)
        if abs(similar - 0.6) > 1e-3:
            assert same_body(first, other, 4000.0) == (similar > 0.6)
            seen_one, seen_two = seen_one or similar > 0.6, seen_two or similar < 0.6
    assert seen_one and seen_two
