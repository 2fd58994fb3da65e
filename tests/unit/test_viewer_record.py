"""What there is to see of a reconstruction, before anything draws it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from golden_record import make_golden
from small_record import make_figure, make_record
from unish.body import Body
from unish.structs import Reconstruction
from unish.viewer.record import build_record


@pytest.fixture(scope="module")
def body() -> Body:
    return make_figure()


@pytest.fixture(scope="module")
def golden(body: Body) -> Reconstruction:
    return make_golden(body)


def test_drawn_bodies_are_those_of_the_reconstruction(body: Body, golden: Reconstruction) -> None:
    """Four weights for each vertex move the mesh as the whole body model does."""
    record = build_record(golden, body, title="x")
    vertices = golden.vertices(body)
    assert len(record.people) == golden.num_people
    for person in record.people:
        index = golden.person_ids.tolist().index(person.person_id)
        np.testing.assert_allclose(person.weights.sum(axis=1), 1, atol=1e-6)
        assert (person.weights > 0).sum(axis=1).max() <= 4
        np.testing.assert_array_equal(person.shown, (golden.person_valid | golden.person_filled)[index])
        assert person.observed.sum() < person.shown.sum() or (golden.person_filled[index].sum() == 0)
        for step in np.flatnonzero(person.shown):
            np.testing.assert_allclose(person.posed_vertices(int(step)), vertices[index, step], atol=2e-5)


def test_poses_are_held_where_there_is_nobody(body: Body) -> None:
    """Nothing that is not a number reaches a browser, and nobody jumps when they come back."""
    whole = make_record(body, num_people=1, num_frames=6)  # not there at frames 2 and 3
    record = build_record(whole, body, title="x")
    (person,) = record.people
    assert person.shown.tolist() == [True, True, False, False, True, True]
    assert np.isfinite(person.joint_positions).all() and np.isfinite(person.joint_wxyz).all()
    np.testing.assert_array_equal(person.joint_positions[2], person.joint_positions[1])
    np.testing.assert_allclose(np.linalg.norm(person.joint_wxyz, axis=-1), 1, atol=1e-5)
    late = replace(whole, person_valid=np.array([[False, False, False, False, True, True]]))
    (person,) = build_record(late, body, title="x").people
    np.testing.assert_array_equal(person.joint_positions[0], person.joint_positions[4])
    assert not build_record(replace(whole, person_valid=np.zeros((1, 6), bool)), body, title="x").people


def test_points_stand_where_the_scene_is_and_without_people(body: Body, golden: Reconstruction) -> None:
    record = build_record(golden, body, title="x", max_points=500)
    assert len(record.shots) == 2 and sum(len(shot.points.xyz) for shot in record.shots) <= 500
    for number, shot in enumerate(record.shots):
        world = golden.world_points()[golden.segment == golden.segment[shot.steps.start]]
        low, high = world.reshape(-1, 3).min(axis=0), world.reshape(-1, 3).max(axis=0)
        placed = shot.points.xyz + shot.centre
        assert (placed >= low - 0.01).all() and (placed <= high + 0.01).all()
        assert (record.shot_of_step[shot.steps] == number).all()
        assert ((shot.points.confidence >= 0.2) & (shot.points.confidence <= 1)).all()
        np.testing.assert_allclose(shot.up, -golden.gravity[number], atol=1e-5)
        ground = shot.ground
        assert ground is not None and abs(golden.floor[number] @ np.append(ground.middle, 1)) < 1e-5
        np.testing.assert_allclose(ground.rotation[:, 2], golden.floor[number][:3], atol=1e-5)
        np.testing.assert_allclose(ground.rotation.T @ ground.rotation, np.eye(3), atol=1e-9)
        assert np.linalg.det(ground.rotation) > 0


def test_unknown_gravity_and_floor(body: Body) -> None:
    record = make_record(body)
    record = replace(record, gravity=np.full_like(record.gravity, np.nan), floor=np.full_like(record.floor, np.nan))
    (shot,) = build_record(record, body, title="x").shots
    assert not shot.gravity_known and shot.ground is None
    np.testing.assert_allclose(shot.up, [0, -1, 0])  # up in the first camera's picture


def test_the_interval_of_sizes(body: Body) -> None:
    """The file's own, else three standard deviations' worth of the report's, else unknown."""
    record = make_record(body)
    report = {"quality": {"scale_uncertainty": 0.05}}

    def interval(record: Reconstruction, report: dict | None) -> np.ndarray:
        return build_record(record, body, title="x", report=report).shots[0].scale_interval

    np.testing.assert_allclose(interval(record, report), np.exp([-0.08225, 0.08225]), rtol=1e-4)
    assert np.isnan(interval(record, None)).all()
    assert np.isnan(interval(record, {"quality": {"scale_uncertainty": None}})).all()
    own = np.array([[0.9, 1.2]], np.float32)
    known = replace(record, extra={"scale_interval": own})
    np.testing.assert_allclose(interval(known, report), own[0])
    unknown = replace(record, extra={"scale_interval": np.full_like(own, np.nan)})
    np.testing.assert_allclose(interval(unknown, report), np.exp([-0.08225, 0.08225]), rtol=1e-4)


def test_long_videos_are_thinned_evenly(body: Body) -> None:
    record = make_record(body, num_frames=10)
    thinned = build_record(record, body, title="x", max_steps=4)
    assert thinned.frames.tolist() == [0, 3, 6, 9] and thinned.num_steps == 4
    np.testing.assert_allclose(thinned.fps, 2.0)
    np.testing.assert_array_equal(thinned.c2w, record.c2w[[0, 3, 6, 9]])
    assert build_record(make_record(body, num_frames=1), body, title="x").fps == 1.0


def test_pictures_and_points_are_those_of_the_newest_dense_frame(body: Body) -> None:
    whole = make_record(body, num_frames=6)
    some = np.array([1, 4])
    maps = {name: np.asarray(getattr(whole, name))[some] for name in ("images", "depth", "point_conf", "person_masks")}
    record = build_record(replace(whole, dense_frames=some, **maps), body, title="x")
    assert [record.dense_frame(step) for step in range(6)] == [0, 0, 0, 0, 1, 1]
    assert [record.step_of_picture(step) for step in range(6)] == [1, 1, 1, 1, 4, 4]
    np.testing.assert_array_equal(record.picture(5), whole.images[4])
    assert max(record.picture(5, side=32).shape) == 32
    points = record.frame_points(5, max_points=100)
    assert len(points.xyz) == 100 and (points.frame == 1).all()
    world = whole.world_points()[4].reshape(-1, 3)
    nearest = np.linalg.norm(points.xyz[:, None] - world[None], axis=-1).min(axis=1)
    assert nearest.max() < 1e-4


def test_feet_that_touch(body: Body, golden: Reconstruction) -> None:
    """Where contacts are known, the middle of each region of the foot, and whether it stands."""
    import torch

    regions = {"left_heel": torch.tensor([3, 4]), "right_toe": torch.tensor([9])}
    with_feet = replace(body, contact_vertices=regions)
    names = np.array(["left_heel", "right_toe", "elsewhere"])
    probability = np.zeros((golden.num_people, golden.num_frames, 3), np.float32)
    probability[:, :, 0] = 0.9
    probability[:, 0] = np.nan
    touched = replace(golden, contact_names=names, contact_prob=probability)
    vertices = golden.vertices(body)
    for index, person in enumerate(build_record(touched, with_feet, title="x").people):
        assert person.contact_points.shape == (golden.num_frames, 2, 3)
        assert not person.touching[0].any() and not person.touching[:, 1].any()
        np.testing.assert_array_equal(person.touching[1:, 0], person.shown[1:])
        for step in np.flatnonzero(person.shown):
            np.testing.assert_allclose(
                person.contact_points[step, 0], vertices[index, step, [3, 4]].mean(axis=0), atol=2e-5
            )
    assert build_record(golden, with_feet, title="x").people[0].touching.shape[1] == 0
