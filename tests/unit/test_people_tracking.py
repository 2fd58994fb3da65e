"""Identities over time, on synthetic observations: crossings, gaps, leaving and coming back, cuts, doubles."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from unish.errors import InputError
from unish.people import PeopleConfig, PeopleModels, find_people
from unish.people.boxes import box_iou, pose_similarity, suppress
from unish.people.masks import silhouette_overlap
from unish.people.observe import same_body
from unish.people.protocols import Detection, Observation, Pose
from unish.people.records import select_people
from unish.people.regions import Region
from unish.people.tracking import HungarianTracker
from unish.structs import Clip

RED, BLUE = (220, 30, 30), (30, 30, 220)


def _appearance(kind: int) -> np.ndarray:
    """Clothes that have nothing in common with those of another kind."""
    bins = np.full(72, 1e-6)
    bins[kind * 12 : kind * 12 + 12] = 1 / 12
    return bins / bins.sum()


def _person(x: float, kind: int = 0, *, y: float = 100, score: float = 0.95, detected: bool = True) -> Observation:
    box = np.array([x - 20, y - 50, x + 20, y + 50], float)
    return Observation(box_xyxy=box, score=score, appearance=_appearance(kind), detected=detected)


def _follow(frames: list[list[Observation]], *, fps: float = 6, segments: list[int] | None = None) -> list[dict]:
    tracker = HungarianTracker()
    for index, people in enumerate(frames):
        tracker.update(index / fps, segments[index] if segments else 0, people)
    return tracker.identities()


def _kinds(track: dict[int, Observation]) -> set[int]:
    return {int(seen.appearance.argmax()) // 12 for seen in track.values()}


def test_two_people_who_cross_keep_their_identities():
    frames = [[_person(50 + 20 * t, 0), _person(350 - 20 * t, 1)] for t in range(16)]
    tracks = _follow(frames)
    assert [len(track) for track in tracks] == [16, 16]
    assert [_kinds(track) for track in tracks] == [{0}, {1}]


def test_alike_people_who_cross_are_told_apart_by_their_motion():
    frames = [[_person(50 + 20 * t, y=100), _person(350 - 20 * t, y=104)] for t in range(16)]
    tracks = _follow(frames)
    for track in tracks:
        xs = [track[t].box_xyxy[0] for t in sorted(track)]
        assert len(track) == 16 and abs(np.diff(xs)).max() < 21


def test_order_within_a_frame_does_not_matter():
    frames = [[_person(50 + 20 * t, 0), _person(350 - 20 * t, 1)] for t in range(16)]
    shuffled = [people[:: 1 if t % 2 else -1] for t, people in enumerate(frames)]
    assert sorted(len(track) for track in _follow(shuffled)) == [16, 16]
    assert {frozenset(_kinds(track)) for track in _follow(shuffled)} == {frozenset({0}), frozenset({1})}


def test_a_gap_is_bridged_and_leaves_no_copied_boxes():
    frames = [[] if t in (5, 6, 7) else [_person(50 + 5 * t)] for t in range(15)]
    (track,) = _follow(frames)
    assert sorted(track) == [0, 1, 2, 3, 4, 8, 9, 10, 11, 12, 13, 14]


def test_somebody_who_comes_back_is_recognised_and_a_stranger_is_not():
    away: list[list[Observation]] = [[]] * 30
    frames = [[_person(40, 0)]] * 10 + away + [[_person(600, 0)]] * 10 + away + [[_person(600, 1)]] * 10
    tracks = _follow(frames)
    assert [len(track) for track in tracks] == [20, 10]
    assert [_kinds(track) for track in tracks] == [{0}, {1}]


def test_two_who_look_alike_are_not_mixed_up_after_a_long_absence():
    frames = [[_person(40, 0), _person(300, 0)]] * 10 + [[]] * 30 + [[_person(160, 0)]] * 10
    assert [len(track) for track in _follow(frames)] == [10, 10, 10]


def test_a_cut_links_by_appearance_and_never_by_place():
    frames = [[_person(100, 0)]] * 6 + [[_person(100, 1)]] * 6 + [[_person(300, 0)]] * 6
    tracks = _follow(frames, segments=[0] * 6 + [1] * 6 + [2] * 6)
    assert [sorted(track) for track in tracks] == [[*range(6), *range(12, 18)], [*range(6, 12)]]


def test_one_frame_per_second_is_followed_by_real_time():
    frames = [[_person(50 + 60 * t)] for t in range(6)]
    assert [len(track) for track in _follow(frames, fps=1)] == [6]
    # Six times the width of a person between two frames of a fast video is somebody else.
    tracker = HungarianTracker()
    for t in range(6):
        tracker.update(t / 30, 0, [_person(50 + 240 * t)])
    assert len(tracker.tracklets) == 6


def test_nobody_starts_without_a_detector():
    assert _follow([[_person(50, detected=False)]] * 6) == []


def test_faint_people_do_not_count():
    assert _follow([[_person(50, score=0.59)]] * 12) == []


def test_people_are_looked_for_where_they_were_but_not_for_ever():
    pose = Pose(
        px=np.full((33, 3), 50, np.float32),
        world=np.zeros((33, 3), np.float32),
        score=1.0,
        region=Region(x=50, y=50, side=80),
        next_region=Region(x=51, y=50, side=80),
    )
    box = np.array([30.0, 0, 70, 100])
    tracker = HungarianTracker()
    tracker.update(0.0, 0, [Observation(box_xyxy=box, score=1.0, appearance=_appearance(0), pose=pose)])
    assert tracker.predict(0.2, 0) == [pose.next_region]
    assert tracker.predict(0.2, 1) == []
    tracker.update(0.2, 0, [])
    assert tracker.predict(5.0, 0) == []


def _clip(num_frames: int, *, fps: float = 6, size: tuple[int, int] = (120, 160)) -> Clip:
    return Clip(
        images=torch.zeros(num_frames, *size, 3, dtype=torch.uint8),
        timestamps_s=torch.arange(num_frames, dtype=torch.float64) / fps,
        frame_indices=torch.arange(num_frames) * 5,
        segment=torch.zeros(num_frames, dtype=torch.int64),
        source_size=size,
    )


@pytest.mark.parametrize(
    ("num_frames", "fps", "seen", "kept"),
    [
        *[(24, 6, 2, 0), (24, 6, 3, 1), (24, 30, 10, 0), (24, 30, 15, 1), (6, 1, 2, 0), (6, 1, 3, 1)],
        *[(1, 6, 1, 1), (2, 6, 2, 1), (2, 6, 1, 0)],
    ],
)
def test_short_tracks_are_dropped_and_counted(num_frames, fps, seen, kept):
    people = {0: {t: _person(50) for t in range(seen)}}
    chosen, messages = select_people(people, _clip(num_frames, fps=fps), PeopleConfig())
    assert len(chosen) == kept and len(messages) == 1 - kept


def test_the_most_prominent_people_stay():
    small = Observation(box_xyxy=np.array([0.0, 0, 4, 10]), score=1.0, appearance=_appearance(0))
    people = {3: {t: small for t in range(10)}, 5: {t: _person(50) for t in range(10)}}
    chosen, _ = select_people(people, _clip(10), PeopleConfig(max_people=1))
    assert list(chosen) == [5]


class FakeDetector:
    """Boxes by frame, given in advance."""

    def __init__(self, boxes: list[list[tuple]]):
        self.boxes = iter(boxes)

    def detect(self, images):
        return [[Detection(box_xyxy=np.array(box, float), score=0.9) for box in next(self.boxes)] for _ in images]


class PictureDetector:
    """Boxes by what a picture shows: it need not see every frame."""

    def __init__(self, images, boxes: list[list[tuple]]):
        self.boxes = {image.numpy().tobytes(): found for image, found in zip(images, boxes, strict=True)}

    def detect(self, images):
        found = [self.boxes[image.numpy().tobytes()] for image in images]
        return [[Detection(box_xyxy=np.array(box, float), score=0.9) for box in boxes] for boxes in found]


class FakeLandmarks:
    """A body that fills its region, upright; nobody where the picture is black."""

    def read_pose(self, picture, region):
        grid = np.linspace(0.1, 0.9, 33)
        px = region.to_picture(np.stack([0.5 + 0.2 * np.cos(17 * grid), grid], axis=-1))
        centre = picture[:, int(np.clip(region.y, 0, 119)), int(np.clip(region.x, 0, 159))]
        return Pose(
            px=np.concatenate([px, np.ones((33, 1))], axis=-1).astype(np.float32),
            world=np.zeros((33, 3), np.float32),
            score=float(centre.sum() > 0),
            region=region,
            next_region=region,
            mask=np.full((128, 128), 255, np.uint8),
        )


def _find(boxes: list[list[tuple]], config: PeopleConfig | None = None):
    clip = _clip(len(boxes))
    for image, present in zip(clip.images, boxes, strict=True):
        for (x0, y0, x1, y1), colour in zip(present, (RED, BLUE), strict=False):
            image[y0:y1, x0:x1] = torch.tensor(colour, dtype=torch.uint8)
    empty = FakeDetector([[] for _ in boxes])
    return find_people(
        clip,
        mask_size=(60, 80),
        config=config,
        models=PeopleModels(detector=PictureDetector(clip.images, boxes), support=empty, landmarks=FakeLandmarks()),
    )


def test_records_say_who_is_where():
    left, right = (20, 20, 50, 100), (100, 30, 130, 110)
    tracks, landmarks = _find([[left, right]] * 4 + [[left]] * 2)
    assert tracks.person_ids.tolist() == [0, 1] and tracks.warnings == ()
    assert tracks.valid.tolist() == [[True] * 6, [True] * 4 + [False] * 2]
    assert torch.equal(tracks.boxes_xyxy.isfinite().all(-1), tracks.valid)
    assert torch.equal(landmarks.px.isfinite().all(-1).all(-1), tracks.valid)
    assert torch.equal(landmarks.score > 0, tracks.valid)
    assert tracks.masks.shape == (6, 60, 80)
    assert tracks.masks[0, 30, 17] == 0 and tracks.masks[0, 35, 57] == 1 and tracks.masks[0, 0, 79] == -1
    assert not (tracks.masks[5] == 1).any()


def test_the_same_body_is_not_found_twice():
    box, nearly = (20, 20, 50, 100), (22, 20, 52, 100)
    tracks, _ = _find([[box, nearly]] * 4)
    assert tracks.num_people == 1


def _reading(x: float, *, turned: bool) -> Pose:
    """A body of 40 by 80 pixels around x; the landmarks of a turned one have head and feet exchanged."""
    height = np.linspace(20.0, 100.0, 33)
    px = np.stack([np.full(33, x), height[::-1] if turned else height, np.ones(33)], axis=-1).astype(np.float32)
    mask = np.zeros((64, 64), np.uint8)
    mask[12:52, 22:42] = 255
    region = Region(x=x, y=60.0, side=128.0, angle=0.0)
    return Pose(px=px, world=np.zeros((33, 3), np.float32), score=1.0, region=region, next_region=region, mask=mask)


def test_one_silhouette_is_one_body_however_its_limbs_are_read():
    upright, turned, beside = _reading(80, turned=False), _reading(82, turned=True), _reading(105, turned=True)
    assert silhouette_overlap(upright, turned) > 0.8
    assert silhouette_overlap(upright, beside) == pytest.approx(15 / 65, abs=0.05)
    assert same_body(upright, turned, 3200.0) and not same_body(upright, beside, 3200.0)
    assert silhouette_overlap(upright, replace(turned, mask=None)) == 0.0


def test_nobody_in_view_is_a_warning_and_not_an_error():
    tracks, landmarks = _find([[]] * 4)
    assert tracks.num_people == 0 and len(tracks.warnings) == 1 and "nobody was found" in tracks.warnings[0]
    assert tracks.boxes_xyxy.shape == (0, 4, 4) and landmarks.px.shape == (0, 4, 33, 3)
    assert (tracks.masks[:] == -1).all()


def test_nobody_asked_for_is_no_warning():
    tracks, _ = _find([[(20, 20, 50, 100)]] * 4, PeopleConfig(max_people=0))
    assert tracks.num_people == 0 and tracks.warnings == ()


def test_progress_reaches_the_end():
    calls = []
    clip = _clip(6)
    find_people(
        clip,
        mask_size=(6, 8),
        models=PeopleModels(detector=FakeDetector([[]] * 6), support=FakeDetector([[]] * 6), landmarks=FakeLandmarks()),
        progress=lambda *call: calls.append(call),
    )
    assert calls[-1] == ("find people", 6, 6)


@pytest.mark.parametrize("bad", [{"model": "huge"}, {"max_people": -1}])
def test_settings_are_checked(bad):
    with pytest.raises(InputError):
        PeopleConfig(**bad)


def test_overlaps():
    boxes = np.array([[0.0, 0, 10, 10], [5, 0, 15, 10], [20, 20, 30, 30]])
    assert np.allclose(box_iou(boxes, boxes)[0], [1, 1 / 3, 0])
    assert suppress(boxes, np.array([0.5, 0.9, 0.1]), max_iou=0.3) == [1, 2]
    points = np.arange(66.0).reshape(33, 2)
    everything = np.ones(33, bool)
    assert pose_similarity(points, points, everything, 100.0) == 1
    assert pose_similarity(points, points + 1000, everything, 100.0) == pytest.approx(0)
    assert pose_similarity(points, points, ~everything, 100.0) == 0
    assert math.isclose(pose_similarity(points, points + 1, everything, 1e9), 1, abs_tol=1e-3)
