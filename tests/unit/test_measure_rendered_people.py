"""tools/measure_rendered_people.py: shapes are those asked for, cameras see all of a person, offsets are told in cm."""

from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from unish.body import load_body
from unish.body.population import AGE_BETA
from unish.geometry.camera import project
from unish.structs import BodyParams, Landmarks

INTRINSICS = torch.tensor([[500.0, 0.0, 180.0], [0.0, 500.0, 240.0], [0.0, 0.0, 1.0]])


@pytest.fixture
def tool(repository: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(repository / "tools"))
    import measure_rendered_people

    return measure_rendered_people


def standing(count: int) -> BodyParams:
    """Upright in the camera, 4 m away."""
    return BodyParams(
        betas=torch.zeros(count, 10), global_orient=torch.diag(torch.tensor([1.0, -1.0, -1.0])).expand(count, 3, 3),
        body_pose=torch.eye(3).expand(count, 23, 3, 3), transl=torch.tensor([0.0, 0.1, 4.0]).expand(count, 3),
    )  # fmt: skip


@pytest.mark.parametrize("stature", [0.95, 1.3, 1.5, 1.8])
def test_shapes_have_the_stature_and_children_are_children(tool: ModuleType, stature: float) -> None:
    body = load_body()
    betas = tool.draw_shape(np.random.default_rng(0), body, stature)
    assert float(body.standing_height(betas)) == pytest.approx(stature, abs=0.03)
    assert bool(betas[AGE_BETA] < 0) is (stature < tool.ADULT_M)


@pytest.mark.parametrize("turn", range(4))
def test_the_camera_sees_all_of_the_person_upright(tool: ModuleType, turn: int) -> None:
    rng = np.random.default_rng(turn)
    points = load_body().template.numpy() + np.array([2.0, 0.9, -1.0], np.float32)
    facing = np.array([np.sin(turn), 0.0, np.cos(turn)], np.float32)
    w2c = tool._find_camera(rng, points, facing, 500.0)
    assert w2c[:3, :3] @ w2c[:3, :3].T == pytest.approx(np.eye(3), abs=1e-9)
    seen = torch.from_numpy(points @ w2c[:3, :3].T + w2c[:3, 3])
    px = project(seen, INTRINSICS.double())
    assert (seen[:, 2] > 0.3).all() and (px >= 0).all()
    assert (px < torch.tensor(tool.SIZE[::-1])).all()
    assert px[points[:, 1].argmax(), 1] < px[points[:, 1].argmin(), 1]


def test_offsets_are_told_up_the_trunk_for_a_person_of_mean_height(tool: ModuleType) -> None:
    true = load_body().landmarks(standing(1)).double()
    read = true.clone()
    read[:, 23, 1] -= 0.02 * 0.5  # the camera's y points down; a person of half the height
    read[:, 24, 0] += 0.02
    px = torch.cat([project(read, INTRINSICS.double().expand(1, 3, 3)), torch.ones(1, 33, 1)], dim=-1).float()[None]
    px[:, :, 25, 2] = 0.1
    landmarks = Landmarks(px=px, world=torch.zeros(1, 1, 33, 3), score=torch.ones(1, 1), sigma_px=None)
    shown = tool.Shown(
        clip=None, trial=None, intrinsics=INTRINSICS, stature=tool.MEAN_M / 2, joints=true[:, :24], landmarks=true
    )
    along = tool.compare_landmarks(shown, landmarks)[0]
    assert along[23] == pytest.approx(2.0, abs=0.02) and along[24] == pytest.approx(0.0, abs=0.02)
    assert np.isnan(along[25]) and along[27] == pytest.approx(0.0, abs=0.02)
    # All of it elsewhere has been misread.
    px[..., :2] += 100.0
    assert np.isnan(tool.compare_landmarks(shown, landmarks)).all()
