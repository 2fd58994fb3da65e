"""Two looks at one picture: whole people instead of their halves, and nobody lost who stands near them."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch

from unish.people import find
from unish.people.config import PeopleConfig
from unish.people.protocols import Detection
from unish.people.scales import TwoScaleDetector, reconcile
from unish.people.yolo import YoloDetector, YoloV4Tiny

# A picture of 640 × 480 looked at with 608 and 320 pixels.
FINE, COARSE = 608 / 640, 0.5


def _box(x0: float, y0: float, x1: float, y1: float, score: float = 0.9) -> Detection:
    return Detection(box_xyxy=np.array([x0, y0, x1, y1], float), score=score)


def _reconcile(fine: list[Detection], coarse: list[Detection]) -> list[tuple]:
    found = reconcile(fine, coarse, fine_scale=FINE, coarse_scale=COARSE)
    return [(*one.box_xyxy.tolist(), one.score) for one in found]


WHOLE = _box(200, 10, 400, 470, 0.97)
HALVES = [_box(210, 5, 390, 280, 0.6), _box(220, 200, 380, 475, 0.5)]


def test_a_whole_person_takes_the_place_of_the_halves():
    assert _reconcile(HALVES, [WHOLE]) == [(200, 10, 400, 470, 0.97)]
    assert _reconcile(HALVES[:1], [WHOLE]) == [(200, 10, 400, 470, 0.97)]
    assert _reconcile(HALVES[::-1], [WHOLE]) == [(200, 10, 400, 470, 0.97)]


def test_who_stands_beside_a_large_person_stays():
    beside = _box(420, 60, 560, 400, 0.8)
    assert (420, 60, 560, 400, 0.8) in _reconcile([*HALVES, beside], [WHOLE])
    # Half in front of the large person and half beside.
    partly = _box(320, 100, 480, 420, 0.8)
    assert (320, 100, 480, 420, 0.8) in _reconcile([partly], [WHOLE])


def test_a_child_in_front_whom_both_looks_see_stays():
    child = _box(260, 250, 340, 460, 0.7)
    found = _reconcile([child, *HALVES], [WHOLE, _box(258, 246, 342, 465, 0.6)])
    assert found == [(200, 10, 400, 470, 0.97), (260, 250, 340, 460, 0.7)]


def test_who_is_too_small_for_the_coarse_look_stays():
    """Far away behind the shoulder of a large person: 38 pixels of the coarse look are too few, 40 would show."""
    assert len(_reconcile([_box(220, 100, 240, 179, 0.6)], [WHOLE])) == 2
    assert len(_reconcile([_box(220, 100, 240, 181, 0.6)], [WHOLE])) == 1


@pytest.mark.parametrize(("share", "part"), [(0.76, True), (0.74, False)])
def test_three_quarters_inside_are_a_part(share, part):
    width = 100
    leaning = _box(400 - share * width, 50, 400 + (1 - share) * width, 250, 0.6)
    assert len(_reconcile([leaning], [WHOLE])) == 2 - part


@pytest.mark.parametrize(("height", "replaced"), [(294, False), (296, True)])
def test_only_people_who_are_large_for_the_fine_look_replace(height, replaced):
    """280 pixels of the fine look: what fits, the fine look knows better."""
    coarse, half = _box(200, 10, 300, 10 + height), _box(200, 20, 300, 20 + 0.38 * height, 0.6)
    assert len(_reconcile([half], [coarse])) == 2 - replaced
    # The longer side counts: somebody who lies is as large.
    lying = Detection(box_xyxy=coarse.box_xyxy[[1, 0, 3, 2]], score=coarse.score)
    lying_half = Detection(box_xyxy=half.box_xyxy[[1, 0, 3, 2]], score=half.score)
    assert len(_reconcile([lying_half], [lying])) == 2 - replaced


@pytest.mark.parametrize(("score", "replaced"), [(0.29, False), (0.3, True)])
def test_a_faint_large_person_replaces_nobody(score, replaced):
    faint, part = _box(200, 10, 400, 470, score), _box(210, 20, 390, 200, 0.6)
    assert len(_reconcile([part], [faint])) == 2 - replaced


def test_the_box_of_a_large_person_is_the_coarse_one():
    """The fine look cuts off what it has no pixels for; a half that overlaps well is no better."""
    cut = _box(205, 10, 395, 400, 0.5)
    assert _reconcile([cut], [WHOLE]) == [(200, 10, 400, 470, 0.97)]
    assert _reconcile([_box(205, 10, 395, 400, 0.98)], [WHOLE]) == [(200, 10, 400, 470, 0.98)]
    # Unless that is no more than a guess.
    assert _reconcile([cut], [_box(200, 10, 400, 470, 0.29)]) == [(205, 10, 395, 400, 0.5)]


def test_one_person_in_both_looks_is_one_with_the_finer_box_and_the_better_score():
    fine, coarse = _box(100, 100, 140, 200, 0.5), _box(98, 96, 142, 204, 0.8)
    assert _reconcile([fine], [coarse]) == [(100, 100, 140, 200, 0.8)]
    assert _reconcile([_box(100, 100, 140, 200, 0.9)], [coarse]) == [(100, 100, 140, 200, 0.9)]


@pytest.mark.parametrize(("height", "people"), [(41, 1), (39, 2)])
def test_boxes_that_overlap_by_four_tenths_are_one_person(height, people):
    fine, coarse = _box(100, 100, 140, 200, 0.5), _box(100, 100, 140, 100 + height, 0.8)
    assert len(_reconcile([fine], [coarse])) == people


def test_each_box_has_one_partner_at_most_and_the_best_fit_wins():
    one, other = _box(100, 100, 140, 200, 0.6), _box(104, 100, 144, 200, 0.5)
    seen = _box(105, 100, 145, 200, 0.8)
    for fine in itertools.permutations([one, other]):
        found = _reconcile(list(fine), [seen])
        assert found == [(104, 100, 144, 200, 0.8), (100, 100, 140, 200, 0.6)]
    for coarse in itertools.permutations([_box(100, 100, 140, 200, 0.6), _box(104, 100, 144, 200, 0.5)]):
        found = _reconcile([_box(105, 100, 145, 200, 0.3)], list(coarse))
        assert found == [(100, 100, 140, 200, 0.6), (105, 100, 145, 200, 0.5)]


def test_what_one_look_alone_finds_stays_and_the_best_comes_first():
    fine, coarse = _box(500, 300, 520, 350, 0.4), _box(20, 30, 60, 130, 0.7)
    assert [one[-1] for one in _reconcile([fine], [coarse])] == [0.7, 0.4]
    assert _reconcile([fine], []) == [(500, 300, 520, 350, 0.4)]
    assert _reconcile([], [coarse]) == [(20, 30, 60, 130, 0.7)]
    assert _reconcile([], []) == []


class _Fixed:
    """Always sees the same, and notes how many pictures it was shown."""

    def __init__(self, *boxes: Detection):
        self.boxes = list(boxes)
        self.shown = 0

    def detect(self, images):
        self.shown += len(images)
        return [self.boxes for _ in images]


@pytest.mark.parametrize("size", [(480, 640), (640, 480)])
def test_the_detector_joins_its_two_looks_in_every_picture(size):
    """296 pixels of 640 are 281 of 608: large. The longer side of the picture sets the scale, whichever it is."""
    fine, coarse = _Fixed(_box(200, 20, 300, 130, 0.6)), _Fixed(_box(200, 10, 300, 306))
    detector = TwoScaleDetector(fine, coarse, fine_side=608, coarse_side=320)
    found = detector.detect(torch.zeros(3, *size, 3, dtype=torch.uint8))
    assert [[one.score for one in people] for people in found] == [[0.9]] * 3 and fine.shown == coarse.shown == 3
    # In a larger picture the same box is not large.
    assert len(detector.detect(torch.zeros(1, 900, 900, 3, dtype=torch.uint8))[0]) == 2
    # To a coarser look still, the half would not show: its 110 pixels are 27 of 160.
    coarser = TwoScaleDetector(fine, coarse, fine_side=608, coarse_side=160)
    assert len(coarser.detect(torch.zeros(1, *size, 3, dtype=torch.uint8))[0]) == 2


def test_what_ships_looks_at_608_and_320_pixels(monkeypatch):
    monkeypatch.setattr(find.assets, "fetch", lambda name, progress: Path(name))
    monkeypatch.setattr(find, "load_darknet", lambda path: YoloV4Tiny().eval() if path == Path("yolov4-tiny") else None)
    detector = find.default_detector(PeopleConfig(min_followed_score=0.15))
    assert isinstance(detector, TwoScaleDetector) and (detector.fine_side, detector.coarse_side) == (608, 320)
    for look, side in ((detector.fine, 608), (detector.coarse, 320)):
        assert isinstance(look, YoloDetector) and (look.long_side, look.min_score) == (side, 0.15)
    assert detector.fine.model is detector.coarse.model
