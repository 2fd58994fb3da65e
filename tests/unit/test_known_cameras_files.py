"""Camera files of other programs: poses, lenses, and which pose belongs to which frame."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy import ndarray
from scipy.spatial.transform import Rotation

from unish.errors import InputError
from unish.passes import describe_run
from unish.settings import Settings
from unish.structs import Clip
from unish.video import read_known_cameras

NAMES = ("b2.png", "b10.png", "b11.png")


def poses(count: int = 3, seed: int = 5) -> ndarray:
    rng = np.random.default_rng(seed)
    c2w = np.tile(np.eye(4), (count, 1, 1))
    c2w[:, :3, :3] = Rotation.from_rotvec(rng.normal(size=(count, 3))).as_matrix()
    c2w[:, :3, 3] = rng.normal(size=(count, 3))
    return c2w


def clip(**changes: object) -> Clip:
    made = Clip(
        images=torch.zeros(3, 60, 80, 3, dtype=torch.uint8),
        timestamps_s=torch.tensor([0.0, 0.5, 1.0], dtype=torch.float64),
        frame_indices=torch.tensor([0, 15, 30]),
        segment=torch.zeros(3, dtype=torch.int64),
        source_size=(120, 160),
        frame_names=NAMES,
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def write_colmap(folder: Path, c2w: ndarray, names: list[str], camera: str = "PINHOLE 160 120 100 101 80 60") -> Path:
    model = folder / "sparse" / "0"
    model.mkdir(parents=True)
    (model / "cameras.txt").write_text(f"# cameras\n7 {camera}\n")
    lines = ["# two lines an image"]
    for number, (pose, name) in enumerate(zip(c2w, names, strict=True)):
        w2c = np.linalg.inv(pose)
        x, y, z, w = Rotation.from_matrix(w2c[:3, :3]).as_quat().tolist()
        values = " ".join(repr(value) for value in (w, x, y, z, *w2c[:3, 3].tolist()))
        # The second line may be empty.
        lines += [f"{number + 3} {values} 7 {name}", "" if number else "1.5 2.5 -1"]
    (model / "images.txt").write_text("\n".join(lines) + "\n")
    return folder


def write_tum(path: Path, times: list[float], c2w: ndarray) -> Path:
    rows = np.column_stack([times, c2w[:, :3, 3], Rotation.from_matrix(c2w[:, :3, :3]).as_quat()])
    path.write_text("# time x y z qx qy qz qw\n" + "\n".join(" ".join(map(repr, row)) for row in rows.tolist()) + "\n")
    return path


def write_json(path: Path, c2w: ndarray, names: list[str], **more: object) -> Path:
    opengl = c2w @ np.diag([1.0, -1.0, -1.0, 1.0])
    frames = [
        {"file_path": f"./images/{name}", "transform_matrix": pose.tolist()}
        for name, pose in zip(names, opengl, strict=True)
    ]
    path.write_text(json.dumps({"fl_x": 50.0, "fl_y": 51.0, "cx": 40.0, "cy": 30.0, "w": 80, "h": 60, "frames": frames}
                               | more))  # fmt: skip
    return path


def test_a_sparse_model_is_matched_by_name_whatever_its_order(tmp_path: Path) -> None:
    c2w = poses(4)
    found = read_known_cameras(write_colmap(tmp_path, c2w, ["x/b11.png", "b2.png", "b3.png", "b10.png"]), clip())
    np.testing.assert_allclose(found.c2w.numpy(), c2w[[1, 3, 0]], atol=1e-12)
    assert found.intrinsics == (100.0, 101.0, 80.0, 60.0)
    assert not found.in_metres and not found.notes


def test_a_transforms_json_has_other_axes_and_a_lens_for_its_own_size(tmp_path: Path) -> None:
    c2w = poses()
    path = write_json(tmp_path / "transforms.json", c2w, ["b2.jpg", "b10.jpg", "b11.jpg"], k1=0.1)
    for given in (path, tmp_path):
        found = read_known_cameras(given, clip(), in_metres=True)
        assert np.array_equal(found.c2w.numpy(), c2w), "to the bit"
        assert found.intrinsics == (100.0, 102.0, 80.0, 60.0)
        assert found.in_metres and "distortion" in found.notes[0]


def test_a_trajectory_is_matched_by_time(tmp_path: Path) -> None:
    c2w = poses(6)
    path = write_tum(tmp_path / "path.txt", [0.004, 0.25, 0.492, 0.52, 0.75, 1.0], c2w)
    found = read_known_cameras(path, clip(frame_names=None))
    np.testing.assert_allclose(found.c2w.numpy(), c2w[[0, 2, 5]], atol=1e-12)
    assert found.in_metres and found.intrinsics is None


def test_pictures_that_are_named_after_a_clock_have_poses_by_that_clock(tmp_path: Path) -> None:
    c2w, start = poses(4), 1305031102.25
    path = write_tum(tmp_path / "path.txt", [start - 1, start, start + 0.51, start + 0.99], c2w)
    names = tuple(f"{start + seconds:.4f}.png" for seconds in (0.0, 0.5, 1.0))
    found = read_known_cameras(path, clip(frame_names=names))
    np.testing.assert_allclose(found.c2w.numpy(), c2w[1:], atol=1e-12)


@pytest.mark.parametrize("first", [0, 1])
def test_pictures_of_a_video_are_matched_by_their_number_in_it(tmp_path: Path, first: int) -> None:
    """Programs count from 0 or from 1."""
    c2w = poses(40)
    names = [f"frame_{number:05d}.jpg" for number in range(first, 40 + first)]
    found = read_known_cameras(write_colmap(tmp_path, c2w, names), clip(frame_names=None))
    np.testing.assert_allclose(found.c2w.numpy(), c2w[[0, 15, 30]], atol=1e-12)


def test_as_many_poses_as_frames_without_a_name_in_common_are_in_order(tmp_path: Path) -> None:
    c2w = poses()
    found = read_known_cameras(
        write_colmap(tmp_path, c2w, ["one1.jpg", "one2.jpg", "one3.jpg"]), clip(frame_names=None)
    )
    np.testing.assert_allclose(found.c2w.numpy(), c2w, atol=1e-12)


def test_the_first_camera_is_the_world_and_nothing_is_rounded_where_it_is_already(tmp_path: Path) -> None:
    c2w = poses().astype(np.float32).astype(np.float64)
    c2w[0] = np.eye(4)
    known = read_known_cameras(write_json(tmp_path / "t.json", c2w, list(NAMES)), clip())
    assert np.array_equal(known.from_first(slice(0, 3)).numpy(), c2w.astype(np.float32))
    later = known.from_first(slice(1, 3)).numpy()
    assert np.array_equal(later[0], np.eye(4))
    np.testing.assert_allclose(later[1], np.linalg.inv(c2w[1]) @ c2w[2], atol=1e-6)


@pytest.mark.parametrize(
    ("camera", "says"),
    [
        ("OPENCV_FISHEYE 160 120 100 100 80 60 0 0 0 0", "no pinholes"),
        ("PINHOLE 120 160 100 100 60 80", "another shape"),
        ("PINHOLE 160 120 0 0 80 60", "focal"),
    ],
)
def test_lenses_that_are_of_no_use_are_refused(tmp_path: Path, camera: str, says: str) -> None:
    with pytest.raises(InputError, match=says):
        read_known_cameras(write_colmap(tmp_path, poses(), list(NAMES), camera), clip())


def test_files_that_do_not_fit_are_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    broken = poses()
    broken[1, :3, :3] *= 2
    (tmp_path / "words.txt").write_text("a b c\n")
    (tmp_path / "zero.txt").write_text("0.0 0 0 0 0 0 0 0\n")
    (tmp_path / "other.json").write_text("[1]")
    (tmp_path / "none.txt").write_text("# nothing\n")
    cases: list[tuple[Path, str]] = [
        (tmp_path / "missing", "no such file"),
        (tmp_path / "empty", "neither a COLMAP model"),
        (tmp_path / "words.txt", "not every line"),
        (tmp_path / "zero.txt", "no quaternion"),
        (tmp_path / "none.txt", "no pose"),
        (tmp_path / "other.json", "no transforms.json"),
        (write_json(tmp_path / "broken.json", broken, list(NAMES)), "pose 0 is no rotation"),
        (write_json(tmp_path / "few.json", poses(2), list(NAMES[:2])), "of its 2 poses none belongs to 1 of the 3"),
        (write_tum(tmp_path / "late.txt", [5.0, 6.0], poses(2)), "none belongs to 3 of the 3"),
        (write_json(tmp_path / "same.json", poses(), ["a/b2.png", "c/b2.png", "b10.png"]), "one name"),
    ]
    for path, says in cases:
        with pytest.raises(InputError, match=says) as caught:
            read_known_cameras(path, clip())
        assert "\n" not in str(caught.value)


def test_the_files_that_a_run_depends_on_are_listed(tmp_path: Path) -> None:
    """So that a run does not go on with what it did before they were edited."""
    folder = write_colmap(tmp_path / "model", poses(), list(NAMES))
    run = {"network": "n", "body": "free"}
    (tmp_path / "film.mp4").touch()
    path = write_json(tmp_path / "transforms.json", poses(), list(NAMES))
    for given, edited in ((folder, folder / "sparse/0/images.txt"), (tmp_path, path), (path, path)):
        before = describe_run(tmp_path / "film.mp4", Settings(cameras=given), **run)
        edited.write_text(edited.read_text() + "\n")
        assert describe_run(tmp_path / "film.mp4", Settings(cameras=given), **run) != before


def test_a_model_of_which_a_file_is_missing_or_cut_is_refused(tmp_path: Path) -> None:
    folder = write_colmap(tmp_path, poses(), list(NAMES))
    (folder / "sparse/0/cameras.txt").unlink()
    with pytest.raises(InputError, match=r"cameras\.txt"):
        read_known_cameras(folder, clip())
    (folder / "sparse/0/images.bin").write_bytes(b"\1\0\0")
    (folder / "sparse/0/cameras.bin").write_bytes(b"\1\0\0\0\0\0\0\0")
    with pytest.raises(InputError, match="no sparse model"):
        read_known_cameras(folder, clip())
