"""``unish-reconstruction/2``: the keys, types and axes that readers outside this package rely on."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

from unish.errors import InputError
from unish.structs import FORMAT, Reconstruction

# Changing a line here needs a decision record and a new format version; adding a key does not.
PUBLISHED = {
    "segment": ("i4", "T"),
    "timestamps_s": ("f8", "T"),
    "frame_indices": ("i8", "T"),
    "source_size": ("i4", "2"),
    "image_size": ("i4", "2"),
    "images": ("u1", "T H W 3"),
    "intrinsics": ("f4", "T 3 3"),
    "c2w": ("f4", "T 4 4"),
    "depth": ("f4", "T H W"),
    "point_conf": ("f2", "T H W"),
    "person_masks": ("i2", "T H W"),
    "person_ids": ("i4", "P"),
    "person_valid": ("b1", "P T"),
    "person_filled": ("b1", "P T"),
    "boxes_xyxy": ("f4", "P T 4"),
    "landmarks_px": ("f4", "P T 33 3"),
    "betas": ("f4", "P 10"),
    "global_orient_aa": ("f4", "P T 3"),
    "body_pose_aa": ("f4", "P T 69"),
    "transl": ("f4", "P T 3"),
    "joints": ("f4", "P T 24 3"),
    "dense_frames": ("i8", "T"),
    "gravity": ("f4", "S 3"),
    "floor": ("f4", "S 4"),
}
STRINGS = {"format", "body_model", "model", "version"}


def make_reconstruction(num_people: int) -> Reconstruction:
    sizes = {"T": 3, "H": 4, "W": 5, "P": num_people, "S": 1}
    arrays = {
        name: np.zeros([sizes.get(axis) or (0 if axis == "P" else int(axis)) for axis in axes.split()], dtype)
        for name, (dtype, axes) in PUBLISHED.items()
    }
    arrays["intrinsics"][:] = np.eye(3)
    arrays["c2w"][:] = np.eye(4)
    arrays["dense_frames"][:] = np.arange(3)
    return Reconstruction(
        **arrays,
        faces=np.zeros((1, 3), np.int32),
        body_model="free",
        model="small",
        version="0",
        extra={"truth": np.ones(2)},
    )


@pytest.mark.parametrize("num_people", [0, 2])
def test_files_hold_what_is_published(tmp_path: Path, num_people: int) -> None:
    path = tmp_path / "reconstruction.npz"
    make_reconstruction(num_people).save(path)
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]
    with np.load(path, allow_pickle=False) as file:
        assert str(file["format"]) == FORMAT == "unish-reconstruction/2"
        assert set(PUBLISHED) | STRINGS <= set(file.files)
        for name, (dtype, axes) in PUBLISHED.items():
            assert file[name].dtype == np.dtype(dtype), name
            assert file[name].ndim == len(axes.split()), name
        assert all(file[name].dtype.kind == "U" for name in STRINGS)


def test_attributes_are_the_keys() -> None:
    names = {field.name for field in fields(Reconstruction)}
    later = {"contact_prob", "contact_names", "contact_thresholds", "depth_curve", "joint_certainty", "scale_interval"}
    later |= {"person_points", "ground_height", "ground_confidence", "ground_grid"}
    assert names == set(PUBLISHED) | STRINGS | {"faces", "extra", "sky", "dense", "camera_interpolated"} | later


@pytest.mark.parametrize("num_people", [0, 2])
def test_round_trip(tmp_path: Path, num_people: int) -> None:
    before = make_reconstruction(num_people)
    before.save(tmp_path / "a.npz")
    after = Reconstruction.load(tmp_path / "a.npz")
    for name in PUBLISHED:
        np.testing.assert_array_equal(getattr(after, name), getattr(before, name))
    assert (after.body_model, after.model, after.version) == ("free", "small", "0")
    np.testing.assert_array_equal(after.extra["truth"], np.ones(2))


@pytest.mark.parametrize("num_shots", [1, 2])
def test_files_of_the_format_before_load(tmp_path: Path, num_shots: int) -> None:
    record = make_reconstruction(1)
    segment = np.array([0, 0, num_shots - 1], np.int32)
    old = {name: getattr(record, name) for name in [*PUBLISHED, "faces", "body_model", "model", "version"]}
    gravity, floor = np.float32([0, 1, 0]), np.float32([0, -1, 0, 1.5])
    if num_shots > 1:
        gravity, floor = np.full_like(gravity, np.nan), np.full_like(floor, np.nan)
    old |= {"segment": segment, "gravity": gravity, "floor": floor, "format": "unish-reconstruction/1"}
    np.savez(tmp_path / "old.npz", **old)
    found = Reconstruction.load(tmp_path / "old.npz")
    np.testing.assert_array_equal(found.gravity, np.tile(gravity, (num_shots, 1)))
    np.testing.assert_array_equal(found.floor, np.tile(floor, (num_shots, 1)))
    assert (found.format, found.num_shots) == (FORMAT, num_shots)
    found.save(tmp_path / "new.npz")
    again = Reconstruction.load(tmp_path / "new.npz")
    np.testing.assert_array_equal(again.gravity, found.gravity)


def test_shots_and_their_frames_are_told_from_segments() -> None:
    segment = np.array([0, 0, 2, 2, 2, 3], np.int32)
    frames = {name: np.zeros((6, *getattr(make_reconstruction(1), name).shape[1:]), dtype) for name, dtype in
              [("images", "u1"), ("depth", "f4"), ("point_conf", "f2"), ("person_masks", "i2"), ("intrinsics", "f4"),
               ("c2w", "f4")]}  # fmt: skip
    people = {name: np.zeros((1, 6, *getattr(make_reconstruction(1), name).shape[2:]), dtype) for name, dtype in
              [("person_valid", "b1"), ("person_filled", "b1"), ("boxes_xyxy", "f4"), ("landmarks_px", "f4"),
               ("global_orient_aa", "f4"), ("body_pose_aa", "f4"), ("transl", "f4"), ("joints", "f4")]}  # fmt: skip
    record = replace(
        make_reconstruction(1), segment=segment, timestamps_s=np.arange(6.0), frame_indices=np.arange(6),
        gravity=np.zeros((3, 3), np.float32), floor=np.zeros((3, 4), np.float32), **frames, **people,
    )  # fmt: skip
    assert record.shot_frames() == [slice(0, 2), slice(2, 5), slice(5, 6)]
    assert record.shot_of_frame().tolist() == [0, 0, 1, 1, 1, 2]


def test_dense_frames_say_which_frames_the_dense_arrays_are_of() -> None:
    record = make_reconstruction(1)
    dense = {name: getattr(record, name)[:2] for name in ("images", "depth", "point_conf", "person_masks")}
    some = replace(record, **dense, dense_frames=np.array([0, 2]))
    assert some.num_frames == 3 and len(some.world_points()) == len(some.points(person=0)) == 2
    with pytest.raises(ValueError, match="which of 3 frames the 2 dense ones are"):
        replace(record, **dense)
    assert replace(some, **{name: getattr(record, name) for name in dense}).dense_frames.tolist() == [0, 1, 2]


@pytest.mark.parametrize("kind", ["missing", "text", "foreign", "short"])
def test_files_that_are_none_are_refused_in_one_line(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "a.npz"
    if kind == "text":
        path.write_text("not an archive")
    elif kind == "foreign":
        np.savez(path, format="other/1")
    elif kind == "short":
        np.savez(path, format=FORMAT, depth=np.zeros(3))
    with pytest.raises(InputError) as error:
        Reconstruction.load(path)
    assert "\n" not in str(error.value) and str(path) in str(error.value)


def test_a_pickle_inside_is_not_run(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez(path, format=np.array([{"run": "me"}], dtype=object))
    with pytest.raises(InputError):
        Reconstruction.load(path)
