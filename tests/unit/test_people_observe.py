"""One frame: who is believed, and who is there already."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from drawn_people import (
    Bodies,
    box_of,
    detect,
    make_body,
    make_candidates,
    make_corners,
    observe_frame,
)
from unish.people.reading import Frame
from unish.people.regions import Region


@pytest.mark.parametrize(
    ("detector", "landmarks", "evidence"),
    [(0.5, 0.0, 0.5), (0.49, 0.0, None), (0.25, 0.6, 0.52), (0.25, 0.5, None), (0.9, 1.0, 0.96), (0.9, 0.49, 0.9)],
)
def test_evidence_of_box_and_landmarks_adds_up(detector, landmarks, evidence):
    """1 − (1 − d)(1 − 0.6 p), half of it or more; landmarks below a half count nothing."""
    body = make_body(100, 120, 100, score=landmarks)
    found = observe_frame([detect(box_of(body), detector)], landmarks=Bodies(body))
    assert [one.score for one in found] == ([] if evidence is None else [pytest.approx(evidence)])
    assert all((one.pose is not None) == (landmarks >= 0.5) and one.detected for one in found)


@pytest.mark.parametrize(("score", "found"), [(0.25, 1), (0.249, 0)])
def test_weak_detections_start_nobody(score, found):
    body = make_body(100, 120, 100)
    assert len(observe_frame([detect(box_of(body), score)], landmarks=Bodies(body))) == found


def test_the_second_detector_needs_good_landmarks():
    """1 − (1 − 0.45 d)(1 − 0.6 p)."""
    body = make_body(100, 120, 100, score=0.9)
    support = [detect([40.0, 60, 160, 180], 0.8, region=body.region)]
    (one,) = observe_frame(support=support, landmarks=Bodies(body))
    assert one.score == pytest.approx(1 - (1 - 0.36) * (1 - 0.54)) and one.detected
    assert one.box_xyxy.tolist() == pytest.approx(box_of(body).tolist())
    assert observe_frame(support=support, landmarks=Bodies()) == []
    assert observe_frame(support=[detect([40.0, 60, 160, 180], 0.8)], landmarks=Bodies(body)) == []
    # Nobody is read a second time whom the first detector found.
    model = Bodies(body)
    assert len(observe_frame([detect(box_of(body))], support, landmarks=model)) == 1 and len(model.regions) == 2


@pytest.mark.parametrize(("shift", "score", "people"), [(0.0, 0.95, 1), (0.0, 0.6, 1), (9.0, 0.95, 1), (14.0, 0.95, 2)])
def test_a_second_reading_in_the_same_place_is_no_second_person(shift, score, people):
    """Somebody who fills the picture, read upside down by one of two detectors: the better reading is kept.

    The boxes share .80 of their union with a shift of 9 pixels, .70 with 14.
    """
    wrong, right = make_body(150, 120, 200, score=0.8), make_body(150 + shift, 120, 200, score=score)
    beside = Region(x=150 + shift, y=40.0, side=500.0)  # not where the first reading would look next
    right = replace(right, px=right.px[::-1].copy(), region=beside, next_region=beside)
    support = [detect([0.0, 0, 1, 1], 0.8, region=right.region)]

    class TwoReadings(Bodies):
        def read_pose(self, picture, region):
            return right if region is beside else wrong

    found = observe_frame([detect(box_of(wrong), 0.9)], support, landmarks=TwoReadings(wrong, right))
    assert len(found) == people
    best = max((wrong, right), key=lambda one: one.score) if people == 1 else wrong
    assert found[0].pose.score == pytest.approx(best.score)
    assert found[0].score == pytest.approx(1 - (1 - 0.9) * (1 - 0.6 * 0.8)), "what the first detector saw"


def test_each_second_detection_brings_its_own_score():
    bodies = make_body(80, 120, 100), make_body(240, 120, 100)
    support = [
        detect([0.0, 0, 1, 1], score, region=body.region) for score, body in zip((0.9, 0.7), bodies, strict=True)
    ]
    scores = [one.score for one in observe_frame(support=support, landmarks=Bodies(*bodies))]
    assert scores == pytest.approx([1 - (1 - 0.45 * s) * (1 - 0.6 * 0.95) for s in (0.9, 0.7)])


def test_specks_are_nobody():
    assert len(observe_frame([detect([10.0, 10, 14, 14])])) == 1 and observe_frame([detect([10.0, 10, 14, 13.9])]) == []
    assert observe_frame([detect([310.0, 10, 400, 11.5])]) == []


def test_a_pose_joins_the_box_in_the_same_place():
    for box in ((70, 50, 110, 150), (70, 50, 110, 99), (70, 50, 110, 102)):
        people = make_candidates()
        people.add(None, np.array(box, float), 0.8)
        body = replace(make_body(90, 100, 100), px=make_corners(70, 50, 110, 150), score=0.9)
        # Half of the place at least, or one inside the other by eight tenths: all of these are inside.
        people.add(body, None, 0.5)
        assert len(people.people) == 1
        assert people.people[0].score == pytest.approx(1 - 0.2 * 0.5 * (1 - 0.54))
        assert people.people[0].pose is body and people.people[0].detected


@pytest.mark.parametrize(("shift", "joined"), [(13, True), (14, False)])
def test_half_of_the_place_is_the_same_place_for_a_pose(shift, joined):
    """(40 − s) / (40 + s) of a box 40 wide."""
    people = make_candidates()
    people.add(None, np.array([70.0 + shift, 50, 110 + shift, 150]), 0.8)
    people.add(replace(make_body(90, 100, 100), px=make_corners(70, 50, 110, 150)), None, 0.9)
    assert len(people.people) == 2 - joined


@pytest.mark.parametrize(("shift", "joined"), [(9.9, True), (10.1, False)])
def test_six_tenths_of_the_place_are_the_same_place_for_a_box(shift, joined):
    people = make_candidates()
    people.add(replace(make_body(90, 100, 100), px=make_corners(70, 50, 110, 150)), None, 0.9)
    people.add(None, np.array([70.0 + shift, 50, 110 + shift, 150]), 0.8)
    assert len(people.people) == 2 - joined
    assert people.people[0].score == pytest.approx(1 - 0.1 * (1 - 0.6 * 0.95))


@pytest.mark.parametrize(("right", "joined"), [(114.5, True), (115.5, False)])
def test_eight_tenths_inside_are_the_same_place(right, joined):
    """A box 24 wide of which 20 (or fewer) are inside, whichever of the two is the larger one."""
    small, large = np.array([right - 24, 60, right, 90]), np.array([70.0, 50, 110, 150])
    for first, second in ((small, large), (large, small)):
        people = make_candidates()
        people.add(None, first, 0.8)
        people.add(None, second, 0.8)
        assert len(people.people) == 2 - joined


def test_of_several_rivals_the_one_who_overlaps_most_gets_the_pose():
    people = make_candidates()
    people.add(None, np.array([78.0, 50, 118, 150]), 0.8)
    people.add(None, np.array([60.0, 50, 100, 150]), 0.8)
    body = replace(make_body(90, 100, 100), px=make_corners(70, 50, 110, 150))
    people.add(body, None, 0.9)
    assert [one.pose is body for one in people.people] == [True, False]


def test_regions_are_explained_one_by_one_and_the_nearest_first():
    people = make_candidates()
    for body in (make_body(100, 120, 80), make_body(200, 120, 80)):
        people.add(body, None, 0.9)
    here = [
        Region(x=104.0, y=120.0, side=100.0),
        Region(x=101.0, y=120.0, side=100.0),
        Region(x=229.0, y=120.0, side=100.0),
    ]
    # Two regions near one body: the nearer is explained; 29 of 100 pixels are near, 31 are not.
    assert people.unexplained(here) == [here[0]]
    assert people.unexplained([replace(here[2], x=231.0)]) == [replace(here[2], x=231.0)]
    # Twice as large or half as large is another person.
    for side, explained in ((199.0, True), (200.0, False), (201.0, False), (50.5, True), (50.0, False), (49.5, False)):
        assert (people.unexplained([replace(here[1], side=side)]) == []) == explained
    assert people.unexplained([]) == [] and make_candidates().unexplained(here) == here


def test_distance_of_regions_counts_in_the_larger_side():
    people = make_candidates()
    people.add(make_body(100, 120, 80), None, 0.9)
    # 45 pixels: 0.45 of 100, 0.28 of 160.
    assert people.unexplained([Region(x=100.0, y=165.0, side=160.0)]) == []
    assert len(people.unexplained([Region(x=100.0, y=165.0, side=100.0)])) == 1
    assert people.unexplained([Region(x=118.0, y=144.0 - 0.1, side=100.0)]) == []
    assert len(people.unexplained([Region(x=118.0, y=144.2, side=100.0)])) == 1


def test_frames_hold_the_picture_in_both_forms():
    image = torch.randint(0, 256, (4, 6, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    frame = Frame.of(image)
    assert frame.size == (4, 6) and frame.image is image
    assert torch.equal(frame.picture, image.permute(2, 0, 1) / 255)
