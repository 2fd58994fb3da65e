"""The people stage from end to end with stand-ins for every part: what each is shown, and what becomes of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from unish.assets import NEEDED_BY_DEFAULT
from unish.body.joints import MIRRORED_LANDMARKS
from unish.errors import InputError
from unish.people import PeopleConfig, PeopleModels, describe_unread, find, find_people
from unish.people.blazepose import BlazePoseDetector, BlazePoseLandmarks
from unish.people.facing import mirror_world
from unish.people.movenet import MoveNet, MoveNetPoints
from unish.people.protocols import Detection, Observation, Pose
from unish.people.regions import Region
from unish.structs import Clip


def _clip(num_frames: int) -> Clip:
    """Frame t is grey of level t; times are far from zero, shots change after frame 5."""
    images = torch.arange(num_frames, dtype=torch.uint8)[:, None, None, None].expand(num_frames, 60, 80, 3).contiguous()
    return Clip(
        images=images,
        timestamps_s=1e6 + torch.arange(num_frames, dtype=torch.float64) / 8,
        frame_indices=torch.arange(num_frames) * 3,
        segment=(torch.arange(num_frames) > 5).long(),
        source_size=(60, 80),
    )


class Levels:
    """Detector that sees one box per picture and notes the pictures of every call."""

    def __init__(self, score: float = 0.9, box=(10.0, 5.0, 30.0, 55.0), region: Region | None = None):
        self.score, self.box, self.region = score, box, region
        self.calls: list[list[int]] = []

    def detect(self, images):
        self.calls.append(images[:, 0, 0, 0].tolist())
        return [[Detection(box_xyxy=np.array(self.box), score=self.score, region=self.region)] for _ in images]


class Nobody(Levels):
    def detect(self, images):
        super().detect(images)
        return [[] for _ in images]


class NoRegions(Nobody, BlazePoseDetector):
    """Notes the sides of the parts of pictures in which it was asked for regions."""

    def __init__(self):
        super().__init__()
        self.sides: list[float] = []

    def find_regions(self, picture, around):
        self.sides.append(around.side)
        return []


class NoLandmarks:
    """Sees nobody, and notes the brightness of what it was shown."""

    def __init__(self, score: float = 0.0):
        self.score = score
        self.levels: list[float] = []

    def read_pose(self, picture, region):
        self.levels.append(round(float(picture.mean()) * 255))
        spread = np.linspace(-0.4, 0.4, 33) * region.side
        px = np.stack([region.x + 0.4 * spread, region.y + spread, np.ones(33)], axis=1).astype(np.float32)
        return Pose(px=px, world=px, score=self.score, region=region, next_region=region)


class Notes:
    """Tracker that follows nobody but writes everything down, and gives fixed identities."""

    def __init__(self, identities=(), expected=()):
        self.asked: list[tuple] = []
        self.told: list[tuple] = []
        self.given, self.expected = list(identities), list(expected)

    def predict(self, time_s, segment):
        self.asked.append((time_s, segment))
        return self.expected

    def update(self, time_s, segment, people):
        self.told.append((time_s, segment, len(people)))

    def identities(self):
        return self.given


def _seen(x: float) -> Observation:
    return Observation(box_xyxy=np.array([x, 5, x + 10, 55]), score=0.9, appearance=np.full(72, 1 / 72))


def _find(clip: Clip, **parts):
    models = {"detector": Levels(), "support": Nobody(), "landmarks": NoLandmarks(), "keypoints": None, "notes": ()}
    models |= {name: parts.pop(name) for name in models.keys() & parts.keys()}
    return find_people(clip, mask_size=(6, 8), models=PeopleModels(**models), **parts)


def test_every_frame_is_seen_once_in_order_with_its_own_time_and_shot():
    clip, tracker, detector, support, landmarks = _clip(10), Notes(), Levels(), Nobody(), NoLandmarks()
    calls: list[tuple] = []
    tracks, _ = _find(clip, tracker=tracker, detector=detector, support=support, landmarks=landmarks,
          progress=lambda *call: calls.append(call))  # fmt: skip
    assert len(tracks.warnings) == 1 and "nobody was found" in tracks.warnings[0]
    assert support.calls == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    # Nobody is followed here, so the detector is shown what is between, too; never two shots at once.
    assert detector.calls == [[0, 3], [1, 2], [4, 5, 6, 7], [8, 9]]
    assert calls == [("find people", done, 10) for done in (4, 8, 10)]
    times = [(1e6 + t / 8, int(t > 5)) for t in range(10)]
    assert tracker.asked == times and [told[:2] for told in tracker.told] == times
    assert [told[2] for told in tracker.told] == [1] * 10
    assert sorted(set(landmarks.levels)) == list(range(10)) and landmarks.levels == sorted(landmarks.levels)


@pytest.mark.parametrize(
    ("settings", "score", "people"),
    [({}, 0.51, 1), ({}, 0.49, 0), ({"min_detector_score": 0.6}, 0.55, 0), ({"min_detector_score": 0.5}, 0.55, 1)],
)
def test_settings_reach_the_observation(settings, score, people):
    tracker = Notes()
    _find(_clip(1), tracker=tracker, detector=Levels(score), config=PeopleConfig(**settings))
    assert tracker.told[0][2] == people


@pytest.mark.parametrize(("limit", "poses"), [(0.8, True), (0.95, False)])
def test_the_limit_for_landmarks_is_the_user_s(limit, poses):
    class Keeps(Notes):
        def update(self, time_s, segment, people):
            self.told.append(people)

    tracker = Keeps()
    _find(_clip(1), tracker=tracker, landmarks=NoLandmarks(0.9), config=PeopleConfig(min_landmark_score=limit))
    assert [one.pose is not None for one in tracker.told[0]] == [poses]


def test_the_second_detector_and_the_expectation_are_heard():
    region = Region(x=20.0, y=30.0, side=50.0)
    for parts in ({"support": Levels(region=region)}, {"tracker": Notes(expected=[region])}):
        tracker = parts.setdefault("tracker", Notes())
        _find(_clip(1), detector=Nobody(), landmarks=NoLandmarks(0.9), **parts)
        assert tracker.told[0][2] == 1


def test_identities_are_renumbered_without_holes_and_drawn_in_that_order():
    short, long, later = {0: _seen(1.0)}, {t: _seen(20.0) for t in range(6)}, {t: _seen(60.0) for t in range(4, 10)}
    tracks, landmarks = _find(_clip(10), tracker=Notes([short, long, later]))
    assert len(tracks.warnings) == 1 and "1 person was left out" in tracks.warnings[0]
    assert tracks.person_ids.tolist() == [0, 1] and landmarks.px.shape == (2, 10, 33, 3)
    assert tracks.boxes_xyxy[:, 4, 0].tolist() == [20, 60]
    assert [tracks.masks[t].unique().tolist() for t in (0, 4, 9)] == [[-1, 0], [-1, 0, 1], [-1, 1]]


def test_a_segmenter_of_one_s_own_draws_the_masks():
    class Corner:
        def segment(self, images, frame, people, size):
            masks = np.zeros((len(people), *size), np.float32)
            masks[:, 0, 0] = 1
            return masks

    tracks, landmarks = _find(_clip(6), tracker=Notes([{t: _seen(20.0) for t in range(6)}]), segmenter=Corner())
    assert (tracks.masks[:, 0, 0] == 0).all() and int((tracks.masks[:] >= 0).sum()) == 6
    assert "landmarks of person 0" in describe_unread(tracks, landmarks)[0]


def test_nobody_is_looked_for_when_nobody_is_wanted():
    detector = Levels()
    tracks, landmarks = _find(_clip(3), detector=detector, config=PeopleConfig(max_people=0))
    assert detector.calls == [] and tracks.num_people == 0 and tracks.warnings == ()
    assert tracks.masks.shape == (3, 6, 8) and (tracks.masks[:] == -1).all() and landmarks.px.shape == (0, 3, 33, 3)


def test_the_parts_that_ship_are_made_of_the_named_assets(monkeypatch):
    made: list[tuple] = []
    monkeypatch.setattr(find.assets, "fetch", lambda name, progress: Path(name))

    class Model(BlazePoseLandmarks):
        def __init__(self, model, *, mirror, num_threads):
            made.append((model, mirror, num_threads))

    monkeypatch.setattr(find, "BlazePoseLandmarks", Model)
    find.default_landmarks(PeopleConfig())
    find.default_landmarks(PeopleConfig(model="heavy", mirror=False, num_threads=5))
    assert made == [(Path("blazepose-full"), True, 2), (Path("blazepose-heavy"), False, 5)]
    support, regions = [], NoRegions()
    monkeypatch.setattr(
        find, "BlazePoseDetector", lambda path, num_threads: support.append((path, num_threads)) or regions
    )
    monkeypatch.setattr(find, "default_detector", lambda config, progress: Levels())
    monkeypatch.setattr(find, "default_landmarks", lambda config, progress: NoLandmarks())
    tracks, _ = find_people(_clip(6), mask_size=(6, 8), config=PeopleConfig(num_threads=3))
    assert support == [(Path("blazepose-detector"), 3)] and tracks.num_people == 1
    # Who has no landmarks is new in every frame: the second detector looks for regions around the box, 50 pixels tall.
    assert regions.sides == [75.0] * 6


class Everywhere:
    """A second landmark model: whoever is read is three pixels lower, and all that was asked for is noted."""

    def __init__(self):
        self.asked: list[tuple[float, int]] = []

    def read_points(self, picture, regions):
        self.asked.append((round(float(picture.mean()) * 255), len(regions)))
        same = [0, 2, 5, 7, 8, 11, 12, 13, 14, 15, 16, 23, 24, 25, 26, 27, 28]
        spread = np.linspace(-0.4, 0.4, 33)[same, None] * 62.5 * np.array([0.4, 1.0]) + np.array([20.0, 33.0])
        return np.stack([np.concatenate([spread, np.ones((17, 2))], axis=1)] * len(regions)).astype(np.float32)


def test_poses_are_fused_with_the_points_of_a_second_model():
    class Keeps(Notes):
        def update(self, time_s, segment, people):
            self.told.append(people)

    model, trackers = Everywhere(), (Keeps(), Keeps())
    _find(_clip(5), tracker=trackers[0], landmarks=NoLandmarks(0.9))
    _find(_clip(5), tracker=trackers[1], landmarks=NoLandmarks(0.9), keypoints=model, notes=("only half of it",))
    assert model.asked == [(level, 1) for level in range(5)]
    for (alone,), (both,) in zip(trackers[0].told, trackers[1].told, strict=True):
        assert alone.pose.sigma_px is None and both.pose.sigma_px.shape == (33,)
        assert both.pose.px[[0, 13, 16], 1] == pytest.approx(alone.pose.px[[0, 13, 16], 1] + 3, abs=1e-3)
    tracks, landmarks = _find(
        _clip(6), tracker=Notes([{t: _seen(20.0) for t in range(6)}]), keypoints=model, notes=("only half of it",)
    )
    assert tracks.warnings[0] == "only half of it" and landmarks.sigma_px.shape == (1, 6, 33)


def test_who_stands_is_read_from_the_same_side_in_every_frame():
    """One frame takes the front for the back."""
    clip = _clip(5)
    pose = NoLandmarks(0.9).read_pose(clip.images[0].float(), Region(x=20.0, y=30.0, side=50.0))
    pose = replace(pose, world=np.random.default_rng(0).standard_normal((33, 3)).astype(np.float32))
    wrong = replace(pose, px=pose.px[list(MIRRORED_LANDMARKS)], world=mirror_world(pose.world))
    person = {frame: replace(_seen(20.0), pose=wrong if frame == 2 else pose) for frame in range(5)}
    _, landmarks = _find(clip, tracker=Notes([person]))
    for found, one in ((landmarks.px, pose.px), (landmarks.world, pose.world)):
        assert torch.equal(found, torch.from_numpy(one).expand(1, 5, 33, 3))


def test_without_its_file_the_second_model_is_done_without_and_that_is_said(monkeypatch, second_landmarks):
    def fetch(name, progress):
        if name.startswith("movenet-lightning"):
            raise InputError(f"cannot fetch {name}")
        return Path(name)

    loaded = []
    monkeypatch.setattr(find.assets, "fetch", fetch)
    monkeypatch.setattr(find, "load_movenet", lambda *parts: loaded.append(parts) or MoveNet(32, 1.0))
    model, notes = find.default_keypoints(PeopleConfig(landmarks_2d="thunder"))
    assert isinstance(model, MoveNetPoints) and notes == ()
    assert loaded == [("thunder", Path("movenet-thunder-graph"), Path("movenet-thunder"))]
    model, (note,) = find.default_keypoints(PeopleConfig(landmarks_2d="lightning"))
    assert model is None and "BlazePose alone" in note and note.endswith("cannot fetch movenet-lightning-graph")
    assert find.default_keypoints(PeopleConfig(landmarks_2d="none")) == (None, ()) and len(loaded) == 1


def test_a_download_is_announced_with_its_size_and_licence(monkeypatch, second_landmarks):
    """Of each model file, as a stage of its own; not by those who do not listen."""
    said: list[tuple] = []

    def fetch(name, progress):
        progress(f"fetching {name} (23 MB, some licence)")
        return Path(name)

    monkeypatch.setattr(find.assets, "fetch", fetch)
    monkeypatch.setattr(find, "load_darknet", lambda path: None)
    monkeypatch.setattr(find, "YoloDetector", lambda *args, **options: Nobody())
    monkeypatch.setattr(find, "BlazePoseDetector", lambda *args, **options: NoRegions())
    monkeypatch.setattr(find, "BlazePoseLandmarks", lambda *args, **options: NoLandmarks())
    monkeypatch.setattr(find, "load_movenet", lambda *args: MoveNet(32, 1.0))
    monkeypatch.setattr(find, "TwoScaleDetector", lambda *args, **options: Levels())
    find_people(_clip(2), mask_size=(6, 8), progress=lambda *step: said.append(step))
    find.default_landmarks(PeopleConfig())
    names = ("yolov4-tiny", "blazepose-detector", "blazepose-full", "movenet-thunder-graph", "movenet-thunder")
    announced = [stage for stage, done, total in said if (done, total) == (0, None)]
    assert announced == [f"fetching {name} (23 MB, some licence)" for name in names]
    assert {*names, "transnetv2"} == {*NEEDED_BY_DEFAULT}, "what is announced before a run is what a run fetches"
