"""Records that parts of the people stage hand to one another: named fields, unchangeable, arrays never compared."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, fields

import numpy as np
import pytest
import torch

from unish.people import PeopleConfig
from unish.people.blazepose import Reading
from unish.people.protocols import Detection, Detector, LandmarkModel, Observation, Pose, Segmenter, Tracker
from unish.people.reading import Frame
from unish.people.regions import Region
from unish.people.tracking import HungarianTracker, TrackerConfig
from unish.people.tracklet import Tracklet
from unish.people.yolo import YoloDetector, YoloV4Tiny


def _records() -> list:
    region = Region(x=1.0, y=2.0, side=3.0)
    marks, box = np.zeros((33, 3), np.float32), np.zeros(4)
    image = torch.zeros(2, 2, 3, dtype=torch.uint8)
    return [
        region,
        Detection(box_xyxy=box, score=0.5),
        Pose(px=marks, world=marks, score=1.0, region=region, next_region=region),
        Observation(box_xyxy=box, score=0.5, appearance=np.zeros(72)),
        Frame.of(image),
        Reading(
            spots=np.zeros((35, 2), np.float32), visibility=marks[:, 0], world=marks, score=1.0, mask=marks[:2, :2]
        ),
        PeopleConfig(),
        TrackerConfig(),
    ]


@pytest.mark.parametrize("record", _records(), ids=lambda record: type(record).__name__)
def test_records_are_unchangeable_and_their_fields_are_named(record):
    first = fields(record)[0].name
    with pytest.raises(FrozenInstanceError):
        setattr(record, first, getattr(record, first))
    with pytest.raises(TypeError):
        type(record)(*(getattr(record, field.name) for field in fields(record)))


def test_what_a_record_leaves_out():
    _, detection, pose, observation, *_ = _records()
    assert detection.region is None and pose.mask is None
    assert observation.pose is None and observation.detected is True
    assert Region(x=0.0, y=0.0, side=1.0).angle == 0.0


def test_records_with_arrays_are_compared_by_what_they_are_not_what_they_hold():
    """Comparing arrays field by field would raise."""
    _, *first = _records()[:4]
    _, *second = _records()[:4]
    assert all(one == one and one != other for one, other in zip(first, second, strict=True))
    assert _records()[5] != _records()[5]
    assert _records()[0] == _records()[0]
    assert Tracklet(segment=0) != Tracklet(segment=0)


def test_parts_are_recognised_by_what_they_can_do():
    assert isinstance(HungarianTracker(), Tracker) and not isinstance(HungarianTracker(), Detector)
    assert isinstance(YoloDetector(YoloV4Tiny().eval()), Detector)
    for protocol in (Detector, LandmarkModel, Segmenter, Tracker):
        assert not isinstance(object(), protocol)


def test_what_the_tracker_ships_with():
    """The numbers that the tables of this version were measured with; the tests of links show what each does."""
    config = TrackerConfig()
    assert (config.max_gap_s, config.max_cost, config.max_speed, config.max_blind_s) == (1.0, 0.75, 1.5, 1.0)
    assert (config.min_evidence, config.steady_evidence, config.steady_s) == (0.8, 0.6, 1.0)
