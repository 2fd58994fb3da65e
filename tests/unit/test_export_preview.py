"""The preview film: times, layout, colours, people."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont
from scipy.ndimage import binary_erosion

from golden_record import make_golden
from small_record import make_figure, make_record
from unish.body import Body, load_body
from unish.export.plan_views import PlacedBody, PlanViews
from unish.export.preview import _facing, _light, _Painter, _region_of, paint_frame, write_preview
from unish.render.colours import depth_colours, depth_range, person_colour
from unish.render.plain import render_mesh
from unish.structs import Reconstruction
from unish.video import read_clip


@pytest.fixture(scope="module")
def body() -> Body:
    return make_figure()


@pytest.mark.slow
def test_film(tmp_path: Path, body: Body) -> None:
    record = make_record(body)
    told: list[tuple[str, int, int | None]] = []
    path = tmp_path / "preview.mp4"
    write_preview(path, record, body, fps=6.0, progress=lambda stage, done, total: told.append((stage, done, total)))
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert stream.codec_context.name == "h264" and stream.pix_fmt == "yuv420p"
        assert stream.height % 2 == stream.width % 2 == 0
    clip = read_clip(path, fps=100.0)
    assert clip.num_frames == 6 and clip.warnings == ()
    np.testing.assert_allclose(clip.timestamps_s, np.arange(6) / 6, atol=2e-3)
    assert told == [("preview", i + 1, 6) for i in range(6)]
    difference = clip.images[0].numpy().astype(int) - paint_frame(record, body, 0).astype(int)
    assert np.abs(difference).mean() < 6
    assert [entry.name for entry in tmp_path.iterdir()] == ["preview.mp4"]


@pytest.mark.parametrize(("num_people", "num_frames"), [(0, 1), (0, 3), (1, 1)])
def test_small_records(tmp_path: Path, body: Body, num_people: int, num_frames: int) -> None:
    write_preview(tmp_path / "p.mp4", make_record(body, num_people=num_people, num_frames=num_frames), body, fps=6.0)
    assert read_clip(tmp_path / "p.mp4", fps=100.0).num_frames == num_frames


def test_slow_source_plays_at_its_own_pace(tmp_path: Path, body: Body) -> None:
    record = replace(make_record(body, num_frames=3), timestamps_s=np.array([0.0, 1.0, 4.0]))
    write_preview(tmp_path / "p.mp4", record, body, fps=6.0)
    np.testing.assert_allclose(read_clip(tmp_path / "p.mp4").timestamps_s, [0.0, 1.0, 4.0], atol=1e-3)


def test_a_gap_in_the_times_is_not_played(tmp_path: Path, body: Body) -> None:
    record = replace(make_record(body, num_frames=4), timestamps_s=np.array([0.0, 0.5, 1000.5, 1001.0]))
    write_preview(tmp_path / "p.mp4", record, body, fps=6.0)
    np.testing.assert_allclose(read_clip(tmp_path / "p.mp4").timestamps_s, [0.0, 0.5, 3.5, 4.0], atol=1e-3)


@pytest.mark.parametrize("name", ["12:30", "pipe:", "-out", "a%d"])
def test_a_folder_of_any_name_is_written_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: Body, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path(name).mkdir()
    write_preview(Path(name) / "preview.mp4", make_record(body, num_frames=1), body, fps=6.0)
    assert [path.name for path in (tmp_path / name).iterdir()] == ["preview.mp4"]


def test_body_is_drawn_where_it_projects(body: Body) -> None:
    """Changed pixels of both panels have the silhouette's extent; frames without the person stay untouched."""
    record = make_record(body, num_people=1)
    record = replace(record, boxes_xyxy=np.full_like(record.boxes_xyxy, np.nan))
    nobody = make_record(body, num_people=0)
    nobody = replace(nobody, images=record.images)
    camera = record.vertices(body)[0, 0] - record.c2w[0, :3, 3]
    pixels = camera @ record.intrinsics[0].T
    pixels = pixels[:, :2] / pixels[:, 2:] * 10  # 64 → 640 pixels
    with_body, without = paint_frame(record, body, 0), paint_frame(nobody, body, 0)
    for panel in (slice(0, 640), slice(640, 1280)):
        rows, columns = np.nonzero((with_body[:480, panel] != without[:480, panel]).any(axis=-1))
        found = [columns.min(), rows.min(), columns.max(), rows.max()]
        np.testing.assert_allclose(found, [*pixels.min(axis=0), *pixels.max(axis=0)], atol=3)
    assert (paint_frame(record, body, 2)[:480] == paint_frame(nobody, body, 2)[:480]).all()


def test_body_behind_or_beside_the_camera_is_no_trouble(body: Body) -> None:
    record = make_record(body, num_people=2)
    transl = record.transl.copy()
    transl[0, :, 2], transl[1, :, 0] = 0.0, 500.0
    paint_frame(replace(record, transl=transl), body, 0)


def test_filled_people_are_paler(body: Body) -> None:
    record = make_record(body, num_people=1, num_frames=1)
    filled = replace(record, person_valid=~record.person_valid, person_filled=record.person_valid)
    nobody = replace(record, person_valid=~record.person_valid)
    frames = [paint_frame(item, body, 0)[:480].astype(int) for item in (record, filled, nobody)]
    assert 0 < np.abs(frames[1] - frames[2]).sum() < np.abs(frames[0] - frames[2]).sum()


def test_the_index_stands_before_the_pictures(tmp_path: Path, body: Body) -> None:
    """A browser can begin to play what it has not received whole."""
    write_preview(tmp_path / "p.mp4", make_record(body, num_frames=3), body, fps=6.0)
    content = (tmp_path / "p.mp4").read_bytes()
    assert 0 < content.index(b"moov") < content.index(b"mdat")


def test_the_last_frame_is_shown_as_long_as_the_rate_says(tmp_path: Path, body: Body) -> None:
    write_preview(tmp_path / "p.mp4", make_record(body, num_people=0, num_frames=3), body, fps=4.0)
    with av.open(str(tmp_path / "p.mp4")) as container:
        assert float(container.duration) / av.time_base == pytest.approx(2 / 6 + 1 / 4, abs=0.02)


def test_bodies_let_the_picture_shine_through(body: Body) -> None:
    """Below a body most of the picture stays; its edge is drawn in the person's colour, or it could not be judged."""
    record = make_record(body, num_people=1, num_frames=1)
    record = replace(record, boxes_xyxy=np.full_like(record.boxes_xyxy, np.nan), images=np.full_like(record.images, 40))
    colour = person_colour(3).astype(float)
    painted = paint_frame(record, body, 0)[:480, :640].astype(float)
    changed = np.abs(painted - 40).max(axis=-1) > 2
    edge = np.abs(painted - (40 + 0.95 * (colour - 40))).max(axis=-1) < 1.5
    inner = changed & ~edge
    assert 0.1 < edge.sum() / changed.sum() < 0.9
    np.testing.assert_array_equal(edge, changed & ~binary_erosion(changed, iterations=2))
    # A shaded colour is at most the person's own: what it adds is at most its share of the way.
    assert (painted[inner] <= 40 + 0.3 * (colour - 40) + 1).all()
    filled = replace(record, person_valid=~record.person_valid, person_filled=record.person_valid)
    paler = paint_frame(filled, body, 0)[:480, :640].astype(float)
    np.testing.assert_allclose(paler[changed] - 40, 0.45 * (painted[changed] - 40), atol=1)


def test_near_bodies_cover_far_ones(body: Body) -> None:
    record = make_record(body, num_people=2, num_frames=1)
    transl = np.zeros((2, 1, 3), np.float32)
    transl[:, 0, 2] = 3.0, 3.5
    record = replace(record, transl=transl, person_valid=np.ones((2, 1), bool), person_ids=np.int32([0, 1]))
    record = replace(
        record,
        body_pose_aa=np.tile(record.body_pose_aa[1:], (2, 1, 1)),
        global_orient_aa=np.tile(record.global_orient_aa[1:], (2, 1, 1)),
        boxes_xyxy=np.full_like(record.boxes_xyxy, np.nan),
    )
    painted = {}
    for order in ([0, 1], [1, 0]):  # whoever stands first in the record
        turned = replace(
            record, **{name: getattr(record, name)[order] for name in ("transl", "person_ids", "betas", "body_pose_aa")}
        )
        painted[order[0]] = paint_frame(turned, body, 0)[:480]
    np.testing.assert_array_equal(painted[0], painted[1])
    near = np.abs(painted[0][:, :640] - person_colour(0).astype(float)).sum(axis=-1) < 60
    far = np.abs(painted[0][:, :640] - person_colour(1).astype(float)).sum(axis=-1) < 60
    assert near.sum() > far.sum() > 0


def test_half_the_faces_show_all_of_a_closed_body(body: Body) -> None:
    """Whichever way round the faces are listed."""
    free = load_body("free")
    faces = free.faces.numpy()
    vertices = free.template.numpy() * [1, -1, -1] + np.array([0.1, 0.2, 3.0])
    intrinsics = np.array([[300.0, 0, 80], [0, 300, 100], [0, 0, 1]])
    expected, _ = render_mesh(vertices.astype(np.float32), faces, intrinsics, (200, 160))
    for listed in (faces, faces[:, ::-1]):
        some = listed[_facing(vertices, listed)]
        assert 0.3 * len(faces) < len(some) < 0.7 * len(faces)
        found, _ = render_mesh(vertices.astype(np.float32), some, intrinsics, (200, 160))
        assert ((found > 0) != (expected > 0)).mean() < 1e-3
        assert np.abs(found - expected)[(found > 0) & (expected > 0)].max() < 1e-3


def test_regions_hold_the_body() -> None:
    intrinsics = np.array([[100.0, 0, 50], [0, 100, 40], [0, 0, 1]])
    corners = np.array([[0.0, 0.0, 1.0], [0.205, 0.105, 1.0]])
    assert _region_of(corners, intrinsics, (80, 100)) == (slice(40, 52), slice(50, 72))
    assert _region_of(corners - np.array([9, 0, 0]), intrinsics, (80, 100))[1] == slice(0, 0)
    assert _region_of(corners + np.array([9, 9, 0]), intrinsics, (80, 100)) == (slice(80, 80), slice(100, 100))
    behind = np.array([[0.0, 0.0, 1.0], [0.2, 0.1, -1.0]])
    assert _region_of(behind, intrinsics, (80, 100)) == (slice(0, 80), slice(0, 100))
    assert _region_of(np.array([[0, 0, 0.049], [0, 0, 2]]), intrinsics, (80, 100)) == (slice(0, 80), slice(0, 100))
    assert _region_of(np.array([[0, 0, 0.051], [0, 0, 2]]), intrinsics, (80, 100)) == (slice(40, 41), slice(50, 51))


def test_shading_is_brightest_towards_the_camera_and_above() -> None:
    light = np.array([0.0, -0.3, -1.0]) / np.hypot(0.3, 1.0)
    normals = np.stack([light, [0.0, 0, -1], [1.0, 0, 0], -light])
    expected = [1.0, 0.35 + 0.65 / np.hypot(0.3, 1.0), 0.35, 1.0]
    np.testing.assert_allclose(_light(normals)[:, 0], expected, rtol=1e-5)


@pytest.mark.parametrize(("size", "places"), [((48, 64), "squares"), ((64, 48), "row"), ((64, 64), "squares")])
def test_four_panels(body: Body, size: tuple[int, int], places: str) -> None:
    """Two by two for wide pictures, one row for upright ones; frame, depth, from above, from the side."""
    record = resize_record(make_record(body, num_people=0, num_frames=2), size)
    picture = paint_frame(record, body, 1)
    height, width = 10 * size[0], 10 * size[1]
    expected = (height + 36, 4 * width) if places == "row" else (2 * height + 36, 2 * width)
    assert picture.shape == (*expected, 3)
    top, left = (0, 2 * width) if places == "row" else (height + 36, 0)
    frame = np.array(Image.fromarray(record.images[1]).resize((width, height), Image.Resampling.BICUBIC))
    np.testing.assert_array_equal(picture[:height, :width], frame)
    depth = depth_colours(record.depth[1], *depth_range(record.depth)).repeat(10, axis=0).repeat(10, axis=1)
    np.testing.assert_array_equal(picture[:height, width : 2 * width], depth)
    plan = PlanViews(record, 0, np.arange(2), (height, width)).draw(1, [])
    for number, panel in enumerate(plan):
        start = left + number * width
        np.testing.assert_array_equal(picture[top : top + height, start : start + width], panel)


def resize_record(record: Reconstruction, size: tuple[int, int]) -> Reconstruction:
    """The same record with its maps cut or repeated to another size."""
    height, width = size
    maps = {
        name: np.tile(getattr(record, name), (1, 2, 2, *[1] * (getattr(record, name).ndim - 3)))[:, :height, :width]
        for name in ("images", "depth", "point_conf", "person_masks")
    }
    return replace(record, image_size=np.array(size, np.int32), **maps)


def test_large_pictures_are_not_enlarged_and_sides_are_even(body: Body) -> None:
    record = make_record(body, num_people=0, num_frames=1)
    maps = {
        name: np.repeat(np.repeat(getattr(record, name), 15, axis=1), 11, axis=2)[:, :701, :703]
        for name in ("images", "depth", "point_conf", "person_masks")
    }
    record = replace(record, image_size=np.array([701, 703], np.int32), **maps)
    assert paint_frame(record, body, 0).shape == (2 * 700 + 36, 2 * 704, 3)


def test_every_shot_has_its_own_views(body: Body) -> None:
    """Also when frames are asked for out of order; bodies are in them."""
    golden = make_golden(body)
    for frame in (1, 6, 2):
        picture = paint_frame(golden, body, frame)
        shot = int(golden.segment[frame])
        frames = np.flatnonzero(golden.segment == shot)
        vertices = golden.vertices(body)
        shown = np.flatnonzero((golden.person_valid | golden.person_filled)[:, frame])
        bodies = [
            PlacedBody(
                vertices=vertices[person, frame],
                person_id=int(golden.person_ids[person]),
                strength=1.0 if golden.person_valid[person, frame] else 0.45,
            )
            for person in shown
        ]
        plan = PlanViews(golden, shot, frames, (480, 640)).draw(frame, bodies)
        np.testing.assert_array_equal(picture[516:, :640], plan[0])
        np.testing.assert_array_equal(picture[516:, 640:], plan[1])


def test_nothing_stays_of_an_earlier_frame_or_shot(body: Body) -> None:
    golden = make_golden(body)
    painter = _Painter(golden, body)
    for frame in (1, 6, 7, 2):
        np.testing.assert_array_equal(painter.paint(frame), paint_frame(golden, body, frame))


def test_boxes_are_drawn_in_the_colour_of_the_person(body: Body) -> None:
    """Over both panels, where they are, with the person's number; boxes without a body are not drawn."""
    record = make_record(body, num_people=1, num_frames=1)
    away = replace(record, transl=record.transl + np.float32([500, 0, 0]), images=np.full_like(record.images, 40))
    boxes = np.array([[[20.0, 8.0, 40.0, 44.0]]], np.float32)
    picture = paint_frame(replace(away, boxes_xyxy=boxes), body, 0)
    colour = person_colour(3)
    for left in (0, 640):
        panel = picture[:480, left : left + 640]
        rows, columns = np.nonzero((panel == colour).all(axis=-1))
        assert (columns.min(), rows.min(), columns.max(), rows.max()) == (200, 80, 400, 440)
        for edge in (panel[80:82, 200:401], panel[439:441, 200:401], panel[80:441, 200:202], panel[80:441, 399:401]):
            assert (edge == colour).all()
        assert (panel[84:98, 203:215] == 255).all(axis=-1).any()  # the number
        assert not (panel[110:430, 210:390] == colour).all(axis=-1).any()
    nobody = paint_frame(replace(away, boxes_xyxy=boxes, person_valid=np.zeros((1, 1), bool)), body, 0)
    assert not (nobody[:480] == colour).all(axis=-1).any()
    outside = np.array([[[-30.0, -20.0, 10.0, 70.0]]], np.float32)  # its number stays in view
    panel = paint_frame(replace(away, boxes_xyxy=outside), body, 0)[:480, :640]
    assert (panel[3:20, 3:15] == 255).all(axis=-1).any()


def test_the_scale_says_which_colour_is_how_far(body: Body) -> None:
    """Under the depth: its colours from near to far; the time and the number of the frame under the picture."""
    record = make_record(body, num_people=0, num_frames=2)
    picture = paint_frame(record, body, 1)
    near, far = depth_range(record.depth)
    bar = picture[484:494, 648:1272].astype(int)
    expected = depth_colours(near * (far / near) ** np.linspace(0, 1, 624), near, far).astype(int)
    ticks = (bar[5] == 255).all(axis=-1)
    assert (bar[:, ~ticks] == expected[~ticks]).all()
    font, pen = ImageFont.load_default(size=15), ImageDraw.Draw(Image.new("RGB", (9, 9)))
    expected_ticks, free = [], 0.0
    for metres in (0.1, 0.2, 0.3, 0.5, 0.7, 1, 1.5, 2, 3, 4, 5, 7, 10, 15, 20, 30, 50):
        at = 648 + 624 * np.log(metres / near) / np.log(far / near)
        half = pen.textlength(f"{metres:g} m", font=font) / 2
        if near <= metres <= far and at - half >= max(free, 642) and at + half <= 1278:
            expected_ticks.append(at)
            free = at + half + 10
    assert len(expected_ticks) >= 4
    np.testing.assert_allclose(648 + np.flatnonzero(ticks), expected_ticks, atol=1)
    names = (picture[497:514, 640:1280] > 120).any(axis=(0, 2))
    for at, following in zip(expected_ticks, [*expected_ticks[1:], 1290], strict=True):
        around = names[round(at) - 648 : round(at) - 632]
        assert around.any() and not names[min(639, round(at) - 612) : round(following) - 670].any()
    other = paint_frame(record, body, 0)
    assert (other[482:514, :640] != picture[482:514, :640]).any()
    np.testing.assert_array_equal(other[482:514, 640:], picture[482:514, 640:])


def test_depth_colours() -> None:
    depth = np.array([0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 100.0])
    colours = depth_colours(depth, 1.0, 8.0).astype(int)
    assert (colours[0] == 32).all()
    assert (colours[1] == colours[2]).all() and (colours[5] == colours[6]).all()
    assert colours[2, 0] > colours[2, 2] and colours[5, 2] > colours[5, 0]  # near is warm, far is cool
    assert depth_range(np.zeros((1, 4, 4))) == (1.0, 10.0)
    near, far = depth_range(np.full((1, 4, 4), 3.0))
    assert near == 3.0 and far > near


def test_people_differ_in_colour() -> None:
    colours = {tuple(person_colour(index).tolist()) for index in range(8)}
    assert len(colours) == 8
