"""The preview film: times, layout, colours, people."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest

from small_record import make_figure, make_record
from unish.body import Body
from unish.export import write_preview
from unish.export.preview import paint_frame
from unish.render.colours import depth_colours, depth_range, person_colour
from unish.video import read_clip


@pytest.fixture(scope="module")
def body() -> Body:
    return make_figure()


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
