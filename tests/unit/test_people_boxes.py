"""Boxes, colours and limits of the records against plain twins."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch
import twins_finding as twins

from unish.errors import InputError
from unish.people import PeopleConfig, describe_unread
from unish.people.appearance import appearance_similarity, describe_appearance
from unish.people.boxes import box_area, box_containment, box_iou, clip_box, pose_similarity, suppress
from unish.people.fuse import sigma_alone
from unish.people.protocols import Observation, Pose
from unish.people.records import pack, select_people
from unish.people.regions import Region
from unish.structs import Clip

BOXES = np.array(
    [[0, 0, 10, 10], [5, 0, 15, 10], [2, 2, 8, 6], [20, 20, 30, 30], [0, 0, 10, 10.5], [4, 4, 4, 9], [9, 9, 3, 3]],
    float,
)


def test_overlaps_are_those_of_the_twin():
    for (i, a), (j, b) in itertools.product(enumerate(BOXES), enumerate(BOXES)):
        assert box_iou(BOXES, BOXES)[i, j] == pytest.approx(twins.iou(a, b), abs=1e-9)
        assert box_containment(BOXES, BOXES)[i, j] == pytest.approx(twins.containment(a, b), abs=1e-9)
    assert box_area(BOXES).tolist() == [twins.area(box) for box in BOXES]


def test_a_box_is_cut_at_the_sides_of_the_picture():
    assert clip_box(np.array([-5.0, -6, 300, 200]), (90, 160)).tolist() == [0, 0, 160, 90]
    assert clip_box(np.array([5.0, 6, 30, 20]), (90, 160)).tolist() == [5, 6, 30, 20]


def test_the_best_of_overlapping_boxes_stays():
    """Overlap of exactly the limit is allowed; equal scores keep their order."""
    boxes = np.array([[0.0, 0, 10, 10], [5, 0, 15, 10], [0, 0, 10, 10]])
    assert suppress(boxes, np.array([0.5, 0.5, 0.4]), max_iou=1 / 3) == [0, 1]
    assert suppress(boxes, np.array([0.5, 0.5, 0.4]), max_iou=0.33) == [0]
    assert suppress(boxes, np.array([0.2, 0.5, 0.4]), max_iou=0.4) == [1, 2]
    assert suppress(boxes[:0], np.array([]), max_iou=0.4) == []


@pytest.mark.parametrize("seed", range(8))
def test_likeness_of_poses_is_that_of_the_twin(seed):
    random = np.random.default_rng(seed)
    first = random.uniform(0, 100, (33, 2))
    second, shared = first + random.normal(0, 6, (33, 2)), random.random(33) < 0.5
    area = [0.2, 400.0, 2500.0, 1e4][seed % 4]
    expected = twins.object_keypoint_similarity(first, second, shared, area)
    assert pose_similarity(first, second, shared, area) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("landmark", range(33))
def test_each_landmark_has_the_spread_of_its_joint(landmark):
    first, only = np.zeros((33, 2)), np.zeros(33, bool)
    only[landmark] = True
    assert pose_similarity(first, first + np.array([3.0, 4.0]), only, 900.0) == pytest.approx(
        np.exp(-25 / (8 * 900 * twins.sigma_of(landmark) ** 2))
    )


def _picture() -> torch.Tensor:
    return torch.rand(3, 96, 120, generator=torch.Generator().manual_seed(3))


def _samples(picture: torch.Tensor, region: tuple[float, float, float, float], size: int = 48):
    """(row, column, colour) of the samples of a region, by the twin."""
    for row, column in itertools.product(range(size), range(size)):
        x, y = twins.region_point(region, (column + 0.5) / size, (row + 0.5) / size)
        yield row, column, tuple(twins.bilinear(picture[c].numpy(), x, y) for c in range(3))


@pytest.mark.parametrize("box", [[20.0, 10, 60, 90], [10.0, 40, 100, 70]])
def test_colours_of_a_box_are_those_of_its_middle(box):
    picture, (x0, y0, x1, y1) = _picture(), box
    side = max(x1 - x0, y1 - y0)
    parts: dict[bool, list] = {True: [], False: []}
    for row, column, colour in _samples(picture, ((x0 + x1) / 2, (y0 + y1) / 2, side, 0.0)):
        across = abs((column + 0.5) / 48 - 0.5) * side
        down = abs((row + 0.5) / 48 - 0.5) * side
        if down < 0.4 * (y1 - y0) and across < 0.25 * (x1 - x0):
            parts[row < 24].append(colour)
    found = describe_appearance(picture, np.array(box), None)
    # A colour within single precision of the edge of a bin may fall to either side.
    assert np.abs(found - twins.describe_pixels(parts[True], parts[False])).max() < 2e-4
    assert found.sum() == pytest.approx(1)


def _pose_with_mask(hips: tuple[float, float]) -> Pose:
    region = Region(x=62.0, y=50.0, side=70.0, angle=0.4)
    mask = np.zeros((64, 64), np.uint8)
    mask[10:50, 16:40] = 255
    mask[10:50, 12:16] = 200
    px = np.zeros((33, 3), np.float32)
    px[[23, 24], :2] = np.array(hips) + np.array([[-3, -2], [3, 2]])
    return Pose(px=px, world=px, score=1.0, region=region, next_region=region, mask=mask)


def test_colours_of_a_pose_are_those_of_its_mask_parted_at_the_hips():
    picture, pose = _picture(), _pose_with_mask((60.0, 55.0))
    region = (62.0, 50.0, 70.0, 0.4)
    # How far down the region the hips are: along its own axis.
    down = -np.sin(0.4) * (60.0 - 62.0) + np.cos(0.4) * (55.0 - 50.0)
    middle = down / 70 + 0.5
    parts: dict[bool, list] = {True: [], False: []}
    for row, column, colour in _samples(picture, region):
        # 200 is not yet sure enough.
        if pose.mask[int((row + 0.5) * 64 / 48), int((column + 0.5) * 64 / 48)] > 200:
            parts[(row + 0.5) / 48 < middle].append(colour)
    assert min(len(part) for part in parts.values()) > 50
    found = describe_appearance(picture, np.array([0.0, 0, 10, 10]), pose)
    assert np.abs(found - twins.describe_pixels(parts[True], parts[False])).max() < 2e-4


def test_likeness_of_colours_is_the_bhattacharyya_coefficient():
    random = np.random.default_rng(0)
    first, second = random.dirichlet(np.ones(72), 3), random.dirichlet(np.ones(72), 3)
    expected = [twins.likeness(a, b) for a, b in zip(first, second, strict=True)]
    assert appearance_similarity(first, second) == pytest.approx(expected)
    assert appearance_similarity(first, second[0][None]) == pytest.approx([twins.likeness(a, second[0]) for a in first])


def _clip(num_frames: int, *, fps: float = 6.0, start_s: float = 0.0) -> Clip:
    return Clip(
        images=torch.zeros(num_frames, 40, 60, 3, dtype=torch.uint8),
        timestamps_s=start_s + torch.arange(num_frames, dtype=torch.float64) / fps,
        frame_indices=torch.arange(num_frames) * 5,
        segment=torch.zeros(num_frames, dtype=torch.int64),
        source_size=(40, 60),
    )


def _seen(box=(10.0, 5.0, 20.0, 35.0), pose: Pose | None = None) -> Observation:
    return Observation(box_xyxy=np.array(box, float), score=0.9, appearance=np.full(72, 1 / 72), pose=pose)


@pytest.mark.parametrize("start_s", [0.0, 1e7])
@pytest.mark.parametrize(
    ("frames", "fps", "kept"),
    [
        ((0, 1, 2), 6, True),  # three frames at six per second last half a second
        ((0, 2), 6, False),  # long enough, too few
        ((0, 1, 2, 3), 10, False),
        ((0, 1, 2, 3, 4), 10, True),
        ((3, 5, 7), 10, True),  # from the first to the end of the last
        ((3, 5, 6), 10, False),
    ],
)
def test_half_a_second_and_three_frames_make_a_person(start_s, frames, fps, kept):
    """Also in a recording that began 115 days ago, where single precision tells no seconds apart."""
    chosen, messages = select_people({4: {f: _seen() for f in frames}}, _clip(30, fps=fps, start_s=start_s), SHIPPED)
    assert list(chosen) == ([4] if kept else [])
    assert messages == ([] if kept else ["1 person was left out, seen for less than 0.5 s or 3 used frames"])


def test_frames_in_which_somebody_was_only_looked_for_do_not_count():
    """Evidence of a half makes a frame; less only continues a track."""

    def faint(score: float) -> Observation:
        return Observation(box_xyxy=np.array([10.0, 5, 20, 35]), score=score, appearance=np.full(72, 1 / 72))

    for scores, kept in (([0.9, 0.5, 0.5], True), ([0.9, 0.49, 0.5, 0.49], False), ([0.2, 0.9, 0.2, 0.9, 0.9], True)):
        people = {0: {f: faint(score) for f, score in enumerate(scores)}}
        chosen, _ = select_people(people, _clip(9), SHIPPED)
        assert [len(person) for person in chosen.values()] == [len(scores)] * kept
    # The span is that of the sure frames, too: 0.4 s from the first to the end of the last of them.
    people = {0: {f: faint(0.9 if f in (1, 2, 4) else 0.2) for f in range(8)}}
    assert select_people(people, _clip(20, fps=10), SHIPPED)[0] == {}
    assert select_people({0: {f: faint(0.2) for f in range(8)}}, _clip(20), SHIPPED)[0] == {}


def test_what_is_left_out_is_counted_in_the_message():
    people = {0: {0: _seen()}, 1: {f: _seen() for f in range(9)}, 2: {4: _seen()}}
    chosen, messages = select_people(people, _clip(9), SHIPPED)
    assert list(chosen) == [1]
    assert messages == ["2 people were left out, seen for less than 0.5 s or 3 used frames"]


def test_the_most_prominent_are_kept_in_order_of_identity():
    """Side length times frames: a large person for a while counts more than a small one all the time."""
    people = {
        2: {f: _seen((0, 0, 20, 20)) for f in range(4)},  # 80
        3: {f: _seen((0, 0, 30, 30)) for f in range(4)},  # 120
        5: {f: _seen((0, 0, 10, 10)) for f in range(9)},  # 90
    }
    for most, kept in ((1, [3]), (2, [3, 5]), (3, [2, 3, 5]), (None, [2, 3, 5])):
        chosen, messages = select_people(people, _clip(9), PeopleConfig(max_people=most))
        assert list(chosen) == kept
        assert messages == []  # what was asked for is no loss


def test_records_hold_what_was_seen_and_nan_elsewhere():
    marks = np.random.default_rng(1).random((33, 3)).astype(np.float32)
    region = Region(x=0.0, y=0.0, side=1.0)
    pose = Pose(px=marks, world=marks + 1, score=0.75, region=region, next_region=region)
    doubted = replace(pose, sigma_px=marks[:, 2])
    people = {7: {1: _seen(pose=pose), 2: _seen((1.0, 2, 3, 4))}, 9: {0: _seen(pose=doubted)}}
    labels = torch.full((3, 4, 6), -1, dtype=torch.int16)
    tracks, landmarks = pack(people, _clip(3), labels, ["only just"])
    assert tracks.person_ids.tolist() == [7, 9] and tracks.warnings[0] == "only just"
    assert tracks.valid.tolist() == [[False, True, True], [True, False, False]]
    assert tracks.boxes_xyxy[0, 1:].tolist() == [[10, 5, 20, 35], [1, 2, 3, 4]]
    assert torch.equal(landmarks.px[0, 1], torch.from_numpy(marks))
    assert torch.equal(landmarks.world[0, 1], torch.from_numpy(marks + 1))
    assert landmarks.score.tolist() == [[0, 0.75, 0], [0.75, 0, 0]]
    # What nobody has said is that of one model alone.
    assert torch.equal(landmarks.sigma_px[0, 1], torch.from_numpy(sigma_alone(pose.px, pose.world)))
    assert torch.equal(landmarks.sigma_px[1, 0], torch.from_numpy(marks[:, 2]))
    empty = torch.ones(2, 3, dtype=torch.bool)
    empty[0, 1] = empty[1, 0] = False
    assert torch.equal(landmarks.sigma_px.isnan().all(-1), empty)
    for values in (landmarks.px, landmarks.world):
        assert torch.equal(values.isnan().all(-1).all(-1), empty)
    assert torch.equal(tracks.boxes_xyxy.isnan().all(-1), ~tracks.valid) and tracks.masks is labels


@pytest.mark.parametrize(("unread", "said"), [(2, False), (3, True)])
def test_missing_landmarks_in_more_than_a_quarter_of_the_frames_are_said(unread, said):
    marks, region = np.zeros((33, 3), np.float32), Region(x=0.0, y=0.0, side=1.0)
    pose = Pose(px=marks, world=marks, score=0.75, region=region, next_region=region)
    people = {
        3: {f: _seen(pose=None if f < unread else pose) for f in range(8)},
        4: {f: _seen(pose=pose) for f in range(8)},
    }
    labels = torch.full((8, 4, 6), -1, dtype=torch.int16)
    sentences = describe_unread(*pack(people, _clip(8), labels))
    assert len(sentences) == said
    assert all(text.startswith("landmarks of person 3 are missing in more") for text in sentences)
    sentences = describe_unread(*pack(people | {6: people[3]}, _clip(8), labels))
    assert all(text.startswith("landmarks of people 3, 6 are missing in more") for text in sentences)


SHIPPED = PeopleConfig()


def test_what_ships_is_what_the_tables_were_measured_with():
    assert (
        SHIPPED.model == "full" and SHIPPED.landmarks_2d == "thunder" and SHIPPED.mirror and SHIPPED.max_people is None
    )
    assert (SHIPPED.detector_long_side, SHIPPED.min_detector_score, SHIPPED.min_landmark_score) == (
        608,
        0.25,
        0.5,
    ) and SHIPPED.detector_coarse_side == 320
    assert SHIPPED.min_followed_score == 0.1
    assert (SHIPPED.min_seconds, SHIPPED.min_frames, SHIPPED.num_threads) == (0.5, 3, 2)


def test_settings_that_make_no_sense_are_refused():
    for model in ("full", "heavy"):
        assert PeopleConfig(model=model, max_people=0).model == model
    with pytest.raises(InputError, match="'lite'; choose full or heavy"):
        PeopleConfig(model="lite")
    for second in ("thunder", "lightning", "none"):
        assert PeopleConfig(landmarks_2d=second).landmarks_2d == second
    with pytest.raises(InputError, match="'multipose'; choose thunder, lightning or none"):
        PeopleConfig(landmarks_2d="multipose")
    with pytest.raises(InputError, match="-1; give 0"):
        PeopleConfig(max_people=-1)
