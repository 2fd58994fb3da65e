"""One frame: who is believed, whose body is whose, and who is followed through a bad frame."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from unish.people.boxes import pose_similarity
from unish.people.observe import (
    Candidates,
    Frame,
    belongs_to_box,
    fit_box,
    follow,
    landmark_box,
    mask_box,
    observe,
    observe_box,
    read_box,
    read_twice,
    same_body,
)
from unish.people.protocols import Detection, Pose
from unish.people.regions import Region

FRAME = Frame.of(torch.full((240, 320, 3), 128, dtype=torch.uint8))
TRUNK = [11, 12, 23, 24]


def _body(x: float, y: float, tall: float, *, score: float = 0.95, mask: bool = False, width: float = 0.4) -> Pose:
    """An upright person around (x, y): a zigzag of landmarks, with shoulders and hips where they belong."""
    down = np.concatenate([np.full(11, -0.45), np.full(12, -0.1), np.linspace(0, 0.5, 10)])
    across = np.where(np.arange(33) % 2 == 0, -0.5, 0.5) * width
    px = np.stack([x + across * tall, y + down * tall, np.ones(33)], axis=1)
    px[TRUNK, 0] = x + np.array([0.12, -0.12, 0.08, -0.08]) * tall
    px[TRUNK, 1] = y + np.array([-0.3, -0.3, 0.02, 0.02]) * tall
    px[[0, 31, 32], 1] = y - 0.5 * tall, y + 0.5 * tall, y + 0.5 * tall
    region = Region(x=x, y=y, side=1.25 * tall)
    silhouette = None
    if mask:
        silhouette = np.zeros((128, 128), np.uint8)
        silhouette[13:115, 44:84] = 255
    return Pose(px=px.astype(np.float32), world=np.zeros((33, 3), np.float32), score=score, region=region,
                next_region=region, mask=silhouette)  # fmt: skip


def _box_of(pose: Pose, grow: float = 0.0) -> np.ndarray:
    box = landmark_box(pose)
    assert box is not None
    return box.astype(float) + np.array([-grow, -grow, grow, grow])


class Bodies:
    """A landmark model in a world of known bodies: it reads the one that is nearest to the middle of the region."""

    def __init__(self, *bodies: Pose):
        self.bodies = bodies
        self.regions: list[Region] = []

    def read_pose(self, picture, region):
        self.regions.append(region)
        away = [math.hypot(one.region.x - region.x, one.region.y - region.y) for one in self.bodies]
        if not away or min(away) > region.side / 2:
            return replace(_body(region.x, region.y, region.side / 1.25, score=0.0), region=region)
        return replace(self.bodies[int(np.argmin(away))], region=region)


def _seen(box, score: float = 0.9, region: Region | None = None) -> Detection:
    return Detection(box_xyxy=np.array(box, float), score=score, region=region)


def _observe(detections=(), support=(), expected=(), landmarks=None, min_landmark_score: float = 0.5):
    return observe(
        FRAME, list(detections), list(support), list(expected), landmarks or Bodies(),
        min_detector_score=0.25, min_landmark_score=min_landmark_score,
    )  # fmt: skip


# --- who is believed, and how surely


@pytest.mark.parametrize(
    ("detector", "landmarks", "evidence"),
    [(0.5, 0.0, 0.5), (0.49, 0.0, None), (0.25, 0.6, 0.52), (0.25, 0.5, None), (0.9, 1.0, 0.96), (0.9, 0.49, 0.9)],
)
def test_evidence_of_box_and_landmarks_adds_up(detector, landmarks, evidence):
    """1 − (1 − d)(1 − 0.6 p), half of it or more; landmarks below a half count nothing."""
    body = _body(100, 120, 100, score=landmarks)
    found = _observe([_seen(_box_of(body), detector)], landmarks=Bodies(body))
    assert [one.score for one in found] == ([] if evidence is None else [pytest.approx(evidence)])
    assert all((one.pose is not None) == (landmarks >= 0.5) and one.detected for one in found)


@pytest.mark.parametrize(("score", "found"), [(0.25, 1), (0.249, 0)])
def test_weak_detections_start_nobody(score, found):
    body = _body(100, 120, 100)
    assert len(_observe([_seen(_box_of(body), score)], landmarks=Bodies(body))) == found


def test_the_second_detector_needs_good_landmarks():
    """1 − (1 − 0.45 d)(1 − 0.6 p)."""
    body = _body(100, 120, 100, score=0.9)
    support = [_seen([40.0, 60, 160, 180], 0.8, region=body.region)]
    (one,) = _observe(support=support, landmarks=Bodies(body))
    assert one.score == pytest.approx(1 - (1 - 0.36) * (1 - 0.54)) and one.detected
    assert one.box_xyxy.tolist() == pytest.approx(_box_of(body).tolist())
    assert _observe(support=support, landmarks=Bodies()) == []
    assert _observe(support=[_seen([40.0, 60, 160, 180], 0.8)], landmarks=Bodies(body)) == []
    # Nobody is read a second time whom the first detector found.
    model = Bodies(body)
    assert len(_observe([_seen(_box_of(body))], support, landmarks=model)) == 1 and len(model.regions) == 2


def test_each_second_detection_brings_its_own_score():
    bodies = _body(80, 120, 100), _body(240, 120, 100)
    support = [_seen([0.0, 0, 1, 1], score, region=body.region) for score, body in zip((0.9, 0.7), bodies, strict=True)]
    scores = [one.score for one in _observe(support=support, landmarks=Bodies(*bodies))]
    assert scores == pytest.approx([1 - (1 - 0.45 * s) * (1 - 0.6 * 0.95) for s in (0.9, 0.7)])


def test_specks_are_nobody():
    assert len(_observe([_seen([10.0, 10, 14, 14])])) == 1 and _observe([_seen([10.0, 10, 14, 13.9])]) == []
    assert _observe([_seen([310.0, 10, 400, 11.5])]) == []


# --- whose body is whose


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_somebody_hardly_in_view_does_not_take_the_body_of_the_one_in_front(order):
    """The surer box, beside, leads to the body in front, too: the body is in the box that it fits."""
    front = _body(100, 120, 160)
    boxes = [_box_of(front, 3), _box_of(front) + np.array([30, 10, 30, 0])]
    detections = [_seen(boxes[0], 0.7), _seen(boxes[1], 0.95)]
    found = _observe([detections[index] for index in order], landmarks=Bodies(front))
    with_pose = [one for one in found if one.pose is not None]
    assert len(with_pose) == 1 and with_pose[0].box_xyxy.tolist() == pytest.approx(_box_of(front).tolist())
    assert with_pose[0].score == pytest.approx(1 - 0.3 * (1 - 0.6 * 0.95))
    # The other one keeps a box, well apart and sure as it is, and comes after those with a body.
    assert [one.pose is None for one in found] == [False, True] and found[1].box_xyxy.tolist() == boxes[1].tolist()


def test_a_second_box_of_one_body_is_nobody():
    body = _body(100, 120, 160)
    inner, outer = _box_of(body, -12), _box_of(body, 3)
    for detections in itertools.permutations([_seen(inner, 0.95), _seen(outer, 0.6)]):
        (one,) = _observe(detections, landmarks=Bodies(body))
        assert one.pose is not None


def test_two_people_side_by_side_have_a_body_each():
    bodies = _body(100, 120, 120), _body(150, 120, 120)
    found = _observe([_seen(_box_of(body, 2)) for body in bodies], landmarks=Bodies(*bodies))
    assert [one.pose.region.x for one in found] == pytest.approx([100, 150])


def test_the_neighbour_s_body_is_not_mine():
    """Landmarks that fit a neighbour's box better than mine are the neighbour's, however well they fit mine."""
    neighbour = _body(100, 120, 100)
    mine, other = _box_of(neighbour) + np.array([12, 0, 12, 0]), _box_of(neighbour)
    assert belongs_to_box(neighbour, mine[None], 0)
    assert not belongs_to_box(neighbour, np.stack([mine, other]), 0)
    assert belongs_to_box(neighbour, np.stack([mine, other]), 1)
    # A tenth of overlap is no difference.
    close = np.stack([_box_of(neighbour) + np.array([2, 0, 2, 0]), other])
    assert belongs_to_box(neighbour, close, 0) and belongs_to_box(neighbour, close, 1)


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
    body = replace(_body(90, 100, 100), px=_corners(70, 50, 110, 150))
    assert belongs_to_box(body, np.array([box], float), 0) == fits


def _corners(x0: float, y0: float, x1: float, y1: float, visible: float = 1.0) -> np.ndarray:
    px = np.zeros((33, 3), np.float32)
    px[:4] = [[x0, y0, visible], [x1, y0, visible], [x0, y1, visible], [x1, y1, visible]]
    return px


def test_bounds_of_landmarks_are_those_of_three_visible_ones_at_least():
    body = replace(_body(90, 100, 100), px=_corners(70, 50, 110, 150))
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
    me, neighbour = _body(100, 120, 100), _body(140, 120, 100)
    boxes = np.stack([_box_of(me), _box_of(neighbour)])

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
    better, worse = replace(me, score=0.9), replace(_body(104, 120, 100), score=0.92)
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
    me = _body(100, 120, 100)
    model = Drifting(me, step, scores)
    pose = read_box(FRAME, _box_of(me)[None], 0, [replace(BEFORE, x=108.0), BEFORE], model)
    assert len(model.regions) == regions and model.regions[0] is BEFORE and model.regions[-1] is me.next_region
    assert pose is not None and pose.px[0, 0] == pytest.approx(me.px[0, 0] + step * (regions - 1), abs=1e-4)
    assert (model.regions[-2].angle == 0.0) != settled


def test_somebody_is_not_read_where_a_neighbour_was_a_moment_ago():
    me, neighbour = _body(100, 120, 100), _body(160, 120, 100)
    boxes = np.stack([_box_of(me), _box_of(neighbour)])
    between = Region(x=131.0, y=120.0, side=125.0)
    assert read_box(FRAME, boxes, 0, [between], Bodies(me, neighbour)).px[0, 0] == me.px[0, 0]
    far = Region(x=141.0, y=120.0, side=125.0)
    model = Bodies(me, neighbour)
    read_box(FRAME, boxes, 0, [far], model)
    assert far not in model.regions


def test_a_pose_is_read_again_around_itself():
    class Twice(Bodies):
        def __init__(self, *scores):
            super().__init__()
            self.scores = iter(scores)

        def read_pose(self, picture, region):
            self.regions.append(region)
            return replace(_body(region.x + 5, region.y, 80), score=next(self.scores), region=region)

    start = Region(x=100.0, y=100.0, side=100.0)
    for scores, x in (((0.9, 0.45), 110.0), ((0.9, 0.44), 105.0), ((0.1, 0.9), 110.0)):
        model = Twice(*scores)
        assert read_twice(FRAME, start, model).next_region.x == x
        assert model.regions[0] is start and model.regions[1].x == 105.0
    model = Twice(0.099)
    assert read_twice(FRAME, start, model) is None and len(model.regions) == 1


@pytest.mark.parametrize(("score", "pose"), [(0.5, True), (0.49, False)])
def test_a_given_box_is_a_person_with_or_without_landmarks(score, pose):
    body = _body(100, 120, 100, score=score)
    one = observe_box(FRAME, _box_of(body), Bodies(body), min_landmark_score=0.5)
    assert (one.pose is not None) == pose and one.score == 1.0 and one.detected
    assert one.box_xyxy.tolist() == _box_of(body).tolist()


# --- boxes of bodies


def test_the_box_of_a_mask_leaves_out_specks():
    mask = np.zeros((100, 100), np.uint8)
    mask[30:80, 40:60] = 200
    region = Region(x=60.0, y=50.0, side=200.0)
    pose = replace(_body(60, 50, 100), region=region, mask=mask)
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
        _body(60, 50, 100), region=Region(x=60.0, y=50.0, side=200.0), mask=mask, px=_corners(30, 20, 70, 90)
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


# --- one body or two


def test_the_same_landmarks_are_one_body_and_others_are_not():
    body = _body(100, 120, 100)
    area = float(np.prod(_box_of(body)[2:] - _box_of(body)[:2]))
    assert same_body(body, body, area)
    far = _body(160, 120, 100)
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
    first = _body(100, 120, 100)
    second = replace(first, px=first.px.copy())
    second.px[TRUNK, 1] += 60
    second.px[15:, 0] += 200
    second.px[15:, 2] = 0.49
    second.px[TRUNK, 2] = 0.49
    assert same_body(first, second, 4000.0) and same_body(second, first, 4000.0)


@pytest.mark.parametrize(("shift", "same"), [(0.24, True), (0.26, False)])
def test_trunks_a_quarter_of_their_length_apart_are_two(shift, same):
    """Limbs told apart by their visibility, so that the trunk alone decides."""
    first = _body(100, 120, 100)
    first.px[:, 2] = 0.4
    length = 32.0
    second = replace(first, px=first.px + np.array([shift * length, 0, 0], np.float32))
    assert same_body(first, second, 4000.0) == same
    # Also when left and right are mixed up, and whichever of the two is longer counts.
    mixed = replace(second, px=second.px.copy())
    mixed.px[TRUNK] = second.px[[12, 11, 24, 23]]
    assert same_body(first, mixed, 4000.0) == same and same_body(mixed, first, 4000.0) == same


def test_the_longer_trunk_sets_the_measure():
    first = _body(100, 120, 100)
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
    first = _body(100, 120, 128 / 1.25, mask=True)
    turned = _body(100 + shift, 120, 128 / 1.25, mask=True)
    turned.px[:, 1] = 240 - turned.px[:, 1]
    assert same_body(first, turned, 4000.0) == same


def test_a_pose_similarity_of_six_tenths_is_one_body():
    """Every landmark moved by d; the trunks are so far apart that they do not decide."""
    first = _body(100, 120, 100)
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


# --- who is there already


def _candidates() -> Candidates:
    return Candidates(frame=FRAME, min_detector_score=0.25, min_landmark_score=0.5)


def test_a_pose_joins_the_box_in_the_same_place():
    for box in ((70, 50, 110, 150), (70, 50, 110, 99), (70, 50, 110, 102)):
        people = _candidates()
        people.add(None, np.array(box, float), 0.8)
        body = replace(_body(90, 100, 100), px=_corners(70, 50, 110, 150), score=0.9)
        # Half of the place at least, or one inside the other by eight tenths: all of these are inside.
        people.add(body, None, 0.5)
        assert len(people.people) == 1
        assert people.people[0].score == pytest.approx(1 - 0.2 * 0.5 * (1 - 0.54))
        assert people.people[0].pose is body and people.people[0].detected


@pytest.mark.parametrize(("shift", "joined"), [(13, True), (14, False)])
def test_half_of_the_place_is_the_same_place_for_a_pose(shift, joined):
    """(40 − s) / (40 + s) of a box 40 wide."""
    people = _candidates()
    people.add(None, np.array([70.0 + shift, 50, 110 + shift, 150]), 0.8)
    people.add(replace(_body(90, 100, 100), px=_corners(70, 50, 110, 150)), None, 0.9)
    assert len(people.people) == 2 - joined


@pytest.mark.parametrize(("shift", "joined"), [(9.9, True), (10.1, False)])
def test_six_tenths_of_the_place_are_the_same_place_for_a_box(shift, joined):
    people = _candidates()
    people.add(replace(_body(90, 100, 100), px=_corners(70, 50, 110, 150)), None, 0.9)
    people.add(None, np.array([70.0 + shift, 50, 110 + shift, 150]), 0.8)
    assert len(people.people) == 2 - joined
    assert people.people[0].score == pytest.approx(1 - 0.1 * (1 - 0.6 * 0.95))


@pytest.mark.parametrize(("right", "joined"), [(114.5, True), (115.5, False)])
def test_eight_tenths_inside_are_the_same_place(right, joined):
    """A box 24 wide of which 20 (or fewer) are inside, whichever of the two is the larger one."""
    small, large = np.array([right - 24, 60, right, 90]), np.array([70.0, 50, 110, 150])
    for first, second in ((small, large), (large, small)):
        people = _candidates()
        people.add(None, first, 0.8)
        people.add(None, second, 0.8)
        assert len(people.people) == 2 - joined


def test_of_several_rivals_the_one_who_overlaps_most_gets_the_pose():
    people = _candidates()
    people.add(None, np.array([78.0, 50, 118, 150]), 0.8)
    people.add(None, np.array([60.0, 50, 100, 150]), 0.8)
    body = replace(_body(90, 100, 100), px=_corners(70, 50, 110, 150))
    people.add(body, None, 0.9)
    assert [one.pose is body for one in people.people] == [True, False]


def test_regions_are_explained_one_by_one_and_the_nearest_first():
    people = _candidates()
    for body in (_body(100, 120, 80), _body(200, 120, 80)):
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
    assert people.unexplained([]) == [] and _candidates().unexplained(here) == here


def test_distance_of_regions_counts_in_the_larger_side():
    people = _candidates()
    people.add(_body(100, 120, 80), None, 0.9)
    # 45 pixels: 0.45 of 100, 0.28 of 160.
    assert people.unexplained([Region(x=100.0, y=165.0, side=160.0)]) == []
    assert len(people.unexplained([Region(x=100.0, y=165.0, side=100.0)])) == 1
    assert people.unexplained([Region(x=118.0, y=144.0 - 0.1, side=100.0)]) == []
    assert len(people.unexplained([Region(x=118.0, y=144.2, side=100.0)])) == 1


# --- following


@pytest.mark.parametrize(("score", "found"), [(0.84, 1), (0.83, 0)])
def test_landmarks_alone_must_be_good(score, found):
    """0.6 p of at least a half; nobody has detected this person."""
    body = _body(100, 120, 100, score=score)
    people = _observe(expected=[body.region], landmarks=Bodies(body))
    assert len(people) == found and not any(one.detected for one in people)
    assert all(one.score == pytest.approx(0.6 * score) for one in people)


@pytest.mark.parametrize(("shift", "found"), [(37, 1), (37.5, 0)])
def test_landmarks_that_stray_are_somebody_else(shift, found):
    """Three tenths of a side of 125."""
    body = _body(100, 120, 100)
    assert len(_observe(expected=[replace(body.region, x=100.0 + shift)], landmarks=Bodies(body))) == found


def test_who_was_found_is_not_looked_for():
    body = _body(100, 120, 100)
    model = Bodies(body)
    assert len(_observe([_seen(_box_of(body))], expected=[body.region], landmarks=model)) == 1
    assert len(model.regions) == 2


def test_a_weak_detection_where_somebody_is_expected_is_that_person():
    """With landmarks or without, but never enough to count as detected."""
    body = _body(100, 120, 100)
    weak = _seen(_box_of(body), 0.12)
    (with_pose,) = _observe([weak], expected=[body.region], landmarks=Bodies(body))
    assert with_pose.pose is not None and not with_pose.detected
    assert with_pose.score == pytest.approx(1 - 0.88 * (1 - 0.6 * 0.95))
    (bare,) = _observe([weak], expected=[body.region])
    assert bare.pose is None and not bare.detected and bare.score == pytest.approx(0.12)
    assert bare.box_xyxy.tolist() == weak.box_xyxy.tolist()
    # One that was sure enough to look at but had no landmarks counts as detected.
    (refused,) = _observe([_seen(_box_of(body), 0.3)], expected=[body.region])
    assert refused.detected and refused.score == pytest.approx(0.3)
    assert _observe([_seen(_box_of(body), 0.3)]) == []


def test_the_nearest_hint_within_half_a_side_is_taken():
    body = _body(100, 120, 100)
    region = body.region
    near, nearer = _seen([110.0, 70, 130, 170], 0.2), _seen([105.0, 70, 125, 170], 0.11)
    people = _candidates()
    assert people.find_hint(region, [near, nearer]) is nearer and people.find_hint(region, [nearer, near]) is nearer
    assert people.find_hint(region, []) is None
    for x, there in ((162.0, True), (163.0, False)):
        hint = _seen([x - 10, 70, x + 10, 170], 0.2)
        assert (people.find_hint(region, [hint]) is hint) == there
    # Somebody who crouches is much smaller at once, 2.5 times at most: 125 pixels against 50.
    for tall, there in ((40.2, True), (39.8, False)):
        hint = _seen([95.0, 120 - tall / 2, 105, 120 + tall / 2], 0.2)
        assert (people.find_hint(region, [hint]) is hint) == there
    # A box that is somebody's already is no hint for somebody else.
    people.add(None, near.box_xyxy, 0.9)
    assert people.find_hint(region, [near]) is None
    half = _seen([110.0, 70, 130, 121], 0.2)
    assert people.find_hint(region, [half]) is None
    assert people.find_hint(Region(x=120.0, y=93.0, side=80.0), [_seen([110.0, 70, 130, 119], 0.2)]) is not None


def test_a_hint_inside_another_person_s_box_is_the_one_who_is_expected():
    """Two whose ways cross: the one behind is inside the box of the one in front, and still somebody."""
    front = _body(100, 120, 160)
    behind = Region(x=92.0, y=140.0, side=100.0)
    hint = _seen([72.0, 100, 112, 180], 0.2)
    found = _observe([_seen(_box_of(front)), hint], expected=[front.region, behind], landmarks=Bodies(front))
    assert [one.pose is None for one in found] == [False, True]
    assert found[1].box_xyxy.tolist() == hint.box_xyxy.tolist()
    # It may still be a part of the one in front, so it counts as no detection, be it ever so sure.
    for score in (0.2, 0.45):
        people = [_seen(_box_of(front)), _seen(hint.box_xyxy, score)]
        found = _observe(people, expected=[front.region, behind], landmarks=Bodies(front))
        assert [one.detected for one in found] == [True, False]
    # Nobody expected: it is a part of the one in front, be it ever so sure.
    assert len(_observe([_seen(_box_of(front)), _seen(hint.box_xyxy, 0.9)], landmarks=Bodies(front))) == 1


def test_a_hint_around_two_people_is_nobody():
    """One large box over two who stand close, where a third is expected: it would be a third body for two people."""
    people = _candidates()
    for box in ((80.0, 60, 120, 180), (125.0, 60, 165, 180)):
        people.add(None, np.array(box), 0.9)
    follow(people, Region(x=122.0, y=120.0, side=160.0), [_seen([75.0, 50, 170, 190], 0.2)], Bodies())
    assert len(people.people) == 2


def test_a_hint_does_not_take_its_neighbour_s_landmarks():
    """The region of the one behind shows the body in front; the hint's own box decides whose landmarks these are."""
    people = _candidates()
    front = _body(100, 120, 160)
    people.add(front, None, 0.9)
    hint = _seen([120.0, 100, 160, 180], 0.2)
    nearby = replace(_body(104, 120, 150), next_region=Region(x=130.0, y=140.0, side=100.0))
    model = Bodies()
    model.read_pose = lambda picture, region: replace(nearby, region=region)
    follow(people, Region(x=130.0, y=140.0, side=100.0), [hint], model)
    assert people.people[1].pose is None and people.people[1].box_xyxy.tolist() == hint.box_xyxy.tolist()


def test_frames_hold_the_picture_in_both_forms():
    image = torch.randint(0, 256, (4, 6, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    frame = Frame.of(image)
    assert frame.size == (4, 6) and frame.image is image
    assert torch.equal(frame.picture, image.permute(2, 0, 1) / 255)
