"""Fly-throughs: the way of the camera, what it sees, and the film that is written."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest

from small_record import make_figure, make_record
from unish.body import Body
from unish.errors import InputError
from unish.viewer import fly_through
from unish.viewer.flight import FLIGHTS, Flight
from unish.viewer.record import SceneRecord, build_record
from unish.viewer.splatting import Solid, Splats, draw_view

ASPECT, SECONDS = 16 / 9, 10.0
INTRINSICS = np.array([[40.0, 0, 32], [0, 40, 24], [0, 0, 1]])


@pytest.fixture(scope="module")
def body() -> Body:
    return make_figure()


@pytest.fixture(scope="module")
def record(body: Body) -> SceneRecord:
    return build_record(make_record(body, num_frames=8), body, title="x", max_points=2000)


def fly(record: SceneRecord, kind: str, *, person: int | None = None) -> Flight:
    return Flight(record, 0, kind, person=person, aspect=ASPECT, seconds=SECONDS)


@pytest.mark.parametrize("kind", FLIGHTS)
def test_a_flight_is_smooth_and_level(record: SceneRecord, kind: str) -> None:
    flight = fly(record, kind, person=1)
    shares = np.linspace(0, 1, 240)
    views = [flight.view(share, share * (record.num_steps - 1)) for share in shares]
    poses = np.stack([view.c2w for view in views])
    rotations = poses[:, :3, :3]
    np.testing.assert_allclose(rotations @ rotations.transpose(0, 2, 1), np.tile(np.eye(3), (240, 1, 1)), atol=1e-9)
    assert (np.linalg.det(rotations) > 0).all()
    up = record.shots[0].up
    assert (rotations[:, :, 1] @ up < 0).all()  # never upside down
    if kind != "rise":
        assert np.abs(rotations[:, :, 0] @ up).max() < 1e-9  # the horizon is level
    assert np.linalg.norm(np.diff(poses[:, :3, 3], axis=0), axis=-1).max() < 0.15
    turns = np.einsum("nij,nij->n", rotations[1:], rotations[:-1])
    assert np.degrees(np.arccos(np.clip((turns - 1) / 2, -1, 1))).max() < 2.5
    assert len({round(view.fov, 6) for view in views}) == 1


def test_a_camera_that_has_left_the_film_does_not_zoom_with_it(body: Body) -> None:
    film = make_record(body, num_frames=8)
    film.intrinsics[:, [0, 1], [0, 1]] *= np.linspace(1, 2, 8, dtype=np.float32)[:, None]
    zooming = build_record(film, body, title="x", max_points=500)
    last = zooming.num_steps - 1
    for kind in ("orbit", "follow"):
        assert len({round(fly(zooming, kind, person=1).view(share, share * last).fov, 6) for share in (0, 0.4, 1)}) == 1
    rise = fly(zooming, "rise")
    assert rise.view(0.0, last).fov < 0.6 * rise.view(0.0, 0).fov  # in the film
    assert rise.view(1.0, last).fov == pytest.approx(rise.view(0.0, 0).fov)
    assert rise.view(0.0, 2.5).fov == pytest.approx((rise.view(0.0, 2).fov + rise.view(0.0, 3).fov) / 2)


def test_rise_begins_in_the_film_and_ends_above_the_people(record: SceneRecord) -> None:
    flight = fly(record, "rise")
    for step in (0, 1):
        begun = flight.view(0.0, step)
        np.testing.assert_allclose(begun.c2w, record.c2w[step], atol=1e-9)
        assert begun.from_film == 1
    ended = flight.view(1.0, 7.0)
    ahead, up = ended.c2w[:3, 2], record.shots[0].up
    assert ended.from_film == 0 and np.degrees(np.arcsin(-ahead @ up)) == pytest.approx(65, abs=0.1)
    hips = np.concatenate([person.joint_positions[person.shown, 0] for person in record.people])
    offset = hips.mean(axis=0) - ended.c2w[:3, 3]
    assert np.linalg.norm(np.cross(offset, ahead)) < 0.3  # in the middle of the picture


def test_follow_keeps_its_distance_and_orbit_its_side(record: SceneRecord) -> None:
    follow, orbit = fly(record, "follow", person=1), fly(record, "orbit")
    hips = record.people[1].joint_positions[:, 0]
    seen = np.stack([follow.view(step / 7, step).c2w[:3, 3] for step in range(8)])
    np.testing.assert_allclose(np.linalg.norm(seen - hips, axis=-1), np.linalg.norm(seen[0] - hips[0]), atol=0.03)
    np.testing.assert_allclose(seen[-1] - seen[0], hips[-1] - hips[0], atol=0.05)
    places = np.stack([orbit.view(share, 0.0).c2w for share in np.linspace(0, 1, 101)])
    angles = np.degrees(np.arccos(np.clip(places[:, :3, 2] @ places[0, :3, 2], -1, 1)))
    assert 40 < angles.max() <= 60.001 and angles[-1] < 1e-3


def test_where_nobody_is_the_scene_is_looked_at(body: Body) -> None:
    empty = build_record(make_record(body, num_people=0), body, title="x", max_points=500)
    pose = fly(empty, "orbit").view(0.5, 2.0).c2w
    offset = empty.shots[0].centre - pose[:3, 3]
    assert np.linalg.norm(np.cross(offset, pose[:3, 2])) < 1e-6 * np.linalg.norm(offset)


def test_the_nearest_is_drawn_where_it_is() -> None:
    """A red point before a green one, a triangle between them, and what lies behind the camera."""
    xyz = np.array([[0.025, 0.025, 2], [0.05, 0.05, 4], [0.55, 0.25, 4], [0, 0, -2]], np.float32)
    colours = np.array([[255, 0, 0], [0, 255, 0], [0, 255, 0], [0, 0, 255]], np.uint8)
    splats = Splats(xyz=xyz, colours=colours, side_m=np.full(4, 0.05, np.float32))
    eye = np.eye(4)
    picture = draw_view(splats, [], eye, INTRINSICS, (48, 64))
    assert picture[24, 32].tolist() == [255, 0, 0] and picture[26, 37].tolist() == [0, 255, 0]
    assert not (picture == (0, 0, 255)).all(axis=-1).any()
    triangle = Solid(
        vertices=np.array([[-2, -2, 3], [2, -2, 3], [0, 4, 3]], np.float32), faces=np.array([[0, 1, 2]]),
        colour=np.array([200, 200, 40], np.uint8),
    )  # fmt: skip
    covered = draw_view(splats, [triangle], eye, INTRINSICS, (48, 64))
    assert covered[24, 32].tolist() == [255, 0, 0] and covered[26, 37].tolist() == [200, 200, 40]
    moved = eye.copy()
    moved[0, 3] = 1.0
    assert draw_view(splats, [], moved, INTRINSICS, (48, 64))[24, 12].tolist() == [255, 0, 0]
    nothing = Splats(xyz=xyz[:0], colours=colours[:0], side_m=np.zeros(0, np.float32))
    assert len(np.unique(draw_view(nothing, [], eye, INTRINSICS, (48, 64)).reshape(-1, 3), axis=0)) == 1


def test_bodies_between_steps_are_on_the_way(record: SceneRecord) -> None:
    person = record.people[1]
    ends = [person.posed_vertices(step) for step in (2, 3)]
    for share in (0.25, 0.5):
        between = person.posed_vertices(2 + share)
        straight = (1 - share) * ends[0] + share * ends[1]
        assert np.abs(between - straight).max() < 0.5 * np.abs(ends[1] - ends[0]).max()
        assert np.linalg.norm(between - ends[0], axis=-1).max() > 0.01


def test_a_picture_is_drawn_where_it_was_taken(record: SceneRecord) -> None:
    """Of the frames between two that have pictures: the camera of the film, and what the film goes over from."""
    film, some = record.reconstruction, np.array([0, 3, 6])
    maps = {name: np.asarray(getattr(film, name))[some] for name in ("images", "depth", "point_conf", "person_masks")}
    sparse = replace(record, reconstruction=replace(film, dense_frames=some, **maps))
    whole, older = fly_through._film_camera(record, 3), fly_through._film_camera(sparse, 5)
    np.testing.assert_array_equal(older.xyz, whole.xyz)
    np.testing.assert_array_equal(older.colours, whole.colours)
    assert np.abs(fly_through._film_camera(record, 5).xyz - whole.xyz).max() > 1e-3
    assert [fly_through._with_picture(sparse, step) for step in (3.0, 3.5, 4.0, 5.5)] == [3.0, 3.5, 3.0, 3.0]


def test_a_film_is_written(tmp_path: Path, body: Body, monkeypatch: pytest.MonkeyPatch) -> None:
    """It lasts as long as it should, begins with the picture of the film, and shows one shot after the other."""
    monkeypatch.setattr(fly_through, "_LEAST_S", 2.0)
    monkeypatch.setattr(fly_through, "_LONG_SIDE", 64)
    monkeypatch.setattr(fly_through, "_MAX_POINTS", 3000)
    made = make_record(body, num_frames=6, num_shots=2)
    grey = np.full_like(made.images, 90)
    path, told = tmp_path / "fly.mp4", []
    fly_through.write_fly_through(
        path, replace(made, images=grey), body, kind="rise", progress=lambda *step: told.append(step)
    )
    with av.open(str(path)) as film:
        frames = [frame.to_ndarray(format="rgb24").astype(int) for frame in film.decode(video=0)]
    assert len(frames) == 2 * 24 and frames[0].shape == (48, 64, 3)
    assert told[-1] == ("fly-through", 48, 48) and [one.name for one in tmp_path.iterdir()] == ["fly.mp4"]
    assert np.abs(frames[0] - 90).mean() < 8  # the film itself
    assert np.abs(frames[20] - frames[0]).mean() > 8 and np.abs(frames[24] - 90).mean() < 8  # and so for the next shot


def test_whom_to_follow(tmp_path: Path, body: Body) -> None:
    made = make_record(body, num_frames=2)
    with pytest.raises(InputError, match="nobody has the id 9; there are 3, 4"):
        fly_through.write_fly_through(tmp_path / "x.mp4", made, body, kind="follow", person_id=9)
    with pytest.raises(InputError, match="nobody was found"):
        empty = make_record(body, num_people=0, num_frames=2)
        fly_through.write_fly_through(tmp_path / "x.mp4", empty, body, kind="follow")
    assert list(tmp_path.iterdir()) == []
