"""The numbers of report.json, on records whose answers can be written down."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from small_record import make_figure, make_record
from standing_shots import make_shot
from unish.body import PARENTS, Body
from unish.reconstruction.metric import DepthComparison, SceneScale
from unish.reconstruction.report import (
    JOINT_PAIRS,
    describe_people,
    measure_body_to_points,
    measure_quality,
    measure_reprojection,
    median_or_nan,
)
from unish.structs import Reconstruction

SLOPE, RISE = 0.5, 0.3
"""Depth that the slanted wall gains per metre to the right, and per metre downwards."""


def _turned_camera(num_frames: int) -> np.ndarray:
    """Cameras that stand off the origin and look elsewhere, so that c2w and w2c cannot be confused."""
    angle = 0.3 + 0.1 * np.arange(num_frames)
    c2w = np.tile(np.eye(4), (num_frames, 1, 1))
    c2w[:, 0, 0], c2w[:, 0, 2], c2w[:, 2, 0], c2w[:, 2, 2] = np.cos(angle), np.sin(angle), -np.sin(angle), np.cos(angle)
    c2w[:, :3, 3] = np.array([0.4, -0.2, 1.0]) + 0.1 * np.arange(num_frames)[:, None]
    return c2w.astype(np.float32)


def _with_joints(record: Reconstruction, error_px: np.ndarray) -> Reconstruction:
    """Joints 4 m before a turned camera, and landmarks that are off by ``error_px`` (P, T, 12, 2) at their places."""
    rng = np.random.default_rng(0)
    c2w = _turned_camera(record.num_frames)
    camera = rng.normal(size=(record.num_people, record.num_frames, 24, 3)) * 0.4 + [0, 0, 4.0]
    world = np.einsum("tij,ptkj->ptki", c2w[:, :3, :3], camera) + c2w[:, None, :3, 3]
    pixels = np.einsum("tij,ptkj->ptki", record.intrinsics, camera)
    pixels = pixels[..., :2] / pixels[..., 2:]
    # Landmarks that are not compared are far away from everything.
    landmarks = np.full((record.num_people, record.num_frames, 33, 3), 900.0)
    landmarks[..., 2] = 1.0
    for index, (joint, landmark) in enumerate(JOINT_PAIRS):
        landmarks[:, :, landmark, :2] = pixels[:, :, joint] + error_px[:, :, index]
    return replace(
        record, c2w=c2w, joints=world.astype(np.float32), landmarks_px=landmarks.astype(np.float32),
        person_valid=np.ones((record.num_people, record.num_frames), bool),
    )  # fmt: skip


def test_reprojection_is_the_median_in_percent_of_the_longer_box_side() -> None:
    record = make_record(make_figure(), num_people=2, num_frames=3)
    error = np.zeros((2, 3, 12, 2))
    error[0] = [3.0, 4.0]
    error[1, ..., 0] = np.arange(12)
    boxes = np.tile(np.array([[10, 10, 30, 60], [10, 10, 90, 30]], np.float32)[:, None], (1, 3, 1))
    found = measure_reprojection(replace(_with_joints(record, error), boxes_xyxy=boxes))
    # Five pixels of 50 (upright box); the middle of 0..11 pixels of 80 (lying box).
    # Measured error 2e-6: joints are stored in float32.
    assert found[3] == pytest.approx(10.0, abs=4e-4)
    assert found[4] == pytest.approx(100 * 5.5 / 80, abs=4e-4)


def test_reprojection_leaves_out_what_was_not_seen() -> None:
    record = make_record(make_figure(), num_people=1, num_frames=3)
    error = np.zeros((1, 3, 12, 2))
    error[0, :, :7, 0] = 8.0
    record = replace(_with_joints(record, error), boxes_xyxy=np.tile(np.float32([0, 0, 40, 20]), (1, 3, 1)))
    landmarks = record.landmarks_px.copy()
    seven = [landmark for _, landmark in JOINT_PAIRS[:7]]
    assert measure_reprojection(record)[3] == pytest.approx(20.0, abs=1e-3)
    # The limit itself counts as unseen (0.5 has no rounding in float32, 0.6 has).
    landmarks[:, :, seven, 2] = 0.595
    assert measure_reprojection(replace(record, landmarks_px=landmarks))[3] == pytest.approx(0.0, abs=1e-3)
    landmarks[:, :, seven, 2] = 0.605
    assert measure_reprojection(replace(record, landmarks_px=landmarks))[3] == pytest.approx(20.0, abs=1e-3)
    landmarks[:, :, seven, 0] = np.nan
    assert measure_reprojection(replace(record, landmarks_px=landmarks))[3] == pytest.approx(0.0, abs=1e-3)
    nobody = np.zeros((1, 3), bool)
    assert np.isnan(measure_reprojection(replace(record, person_valid=nobody))[3])


def test_reprojection_counts_valid_frames_alone() -> None:
    record = make_record(make_figure(), num_people=1, num_frames=3)
    error = np.zeros((1, 3, 12, 2))
    error[0, :2, :, 1] = 10.0
    record = replace(_with_joints(record, error), boxes_xyxy=np.tile(np.float32([0, 0, 40, 20]), (1, 3, 1)))
    assert measure_reprojection(record)[3] == pytest.approx(25.0, abs=1e-3)
    only_last = replace(record, person_valid=np.array([[False, False, True]]))
    assert measure_reprojection(only_last)[3] == pytest.approx(0.0, abs=1e-3)


def make_wall() -> Body:
    """A body that is one large slanted wall through its pelvis: z = ``SLOPE`` · x + ``RISE`` · y."""
    corners = np.array([(-9, -9), (9, -9), (9, 9), (-9, 9)], np.float32)
    template = torch.from_numpy(np.concatenate([corners, corners @ np.float32([[SLOPE], [RISE]])], 1))
    weights = torch.zeros(4, 24)
    weights[:, 0] = 1.0
    return Body(
        name="wall",
        faces=torch.tensor([[0, 1, 2], [0, 2, 3]]),
        template=template,
        shape_directions=torch.zeros(4, 3, 10),
        joint_template=torch.zeros(len(PARENTS), 3),
        joint_directions=torch.zeros(len(PARENTS), 3, 10),
        landmark_template=torch.zeros(33, 3),
        landmark_directions=torch.zeros(33, 3, 10),
        landmark_weights=torch.eye(33, 24),
        skin_weights=weights,
    )


def _with_wall(record: Reconstruction, wall: Body, c2w: np.ndarray) -> Reconstruction:
    """The wall 3 m before every camera, in its axes: nothing turns but the cameras."""
    num = record.num_people, record.num_frames
    angle = np.arctan2(c2w[:, 0, 2], c2w[:, 0, 0])
    turn = np.zeros((*num, 3), np.float32)
    turn[..., 1] = angle
    place = c2w[:, :3, :3] @ np.array([0, 0, 3.0]) + c2w[:, :3, 3]
    return replace(
        record, c2w=c2w, person_valid=np.ones(num, bool), global_orient_aa=turn,
        body_pose_aa=np.zeros((*num, 69), np.float32), transl=np.tile(place.astype(np.float32), (num[0], 1, 1)),
        faces=wall.faces.numpy().astype(np.int32),
    )  # fmt: skip


def _wall_distance_cm(record: Reconstruction, depth: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """In the camera: the point of each pixel, by hand, against the plane z = 3 + SLOPE · x + RISE · y."""
    x, y = _ray(record, rows, columns)
    z = depth[rows, columns]
    return 100 * np.abs(z - 3 - SLOPE * x * z - RISE * y * z) / np.sqrt(1 + SLOPE**2 + RISE**2)


def _ray(record: Reconstruction, rows: np.ndarray, columns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """x and y at a depth of 1."""
    focal, middle = record.intrinsics[0, 0, 0], record.intrinsics[0, :2, 2]
    return (columns + 0.5 - middle[0]) / focal, (rows + 0.5 - middle[1]) / focal


def test_body_to_points_is_exact_on_a_wall() -> None:
    wall = make_wall()
    record = _with_wall(make_record(wall, num_people=2, num_frames=2), wall, _turned_camera(2))
    masks = np.full(record.person_masks.shape, -1, np.int16)
    masks[:, 10:20, 30:44] = 0
    masks[:, 30:37, 5:14] = 1
    # A border of two pixels is left out: what is written on it must not count.
    depth = np.full(record.depth.shape, 77.0, np.float32)
    depth[:, 12:18, 32:42] = 3.2
    depth[:, 32:35, 7:12] = 2.5
    found = measure_body_to_points(replace(record, person_masks=masks), wall, depth)
    rows, columns = np.mgrid[12:18, 32:42].reshape(2, -1)
    # Measured error 1e-5 cm (vertices in float32).
    assert found[3] == pytest.approx(np.median(_wall_distance_cm(record, depth[0], rows, columns)), abs=1e-3)
    rows, columns = np.mgrid[32:35, 7:12].reshape(2, -1)
    assert found[4] == pytest.approx(np.median(_wall_distance_cm(record, depth[0], rows, columns)), abs=1e-3)


def test_body_to_points_takes_the_given_depth_and_leaves_out_holes() -> None:
    wall = make_wall()
    record = _with_wall(make_record(wall, num_people=1, num_frames=2), wall, _turned_camera(2))
    masks = np.full(record.person_masks.shape, -1, np.int16)
    masks[:, 10:22, 26:38] = 0
    record = replace(record, person_masks=masks)
    holes = np.zeros(record.depth.shape, np.float32)
    assert np.isnan(measure_body_to_points(record, wall, holes)[3])
    some = holes.copy()
    some[0, 14, 30], some[1, 15, 33] = 3.0, 4.0
    expected = [
        _wall_distance_cm(record, some[0], np.array([14]), np.array([30])),
        _wall_distance_cm(record, some[1], np.array([15]), np.array([33])),
    ]
    assert measure_body_to_points(record, wall, some)[3] == pytest.approx(np.mean(expected), abs=1e-3)
    first_only = replace(record, person_valid=np.array([[True, False]]))
    assert measure_body_to_points(first_only, wall, some)[3] == pytest.approx(expected[0][0], abs=1e-3)


def test_body_to_points_spreads_its_points_and_frames_evenly() -> None:
    """100 of 400 points and 16 of 31 frames: every second frame, and points from the first to the last row."""
    wall = make_wall()
    record = _with_wall(make_record(wall, num_people=1, num_frames=31), wall, _turned_camera(31))
    masks = np.full(record.person_masks.shape, -1, np.int16)
    masks[:, 8:32, 20:44] = 0
    depth = np.full(record.depth.shape, 9.0, np.float32)
    # Only frames that are asked, and of these only the pixels that are asked, lie on the wall.
    rows, columns = np.mgrid[10:30, 22:42].reshape(2, -1)
    pick = np.linspace(0, 399, 100).round().astype(int)
    x, y = _ray(record, rows[pick], columns[pick])
    on_wall = 3 / (1 - SLOPE * x - RISE * y)
    depth[::2, rows[pick], columns[pick]] = on_wall
    # Measured error 4e-5 cm; one pixel or frame beside these is metres off.
    assert measure_body_to_points(replace(record, person_masks=masks), wall, depth)[3] == pytest.approx(0, abs=1e-3)


def test_median_leaves_out_what_is_not_known() -> None:
    assert median_or_nan({0: 1.0, 1: float("nan"), 2: 4.0, 3: 2.0}) == 2.0
    assert np.isnan(median_or_nan({0: float("nan")}))
    assert np.isnan(median_or_nan({}))


def test_people_are_described_by_medians_over_the_frames_in_which_they_were_measured() -> None:
    figure = make_figure()
    record = replace(
        make_record(figure, num_people=2, num_frames=4),
        person_valid=np.array([[True, True, True, True], [False, True, True, True]]),
    )
    level = torch.tensor([[0.0, 0.1, 0.7], [torch.nan] * 3])
    first = replace(make_shot(num_people=2, num_frames=1), distance_sigma=torch.tensor([[0.05], [0.01]]))
    second = replace(
        make_shot(num_people=2, num_frames=3),
        distance_sigma=torch.tensor([[0.1, 0.2, 0.5], [0.1, 0.1, 0.25]]),
        correction=DepthComparison(
            level=level, scene_level=torch.zeros(2, 3),
            tilt=torch.tensor([[3.0, 4.0], [0.0, 1.0], [0.6, 0.8]]).expand(2, 3, 2),
            relief=torch.tensor([0.2, 0.5, 1.0]).expand(2, 3), centre=torch.zeros(2, 3, 2), extent=torch.ones(2, 3),
        ),
    )  # fmt: skip
    certainty = np.full((2, 4, 24), np.nan, np.float32)
    certainty[0], certainty[1, 1:] = 0.49, 0.5
    certainty[0, 0, :6] = 0.51
    record = replace(record, joint_certainty=certainty)
    one, other = describe_people(record, [first, second], figure)
    assert one["joints_seen"] == pytest.approx(6 / 96) and other["joints_seen"] == 1.0
    assert (one["id"], one["frames"], other["id"], other["frames"]) == (3, 4, 4, 3)
    # 0.05 over 0.05, 0.1, 0.2 and 0.5; the other person was absent in the first frame.
    assert one["certainty"] == pytest.approx((0.5 + 0.25) / 2) and other["certainty"] == pytest.approx(0.5)
    assert one["correction"] == pytest.approx(np.exp(0.1)) and one["correction_relief"] == pytest.approx(0.5)
    assert one["correction_tilt"] == pytest.approx(1.0)
    assert np.isnan([other["correction"], other["correction_tilt"], other["correction_relief"]]).all()
    nobody = replace(record, person_valid=np.zeros((2, 4), bool))
    for name in ("certainty", "joints_seen"):
        assert [row[name] for row in describe_people(nobody, [first, second], figure)] == [0.0, 0.0]


def test_quality_is_of_all_shots_together() -> None:
    figure = make_figure()
    record = make_record(figure, num_people=1, num_frames=6)
    shots = [
        replace(
            make_shot(num_frames=2), scale=SceneScale(factor=1.0, uncertainty=doubt, source="people"), residual=rest
        )
        for doubt, rest in ((0.1, 0.01), (0.1, 0.04), (0.4, 0.02))
    ]
    maps = dict.fromkeys(("conf", "depth", "depth_before"), torch.ones(2, *record.depth.shape[1:]))
    shots = [replace(shot, **maps) for shot in shots]
    found = measure_quality(record, shots, figure)
    assert found["scale_uncertainty"] == pytest.approx(0.2) and found["stitching_residual"] == 0.04
    # Each shot's camera goes a sixth of 0.2 m right and of 0.1 m ahead; from shot to shot nothing is known.
    assert found["camera_path_m"] == pytest.approx(3 * np.hypot(0.2, 0.1) / 6, abs=1e-6)
    assert found["valid_pixels"] == pytest.approx(float((record.depth > 0).mean()))
