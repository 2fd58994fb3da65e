"""Whose landmarks a box leads to, where they are read, and the box that they give."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from drawn_people import (
    FRAME,
    Bodies,
    box_of,
    make_body,
    make_corners,
)
from unish.people.observe import fit_box, mask_box, observe_box
from unish.people.protocols import Pose
from unish.people.reading import belongs_to_box, landmark_box, look_twice, read_box
from unish.people.regions import Region


@pytest.mark.parametrize(
    ("box", "fits"),
    [
        ((70, 50, 110, 150), True),  # overlap 1
        ((70, 50, 110, 81), True),  # the upper 31 of 100, inside: overlap .31
        ((70, 50, 110, 67), True),  # wholly inside: .17 is enough
        ((70, 50, 110, 64), False),  # .14 is not
        ((88, 50, 128, 150), True),  # overlap 22 / 58
        ((92, 50, 132, 150), False),  # 18 / 62 = .29, neither inside the other
        ((66, 50, 71, 150), False),
        ((0, 0, 200, 120), False),  # 70 % of the body inside, overlap .11
        ((30, 20, 150, 170), True),  # the body inside, overlap .22
    ],
)
def test_a_body_belongs_to_a_box_that_it_fills_or_fills_it(box, fits):
    body = replace(make_body(90, 100, 100), px=make_corners(70, 50, 110, 150))
    assert belongs_to_box(body, np.array([box], float), 0) == fits


def test_bounds_of_landmarks_are_those_of_three_visible_ones_at_least():
    body = replace(make_body(90, 100, 100), px=make_corners(70, 50, 110, 150))
    assert landmark_box(body).tolist() == [70, 50, 110, 150]
    body.px[4] = [5, 5, 0.49]
    assert landmark_box(body).tolist() == [70, 50, 110, 150]
    body.px[4, 2] = 0.5
    assert landmark_box(body).tolist() == [5, 5, 110, 150]
    for hidden, there in ((1, True), (2, True), (3, False)):
        body.px[:hidden, 2] = 0
        assert (landmark_box(body) is not None) == there
    assert not belongs_to_box(body, np.array([[0.0, 0, 200, 200]]), 0)


def test_a_region_with_two_people_is_tried_again_until_the_right_one_is_read():
    """The first reading is the neighbour's; then come a tighter region, and where the person was a moment ago."""
    me, neighbour = make_body(100, 120, 100), make_body(140, 120, 100)
    boxes = np.stack([box_of(me), box_of(neighbour)])

    class OneAfterTheOther(Bodies):
        """Neighbour in wide regions; me in tight ones, or only where I was."""

        def __init__(self, sides):
            super().__init__()
            self.sides = sides

        def read_pose(self, picture, region):
            self.regions.append(region)
            return me if self.sides(region) else neighbour

    box_side = float((boxes[0, 2:] - boxes[0, :2]).max())
    model = OneAfterTheOther(lambda region: abs(region.side - box_side) < 1e-6)
    assert read_box(FRAME, boxes, 0, (), model) is me
    assert [region.side / box_side for region in model.regions[:1]] == pytest.approx([1.25])
    before = Region(x=101.0, y=122.0, side=110.0)
    model = OneAfterTheOther(lambda region: region is before)
    assert read_box(FRAME, boxes, 0, [before], model) is me
    assert read_box(FRAME, boxes, 0, [], model) is None
    far = replace(before, x=150.0)
    assert read_box(FRAME, boxes, 0, [far], OneAfterTheOther(lambda region: region is far)) is None
    faint = replace(me, score=0.49)
    model = OneAfterTheOther(lambda region: False)
    model.read_pose = lambda picture, region: faint if region is before else neighbour
    assert read_box(FRAME, boxes, 0, [before], model) is None
    # Of several that fit, the surest that fits best.
    better, worse = replace(me, score=0.9), replace(make_body(104, 120, 100), score=0.92)
    model.read_pose = lambda picture, region: (
        better if region is before else worse if abs(region.side - box_side) < 1e-6 else neighbour
    )
    assert read_box(FRAME, boxes, 0, [before], model) is better


class Drifting(Bodies):
    """Reads one body, ``step`` pixels to the right of the last reading; scores as given, then 0.95."""

    def __init__(self, body: Pose, step: float, scores: tuple[float, ...] = ()):
        super().__init__(body)
        self.step = step
        self.scores = scores

    def read_pose(self, picture, region):
        pose = super().read_pose(picture, region)
        px = pose.px.copy()
        px[:, 0] += self.step * (len(self.regions) - 1)
        score = self.scores[len(self.regions) - 1] if len(self.regions) <= len(self.scores) else 0.95
        return replace(pose, px=px, score=score, region=region)


BEFORE = Region(x=103.0, y=120.0, side=100.0, angle=0.5)


@pytest.mark.parametrize(
    ("step", "scores", "regions", "settled"),
    [
        (0.49, (), 2, True),  # 0.0049 of the region's side
        (0.51, (), 4, False),
        (-0.51, (), 4, False),
        (0.0, (0.5, 0.5), 2, True),
        (0.0, (0.49, 0.95), 3, False),
        (0.0, (0.95, 0.49), 4, False),
    ],
)
def test_somebody_is_read_where_they_were_a_moment_ago_if_the_reading_stays(step, scores, regions, settled):
    """Otherwise around the box, as somebody new; the answer is the second look at either."""
    me = make_body(100, 120, 100)
    model = Drifting(me, step, scores)
    pose = read_box(FRAME, box_of(me)[None], 0, [replace(BEFORE, x=108.0), BEFORE], model)
    assert len(model.regions) == regions and model.regions[0] is BEFORE and model.regions[-1] is me.next_region
    assert pose is not None and pose.px[0, 0] == pytest.approx(me.px[0, 0] + step * (regions - 1), abs=1e-4)
    assert (model.regions[-2].angle == 0.0) != settled


def test_somebody_is_not_read_where_a_neighbour_was_a_moment_ago():
    me, neighbour = make_body(100, 120, 100), make_body(160, 120, 100)
    boxes = np.stack([box_of(me), box_of(neighbour)])
    between = Region(x=131.0, y=120.0, side=125.0)
    assert read_box(FRAME, boxes, 0, [between], Bodies(me, neighbour)).px[0, 0] == me.px[0, 0]
    far = Region(x=141.0, y=120.0, side=125.0)
    model = Bodies(me, neighbour)
    read_box(FRAME, boxes, 0, [far], model)
    assert far not in model.regions


@pytest.mark.parametrize(("x", "side", "first"), [(100.0, 300.0, True), (100.0, 90.0, False), (230.0, 300.0, False)])
def test_somebody_cut_off_is_read_where_the_whole_person_was_a_moment_ago(x, side, first):
    """Of which the box, 80 pixels wide, is a small part at the top; not where it lies outside, nor in a smaller one."""
    me = make_body(100, 200, 260)
    before = Region(x=x, y=120.0 + side / 3, side=side)
    model = Bodies(me)
    read_box(FRAME, np.array([[60.0, 70, 140, 150]]), 0, [before], model)
    assert (model.regions[0] is before) == first


class Turning(Bodies):
    """Whoever is in the region is read; a second look finds the landmarks moved, as far as the region's angle says.

    Also a ``RegionFinder`` that knows where people are.
    """

    def __init__(self, *bodies: Pose, found: tuple[Region, ...] = (), moved: dict[float, float], score: float = 0.95):
        super().__init__(*bodies)
        self.found, self.moved, self.score = list(found), moved, score
        self.cutouts: list[Region] = []

    def find_regions(self, picture, around):
        self.cutouts.append(around)
        return self.found

    def read_pose(self, picture, region):
        pose = super().read_pose(picture, region)
        again = len(self.regions) % 2 == 0
        px = pose.px.copy()
        px[:, 0] += self.moved[round(region.angle, 3)] if again else 0
        score = self.score if region.angle else 0.95
        return replace(
            pose, px=px, score=min(score, pose.score), next_region=replace(pose.next_region, angle=region.angle)
        )


@pytest.mark.parametrize(
    ("upright", "turned", "kept"),
    [(4.0, 1.0, 1.5), (1.0, 4.0, 0.0), (-4.0, 3.9, 1.5), (9.0, 4.99, 1.5), (9.0, 5.01, 0.0)],
)
def test_somebody_new_is_read_in_the_region_where_the_reading_stays(upright, turned, kept):
    """A turned region must keep it within a twentieth of the box, which is 100 pixels tall."""
    me = make_body(100, 120, 100)
    lying = replace(me.region, angle=1.5)
    model = Turning(me, found=(lying,), moved={0.0: upright, 1.5: turned})
    pose = read_box(FRAME, box_of(me)[None], 0, (), model, model)
    assert pose is not None and pose.next_region.angle == kept
    assert [region.angle for region in model.regions] == [0.0, 0.0, 1.5, 1.5]
    (cutout,) = model.cutouts
    assert (cutout.x, cutout.y, cutout.side) == pytest.approx((100, 120, 150))
    # Without a finder, what is read upright stands.
    assert read_box(FRAME, box_of(me)[None], 0, (), model).next_region.angle == 0.0


@pytest.mark.parametrize(("moved", "looked"), [(4.99, 0), (5.01, 1)])
def test_somebody_known_is_looked_for_in_other_regions_only_where_the_reading_moves(moved, looked):
    """By a twentieth of the box, which is 100 pixels tall; where they were a moment ago, the reading moved as well."""
    me = make_body(100, 120, 100)
    before = Region(x=103.0, y=120.0, side=100.0, angle=0.5)
    model = Turning(me, found=(replace(me.region, angle=1.5),), moved={0.0: moved, 0.5: 9.0, 1.5: 0.0})
    pose = read_box(FRAME, box_of(me)[None], 0, [before], model, model)
    assert len(model.cutouts) == looked and pose.next_region.angle == 1.5 * looked


@pytest.mark.parametrize("why", ["outside of the box", "a neighbour", "unsure", "nobody"])
def test_a_region_that_shows_nobody_in_the_box_is_not_taken(why):
    me, neighbour = make_body(100, 120, 100), make_body(140, 120, 100)
    turned = replace(me.region, angle=1.5, x={"outside of the box": 120.1, "a neighbour": 119.9}.get(why, 100.0))
    found = () if why == "nobody" else (turned,)
    shown = (me, replace(neighbour, region=replace(neighbour.region, x=122.0))) if why == "a neighbour" else (me,)
    model = Turning(*shown, found=found, moved={0.0: 4.0, 1.5: 0.0}, score=0.49 if why == "unsure" else 0.95)
    boxes = np.stack([box_of(me), box_of(neighbour)])
    pose = read_box(FRAME, boxes, 0, (), model, model)
    assert pose is not None and pose.next_region.angle == 0.0 and len(model.cutouts) == 1
    assert len(model.regions) == {"outside of the box": 2, "a neighbour": 4, "unsure": 3, "nobody": 2}[why]


def test_of_several_regions_inside_the_box_the_one_nearest_to_its_middle_is_read():
    me = make_body(100, 120, 100)
    found = (replace(me.region, y=140.0, angle=0.7), replace(me.region, y=122.0, angle=1.5))
    model = Turning(me, found=found, moved={0.0: 4.0, 0.7: 0.0, 1.5: 1.0})
    assert read_box(FRAME, box_of(me)[None], 0, (), model, model).next_region.angle == 1.5


def test_somebody_whom_an_upright_region_does_not_show_is_found_in_a_turned_one():
    me = make_body(100, 120, 100)

    class OnlyTurned(Turning):
        def read_pose(self, picture, region):
            pose = super().read_pose(picture, region)
            return pose if region.angle else replace(pose, score=0.05)

    model = OnlyTurned(me, found=(replace(me.region, angle=1.5),), moved={0.0: 0.0, 1.5: 1.0})
    assert read_box(FRAME, box_of(me)[None], 0, (), model) is None
    model.regions.clear()
    model.regions.append(me.region)  # an upright look that is not repeated leaves the count odd
    pose = read_box(FRAME, box_of(me)[None], 0, (), model, model)
    assert pose is not None and pose.next_region.angle == 1.5


def test_a_pose_is_read_again_around_itself():
    class Twice(Bodies):
        def __init__(self, *scores):
            super().__init__()
            self.scores = iter(scores)

        def read_pose(self, picture, region):
            self.regions.append(region)
            return replace(make_body(region.x + 5, region.y, 80), score=next(self.scores), region=region)

    start = Region(x=100.0, y=100.0, side=100.0)
    for scores, x in (((0.9, 0.45), 110.0), ((0.9, 0.44), 105.0), ((0.1, 0.9), 110.0)):
        model = Twice(*scores)
        assert look_twice(FRAME, start, model).pose.next_region.x == x
        assert model.regions[0] is start and model.regions[1].x == 105.0
    model = Twice(0.099)
    assert look_twice(FRAME, start, model) is None and len(model.regions) == 1


@pytest.mark.parametrize(("score", "pose"), [(0.5, True), (0.49, False)])
def test_a_given_box_is_a_person_with_or_without_landmarks(score, pose):
    body = make_body(100, 120, 100, score=score)
    one = observe_box(FRAME, box_of(body), (), Bodies(body), min_landmark_score=0.5)
    assert (one.pose is not None) == pose and one.score == 1.0 and one.detected
    assert one.box_xyxy.tolist() == box_of(body).tolist()


def test_the_box_of_a_mask_leaves_out_specks():
    mask = np.zeros((100, 100), np.uint8)
    mask[30:80, 40:60] = 200
    region = Region(x=60.0, y=50.0, side=200.0)
    pose = replace(make_body(60, 50, 100), region=region, mask=mask)
    # Two pixels of the picture per pixel of the mask, whose middle is the middle of the region.
    assert mask_box(pose).tolist() == pytest.approx([40, 10, 80, 110], abs=0.01)
    mask[1, 1] = 255
    assert mask_box(pose).tolist() == pytest.approx([40, 10, 80, 110], abs=2.01)
    assert mask_box(replace(pose, mask=None)) is None
    mask[:] = 128
    assert mask_box(pose) is None
    mask[0, :15] = 129
    assert mask_box(pose) is None
    mask[0, 15] = 129
    assert mask_box(pose) is not None


def test_the_box_of_a_person_holds_mask_and_landmarks_inside_the_picture():
    mask = np.zeros((100, 100), np.uint8)
    mask[30:80, 40:60] = 255
    pose = replace(
        make_body(60, 50, 100), region=Region(x=60.0, y=50.0, side=200.0), mask=mask, px=make_corners(30, 20, 70, 90)
    )
    assert fit_box(pose, None, (240, 320)).tolist() == pytest.approx([30, 10, 80, 110], abs=0.01)
    assert fit_box(pose, None, (100, 60)).tolist() == pytest.approx([30, 10, 60, 100], abs=0.01)
    given = np.array([30.0, 10, 80, 400])
    # The detector's word stands when the two hardly overlap: 100 of 390 rows against 100 of 240.
    assert fit_box(pose, given, (500, 320)).tolist() == given.tolist()
    assert fit_box(pose, given, (240, 320)).tolist() == pytest.approx([30, 10, 80, 240], abs=0.01)
    for bottom, own in ((258, True), (262, False)):
        given = np.array([30.0, 10, 80, bottom])
        assert (fit_box(pose, given, (500, 320))[3] < 111) == own
    assert fit_box(None, np.array([-5.0, 0, 50, 60]), (240, 320)).tolist() == [0, 0, 50, 60]
