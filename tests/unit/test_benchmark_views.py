"""Pictures of one place: lenses, depth of a second camera, how places are cut into clips, what broken ones say."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.ndimage import map_coordinates

from labelled_places import COLOUR_PX, DEPTH_PX, ROOM_SIZE, colour_poses, look_at_room
from made_answers import Oracle, make_scene
from unish.errors import InputError
from unish.lab.evaluation.benchmarks.labelled.places import PlaceBenchmark, read_views
from unish.lab.evaluation.benchmarks.lenses import distort, undistort
from unish.lab.evaluation.benchmarks.rgbd import SEVEN_SCENES
from unish.lab.evaluation.benchmarks.views import (
    SMALLEST_MOVE,
    TrueViews,
    ask_about_views,
    score_moves,
    score_views,
    true_field_of_view_deg,
)

LENS = np.array([-0.29, 0.18, -3e-4, 2e-4, -0.05])
K = np.array([[70.0, 0, 47.5], [0, 69, 28.2], [0, 0, 1]])


def test_a_lens_bends_as_opencv_says() -> None:
    cv2 = pytest.importorskip("cv2")
    rays = np.random.default_rng(0).uniform(-0.6, 0.6, (50, 2))
    points = np.concatenate([rays, np.ones((50, 1))], 1)
    expected = cv2.projectPoints(points, np.zeros(3), np.zeros(3), np.eye(3), LENS)[0][:, 0]
    np.testing.assert_allclose(distort(torch.from_numpy(rays), LENS), expected, atol=1e-12)


def test_an_undistorted_picture_shows_what_lay_where_the_lens_put_it() -> None:
    """Against bilinear reading of the picture at the place of every pixel, in a loop."""
    v, u = np.meshgrid(np.arange(56), np.arange(96), indexing="ij")
    picture = np.stack([128 + 100 * np.sin(u / 9), 128 + 100 * np.cos(v / 7), 128 + 50 * np.sin((u + v) / 11)], -1)
    picture = picture.round().astype(np.uint8)
    found = undistort(torch.from_numpy(picture)[None], K, LENS)[0].numpy()
    for row, column in ((5, 8), (28, 47), (40, 80), (50, 20)):
        x, y = (column + 0.5 - K[0, 2]) / K[0, 0], (row + 0.5 - K[1, 2]) / K[1, 1]
        r2 = x * x + y * y
        radial = 1 + LENS[0] * r2 + LENS[1] * r2**2 + LENS[4] * r2**3
        bent_x = x * radial + 2 * LENS[2] * x * y + LENS[3] * (r2 + 2 * x * x)
        bent_y = y * radial + LENS[2] * (r2 + 2 * y * y) + 2 * LENS[3] * x * y
        place = [bent_y * K[1, 1] + K[1, 2] - 0.5, bent_x * K[0, 0] + K[0, 2] - 0.5]
        seen = [map_coordinates(picture[..., c].astype(float), np.array(place)[:, None], order=1)[0] for c in range(3)]
        np.testing.assert_allclose(found[row, column], seen, atol=0.51)  # rounding to whole numbers
    assert np.abs(found.astype(int) - picture).max() > 20
    same = undistort(torch.from_numpy(picture)[None], K, np.zeros(5))[0].numpy()
    assert np.abs(same.astype(int) - picture).max() <= 1


def test_depth_of_a_second_camera_is_seen_by_the_first() -> None:
    """Walls across the view: a whole picture of one depth, nearer things hide farther ones, nothing from nothing."""
    assert SEVEN_SCENES.colour is not None
    wall = np.full((1, 480, 640), 2.0, np.float32)
    registered = SEVEN_SCENES.colour.register(wall)
    # 585 ÷ 525: the depth camera sees less; what only the colour camera sees stays unknown.
    assert set(np.unique(registered).tolist()) == {0.0, 2.0} and 0.75 < (registered > 0).mean() < 0.85
    thing = wall.copy()
    thing[0, 200:280, 300:340] = 0.5
    columns = np.flatnonzero((SEVEN_SCENES.colour.register(thing)[0] == 0.5).any(0))
    middle = 320 + 525 * (0.5 * (320 - 320) / 585 - 0.025) / 0.5
    assert columns.mean() + 0.5 == pytest.approx(middle, abs=1), "25 mm at half a metre are 26 pixels to the left"
    assert not SEVEN_SCENES.colour.register(0 * wall).any()
    assert SEVEN_SCENES.colour.move(np.eye(4)[None])[0, :3, 3].tolist() == [0.025, 0, 0]


def test_unregistered_depth_would_blame_a_perfect_answer() -> None:
    """What was wrong: truth of the depth camera against an exact answer of the colour camera."""
    c2w = np.tile(np.eye(4), (2, 1, 1))
    c2w[1, 0, 3] = 0.3
    truth, answer = look_at_room(c2w, DEPTH_PX), look_at_room(colour_poses(c2w), COLOUR_PX)
    focal = COLOUR_PX * ROOM_SIZE[1] / 640
    k = np.array([[focal, 0, ROOM_SIZE[1] / 2], [0, focal, ROOM_SIZE[0] / 2], [0, 0, 1]])
    found = make_scene(answer, c2w=colour_poses(c2w), intrinsics=k)
    views = TrueViews(
        name="room", pictures=np.zeros((2, *ROOM_SIZE, 3), np.uint8), times_s=np.arange(2.0), numbers=np.arange(2),
        depth=torch.from_numpy(truth), c2w=torch.from_numpy(c2w), camera=(focal, focal, 80.0, 60.0),
    )  # fmt: skip
    assert SEVEN_SCENES.colour is not None
    right = replace(views, depth=torch.from_numpy(SEVEN_SCENES.colour.register(truth)))
    assert score_views(found, right)["depth_abs_rel"] < 2e-3  # half a pixel of a floor: .0008 measured
    assert score_views(found, views)["depth_abs_rel"] > 10 * score_views(found, right)["depth_abs_rel"]
    assert score_views(found, right)["fov_error_deg"] < 1e-4


def test_short_moves_have_no_direction() -> None:
    true = torch.eye(4).repeat(3, 1, 1).double()
    true[1, 0, 3], true[2, 0, 3] = 0.04, 1.0
    ours = true.clone()
    ours[1, 0, 3] = -0.04
    every, long = (score_moves(ours, true, smallest_move=length) for length in (0.0, SMALLEST_MOVE))
    assert every["direction_error_deg"] == pytest.approx(180 / 3) and long["direction_error_deg"] == pytest.approx(0)
    assert "direction_error_deg" not in score_moves(ours, true, smallest_move=2.0)
    assert "move_length_ratio" not in score_moves(ours, true, is_metric=False)


def test_the_field_of_view_is_that_of_the_long_side() -> None:
    assert true_field_of_view_deg((320.0, 999.0, 320.0, 5.0), (480, 640)) == pytest.approx(90)
    assert true_field_of_view_deg((999.0, 320.0, 5.0, 320.0), (640, 480)) == pytest.approx(90)
    assert true_field_of_view_deg((320.0, 320.0, 0.0, 240.0), (480, 640)) == pytest.approx(np.degrees(np.arctan(2)))


def write_place(folder: Path, count: int, cameras: list[list[float]] | None = None) -> Path:
    (folder / "rgb").mkdir(parents=True)
    for number in range(count):
        Image.new("RGB", (16, 12)).save(folder / f"rgb/{number:03d}.jpg")
    np.savetxt(folder / "intrinsics.txt", cameras or [[10, 10, 8, 6]])
    np.savetxt(folder / "poses.txt", np.tile(np.eye(4).reshape(1, 16), (count, 1)))
    return folder


@pytest.mark.parametrize(("count", "sizes"), [(2, [2]), (3, [3]), (4, [4]), (5, [5]), (11, [6, 5]), (30, [4] * 5)])
def test_every_picture_of_a_place_is_in_one_clip(tmp_path: Path, count: int, sizes: list[int]) -> None:
    place = write_place(tmp_path / "place", count)
    asked: list[int] = []
    for name in PlaceBenchmark().sequences(place):
        oracle = Oracle(lambda request: make_scene(np.ones((request.source.num_frames, 12, 16))))
        PlaceBenchmark().score(place, name, oracle)
        asked += oracle.requests[0].source.frame_indices.tolist()
        assert oracle.requests[0].source.num_frames <= 6
        assert oracle.requests[0].settings == {"people": 0}
    assert sorted(asked) == list(range(count))
    assert len(PlaceBenchmark().sequences(place)) == max(len(sizes), count // 4)


def test_a_clip_has_one_camera_and_a_known_camera_is_given(tmp_path: Path) -> None:
    near, far = [10.0, 10, 8, 6], [20.0, 20, 8, 6]
    place = write_place(tmp_path / "place", 5, [near, far, near, far, near])
    (place / "pairs.txt").write_text("# names\n000.jpg 001.jpg 1\n001.jpg 003.jpg 1\n")
    benchmark = PlaceBenchmark(give_camera=True)
    assert benchmark.sequences(place) == ["clip-000", "clip-001", "pair-001-003"]
    for name, camera in (("clip-000", near), ("clip-001", far), ("pair-001-003", far)):
        oracle = Oracle(lambda request: make_scene(np.ones((request.source.num_frames, 12, 16))))
        benchmark.score(place, name, oracle)
        assert oracle.requests[0].settings["intrinsics"] == tuple(camera)


def test_broken_places_are_named(tmp_path: Path) -> None:
    place = write_place(tmp_path / "place", 3)
    (place / "poses.txt").write_text("1 2 3\n")
    with pytest.raises(InputError, match=r"poses\.txt: does not hold 16 numbers"):
        PlaceBenchmark().sequences(place)
    np.savetxt(place / "poses.txt", np.tile(np.eye(4).reshape(1, 16), (2, 1)))
    with pytest.raises(InputError, match="2 poses for 3 pictures"):
        PlaceBenchmark().sequences(place)
    (place / "poses.txt").unlink()
    np.savetxt(place / "intrinsics.txt", [[10, 10, 8, 6]] * 2)
    with pytest.raises(InputError, match="2 cameras for 3 pictures"):
        read_views(place, "picture-000", [0])
    assert PlaceBenchmark().sequences(tmp_path) == []


def test_an_unknown_camera_cannot_be_given() -> None:
    views = TrueViews(
        name="somewhere", pictures=np.zeros((1, 12, 16, 3), np.uint8), times_s=np.zeros(1), numbers=np.arange(1)
    )
    oracle = Oracle(lambda request: make_scene(np.ones((2, 12, 16))))
    with pytest.raises(InputError, match="its camera is not known"):
        ask_about_views(oracle, views, give_camera=True)
    with pytest.raises(InputError, match="2 frames came back instead of 1"):
        ask_about_views(oracle, views, give_camera=False)
