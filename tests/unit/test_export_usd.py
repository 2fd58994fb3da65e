"""The USD file, looked at by USD's own validators."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from golden_scene import GAP, PERSON_IDS, SOURCE_SIZE, STEP, make_scene
from unish.body import load_body
from unish.export.formats import FORMATS
from unish.export.options import SMOOTH, ExportOptions
from unish.structs import Reconstruction

pytest.importorskip("pxr", reason="usd-core is not installed")

LEVEL = ExportOptions(fps=SMOOTH, up="y", gravity=True)


@pytest.fixture(scope="module")
def scene() -> Reconstruction:
    return make_scene(load_body("free"))


@pytest.fixture(scope="module", params=["y", "z"])
def path(request: pytest.FixtureRequest, scene: Reconstruction, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("usd") / "scene.usdc"
    FORMATS["usd"].load()(path, scene, load_body("free"), replace(LEVEL, up=request.param, rig="mixamo"))
    return path


def test_it_complies(path: Path) -> None:
    """By usdchecker of earlier versions, or all validators of later ones."""
    from pxr import Usd, UsdUtils

    if hasattr(UsdUtils, "ComplianceChecker"):
        checker = UsdUtils.ComplianceChecker()
        checker.CheckCompliance(str(path))
        assert checker.GetErrors() + checker.GetFailedChecks() + checker.GetWarnings() == []
        return
    from pxr import UsdValidation

    validators = UsdValidation.ValidationRegistry().GetOrLoadAllValidators()
    errors = UsdValidation.ValidationContext(validators).Validate(Usd.Stage.Open(str(path)))
    # A file with points and no textures is no package, which some of the validators are for.
    assert [(error.GetName(), error.GetMessage()) for error in errors] == []


def test_what_the_stage_says(path: Path) -> None:
    from pxr import Usd, UsdGeom

    stage = Usd.Stage.Open(str(path))
    layer = stage.GetRootLayer()
    assert layer.customLayerData["body"] == "free" and "CC0" in layer.customLayerData["licence"]
    assert stage.GetTimeCodesPerSecond() == stage.GetFramesPerSecond() == 30
    height = "XYZ".index(UsdGeom.GetStageUpAxis(stage))
    cloud = UsdGeom.Points(stage.GetPrimAtPath("/World/scene_points"))
    to_world = np.array(UsdGeom.XformCache().GetLocalToWorldTransform(cloud.GetPrim()))
    heights = (np.array(cloud.GetPointsAttr().Get()) @ to_world[:3, :3] + to_world[3, :3])[:, height]
    assert 0 < np.median(heights) < 1.5  # the L, over the floor and below the camera


def test_meshes_are_invisible_in_gaps(path: Path) -> None:
    from pxr import Usd, UsdGeom

    stage = Usd.Stage.Open(str(path))
    shown = {
        person: [
            UsdGeom.Imageable(stage.GetPrimAtPath(f"/World/person_{person}/person_{person}_mesh")).ComputeVisibility(
                frame
            )
            == "inherited"
            for frame in range(61)
        ]
        for person in PERSON_IDS
    }
    assert all(shown[PERSON_IDS[0]])
    gap = slice((GAP[0] - 1) * STEP + 1, (GAP[1] + 1) * STEP)
    expected = np.ones(61, bool)
    expected[gap] = False
    np.testing.assert_array_equal(shown[PERSON_IDS[1]], expected)


def test_a_principal_point_beside_the_middle(scene: Reconstruction, tmp_path: Path) -> None:
    """And pixels that are not square."""
    from pxr import Usd, UsdGeom

    lens = np.array([[130.0, 0, 70], [0, 100, 41], [0, 0, 1]], np.float32)
    moved = replace(scene, intrinsics=np.tile(lens, (scene.num_frames, 1, 1)))
    path = tmp_path / "scene.usdc"
    FORMATS["usd"].load()(path, moved, load_body("free"), LEVEL)
    stage = Usd.Stage.Open(str(path))
    camera = UsdGeom.Camera(stage.GetPrimAtPath("/World/camera")).GetCamera(0)
    view = np.array(camera.frustum.ComputeProjectionMatrix()).T
    scale = np.diag([*(scene.source_size / scene.image_size)[::-1], 1.0]) @ lens
    point = np.array([0.3, -0.2, 2.0])
    clip = view @ [*(point * [1, -1, -1]), 1.0]
    height, width = SOURCE_SIZE
    found = (clip[0] / clip[3] + 1) * width / 2, (1 - clip[1] / clip[3]) * height / 2
    expected = scale @ point
    np.testing.assert_allclose(found, expected[:2] / expected[2], atol=1e-3)
