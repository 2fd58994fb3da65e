"""tools/error_budget.py: oracles are the truth where they say so, and a body fits its own joints."""

from pathlib import Path
from types import ModuleType

import pytest
import torch

from unish.body import load_body
from unish.geometry.camera import make_intrinsics, project
from unish.geometry.rotation import axis_angle_to_matrix
from unish.structs import BodyParams, HumanInputs


@pytest.fixture
def tool(repository: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(repository / "tools"))
    import error_budget

    return error_budget


def a_person(rng: torch.Generator) -> BodyParams:
    turns = axis_angle_to_matrix(0.3 * torch.randn(3, 24, 3, generator=rng))
    turns[:, 0] = torch.diag(torch.tensor([1.0, -1.0, -1.0])) @ turns[:, 0]
    return BodyParams(
        betas=torch.randn(1, 10, generator=rng).expand(3, -1), global_orient=turns[:, 0], body_pose=turns[:, 1:],
        transl=torch.tensor([0.2, 0.1, 4.0]).expand(3, 3),
    )  # fmt: skip


def test_oracles_replace_what_they_say(tool: ModuleType, rng: torch.Generator) -> None:
    true = load_body().landmarks(a_person(rng))
    intrinsics = make_intrinsics(torch.tensor(900.0), height=720, width=1280).expand(1, 3, 3, 3)
    guessed = torch.rand(1, 1, 3, 33, 3, generator=rng)
    view = tool.SeenPerson(
        humans=HumanInputs(
            valid=torch.ones(1, 1, 3, dtype=torch.bool), landmarks_px=guessed, landmarks_world=guessed
        ),
        times=torch.arange(3.0)[None], intrinsics=intrinsics, true=true,
    )  # fmt: skip
    for in_picture in (False, True):
        for in_space in (False, True):
            humans = view.with_truth(in_picture=in_picture, in_space=in_space)
            seen, world = humans.landmarks_px[0, 0], humans.landmarks_world[0, 0]
            assert torch.equal(seen[..., :2], project(true, intrinsics[0]) if in_picture else guessed[0, 0, ..., :2])
            assert torch.equal(seen[..., 2], guessed[0, 0, ..., 2])
            if in_space:
                lengths = (true[:, 11] - true[:, 13]).norm(dim=-1)
                torch.testing.assert_close((world[:, 11] - world[:, 13]).norm(dim=-1), lengths)
                assert world[:, 23:25].mean(1).abs().max() < 1e-6
            else:
                assert torch.equal(world, guessed[0, 0])


def test_a_body_fits_its_own_joints(tool: ModuleType, rng: torch.Generator) -> None:
    body, person = load_body(), a_person(rng)
    true = body.joints(person)[:, tool.JOINTS]
    own = tool.score(tool.fit_body(body, true, own_shape=True), true)
    mean = tool.score(tool.fit_body(body, true, own_shape=False), true)
    assert max(own) < 4.0 and own[0] < 0.5 * mean[0]
