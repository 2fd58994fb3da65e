"""Faults put into good results: each changes what it says and nothing else, and each is noticed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from made_room import CAMERA_HEIGHT, SOLE, STATURE, make_room, turn_world
from unish.body import Body, load_body
from unish.lab.evaluation.injected_faults import (
    add_ray_noise,
    compress_far_half,
    double_person,
    drift_camera,
    enlarge_person,
    move_person,
    pose_joints,
    raise_floor,
    scale_lengths,
    scale_shape,
    split_person,
    swap_tracks,
    tilt_floor,
)
from unish.lab.evaluation.verdict_trials import make_trials, try_result
from unish.reconstruction.checks.ground import read_ground, unproject_pixels
from unish.reconstruction.checks.people import lowest_over_floor, to_camera, to_pixels
from unish.reconstruction.report import JOINT_PAIRS
from unish.reconstruction.verdicts import ShotFacts
from unish.reconstruction.world_checks import pose_some
from unish.structs import Reconstruction


def _room(num_people: int = 1, num_frames: int = 6) -> tuple[Reconstruction, Body]:
    """A turned room with the body's own joints and a recorded correction of 1."""
    record, body = make_room(num_people=num_people, num_frames=num_frames)
    table = np.ones((num_people, num_frames, 8), np.float32)
    record = turn_world(replace(record, extra={"depth_correction": table}))
    return replace(record, joints=pose_joints(record, body)), body


def _gap(record: Reconstruction, body: Body, person: int = 0) -> np.ndarray:
    frames, vertices = pose_some(record, body, person)
    return lowest_over_floor(vertices, read_ground(record).floor[frames])


def test_a_larger_body_is_larger_in_all_directions() -> None:
    body = load_body("free")
    betas = np.array([0.5, 0, -0.3, 0, 0, 0.2, 0, 0, 0, 0], np.float32)
    grown = scale_shape(body, betas, 1.3)
    before, after = (body.shape(torch.from_numpy(one)).vertices.numpy() for one in (betas, grown))
    # The shape space of the free body holds a scale to 1.4 cm of 2.2 m.
    assert np.abs(after - 1.3 * before).max() < 0.03
    np.testing.assert_allclose(scale_shape(body, betas, 1.0), betas, atol=1e-4)


def test_all_lengths_grow_and_the_picture_stays() -> None:
    record, body = _room(2)
    grown = scale_lengths(record, body, 1.3)
    # Measured 2e-5 px, 3e-7 m.
    seen, seen_before = (to_pixels(one, to_camera(one, one.joints[1])) for one in (grown, record))
    np.testing.assert_allclose(seen, seen_before, atol=1e-3)
    np.testing.assert_allclose(grown.joints, 1.3 * record.joints, atol=1e-5)
    np.testing.assert_allclose(grown.depth, 1.3 * record.depth, rtol=1e-6)
    np.testing.assert_allclose(grown.c2w[:, :3, 3], 1.3 * record.c2w[:, :3, 3], rtol=1e-6)
    np.testing.assert_array_equal(grown.c2w[:, :3, :3], record.c2w[:, :3, :3])
    assert _gap(grown, body) == pytest.approx(0, abs=1e-5)
    nobody, _ = make_room(num_people=0)
    assert scale_lengths(nobody, body, 1.3).betas.shape == (0, 10)


@pytest.mark.parametrize("metres", [0.25, -0.1])
def test_the_floor_is_raised(metres: float) -> None:
    record, body = _room()
    assert _gap(raise_floor(record, metres), body) == pytest.approx(-metres, abs=1e-5)
    np.testing.assert_array_equal(record.floor, _room()[0].floor)


@pytest.mark.parametrize("heading", [0.0, np.pi / 2, 1.0])
def test_the_floor_is_tilted_under_the_feet(heading: float) -> None:
    record, body = _room()
    tilted = tilt_floor(record, 8.0, heading)
    before, after = record.floor[0, :3].astype(float), tilted.floor[0, :3].astype(float)
    assert np.degrees(np.arccos(before @ after)) == pytest.approx(8, abs=1e-3)
    np.testing.assert_allclose(tilted.gravity[0], -after, atol=1e-6)
    # It turns about the foot of the feet on the floor, so the person hardly leaves it.
    assert np.abs(_gap(tilted, body)).max() < 0.03
    assert not np.allclose(tilt_floor(record, 8.0, heading + 1).floor, tilted.floor)
    unknown = replace(record, floor=np.full((1, 4), np.nan, np.float32))
    assert np.isnan(tilt_floor(unknown, 8.0, heading).floor).all()


def test_a_person_is_moved_along_the_ray_with_their_points() -> None:
    record, _ = _room(2)
    factors = np.array([1.2, 1.0, 0.8, 1.0, 1.0, 1.5])
    moved = move_person(record, 1, factors)
    before, after = (to_camera(one, one.joints[1]) for one in (record, moved))
    np.testing.assert_allclose(after[:, 0], before[:, 0] * factors[:, None], atol=1e-5)
    # The body keeps its size.
    np.testing.assert_allclose(after - after[:, :1], before - before[:, :1], atol=1e-5)
    np.testing.assert_allclose(moved.transl - record.transl, moved.joints[:, :, 0] - record.joints[:, :, 0], atol=1e-5)
    mine = record.person_masks == 1
    np.testing.assert_allclose(moved.depth[mine], (record.depth * factors[:, None, None])[mine], rtol=1e-6)
    np.testing.assert_array_equal(moved.depth[~mine], record.depth[~mine])
    np.testing.assert_allclose(moved.extra["depth_correction"][1, :, 0], factors)
    assert (moved.extra["depth_correction"][0] == 1).all() and (moved.extra["depth_correction"][1, :, 1:] == 1).all()
    np.testing.assert_array_equal(moved.joints[0], record.joints[0])
    assert move_person(replace(record, extra={}), 1, factors).extra == {}


def test_a_person_grows_and_still_fits_the_picture() -> None:
    record, body = _room(2)
    grown = enlarge_person(record, body, 1, 1.2)
    before, after = (to_camera(one, one.joints[1]) for one in (record, grown))
    # Measured 5e-6 m: all of the person is 1.2 times as far from the camera.
    np.testing.assert_allclose(after, 1.2 * before, atol=1e-4)
    np.testing.assert_array_equal(grown.joints[0], record.joints[0])
    np.testing.assert_array_equal(grown.betas[0], record.betas[0])
    mine = record.person_masks == 1
    np.testing.assert_allclose(grown.depth[mine], 1.2 * record.depth[mine], rtol=1e-6)
    np.testing.assert_array_equal(grown.depth[~mine], record.depth[~mine])
    np.testing.assert_allclose(grown.extra["depth_correction"][:, :, 0], [[1.0] * 6, [1.2] * 6])
    np.testing.assert_array_equal(grown.c2w, record.c2w)


def test_a_doubled_person_is_beside_themselves() -> None:
    record, _ = _room(2)
    marks = np.random.default_rng(0).normal(size=record.landmarks_px.shape).astype(np.float32)
    doubled = double_person(replace(record, landmarks_px=marks), 0)
    assert doubled.person_ids.tolist() == [3, 4, 5]
    np.testing.assert_allclose(doubled.joints[2] - record.joints[0], np.tile([0.1, 0, 0], (6, 24, 1)), atol=1e-6)
    np.testing.assert_allclose(doubled.transl[2] - record.transl[0], np.tile([0.1, 0, 0], (6, 1)), atol=1e-6)
    np.testing.assert_allclose(doubled.landmarks_px[2, ..., :2] - marks[0, ..., :2], 0.03 * 39, atol=1e-5)
    np.testing.assert_array_equal(doubled.landmarks_px[2, ..., 2], marks[0, ..., 2])
    np.testing.assert_allclose(
        doubled.boxes_xyxy[2] - record.boxes_xyxy[0], np.tile(0.03 * 39 * np.array([-1, 1, -1, -1]), (6, 1)), rtol=1e-5
    )
    np.testing.assert_array_equal(doubled.joints[:2], record.joints)
    first, twin = doubled.person_masks == 0, doubled.person_masks == 2
    np.testing.assert_array_equal(first | twin, record.person_masks == 0)
    assert not twin[:, ::2].any() and not first[:, 1::2].any() and twin.any() and first.any()
    assert doubled.extra["depth_correction"].shape == (3, 6, 8)
    np.testing.assert_array_equal(record.person_masks, _room(2)[0].person_masks)


def test_a_person_in_two_halves_is_a_box_and_a_floating_twin() -> None:
    record, body = _room(1)
    marks = np.full_like(record.landmarks_px, 60.0)
    split = split_person(replace(record, landmarks_px=marks), body, 0)
    x0, y0, x1, y1 = record.boxes_xyxy[0, 0]
    middle = (y0 + y1) / 2
    np.testing.assert_allclose(split.boxes_xyxy[0], np.tile([x0, middle, x1, y1], (6, 1)))
    np.testing.assert_allclose(split.boxes_xyxy[1], np.tile([x0, y0, x1, middle], (6, 1)))
    np.testing.assert_allclose(split.landmarks_px[1, ..., 1], y0 + (60 - y0) / 2, atol=1e-5)
    np.testing.assert_array_equal(split.landmarks_px[0], marks[0])
    rows = np.arange(96)[None, :, None] < middle
    np.testing.assert_array_equal(split.person_masks == 1, (record.person_masks == 0) & rows)
    np.testing.assert_array_equal(split.person_masks == 0, (record.person_masks == 0) & ~rows)
    heights = body.standing_height(torch.from_numpy(split.betas)).tolist()
    assert heights == pytest.approx([STATURE, 0.55 * STATURE], abs=1e-4)
    # Feet (their joints, 5 cm over the soles of the figure) at the height of the pelvis of the person.
    assert _gap(split, body, 1) == pytest.approx(SOLE - 0.55 * (SOLE - 0.9), abs=0.02)
    assert _gap(split, body, 0) == pytest.approx(0, abs=1e-5)


def test_tracks_are_swapped_from_a_frame_on() -> None:
    record, _ = _room(3)
    rng = np.random.default_rng(0)
    table = rng.normal(size=(3, 6, 8)).astype(np.float32)
    valid = rng.random((3, 6)) > 0.3
    record = replace(record, extra={"depth_correction": table, "other": np.zeros(2)}, person_valid=valid)
    swapped = swap_tracks(record, 0, 2, 4)
    for name in ("joints", "transl", "boxes_xyxy", "person_valid", "global_orient_aa"):
        before, after = getattr(record, name), getattr(swapped, name)
        np.testing.assert_array_equal(after[:, :4], before[:, :4])
        np.testing.assert_array_equal(after[[0, 1, 2], 4:], before[[2, 1, 0], 4:])
    np.testing.assert_array_equal(swapped.betas, record.betas)
    np.testing.assert_array_equal(swapped.extra["depth_correction"][:, 4:], table[[2, 1, 0], 4:])
    np.testing.assert_array_equal(swapped.person_masks[:4], record.person_masks[:4])
    for person, becomes in ((0, 2), (1, 1), (2, 0), (-1, -1)):
        np.testing.assert_array_equal(swapped.person_masks[4:] == becomes, record.person_masks[4:] == person)


def test_a_drifting_camera_takes_what_it_sees_along() -> None:
    record, _ = _room(1, 11)
    end = np.array([0.3, -0.1, 0.2])
    drifted = drift_camera(record, end)
    shift = np.linspace(0, 1, 11)[:, None] * end
    np.testing.assert_allclose(drifted.c2w[:, :3, 3] - record.c2w[:, :3, 3], shift, atol=1e-6)
    np.testing.assert_allclose(drifted.joints[0] - record.joints[0], shift[:, None].repeat(24, 1), atol=1e-6)
    np.testing.assert_allclose(drifted.transl[0] - record.transl[0], shift, atol=1e-6)
    np.testing.assert_allclose(to_camera(drifted, drifted.joints[0]), to_camera(record, record.joints[0]), atol=1e-5)
    two = replace(
        record, segment=(np.arange(11) >= 5).astype(np.int32), gravity=record.gravity.repeat(2, 0),
        floor=record.floor.repeat(2, 0),
    )  # fmt: skip
    moved = drift_camera(two, end).c2w[:, :3, 3] - two.c2w[:, :3, 3]
    np.testing.assert_allclose(moved[[0, 4, 5, 10]], np.array([[0.0], [1], [0], [1]]) * end, atol=1e-6)


def test_the_far_half_comes_nearer() -> None:
    record, _ = _room(2)
    depth = record.depth.copy()
    depth[:, :20] = 12
    depth[:, 20:40] = 10
    record = replace(record, depth=depth)
    scene = record.person_masks < 0
    limit = np.median(record.depth[scene])
    # The second person stands beyond the median.
    record = move_person(record, 1, np.full(6, 2.5))
    nearer = compress_far_half(record, 0.7)
    far = scene & (record.depth > limit)
    np.testing.assert_allclose(nearer.depth[far], 0.7 * record.depth[far], rtol=1e-6)
    np.testing.assert_array_equal(nearer.depth[~far], record.depth[~far])
    assert far.any() and (scene & ~far).any()
    np.testing.assert_allclose(nearer.extra["depth_correction"][:, :, 0], [[1.0] * 6, [2.5 / 0.7] * 6], rtol=1e-6)
    np.testing.assert_array_equal(nearer.joints, record.joints)


def test_the_far_half_comes_nearer_without_a_tear() -> None:
    record, _ = _room(0)
    depth = np.tile(np.linspace(0, 8, 96, dtype=np.float32)[None, :, None], (6, 1, 128))
    nearer = compress_far_half(replace(record, depth=depth), 0.7, gradually=True)
    limit = np.median(depth[depth > 0])
    column = nearer.depth[0, :, 0]
    assert (np.diff(column) > 0).all() and (
        column[depth[0, :, 0] <= limit] == depth[0, depth[0, :, 0] <= limit, 0]
    ).all()
    assert np.interp(2 * limit, depth[0, :, 0], column) == pytest.approx(0.7 * min(2 * limit, 8), rel=0.02)


def test_noise_along_the_ray_has_the_size_asked_for() -> None:
    record, _ = _room(1, 400)
    noisy = add_ray_noise(record, 0, 0.15, 0)
    before, after = (np.linalg.norm(to_camera(one, one.joints[0])[:, 0], axis=-1) for one in (record, noisy))
    assert np.std(after - before) == pytest.approx(0.15, rel=0.1)
    assert np.array_equal(add_ray_noise(record, 0, 0.15, 0).joints, noisy.joints)
    assert not np.array_equal(add_ray_noise(record, 0, 0.15, 1).joints, noisy.joints)
    hidden = replace(record, joints=np.full_like(record.joints, np.nan))
    assert np.isfinite(add_ray_noise(hidden, 0, 0.15, 0).depth).all()


EYE_GOOD = {"shots": [{"verdict": "good"}], "people": {"3": {"verdict": "good"}, "4": {"verdict": "good"}}}


def _kinds(record: Reconstruction, body: Body, good: list[int], shot_good: bool) -> list[str]:
    return sorted({trial.kind for trial in make_trials(record, body, good, shot_good, seed=0)})


def test_every_kind_of_fault_is_tried_where_it_can_be() -> None:
    record, body = _room(2, 12)
    everything = _kinds(record, body, [3, 4], True)
    assert everything == [
        "15 cm of ray noise", "a person in two halves", "a person twice", "a person's distance x 1.2",
        "a person's size and distance x 1.2", "all lengths x 1.3", "camera drifts 30 cm", "far half x 0.7",
        "far half x 0.7, gradually", "floor 25 cm down", "floor 25 cm up", "floor 8 degrees", "swapped tracks",
    ]  # fmt: skip
    unknown = replace(record, floor=np.full((1, 4), np.nan, np.float32))
    assert set(everything) - set(_kinds(unknown, body, [3, 4], True)) == {
        "floor 25 cm down", "floor 25 cm up", "floor 8 degrees",
    }  # fmt: skip
    assert not {"camera drifts 30 cm", "floor 8 degrees"} & set(_kinds(record, body, [3], False))
    assert set(_kinds(record, body, [], True)) == {
        "camera drifts 30 cm", "far half x 0.7", "far half x 0.7, gradually", "floor 25 cm down", "floor 25 cm up",
        "floor 8 degrees",
    }  # fmt: skip
    assert _kinds(record, body, [], False) == []
    assert "swapped tracks" not in _kinds(_room(2, 7)[0], body, [3, 4], True)
    swaps = [trial for trial in make_trials(record, body, [3, 4], True, seed=0) if trial.kind == "swapped tracks"]
    assert [trial.people for trial in swaps] == [(3,)]
    assert [trial.shot for trial in swaps] == [False]


@pytest.mark.slow
def test_faults_in_a_good_room_are_noticed() -> None:
    """Landmarks at the joints and people in colours of their own, as a run would have them."""
    record, body = make_room(num_people=2, num_frames=12)
    depth = record.depth.copy()
    wall = record.person_masks[0, :48] < 0
    # A wall that leans back, so that half of the scene is farther away than the other half.
    depth[:, :48][:, wall] = np.broadcast_to(np.linspace(12, 8, 48)[:, None], (48, 128))[wall]
    record = replace(record, joints=pose_joints(record, body), depth=depth)
    pixels = to_pixels(record, record.joints.transpose(1, 0, 2, 3).astype(float)).transpose(1, 0, 2, 3)
    landmarks = record.landmarks_px.copy()
    landmarks[..., 2] = 0.0
    for joint, landmark in JOINT_PAIRS:
        landmarks[:, :, landmark, :2], landmarks[:, :, landmark, 2] = pixels[:, :, joint], 0.9
    edges = to_pixels(record, np.stack([pose_some(record, body, p)[1] for p in (0, 1)], 1).astype(float))
    boxes = np.concatenate([edges.min(2), edges.max(2)], -1).transpose(1, 0, 2)
    # Who stands still is never quite the same twice; a poster is.
    images, noise = record.images.copy(), np.random.default_rng(8).integers(0, 60, record.images.shape, dtype=np.uint8)
    images[record.person_masks >= 0] = images[record.person_masks >= 0] // 2 + noise[record.person_masks >= 0]
    record = replace(record, landmarks_px=landmarks, boxes_xyxy=boxes.astype(np.float32), images=images)
    seen = try_result("room", record, body, [ShotFacts()], EYE_GOOD)
    untouched = [one for one in seen if one.kind.endswith("by eye")]
    assert [(one.kind, one.item, one.flagged) for one in untouched] == [
        ("shots good by eye", "shot 0", False), ("people good by eye", "person 3", False),
        ("people good by eye", "person 4", False),
    ]  # fmt: skip
    missed = {one.kind for one in seen if not one.flagged} - {one.kind for one in untouched}
    # A smaller or larger person is another person, a slowly bent room another room.
    assert missed <= {"a person's size and distance x 1.2", "far half x 0.7, gradually"}
    assert len(seen) > 20


def test_what_is_flagged_or_bad_by_eye_gets_no_faults() -> None:
    record, body = make_room(num_people=2, num_frames=12)
    eye = {"shots": [{"verdict": "failed"}], "people": {"3": {"verdict": "failed"}, "4": {"verdict": "unclear"}}}
    kinds = [one.kind for one in try_result("room", record, body, [ShotFacts()], eye)]
    assert kinds == ["shots failed by eye", "people failed by eye", "people unclear by eye"]
    floating = raise_floor(record, 0.45)
    assert CAMERA_HEIGHT > 0.45
    seen = try_result("room", floating, body, [ShotFacts()], EYE_GOOD)
    assert [one.kind for one in seen] == ["shots good by eye", "people good by eye", "people good by eye"]
    assert all(one.flagged and one.reasons for one in seen)
    np.testing.assert_allclose(unproject_pixels(record, 0, np.array([90]), np.array([64]))[0, 1], 1.5, atol=1e-4)
