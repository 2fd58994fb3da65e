"""Somebody who was there a moment ago is followed through a bad frame."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from drawn_people import (
    Bodies,
    box_of,
    detect,
    make_body,
    make_candidates,
    observe_frame,
)
from unish.people.observe import (
    follow,
)
from unish.people.regions import Region


@pytest.mark.parametrize(("score", "found"), [(0.84, 1), (0.83, 0)])
def test_landmarks_alone_must_be_good(score, found):
    """0.6 p of at least a half; nobody has detected this person."""
    body = make_body(100, 120, 100, score=score)
    people = observe_frame(expected=[body.region], landmarks=Bodies(body))
    assert len(people) == found and not any(one.detected for one in people)
    assert all(one.score == pytest.approx(0.6 * score) for one in people)


@pytest.mark.parametrize(("shift", "found"), [(37, 1), (37.5, 0)])
def test_landmarks_that_stray_are_somebody_else(shift, found):
    """Three tenths of a side of 125."""
    body = make_body(100, 120, 100)
    assert len(observe_frame(expected=[replace(body.region, x=100.0 + shift)], landmarks=Bodies(body))) == found


def test_who_was_found_is_not_looked_for():
    body = make_body(100, 120, 100)
    model = Bodies(body)
    assert len(observe_frame([detect(box_of(body))], expected=[body.region], landmarks=model)) == 1
    assert len(model.regions) == 2


def test_a_weak_detection_where_somebody_is_expected_is_that_person():
    """With landmarks or without, but never enough to count as detected."""
    body = make_body(100, 120, 100)
    weak = detect(box_of(body), 0.12)
    (with_pose,) = observe_frame([weak], expected=[body.region], landmarks=Bodies(body))
    assert with_pose.pose is not None and not with_pose.detected
    assert with_pose.score == pytest.approx(1 - 0.88 * (1 - 0.6 * 0.95))
    (bare,) = observe_frame([weak], expected=[body.region])
    assert bare.pose is None and not bare.detected and bare.score == pytest.approx(0.12)
    assert bare.box_xyxy.tolist() == weak.box_xyxy.tolist()
    # One that was sure enough to look at but had no landmarks counts as detected.
    (refused,) = observe_frame([detect(box_of(body), 0.3)], expected=[body.region])
    assert refused.detected and refused.score == pytest.approx(0.3)
    assert observe_frame([detect(box_of(body), 0.3)]) == []


def test_the_nearest_hint_within_half_a_side_is_taken():
    body = make_body(100, 120, 100)
    region = body.region
    near, nearer = detect([110.0, 70, 130, 170], 0.2), detect([105.0, 70, 125, 170], 0.11)
    people = make_candidates()
    assert people.find_hint(region, [near, nearer]) is nearer and people.find_hint(region, [nearer, near]) is nearer
    assert people.find_hint(region, []) is None
    for x, there in ((162.0, True), (163.0, False)):
        hint = detect([x - 10, 70, x + 10, 170], 0.2)
        assert (people.find_hint(region, [hint]) is hint) == there
    # Somebody who crouches is much smaller at once, 2.5 times at most: 125 pixels against 50.
    for tall, there in ((40.2, True), (39.8, False)):
        hint = detect([95.0, 120 - tall / 2, 105, 120 + tall / 2], 0.2)
        assert (people.find_hint(region, [hint]) is hint) == there
    # A box that is somebody's already is no hint for somebody else.
    people.add(None, near.box_xyxy, 0.9)
    assert people.find_hint(region, [near]) is None
    half = detect([110.0, 70, 130, 121], 0.2)
    assert people.find_hint(region, [half]) is None
    assert people.find_hint(Region(x=120.0, y=93.0, side=80.0), [detect([110.0, 70, 130, 119], 0.2)]) is not None


def test_a_hint_inside_another_person_s_box_is_the_one_who_is_expected():
    """Two whose ways cross: the one behind is inside the box of the one in front, and still somebody."""
    front = make_body(100, 120, 160)
    behind = Region(x=92.0, y=140.0, side=100.0)
    hint = detect([72.0, 100, 112, 180], 0.2)
    found = observe_frame([detect(box_of(front)), hint], expected=[front.region, behind], landmarks=Bodies(front))
    assert [one.pose is None for one in found] == [False, True]
    assert found[1].box_xyxy.tolist() == hint.box_xyxy.tolist()
    # It may still be a part of the one in front, so it counts as no detection, be it ever so sure.
    for score in (0.2, 0.45):
        people = [detect(box_of(front)), detect(hint.box_xyxy, score)]
        found = observe_frame(people, expected=[front.region, behind], landmarks=Bodies(front))
        assert [one.detected for one in found] == [True, False]
    # Nobody expected: it is a part of the one in front, be it ever so sure.
    assert len(observe_frame([detect(box_of(front)), detect(hint.box_xyxy, 0.9)], landmarks=Bodies(front))) == 1


def test_a_hint_around_two_people_is_nobody():
    """One large box over two who stand close, where a third is expected: it would be a third body for two people."""
    people = make_candidates()
    for box in ((80.0, 60, 120, 180), (125.0, 60, 165, 180)):
        people.add(None, np.array(box), 0.9)
    follow(people, Region(x=122.0, y=120.0, side=160.0), [detect([75.0, 50, 170, 190], 0.2)], Bodies())
    assert len(people.people) == 2


def test_a_hint_does_not_take_its_neighbour_s_landmarks():
    """The region of the one behind shows the body in front; the hint's own box decides whose landmarks these are."""
    people = make_candidates()
    front = make_body(100, 120, 160)
    people.add(front, None, 0.9)
    hint = detect([120.0, 100, 160, 180], 0.2)
    nearby = replace(make_body(104, 120, 150), next_region=Region(x=130.0, y=140.0, side=100.0))
    model = Bodies()
    model.read_pose = lambda picture, region: replace(nearby, region=region)
    follow(people, Region(x=130.0, y=140.0, side=100.0), [hint], model)
    assert people.people[1].pose is None and people.people[1].box_xyxy.tolist() == hint.box_xyxy.tolist()
