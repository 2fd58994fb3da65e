"""The folder for Blender: its film, and the script that opens it."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest

from golden_readers_animation import BLENDER_PYTHON, read_by_blender
from golden_scene import NUM_FRAMES, SOURCE_SIZE, STEP, make_scene
from unish.body import load_body
from unish.export.blender import write_blender
from unish.export.options import SMOOTH, ExportOptions
from unish.structs import Reconstruction

LEVEL = ExportOptions(fps=SMOOTH, up="y", gravity=True)


@pytest.fixture(scope="module")
def scene() -> Reconstruction:
    """Frames of one brightness each, and a principal point beside the middle."""
    scene = make_scene(load_body("free"))
    lens = np.array([[110.0, 0, 70], [0, 110, 41], [0, 0, 1]], np.float32)
    images = np.broadcast_to(15 + 18 * np.arange(NUM_FRAMES, dtype=np.uint8)[:, None, None, None], scene.images.shape)
    return replace(scene, images=images.copy(), intrinsics=np.tile(lens, (NUM_FRAMES, 1, 1)))


@pytest.fixture(scope="module")
def folder(scene: Reconstruction, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("export") / "blender"
    write_blender(folder, scene, load_body("free"), LEVEL)
    return folder


def test_the_film_has_a_picture_for_every_frame(folder: Path) -> None:
    """The newest one that there is."""
    with av.open(str(folder / "plate.mp4")) as film:
        shown = [frame.to_ndarray(format="rgb24").mean() for frame in film.decode(video=0)]
        assert float(film.streams.video[0].average_rate) == pytest.approx(30, abs=0.1)
    expected = 15 + 18 * (np.arange((NUM_FRAMES - 1) * STEP + 1) // STEP)
    np.testing.assert_allclose(shown, expected, atol=4)


def test_what_the_script_is_told(folder: Path) -> None:
    about = json.loads((folder / "scene.json").read_text())
    assert about == {
        "fps": 30.0, "num_frames": 61, "width": 640, "height": 480, "cx": pytest.approx(350), "cy": pytest.approx(205),
        "first_source_frame": 75, "focal_px": [pytest.approx(550)] * 61,
    }  # fmt: skip


def test_one_shot_of_several(scene: Reconstruction, tmp_path: Path) -> None:
    segment = np.repeat([0, 1], [4, NUM_FRAMES - 4]).astype(np.int32)
    both = {name: np.repeat(getattr(scene, name), 2, axis=0) for name in ("gravity", "floor")}
    write_blender(
        tmp_path / "blender", replace(scene, segment=segment, **both), load_body("free"), replace(LEVEL, shot=1)
    )
    about = json.loads((tmp_path / "blender" / "scene.json").read_text())
    assert about["num_frames"] == (NUM_FRAMES - 5) * STEP + 1 and about["first_source_frame"] == 75 + 4 * STEP
    with av.open(str(tmp_path / "blender" / "plate.mp4")) as film:
        first = next(film.decode(video=0)).to_ndarray(format="rgb24")
    assert abs(first.mean() - (15 + 18 * 4)) < 4


def test_blender_sees_what_the_camera_saw(folder: Path, scene: Reconstruction) -> None:
    """The view has the principal point of the video."""
    found = read_by_blender(folder / "open_in_blender.py", 30)
    view, (height, width) = found["view"][0], SOURCE_SIZE
    middle = [width / 2 * (1 - view[0, 2]), height / 2 * (1 + view[1, 2])]
    np.testing.assert_allclose(middle, [350, 205], atol=1e-3)
    np.testing.assert_allclose([view[0, 0] * width / 2, view[1, 1] * height / 2], [550, 550], rtol=1e-5)


def test_blender_writes_fbx(folder: Path, tmp_path: Path) -> None:
    python = os.environ.get(BLENDER_PYTHON)
    if not python:
        pytest.skip(f"{BLENDER_PYTHON} names no interpreter that has bpy")
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    arguments = ["--", "--fbx", str(tmp_path / "people.fbx"), "--save", str(tmp_path / "scene.blend")]
    command = [python, str(folder / "open_in_blender.py"), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, env=environment)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert (tmp_path / "people.fbx").stat().st_size > 100_000 and (tmp_path / "scene.blend").is_file()
