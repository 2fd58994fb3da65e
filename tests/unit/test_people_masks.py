"""Masks: what is sampled where, and who gets a pixel that several claim."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
import twins_finding as twins

from unish.people.masks import LandmarkSegmenter, draw_labels, label_pixels, sample_mask, silhouette_overlap
from unish.people.protocols import Observation, Pose
from unish.people.regions import Region
from unish.structs import Clip

# Pairs of BlazePose landmarks that limbs, torso and head lie between.
BONES = (
    "0-11 0-12 11-12 11-23 12-24 23-24 11-24 12-23 "
    "11-13 13-15 15-19 12-14 14-16 16-20 23-25 25-27 27-31 24-26 26-28 28-32"
)


def _pose(marks: np.ndarray, region: Region, mask: np.ndarray | None = None) -> Pose:
    px = np.concatenate([marks, np.ones((33, 1))], axis=1).astype(np.float32)
    return Pose(px=px, world=np.zeros((33, 3), np.float32), score=1.0, region=region, next_region=region, mask=mask)


def _seen(box, pose: Pose | None = None) -> Observation:
    return Observation(box_xyxy=np.array(box, float), score=1.0, appearance=np.full(72, 1 / 72), pose=pose)


def _post(x: float, region: Region | None = None, mask: np.ndarray | None = None) -> Pose:
    """A body whose landmarks all lie on one upright line, from 10 to 90."""
    marks = np.stack([np.full(33, x), np.linspace(10, 90, 33)], axis=1)
    return _pose(marks, region or Region(x=x, y=50.0, side=100.0), mask)


def test_masks_are_sampled_like_the_twin_says():
    random = np.random.default_rng(0)
    mask = random.integers(0, 256, (16, 16)).astype(np.uint8)
    region = Region(x=40.0, y=30.0, side=32.0, angle=0.5)
    points = np.array([region.to_picture(spot) for spot in random.uniform(-0.1, 1.1, (40, 2))]).reshape(5, 8, 2)
    found = sample_mask(_post(0.0, region, mask), points)
    for row, column in itertools.product(range(5), range(8)):
        u, v = region.from_picture(points[row, column])
        # Single precision of positions, times the steepest slope: 255 levels over a pixel.
        assert found[row, column] == pytest.approx(twins.bilinear(mask / 255, u * 16, v * 16), abs=1e-5)


def test_silhouettes_overlap_by_shared_over_joint_area():
    left, right = np.zeros((64, 64), np.uint8), np.zeros((64, 64), np.uint8)
    left[16:48, 16:40], right[16:48, 24:48] = 255, 255
    region = Region(x=90.0, y=30.0, side=64.0)
    poses = _post(0.0, region, left), _post(0.0, region, right)
    # 16 columns of 32 are shared; the grid of 96 samples over 64 pixels is good for a column.
    assert silhouette_overlap(*poses) == pytest.approx(0.5, abs=0.04)
    assert silhouette_overlap(poses[0], poses[0]) == 1.0
    # Read in regions of their own, the pixels of the picture count: eight to the right of one is the other.
    beside = Region(x=98.0, y=30.0, side=64.0)
    assert silhouette_overlap(_post(0.0, beside, left), poses[1]) == pytest.approx(1.0, abs=0.04)
    below = Region(x=90.0, y=46.0, side=64.0)
    assert silhouette_overlap(_post(0.0, below, left), poses[0]) == pytest.approx(1 / 3, abs=0.04)
    moved = Region(x=500.0, y=300.0, side=64.0)
    assert silhouette_overlap(poses[0], _post(0.0, moved, left)) == 0.0
    assert silhouette_overlap(_post(0.0, region, left * 0), _post(0.0, region, left * 0)) == 0.0
    for without in ((_post(0.0), poses[0]), (poses[0], _post(0.0))):
        assert silhouette_overlap(*without) == 0.0
    faint = np.where(left > 0, 127, 0).astype(np.uint8)
    assert silhouette_overlap(poses[0], _post(0.0, region, faint)) == 0.0


def test_a_person_without_landmarks_is_an_ellipse_in_the_box():
    box, size = [12.0, 20, 52, 80], (25, 40)
    (found,) = LandmarkSegmenter().segment(torch.zeros(1, 100, 80, 3, dtype=torch.uint8), 0, [_seen(box)], size)
    for row, column in itertools.product(range(25), range(40)):
        # The picture is 4 rows and 2 columns per pixel.
        across, down = ((column + 0.5) * 2 - 32) / 20, ((row + 0.5) * 4 - 50) / 30
        assert found[row, column] == np.float32(0.51 if across**2 + down**2 <= 1 else 0.0)


def test_boxes_without_extent_and_beyond_the_border_are_harmless():
    image = torch.zeros(100, 80, 3, dtype=torch.uint8)
    found = LandmarkSegmenter().segment(
        image[None], 0, [_seen([90.0, 5, 120, 30]), _seen([10.0, 10, 10.2, 50])], (100, 80)
    )
    assert not found[0].any() and found.shape == (2, 100, 80)
    # Half a pixel is the thinnest.
    assert found[1][:, 9:11].any() and not found[1][:, 11:].any() and not found[1][:, :9].any()


def test_a_mask_is_laid_over_its_region_only():
    mask = np.full((8, 8), 255, np.uint8)
    region = Region(x=30.0, y=60.0, side=40.0)
    person = _seen([0.0, 0, 80, 100], _post(30.0, region, mask))
    (found,) = LandmarkSegmenter().segment(torch.zeros(1, 100, 80, 3, dtype=torch.uint8), 0, [person], (50, 40))
    assert (found[22:38, 7:23] == 1).all() and found.dtype == np.float32
    found[20:40, 5:25] = 0
    assert not found.any()
    # A pose whose model gives no mask has the ellipse of the box.
    bare = _seen([0.0, 0, 80, 100], _post(30.0, region))
    (found,) = LandmarkSegmenter().segment(torch.zeros(1, 100, 80, 3, dtype=torch.uint8), 0, [bare], (50, 40))
    assert found.max() == np.float32(0.51)


def test_the_nearer_limbs_win_a_pixel_that_two_claim():
    people = [_seen([10.0, 10, 30, 90], _post(20.0)), _seen([30.0, 10, 50, 90], _post(40.0))]
    both = np.full((2, 100, 60), 0.9, np.float32)
    labels = label_pixels(both, people, (100, 60))
    assert (labels[10:90, :29] == 0).all() and (labels[10:90, 31:] == 1).all()
    # In a picture of twice the size the same pixels are elsewhere.
    assert (label_pixels(both, people, (200, 120))[5:45, :14] == 0).all()
    assert (label_pixels(both, people, (200, 120))[5:45, 16:] == 1).all()


def test_a_clearly_surer_mask_wins_against_nearer_limbs():
    """0.2 × the difference of the probabilities in lengths of the box diagonal (80 here)."""
    people = [_seen([0.0, 0, 48, 64], _post(20.0)), _seen([0.0, 0, 48, 64], _post(40.0))]
    masks = np.stack([np.full((100, 60), value, np.float32) for value in (1.0, 0.5)])
    labels = label_pixels(masks, people, (100, 60))
    # Even where (40 − x) = (x − 20) − 0.2 · 0.5 · 80: eight pixels farther, at x = 34.
    assert (labels[20:80, :33] == 0).all() and (labels[20:80, 35:] == 1).all()


def test_a_tie_goes_to_the_first():
    twins_of_one = [_seen([10.0, 10, 30, 90], _post(20.0)) for _ in range(2)]
    assert (label_pixels(np.full((2, 100, 60), 0.9, np.float32), twins_of_one, (100, 60)) == 0).all()
    boxes = [_seen([10.0, 10, 30, 90]), _seen([10.0, 10, 30, 90])]
    assert (label_pixels(np.full((2, 100, 60), 0.51, np.float32), boxes, (100, 60)) == 0).all()


def test_who_has_no_landmarks_is_a_whole_body_away():
    """Somebody with limbs keeps every pixel within a diagonal of them; nobody who does not claim a pixel gets it."""
    people = [_seen([0.0, 0, 30, 40]), _seen([0.0, 0, 30, 40], _post(20.0))]
    labels = label_pixels(np.full((2, 100, 100), 0.9, np.float32), people, (100, 100))
    assert (labels[10:90, :69] == 1).all() and (labels[10:90, 71:] == 0).all()
    masks = np.full((2, 100, 100), 0.9, np.float32)
    masks[0, :, 60:] = 0.49
    assert (label_pixels(masks, people, (100, 100))[10:90, 71:] == 1).all()


def test_half_is_enough_and_less_is_scene():
    people = [_seen([10.0, 10, 30, 90]), _seen([10.0, 10, 30, 90])]
    masks = np.zeros((2, 3, 2), np.float32)
    masks[0, 0], masks[1, 1], masks[0, 2] = 0.5, 0.7, 0.4999
    assert label_pixels(masks, people, (100, 60)).tolist() == [[0, 0], [1, 1], [-1, -1]]
    assert label_pixels(masks[:0], [], (100, 60)).tolist() == [[-1, -1]] * 3


@pytest.mark.parametrize("seed", range(4))
def test_distances_are_to_the_nearest_of_the_twin_s_bones(seed):
    """Two random bodies claim everything: each pixel goes to the one whose bones are nearer per length of diagonal."""
    random = np.random.default_rng(seed)
    boxes = [random.uniform(0, 20, 2).tolist() + random.uniform(40, 60, 2).tolist() for _ in range(2)]
    marks = [random.uniform(0, 60, (33, 2)).astype(np.float32).astype(float) for _ in range(2)]
    people = [
        _seen(box, _pose(points, Region(x=30.0, y=30.0, side=60.0))) for box, points in zip(boxes, marks, strict=True)
    ]
    labels = label_pixels(np.full((2, 30, 20), 0.9, np.float32), people, (60, 60))
    pairs = [tuple(map(int, bone.split("-"))) for bone in BONES.split()]
    for row, column in itertools.product(range(30), range(20)):
        point = (column + 0.5) * 3, (row + 0.5) * 2
        away = [
            min(twins.distance_to_segment(point, points[a], points[b]) for a, b in pairs)
            / np.hypot(box[2] - box[0], box[3] - box[1])
            for box, points in zip(boxes, marks, strict=True)
        ]
        if abs(away[0] - away[1]) > 1e-6:
            assert labels[row, column] == int(away[1] < away[0])


def test_limbs_without_length_and_tiny_boxes_are_harmless():
    dot = _pose(np.full((33, 2), 20.0), Region(x=20.0, y=20.0, side=4.0))
    people = [_seen([20.0, 20, 20.1, 20.1], dot), _seen([70.0, 0, 130, 80], _post(100.0))]
    labels = label_pixels(np.full((2, 40, 40), 0.9, np.float32), people, (40, 40))
    # A diagonal is at least a pixel: 0.71 pixels from the dot against 79.5 of the other's 100 pixels.
    assert labels[20, 20] == 0 and labels[20, 22] == 1 and labels[0, 0] == 1


class _Everything:
    """A segmenter for which each person is the whole picture; it writes down whom it was asked about."""

    def __init__(self):
        self.asked: list[list[float]] = []

    def segment(self, images, frame, people, size):
        self.asked.append([float(images[frame, 0, 0, 0]), *(person.box_xyxy[0] for person in people)])
        return np.full((len(people), *size), 0.9, np.float32)


def test_labels_are_rows_of_people_in_the_frames_where_they_are():
    images = torch.arange(4, dtype=torch.uint8)[:, None, None, None].expand(4, 20, 30, 3).contiguous()
    clip = Clip(images=images, timestamps_s=torch.arange(4, dtype=torch.float64), frame_indices=torch.arange(4),
                segment=torch.zeros(4, dtype=torch.int64), source_size=(20, 30))  # fmt: skip
    people = [
        {3: _seen([1.0, 0, 9, 9])},
        {0: _seen([2.0, 0, 9, 9])},
        {0: _seen([3.0, 0, 63, 80], _post(4.0)), 3: _seen([4.0, 0, 9, 9])},
    ]
    segmenter = _Everything()
    labels = draw_labels(people, clip, (4, 5), segmenter)
    assert labels.dtype == torch.int16 and labels.shape == (4, 4, 5)
    # In frame 0 the one with limbs gets what both claim; in frame 3 neither has any and the first wins.
    assert [labels[t].unique().tolist() for t in range(4)] == [[2], [-1], [-1], [0]]
    assert sorted(segmenter.asked) == [[0.0, 2.0, 3.0], [3.0, 1.0, 4.0]]
