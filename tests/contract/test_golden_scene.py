"""Every format brings the golden scene back: through a reader that is not ours, into our own frame.

To add a format: a function in a module ``tests/golden_readers_*.py`` that is decorated with ``reads``. It may not use
anything of ``unish.export``.
"""

from __future__ import annotations

import importlib
import json
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from golden_scene import GAP, NUM_FRAMES, PERSON_IDS, READERS, SOURCE_FPS, STEP, ReadBack, make_scene
from unish.body import load_body
from unish.cli import main
from unish.export.formats import FORMATS
from unish.structs import Reconstruction

for module in sorted(Path(__file__).parent.parent.glob("golden_readers_*.py")):
    importlib.import_module(module.stem)

ZOOM = 1.3
WITHOUT_LENS = {"glb_by_trimesh", "cameras_by_evo", "depth_by_opencv_and_openexr"}
ZOOMING = sorted(
    name
    for name, (kind, _, _) in READERS.items()
    if kind in {"glb", "usd", "blender", "colmap", "nerfstudio", "depth", "cameras"} and name not in WITHOUT_LENS
)

WAITING: frozenset[str] = frozenset()
"""Formats without a reader; may only shrink."""


@pytest.fixture(scope="session")
def scene() -> Reconstruction:
    return make_scene(load_body("free"))


@pytest.fixture(scope="session")
def zooming_scene() -> Reconstruction:
    return make_scene(load_body("free"), zoom=ZOOM)


@pytest.fixture(scope="session")
def zooming_folder(zooming_scene: Reconstruction, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("zooming")
    zooming_scene.save(folder / "reconstruction.npz")
    return folder


@pytest.fixture(scope="session")
def scene_folder(scene: Reconstruction, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("golden")
    scene.save(folder / "reconstruction.npz")
    return folder


def test_every_format_has_a_reader() -> None:
    assert FORMATS.keys() - {kind for kind, _, _ in READERS.values()} == WAITING


@pytest.mark.parametrize("name", sorted(READERS))
def test_the_golden_scene_comes_back(name: str, scene: Reconstruction, scene_folder: Path, tmp_path: Path) -> None:
    """Within a millimetre, a hundredth of a degree and half a frame."""
    found = _send_out(name, scene_folder, tmp_path)
    if found.times_s is not None:
        _check_times(found)
    for person, row in zip(PERSON_IDS, range(len(PERSON_IDS)), strict=True):
        if found.joints:
            _check_joints(found, scene, person, row)
        if found.turned:
            _check_rotations(found, scene, person, row)
    if found.c2w is not None:
        _check_camera(found, scene)
    if found.points is not None:
        _check_points(found, scene)


@pytest.mark.parametrize("name", ZOOMING)
def test_a_lens_that_zooms_comes_back(
    name: str, zooming_scene: Reconstruction, zooming_folder: Path, tmp_path: Path
) -> None:
    """Every joint on its pixel in every frame: by the first frame's lens, those of the last would be 40 pixels off."""
    found = _send_out(name, zooming_folder, tmp_path)
    assert found.c2w is not None and found.intrinsics is not None
    assert found.intrinsics[-1, 0, 0] == pytest.approx(ZOOM * found.intrinsics[0, 0, 0], rel=1e-4)
    _check_camera(found, zooming_scene)


def _send_out(name: str, folder: Path, out: Path) -> ReadBack:
    """Export to the format of a reader, and read it."""
    kind, modules, reader = READERS[name]
    for module in modules:
        pytest.importorskip(module, reason=f"{module} is not installed; {name} reads {kind} with it")
    if FORMATS[kind].module:
        pytest.importorskip(FORMATS[kind].module, reason=f"{kind} needs the extra {FORMATS[kind].extra}")
    assert main(["export", str(folder), "--to", kind, "--out", str(out), "--quiet"]) == 0
    (facts,) = json.loads((out / "export.json").read_text())["formats"][kind]
    return reader(out, facts)


def _keys(found: ReadBack) -> np.ndarray:
    """The frame that is nearest to each frame of the scene."""
    times = np.arange(NUM_FRAMES) * STEP / SOURCE_FPS
    assert found.times_s is not None
    return np.abs(found.times_s[:, None] - times).argmin(axis=0)


def _check_times(found: ReadBack) -> None:
    """The first and the last frame are there, half a frame of the video at most away."""
    assert found.times_s is not None
    ends = np.array([0.0, (NUM_FRAMES - 1) * STEP / SOURCE_FPS])
    np.testing.assert_allclose(found.times_s[[0, -1]], ends, atol=0.5 / SOURCE_FPS)


def _check_joints(found: ReadBack, scene: Reconstruction, person: int, row: int) -> None:
    here = found.joints[person][_keys(found)]
    valid = scene.person_valid[row]
    np.testing.assert_allclose(here[valid], scene.joints[row, valid], atol=found.tolerance_m, rtol=0)


def _check_rotations(found: ReadBack, scene: Reconstruction, person: int, row: int) -> None:
    body = load_body("free")
    keys, valid = _keys(found), scene.person_valid[row]
    pose = np.concatenate([scene.global_orient_aa[row], scene.body_pose_aa[row]], axis=-1)[valid].reshape(-1, 24, 3)
    local = Rotation.from_rotvec(pose.reshape(-1, 3)).as_matrix().reshape(-1, 24, 3, 3)
    expected = local.copy()
    for joint, above in enumerate(body.parents):
        if joint:
            expected[:, joint] = expected[:, above] @ local[:, joint]
    here = found.turned[person][keys][valid]
    apart = here.mT @ expected[:, : here.shape[1]]
    degrees = np.degrees(Rotation.from_matrix(apart.reshape(-1, 3, 3)).magnitude())
    assert degrees.max() < 0.01


def _check_camera(found: ReadBack, scene: Reconstruction) -> None:
    """Places, directions, and the view: every joint falls on the same pixel of the source."""
    assert found.c2w is not None
    here = found.c2w[_keys(found)]
    np.testing.assert_allclose(here[:, :3, 3], scene.c2w[:, :3, 3], atol=found.tolerance_m, rtol=0)
    apart = Rotation.from_matrix(here[:, :3, :3].mT @ scene.c2w[:, :3, :3].astype(np.float64)).magnitude()
    assert np.degrees(apart).max() < 0.01
    if found.intrinsics is None:
        return
    scale = np.diag([*(scene.source_size / scene.image_size)[::-1], 1.0])
    for frame in range(NUM_FRAMES):
        joints = scene.joints[scene.person_valid[:, frame], frame].reshape(-1, 3)
        expected = _project(joints, scene.c2w[frame], scale @ scene.intrinsics[frame])
        seen = _project(joints, here[frame], found.intrinsics[_keys(found)][frame])
        np.testing.assert_allclose(seen, expected, atol=0.5, rtol=0)


def _project(points: np.ndarray, c2w: np.ndarray, intrinsics: np.ndarray) -> np.ndarray:
    pixels = (points - c2w[:3, 3]) @ c2w[:3, :3] @ intrinsics.T
    return pixels[:, :2] / pixels[:, 2:]


def _check_points(found: ReadBack, scene: Reconstruction) -> None:
    """Every point lies at a point of the scene of its colour, and both arms of the L are there."""
    assert found.points is not None
    assert len(found.points) > 100
    seen = scene.depth > 0
    places, colours = scene.world_points()[seen], scene.images[seen]
    distance, nearest = cKDTree(places).query(found.points)
    assert np.quantile(distance, 0.99) < found.tolerance_m
    if found.colours is not None:
        assert np.median(np.abs(found.colours - colours[nearest].astype(float)).max(axis=1)) <= 3
        for arm in ((220, 40, 30), (30, 190, 60)):
            assert (np.abs(found.colours - np.array(arm)).max(axis=1) <= 3).any()


def test_the_gap_is_told(scene_folder: Path, tmp_path: Path) -> None:
    """Which frames of the file have no body, for formats that cannot say so themselves."""
    kinds = [kind for kind in FORMATS if FORMATS[kind].of_people and not FORMATS[kind].module]
    if not kinds:
        pytest.skip("no format of people yet")
    flags = [flag for kind in kinds for flag in ("--to", kind)]
    assert main(["export", str(scene_folder), *flags, "--out", str(tmp_path), "--quiet"]) == 0
    for entries in json.loads((tmp_path / "export.json").read_text())["formats"].values():
        first, second = entries[0]["people"]
        assert first["gaps_frames"] == []
        ((start, stop),) = second["gaps_s"]
        frame = 1 / SOURCE_FPS
        assert abs(start - ((GAP[0] - 1) * STEP + 1) * frame) < frame / 2
        assert abs(stop - ((GAP[1] + 1) * STEP - 1) * frame) < frame / 2
