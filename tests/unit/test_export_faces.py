"""Faces are covered, and nothing else is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from made_report import make_report
from small_record import make_figure, make_record
from unish.body import Body
from unish.export.faces import _find_faces, blur_faces
from unish.structs import FrameArray, Reconstruction


@pytest.fixture(scope="module")
def body() -> Body:
    return make_figure()


def with_faces(body: Body, *, num_frames: int = 6) -> Reconstruction:
    """One person with a face around (30, 20), 4 pixels from ear to ear, whose body stands in the same place."""
    record = make_record(body, num_people=1, num_frames=num_frames)
    landmarks = np.full((1, num_frames, 33, 3), np.nan, np.float32)
    landmarks[:, :, :11] = (30, 20, 1)
    landmarks[:, :, 7, 0], landmarks[:, :, 8, 0] = 28, 32
    joints = np.full_like(record.joints, np.nan)
    joints[:, :, 15] = record.c2w[:, :3, 3] + np.float32([-2 / 60 * 6, -4 / 60 * 6, 6])  # (30, 20) at 6 m: 1.5 px
    valid = np.ones((1, num_frames), bool)
    return replace(record, landmarks_px=landmarks, joints=joints, person_valid=valid)


def test_pixels_of_faces_change_and_no_others(body: Body) -> None:
    record = with_faces(body)
    before = np.asarray(record.images)
    blurred = blur_faces(record)
    assert isinstance(blurred.images, FrameArray)  # a long video is not read into memory for it
    after = np.asarray(blurred.images)
    rows, columns = np.mgrid[:48, :64] + 0.5
    radius = 1.35 * 2
    distance = np.hypot((columns - 30) / radius, (rows - 20) / (1.2 * radius))
    assert (after == before)[:, distance > 1.5].all()
    assert (after != before)[:, distance < 0.6].any(axis=-1).mean() > 0.9
    assert after[:, distance < 0.6].std(axis=1).mean() < 0.5 * before[:, distance < 0.6].std(axis=1).mean()
    np.testing.assert_array_equal(np.asarray(record.images), before)


def test_what_was_covered_cannot_be_told_apart(body: Body) -> None:
    """Two pictures that differ in details of the face alone give the same picture: nothing is left to compute back."""
    record = with_faces(body, num_frames=1)
    landmarks = record.landmarks_px.copy()
    landmarks[:, :, 7, 0], landmarks[:, :, 8, 0] = 22, 38  # a face of 22 pixels: details of two pixels
    fine = np.full((1, 48, 64, 3), 100, np.uint8)
    fine[:, 16:24:2, 26:34] += 50
    coarse = np.full((1, 48, 64, 3), 100, np.uint8)
    coarse[:, 17:24:2, 26:34] += 50
    one, other = (
        np.asarray(blur_faces(replace(record, images=images, landmarks_px=landmarks)).images).astype(int)
        for images in (fine, coarse)
    )
    inside = np.s_[:, 16:24, 26:34]
    assert np.abs(fine[inside].astype(int) - coarse[inside]).mean() == 50
    assert np.abs(one[inside] - other[inside]).mean() < 10


def test_the_projected_head_is_covered_where_landmarks_are_missing(body: Body) -> None:
    record = with_faces(body)
    record = replace(record, landmarks_px=np.full_like(record.landmarks_px, np.nan))
    changed = (np.asarray(blur_faces(record).images) != np.asarray(record.images)).any(axis=-1)
    rows, columns = np.nonzero(changed.any(axis=0))
    assert columns.min() >= 27 and columns.max() <= 32 and rows.min() >= 17 and rows.max() <= 22


def test_short_gaps_are_bridged_and_long_ones_and_cuts_are_not(body: Body) -> None:
    record = with_faces(body, num_frames=12)
    landmarks = record.landmarks_px.copy()
    landmarks[:, 2:4] = np.nan
    landmarks[:, 4:, :, 0] += 3
    record = replace(record, landmarks_px=landmarks, joints=np.full_like(record.joints, np.nan))
    np.testing.assert_allclose(_find_faces(record)[0, :5, 0], [30, 30, 31, 32, 33], atol=1e-6)
    cut = replace(record, segment=np.repeat([0, 1], [3, 9]).astype(np.int32))
    assert np.isnan(_find_faces(cut)[0, 2:4]).all()
    long = landmarks.copy()
    long[:, 2:10] = np.nan
    assert np.isnan(_find_faces(replace(record, landmarks_px=long))[0, 2:10]).all()


def test_faces_beside_and_behind_the_picture_change_nothing(body: Body) -> None:
    record = with_faces(body)
    for away in (np.float32([500, 0, 0]), np.float32([0, 0, -20])):
        joints, landmarks = record.joints + away, np.full_like(record.landmarks_px, np.nan)
        gone = replace(record, joints=joints, landmarks_px=landmarks)
        np.testing.assert_array_equal(np.asarray(blur_faces(gone).images), np.asarray(record.images))


def test_frames_without_depth_do_not_shift_faces(body: Body) -> None:
    """Landmarks are those of all used frames, pictures those of some."""
    record = with_faces(body)
    landmarks = record.landmarks_px + np.float32([6, 0, 0]) * np.arange(6, dtype=np.float32)[:, None, None]
    joints = np.full_like(record.joints, np.nan)
    some = np.array([1, 4])
    maps = {name: np.asarray(getattr(record, name))[some] for name in ("images", "depth", "point_conf", "person_masks")}
    sparse = replace(record, landmarks_px=landmarks, joints=joints, dense_frames=some, **maps)
    whole = np.asarray(blur_faces(replace(record, landmarks_px=landmarks, joints=joints)).images)
    np.testing.assert_array_equal(np.asarray(blur_faces(sparse).images), whole[some])


@pytest.mark.slow
def test_a_run_with_blurred_faces_shows_none(tmp_path: Path, body: Body) -> None:
    """Preview, scene and page change; the file that work goes on with does not."""
    from unish.passes import write_files

    record, contents = with_faces(body, num_frames=2), {}
    record = replace(record, joints=make_record(body, num_people=1, num_frames=2).joints)
    for blur in (False, True):
        folder = tmp_path / str(blur)
        folder.mkdir()
        report = make_report(record, settings={"fps": 6.0, "scene_fps": 6.0, "blur_faces": blur})
        names = write_files(record, body, report, folder)
        assert sorted(path.name for path in folder.iterdir()) == sorted(names)
        contents[blur] = {name: (folder / name).read_bytes() for name in names}
    changed = {name for name in contents[True] if contents[True][name] != contents[False][name]}
    assert {"preview.mp4", "scene.glb", "report.html"} <= changed and "reconstruction.npz" not in changed
    assert b"do not pass it on" in contents[True]["report.html"]
