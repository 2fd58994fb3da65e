"""tools/scene_error_budget.py: each oracle makes true what it says, and leaves the rest to the network."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
import torch

from furnished_room import bend, film_room, walk
from unish.geometry.camera import unproject
from unish.geometry.rigid import invert_rigid
from unish.network.outputs import SceneOutput
from unish.network.view_config import ViewSolverConfig

WRONG_FOCAL, WRONG_UNIT = 1.08, 1.6


@pytest.fixture
def tool(repository: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(repository / "tools"))
    import scene_error_budget

    return scene_error_budget


class PretendNetwork:
    """Its depth is bent, and its metres are wrong."""

    config = SimpleNamespace(views=ViewSolverConfig(num_keypoints=512, num_anchors=200))
    depth_refiner = None
    align = SimpleNamespace(scale_without_people=lambda scene, times: None)


@pytest.fixture(scope="module")
def clip_parts() -> dict:
    """A short walk through a room, with a guess of depth and focal length."""
    room = film_room(walk(4, turn=0.01))
    depth = bend(room.depth)[None] * WRONG_UNIT

    def see(factor: float) -> SceneOutput:
        lens = room.intrinsics.clone()
        lens[:, [0, 1], [0, 1]] *= factor
        return SceneOutput(
            local_points=unproject(depth, lens[None]), point_conf_logits=torch.full_like(depth, 2.0),
            c2w=torch.eye(4).expand(1, 4, 4, 4), intrinsics=lens[None], hidden=torch.zeros(1, 4, 5, 8),
        )  # fmt: skip

    return {
        "images": room.images[None], "depth": room.depth[None], "c2w": invert_rigid(room.w2c)[None],
        "intrinsics": room.intrinsics[None], "scene": {True: see(1.0), False: see(WRONG_FOCAL)},
    }  # fmt: skip


@pytest.mark.long
def test_each_oracle_makes_true_what_it_says(tool: ModuleType, clip_parts: dict) -> None:
    clip = tool.Clip(**clip_parts)
    table = {
        name: dict(zip(tool.COLUMNS, row, strict=True)) for name, row in tool.measure(PretendNetwork(), [clip]).items()
    }
    found = table["as found"]
    assert found["focal %"] == pytest.approx(100 * (WRONG_FOCAL - 1), abs=0.1)
    assert found["metric AbsRel"] > 0.3 and abs(found["length"] - 1) > 0.3
    assert table["true focal length"]["focal %"] < 0.01
    assert table["true cameras"]["turn"] < 0.01 and table["true cameras"]["direction"] < 0.1
    assert table["true cameras"]["length"] == pytest.approx(1.0, abs=1e-3)
    assert table["true cameras"]["metric AbsRel"] < 0.1 < found["metric AbsRel"]
    assert table["true prior scale"]["metric AbsRel"] < 0.1
    assert table["true prior scale"]["turn"] == pytest.approx(found["turn"], abs=0.1)
    assert table["true anchors"]["turn"] == pytest.approx(found["turn"], abs=1e-4)
    assert table["true anchors"]["AbsRel"] < found["AbsRel"]
    assert table["all"]["AbsRel"] < found["AbsRel"] and table["all"]["metric AbsRel"] < 0.06


def test_true_scales_and_anchors_are_those_of_the_truth(tool: ModuleType, clip_parts: dict) -> None:
    scene, depth = clip_parts["scene"][False], clip_parts["depth"].clone()
    depth[:, 3] = 0.0
    scaled = tool.true_scale(scene, depth).local_points[..., 2]
    ratio = (scaled / clip_parts["depth"]).log().flatten(2).median(2).values
    assert ratio[0, :3].abs().max() < 1e-4, "frames with truth"
    assert ratio[0, 3].abs() < 0.3, "and one without has the level of the others"
