"""BVH files: channels that programs can blend, skeletons of rigs, and the words of the format."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from bvh_text import read_bvh
from golden_scene import PERSON_IDS, make_scene
from unish.body import Body, load_body
from unish.export.bvh import write_bvh
from unish.export.characters import name_bones
from unish.export.options import RIGS, SMOOTH, ExportOptions
from unish.export.take import make_take
from unish.structs import Reconstruction

LEVEL = ExportOptions(fps=SMOOTH, up="y", gravity=True)


@pytest.fixture(scope="module")
def body() -> Body:
    return load_body("free")


@pytest.fixture(scope="module")
def scene(body: Body) -> Reconstruction:
    return make_scene(body)


@pytest.mark.parametrize("rig", RIGS)
def test_every_rig(tmp_path: Path, scene: Reconstruction, body: Body, rig: str) -> None:
    """Joints of the take, under the names of the rig; the place of the first is in its channels alone."""
    write_bvh(tmp_path / "bvh", scene, body, replace(LEVEL, rig=rig))
    names, placed, _, seconds = read_bvh(tmp_path / "bvh" / f"person-{PERSON_IDS[0]}.bvh")
    order = [names.index(name) for name in name_bones(rig)]
    assert set(names) - set(name_bones(rig)) == ({"root"} if rig == "ue5" else set())
    expected = make_take(scene, body, LEVEL).people[0].joints
    np.testing.assert_allclose(placed[:, order] / 100, expected, atol=1e-6)
    assert seconds == pytest.approx(1 / 30, abs=1e-9)


def test_channels_do_not_jump(tmp_path: Path, body: Body) -> None:
    """Programs blend them: no full turn between two frames, though the person turns twice."""
    scene = make_scene(body)
    turning = scene.global_orient_aa.copy()
    around = Rotation.from_euler("y", np.linspace(0, 4 * np.pi, scene.num_frames)[:, None])
    turning[0] = (Rotation.from_rotvec([np.pi, 0, 0]) * around).as_rotvec()
    write_bvh(tmp_path / "bvh", replace(scene, global_orient_aa=turning), body, LEVEL)
    lines = (tmp_path / "bvh" / f"person-{PERSON_IDS[0]}.bvh").read_text().split("Frame Time")[1].splitlines()[1:]
    root = np.array([[float(word) for word in line.split()[3:6]] for line in lines])
    assert np.abs(np.diff(root, axis=0)).max() < 30 and np.ptp(root, axis=0).max() > 600


def test_skeletons_end(tmp_path: Path, scene: Reconstruction, body: Body) -> None:
    write_bvh(tmp_path / "bvh", scene, body, LEVEL)
    text = (tmp_path / "bvh" / f"person-{PERSON_IDS[0]}.bvh").read_text()
    assert text.count("End Site") == 5  # head, two hands, two feet
    assert text.splitlines()[3].split() == ["OFFSET", "0.000000", "0.000000", "0.000000"]
