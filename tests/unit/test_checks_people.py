"""Measures of people in the world, in a room whose every number is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from made_room import BOX_M, CAMERA_HEIGHT, FOCAL, STATURE, make_room, turn_world
from small_record import make_figure, make_record
from unish.geometry.plane import level_axes
from unish.reconstruction.checks.ground import SUPPORT_REACH_M, read_ground, read_supports
from unish.reconstruction.checks.people import (
    FEET,
    band_medians,
    box_overlap,
    find_runs,
    floor_over_foot_depth,
    lowest_over_floor,
    max_speed,
    measure_distances,
    overlap,
    ray_jitter,
    size_in_picture,
)
from unish.reconstruction.height_map import BOTH_CONFIDENCE, FOOT_CONFIDENCE
from unish.reconstruction.report import JOINT_PAIRS
from unish.reconstruction.world_checks import MAX_POSED_FRAMES, measure_people, pose_some
from unish.structs import Reconstruction


def test_runs_are_cut_at_gaps_and_at_shots() -> None:
    times = np.array([0.0, 0.5, 1.0, 1.51, 2.0, 2.2, 2.4])
    shot = np.array([0, 0, 0, 0, 0, 1, 1])
    valid = np.array([True, True, False, True, True, True, True])
    found = [run.tolist() for run in find_runs(valid, shot, times)]
    # Half a second is no gap, more is; the last two frames are another shot.
    assert found == [[0, 1], [3, 4], [5, 6]]
    assert find_runs(np.zeros(7, bool), shot, times) == []


def test_distance_is_from_the_camera_to_the_pelvis() -> None:
    record, _ = make_room(num_people=2)
    for same in (record, turn_world(record)):
        found = measure_distances(same)
        # Pelvis at (0 | 0.8, 0.575, 4). Measured error 3e-7, float32.
        assert found[0] == pytest.approx(np.hypot(0.575, 4.0), abs=1e-6)
        assert found[1] == pytest.approx(np.sqrt(0.8**2 + 0.575**2 + 16), abs=1e-6)
    hidden = replace(record, person_valid=np.array([[True] * 6, [False] * 6]))
    assert np.isnan(measure_distances(hidden)[1]).all() and np.isfinite(measure_distances(hidden)[0]).all()
    assert measure_distances(make_room(num_people=0)[0]).shape == (0, 6)


def test_ray_jitter_is_the_distance_from_the_mean_over_five_frames() -> None:
    run = np.arange(9)
    values = np.array([4.0, 4.3, 4.1, 4.2, 4.6, 4.4, 4.0, 4.1, 4.2])
    residuals = [values[i] - values[i - 2 : i + 3].mean() for i in range(2, 7)]
    assert ray_jitter(values, [run]) == pytest.approx(100 * np.sqrt(np.mean(np.square(residuals))))
    # Even motion has none; a run that is too short says nothing; two runs are pooled.
    assert ray_jitter(0.2 * np.arange(9), [run]) == pytest.approx(0, abs=1e-9)
    assert np.isnan(ray_jitter(values, [run[:4]]))
    one = values[2] - values[:5].mean()
    assert ray_jitter(values, [run[:5], run[5:]]) == pytest.approx(100 * abs(one))
    more = np.concatenate([values, 4 + 0 * values])
    assert ray_jitter(more, [run, run + 9]) == pytest.approx(ray_jitter(values, [run]) / np.sqrt(2))


def test_max_speed_is_between_frames_of_one_run() -> None:
    points = np.array([[0, 0, 0], [0.3, 0.4, 0], [0.3, 0.4, 0.1], [9, 9, 9]], float)
    times = np.array([0.0, 0.25, 0.3, 0.5])
    assert max_speed(points, times, [np.array([0, 1, 2])]) == pytest.approx(2.0)
    assert max_speed(points, times, [np.array([0]), np.array([1, 2])]) == pytest.approx(2.0)
    assert max_speed(points, times, [np.array([0, 1]), np.array([3])]) == pytest.approx(2.0)
    assert max_speed(points, times, [np.array([2, 3])]) == pytest.approx(np.sqrt(8.7**2 + 8.6**2 + 8.9**2) / 0.2)
    assert np.isnan(max_speed(points, times, [np.array([0])]))


@pytest.mark.parametrize("lower", [0.0, 0.1, -0.25])
def test_lowest_point_is_signed_and_above_is_positive(lower: float) -> None:
    record, body = make_room()
    transl = record.transl + np.float32([0, lower, 0])
    for same in (replace(record, transl=transl), turn_world(replace(record, transl=transl))):
        frames, vertices = pose_some(same, body, 0)
        # Measured error 4e-7 m, float32.
        assert lowest_over_floor(vertices, read_ground(same).floor[frames]) == pytest.approx(-lower, abs=2e-6)
        assert measure_people(same, body)[0].foot_to_floor_cm == pytest.approx(-100 * lower, abs=2e-4)


def test_a_body_is_posed_in_evenly_spread_frames() -> None:
    record, body = make_room(num_frames=49)
    frames, vertices = pose_some(record, body, 0)
    assert len(frames) == len(vertices) == MAX_POSED_FRAMES == 24
    assert frames[0] == 0 and frames[-1] == 48 and set(np.diff(frames)) == {2, 3}
    few = replace(record, person_valid=np.arange(49)[None] % 10 == 3)
    assert pose_some(few, body, 0)[0].tolist() == [3, 13, 23, 33, 43]


def _strip_ratio(depth: float) -> float:
    """Rows 86, 87 and 88 have their centres in the strip (86.28 to 89.4); the middle one has the median depth."""
    return depth / 4 / (CAMERA_HEIGHT / (CAMERA_HEIGHT + 0.06 * BOX_M))


def test_floor_under_the_foot_is_right_on_a_level_floor() -> None:
    record, _ = make_room()
    floor = CAMERA_HEIGHT * FOCAL / (87.5 - 48)
    for same in (record, turn_world(record)):
        ratio, depth = floor_over_foot_depth(same, read_ground(same), 0)
        assert ratio == pytest.approx(_strip_ratio(floor), abs=1e-5)
        # Discretisation leaves 1 %.
        assert ratio == pytest.approx(1.0, abs=0.02)
        assert depth == pytest.approx(4.0, abs=1e-5)


def test_without_gravity_the_picture_is_upright() -> None:
    record, _ = make_room()
    unknown = replace(record, gravity=np.full((1, 3), np.nan, np.float32))
    assert floor_over_foot_depth(unknown, read_ground(unknown), 0)[0] == pytest.approx(
        _strip_ratio(CAMERA_HEIGHT * FOCAL / (87.5 - 48)), abs=1e-5
    )


def _ratio(record: Reconstruction) -> np.ndarray:
    return floor_over_foot_depth(record, read_ground(record), 0)[0]


def test_the_strip_is_read_as_wide_and_as_high_as_said() -> None:
    record, _ = make_room()
    # The left foot is the lower one: column 64 + 2.5, ±0.12 · 39 around it.
    depth = np.full_like(record.depth, 99.0)
    depth[:, 86:89, 62:71] = 5.0
    assert _ratio(replace(record, depth=depth)) == pytest.approx(_strip_ratio(5.0), abs=1e-5)
    # All of it counts: where most of it is something else, that is the median.
    for rows, columns in ((slice(86, 89), slice(62, 66)), (slice(86, 87), slice(62, 71))):
        part = np.full_like(record.depth, 7.0)
        part[:, rows, columns] = 5.0
        assert _ratio(replace(record, depth=part)) == pytest.approx(_strip_ratio(7.0), abs=1e-5)
    # Five of its nine columns are enough, whichever they are.
    for columns in ([62, 63, 64, 65, 70], [62, 67, 68, 69, 70]):
        part = np.full_like(record.depth, 7.0)
        part[:, 86:89, columns] = 5.0
        assert _ratio(replace(record, depth=part)) == pytest.approx(_strip_ratio(5.0), abs=1e-5)
    people, holes = record.person_masks.copy(), depth.copy()
    people[:, 86:89, 62:70] = 0
    people[:, 86, 70] = 0
    assert np.isnan(_ratio(replace(record, depth=depth, person_masks=people))).all()
    holes[:, 86:89, 62:69] = 0
    holes[:, 86, 69:71] = 0
    assert _ratio(replace(record, depth=holes)) == pytest.approx(_strip_ratio(5.0), abs=1e-5)
    holes[:, 87, 69] = 0
    assert np.isnan(_ratio(replace(record, depth=holes))).all()


def test_the_lower_foot_counts() -> None:
    record, _ = make_room()
    joints = record.joints.copy()
    joints[:, :, 10] = [0.4, CAMERA_HEIGHT - 0.3, 4.0]
    depth = np.full_like(record.depth, 99.0)
    depth[:, 86:89, 57:66] = 5.0
    # The right foot is a millimetre over the floor: measured 5e-5.
    assert _ratio(replace(record, joints=joints, depth=depth)) == pytest.approx(_strip_ratio(5.0), abs=1e-4)


def test_hidden_cut_and_lifted_feet_are_left_out() -> None:
    record, _ = make_room(num_frames=20)
    assert np.isfinite(_ratio(record)).all()
    landmarks = record.landmarks_px.copy()
    landmarks[0, :10, [27, 29, 31], 2] = 0.49
    landmarks[0, 10:, [27, 29, 31], 2] = 0.51
    seen = np.isfinite(_ratio(replace(record, landmarks_px=landmarks)))
    assert not seen[:10].any() and seen[10:].all()
    # It is the mean of the three: ankle, heel and toe.
    for left in ([0.2, 0.62, 0.7], [0.7, 0.2, 0.62], [0.62, 0.7, 0.2]):
        landmarks[0, :, [27, 29, 31], 2] = np.array(left, np.float32)[:, None]
        assert np.isfinite(_ratio(replace(record, landmarks_px=landmarks))).all()
        landmarks[0, :, [27, 29, 31], 2] = np.array(left, np.float32)[:, None] - 0.02
        assert np.isnan(_ratio(replace(record, landmarks_px=landmarks))).all()
    # The other foot's landmarks say nothing.
    landmarks[0, :, [27, 29, 31], 2] = 0.9
    landmarks[0, :, [28, 30, 32], 2] = 0.1
    assert np.isfinite(_ratio(replace(record, landmarks_px=landmarks))).all()
    boxes = record.boxes_xyxy.copy()
    boxes[0, :10, 3] = 94.5
    assert np.isfinite(_ratio(replace(record, boxes_xyxy=boxes))).sum() == 10
    masks = record.person_masks.copy()
    masks[:10, 85, 66] = 1
    assert np.isfinite(_ratio(replace(record, person_masks=masks))).sum() == 10
    masks[:10, 85, 66] = 0
    assert np.isfinite(_ratio(replace(record, person_masks=masks))).all()
    hidden = replace(record, person_valid=np.arange(20)[None] >= 10)
    assert np.isfinite(_ratio(hidden)).sum() == 10


@pytest.mark.parametrize(("over_floor", "stands"), [(0.0, True), (0.3, False)])
def test_whoever_stands_beside_a_step_with_a_lifted_foot_is_on_the_floor(over_floor: float, stands: bool) -> None:
    """Somewhat nearer to the step's height than to the floor lies the middle between the feet, which tells nothing."""
    record, _ = make_room(num_frames=4)
    up = -record.gravity[0]
    joints = record.joints.copy()
    low = joints[0, 0, list(FEET)].astype(np.float64) @ up
    lifted = FEET[1 - int(low.argmin())]
    joints[0, :, lifted] += (0.4 + low.min() - low.max()) * up
    joints[0] += over_floor * up
    axes = level_axes(torch.from_numpy(record.gravity[0]).double()).numpy()
    x, _, z = joints[0, 0, FEET[int(low.argmin())]] @ axes.T
    step, height = 0.1, np.full((1, 5, 5), np.nan, np.float32)
    confidence, height[0, 2, 2] = np.zeros((1, 5, 5), np.float32), 0.3
    confidence[0, 2, 2] = FOOT_CONFIDENCE
    grid = np.array([[x - 2.5 * step, z - 2.5 * step, step, 0.0]], np.float32)
    record = replace(record, joints=joints, ground_height=height, ground_confidence=confidence, ground_grid=grid)
    assert np.isfinite(_ratio(record)).all() == stands


@pytest.mark.parametrize(("lift", "stands"), [(0.1, True), (0.14, False)])
def test_a_foot_is_lifted_against_the_second_around_it(lift: float, stands: bool) -> None:
    record, _ = make_room(num_frames=20)
    record = replace(record, person_masks=np.full_like(record.person_masks, -1))
    joints = record.joints.copy()
    joints[:, 3, [10, 11], 1] -= lift
    seen = np.isfinite(_ratio(replace(record, joints=joints)))
    assert seen[3] == stands and np.delete(seen, 3).all()
    # Farther away than a second in time (6 frames) somebody may stand higher, and in another shot too.
    stairs = record.joints.copy()
    stairs[:, 10:, [10, 11], 1] -= lift
    seen = np.isfinite(_ratio(replace(record, joints=stairs)))
    assert seen[:10].all() and seen[16:].all() and (seen[10:16] == stands).all()
    cut = replace(
        record, joints=stairs, segment=(np.arange(20) >= 10).astype(np.int32), gravity=record.gravity.repeat(2, 0),
        floor=record.floor.repeat(2, 0),
    )  # fmt: skip
    assert np.isfinite(_ratio(cut)).all()


def test_a_camera_below_the_foot_measures_nothing() -> None:
    record, _ = make_room()
    joints = record.joints.copy()
    joints[..., 1] -= 1.6
    assert np.isnan(_ratio(replace(record, joints=joints))).all()


def test_bands_are_split_at_four_six_and_ten_metres() -> None:
    depths = np.array([0.4, 4.0, 5.9, 6.0, 9.9, 10.0, 50.0, 2.0])
    ratios = np.array([1.0, 2.0, 4.0, 5.0, 7.0, 8.0, 10.0, np.nan])
    assert band_medians(ratios, depths) == {"below_4_m": 1.0, "4_to_6_m": 3.0, "6_to_10_m": 6.0, "above_10_m": 9.0}
    assert band_medians(ratios[:1] + 0.5, np.array([3.9]))["below_4_m"] == 1.5
    empty = band_medians(np.zeros(0), np.zeros(0))
    assert list(empty) == ["below_4_m", "4_to_6_m", "6_to_10_m", "above_10_m"]
    assert np.isnan(list(empty.values())).all()


def _with_landmarks(record: Reconstruction, scale: float) -> Reconstruction:
    """Landmarks where the joints are in the picture, ``scale`` times as large, moved aside, in a picture of noise."""
    pixels = record.joints[..., :2] / record.joints[..., 2:] * FOCAL + [64, 48]
    landmarks = np.random.default_rng(0).uniform(-500, 500, record.landmarks_px.shape)
    for joint, landmark in JOINT_PAIRS:
        landmarks[:, :, landmark, :2] = pixels[:, :, joint] * scale + [7, -5]
    landmarks[..., 2] = 0.9
    return replace(record, landmarks_px=landmarks.astype(np.float32))


@pytest.mark.parametrize("scale", [1.0, 1.2, 0.8])
def test_size_in_the_picture_is_body_over_landmarks(scale: float) -> None:
    record = _with_landmarks(make_room()[0], scale)
    # Measured error 1e-6, float32.
    assert size_in_picture(record, 0) == pytest.approx(1 / scale, abs=1e-5)
    assert size_in_picture(turn_world(record), 0) == pytest.approx(1 / scale, abs=1e-5)


def test_size_in_the_picture_needs_four_seen_landmarks() -> None:
    record = _with_landmarks(make_room()[0], 1.25)
    landmarks = record.landmarks_px.copy()
    unseen = [landmark for _, landmark in JOINT_PAIRS[4:]]
    landmarks[:, :, unseen, :2] = -900
    landmarks[:, :, unseen, 2] = 0.59
    assert size_in_picture(replace(record, landmarks_px=landmarks), 0) == pytest.approx(0.8, abs=1e-5)
    landmarks[:, :, JOINT_PAIRS[0][1], 2] = 0.3
    assert np.isnan(size_in_picture(replace(record, landmarks_px=landmarks), 0))


def test_box_overlap_is_of_the_projected_body() -> None:
    record, body = make_room()
    for same in (record, turn_world(record)):
        frames, vertices = pose_some(same, body, 0)
        camera = pose_some(record, body, 0)[1][0]
        x, y = (camera[:, axis] / camera[:, 2] * FOCAL + middle for axis, middle in ((0, 64), (1, 48)))
        x0, y0, x1, y1 = record.boxes_xyxy[0, 0]
        shared = (min(x1, x.max()) - max(x0, x.min())) * (min(y1, y.max()) - max(y0, y.min()))
        union = (x1 - x0) * (y1 - y0) + np.ptp(x) * np.ptp(y) - shared
        assert box_overlap(same, 0, frames, vertices) == pytest.approx(shared / union, abs=1e-4)


def test_box_overlap_is_cut_at_the_picture() -> None:
    record, body = make_room()
    boxes = np.tile(np.float32([-500, -500, 500, 500]), (1, 6, 1))
    near = replace(record, boxes_xyxy=boxes, transl=0 * record.transl + np.float32([0, 0, 0.4]))
    frames, vertices = pose_some(near, body, 0)
    # So near that the body fills the picture's width; head and feet are cut as well.
    assert box_overlap(near, 0, frames, vertices) == pytest.approx(1.0, abs=1e-6)
    behind = vertices - np.float32([0, 0, 9])
    assert box_overlap(near, 0, frames, behind).tolist() == [0.0] * 6


def test_overlap_of_two_boxes() -> None:
    one, other = np.array([0.0, 0, 4, 4]), np.array([2.0, 1, 6, 3])
    assert overlap(one, other) == pytest.approx((4 / 20, 4 / 8))
    assert overlap(other, one) == pytest.approx((4 / 20, 4 / 8))
    assert overlap(one, one + 10) == (0.0, 0.0)
    assert overlap(one, one + np.array([0, 10, 0, 10])) == (0.0, 0.0)
    assert overlap(one, np.zeros(4)) == (0.0, 0.0)


def test_measures_of_a_person_who_stands() -> None:
    record, body = make_room(num_people=2)
    record = replace(_with_landmarks(record, 1.0), extra={"depth_correction": np.full((2, 6, 8), 1.5, np.float32)})
    found = measure_people(record, body)
    assert [person.person_id for person in found] == [3, 4]
    first = found[0]
    assert (first.frames, first.stature_m) == (6, pytest.approx(STATURE, abs=1e-5))
    assert (first.ray_jitter_cm, first.max_speed_m_s) == (pytest.approx(0, abs=1e-4), 0.0)
    assert (first.foot_to_floor_cm, first.foot_to_floor_spread_cm) == (pytest.approx(0, abs=1e-4), 0.0)
    assert first.distance_m == pytest.approx((np.hypot(0.575, 4),) * 3, abs=1e-6)
    assert first.floor_over_foot_depth == pytest.approx(_strip_ratio(CAMERA_HEIGHT * FOCAL / (87.5 - 48)), abs=1e-5)
    assert first.floor_over_foot_bands["4_to_6_m"] == pytest.approx(
        _strip_ratio(CAMERA_HEIGHT * FOCAL / (87.5 - 48)), abs=1e-5
    )
    assert len(first.floor_over_foot_values) == len(first.foot_depths_m) == 6
    assert first.size_in_picture == pytest.approx(1, abs=1e-5) and first.box_overlap > 0.2
    assert first.reprojection_percent == pytest.approx(100 * np.hypot(7, 5) / 39, abs=1e-3)
    assert first.scene_ratio == 1.5
    assert np.isnan(measure_people(replace(record, extra={}), body)[0].scene_ratio)


def test_percentiles_and_spread_are_over_frames() -> None:
    record, body = make_room(num_frames=21)
    transl, joints = record.transl.copy(), record.joints.copy()
    rise = np.linspace(0, 0.2, 21).astype(np.float32)
    transl[0, :, 1] -= rise
    joints[0, :, :, 2] += rise[:, None]
    found = measure_people(replace(record, transl=transl, joints=joints), body)[0]
    # 10th and 90th percentile of 0..20 cm are 2 and 18.
    assert found.foot_to_floor_cm == pytest.approx(10, abs=1e-3)
    assert found.foot_to_floor_spread_cm == pytest.approx(8, abs=1e-3)
    assert found.distance_m == pytest.approx([np.hypot(0.575, 4 + d) for d in (0.01, 0.1, 0.19)], abs=1e-5)


def test_somebody_who_was_never_seen_has_no_measures() -> None:
    record, body = make_room()
    found = measure_people(replace(record, person_valid=np.zeros((1, 6), bool)), body)[0]
    assert found.frames == 0
    for value in (found.ray_jitter_cm, found.max_speed_m_s, found.foot_to_floor_cm, *found.distance_m):
        assert np.isnan(value)


def test_what_carries_a_point_is_the_floor_or_what_feet_told_near_it_whichever_is_as_high() -> None:
    """A wall 1.9 m high whose only place that feet told is at (2, 3) m; the floor is 1.4 m under the camera."""
    record, step = make_record(make_figure()), 0.1
    height, confidence = np.full((1, 60, 60), np.nan, np.float32), np.zeros((1, 60, 60), np.float32)
    height[0, 30, 20], confidence[0, 30, 20] = 1.9, FOOT_CONFIDENCE
    grid = np.array([[0.0, 0.0, step, -1.4]], np.float32)
    record = replace(record, ground_height=height, ground_confidence=confidence, ground_grid=grid)
    axes = level_axes(torch.from_numpy(record.gravity[0]).double()).numpy()
    assert np.allclose(axes[1], [0, -1, 0])

    def read(aside: float, over_floor: float) -> tuple[float, bool]:
        place = np.array([(20.5 * step + aside), over_floor - 1.4, 30.5 * step]) @ axes
        support, confirmed = read_supports(record, place[None], np.zeros(1, int))
        return float(support[0]), bool(confirmed[0])

    assert read(0.0, 1.9) == (pytest.approx(1.9), False)
    assert read(0.9 * SUPPORT_REACH_M, 2.3) == (pytest.approx(1.9), False), "who jumps is over the wall"
    assert read(0.3, 0.1) == (0.0, True), "who stands beside it is on the floor"
    assert read(1.1 * SUPPORT_REACH_M, 1.9) == (0.0, True), "who floats elsewhere is over the floor"
    confidence[0, 30, 20] = BOTH_CONFIDENCE
    assert read(0.5, 1.7) == (pytest.approx(1.9), True)
