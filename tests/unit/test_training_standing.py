"""The standing run in miniature: pieces, kills, sizes, and that only better weights are installed."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest
import torch
from safetensors.torch import load_file
from scene_shards import write_shard
from torch import Tensor

from unish.errors import InputError
from unish.lab.evaluation.quality import LINES, Dashboard
from unish.lab.training import standing
from unish.lab.training.recipes import SMOKE, STANDING
from unish.lab.training.standing import StandingRun, open_run
from unish.lab.training.trainer import loop
from unish.network import UniSH

STEPS = 4
STAGES = ("depth", "coarse", "fine")
PARTS = ("labelled", "clips")
NO_TIME = 1e-4
"""Minutes after which the first step is also the last one."""
PLAN = replace(
    SMOKE,
    scene=replace(SMOKE.scene, fit=replace(SMOKE.scene.fit, steps=STEPS, checkpoint_every=1), validation_batches=1),
)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``shards`` and ``weights`` that nobody changes."""
    folder = tmp_path_factory.mktemp("standing")
    (folder / "shards").mkdir()
    write_shard(folder / "shards")
    torch.manual_seed(0)
    UniSH(PLAN.config).save_pretrained(folder / "weights", dtype=torch.float16)
    return folder


def begin(place: Path, folder: Path, **settings: object) -> StandingRun:
    return open_run(folder, plan=PLAN, weights=place / "weights", data=str(place / "shards"), **settings)


@pytest.fixture(scope="module")
def finished(place: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run in one piece."""
    folder = tmp_path_factory.mktemp("finished")
    begin(place, folder).train(minutes=10)
    return folder


def read_candidate(run: StandingRun) -> dict[str, Tensor]:
    return load_file(run.build_candidate() / "model.safetensors")


def assert_same_weights(run: StandingRun, other: StandingRun) -> None:
    wanted = read_candidate(other)
    for name, value in read_candidate(run).items():
        assert torch.equal(value, wanted[name]), name


@pytest.mark.long
def test_pieces_go_on_and_end_like_one(place: Path, finished: Path, tmp_path: Path) -> None:
    for steps in (1, 2):
        run = begin(place, tmp_path)
        run.train(minutes=NO_TIME)
        assert run.progress()["depth"][0] == steps
    assert set(run.stages_left()) == {"depth"}
    run = begin(place, tmp_path)
    run.train(minutes=10)
    assert {name: steps for name, (steps, _) in run.progress().items()} == {"depth": STEPS}
    assert [piece["steps"]["depth"] for piece in begin(place, tmp_path).pieces] == [1, 2, STEPS]
    assert_same_weights(run, begin(place, finished))
    with pytest.raises(InputError, match="are over"):
        begin(place, tmp_path).train(minutes=1)


@pytest.mark.long
def test_only_the_scene_branch_changes_and_all_of_it_that_trains(place: Path, finished: Path) -> None:
    before, after = load_file(place / "weights/model.safetensors"), read_candidate(begin(place, finished))
    changed = {".".join(name.split(".")[:2]) for name in before if not torch.equal(before[name], after[name])}
    assert {"scene.embed", "scene.decoder", "scene.dense_head"} <= changed
    assert {name.split(".")[0] for name in changed} == {"scene"}
    assert not {"scene.encoder", "scene.photo_prior"} & changed


@pytest.mark.long
def test_a_killed_piece_loses_nothing_before_its_last_checkpoint(place: Path, finished: Path, tmp_path: Path) -> None:
    if (child := os.fork()) == 0:
        step = loop.train_step
        loop.train_step = lambda *args: (
            os.kill(os.getpid(), signal.SIGKILL) if args[3].counters.step == 2 else step(*args)
        )
        begin(place, tmp_path).train(minutes=10)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
    run = begin(place, tmp_path)
    assert run.progress()["depth"][0] == 2 and run.pieces == []
    run.train(minutes=10)
    assert_same_weights(run, begin(place, finished))


@pytest.mark.long
def test_the_budget_ends_a_stage_and_the_rate(place: Path, tmp_path: Path) -> None:
    run = begin(place, tmp_path, minutes=NO_TIME)
    run.train(minutes=10)
    assert {name: steps for name, (steps, _) in run.progress().items()} == {"depth": 1}
    assert run.stages_left() == {}


def test_one_stage_alone_has_all_the_time(place: Path, tmp_path: Path) -> None:
    run = begin(place, tmp_path, minutes=8.0, stages=("depth",))
    assert run.stages_left() == {"depth": pytest.approx(8.0)}
    run.train(minutes=NO_TIME)
    assert begin(place, tmp_path).settings.stages == ("depth",) and set(run.progress()) == {"depth"}
    every = begin(place, tmp_path / "every", minutes=10.0, stages=STAGES).stages_left()
    assert every["coarse"] == every["fine"] == pytest.approx(1.0) and sum(every.values()) == pytest.approx(10.0)


@pytest.mark.long
def test_the_candidate_may_lie_half_way(place: Path, finished: Path, tmp_path: Path) -> None:
    run = begin(place, tmp_path, share=0.5)
    run.train(minutes=10)
    before, whole = load_file(place / "weights/model.safetensors"), read_candidate(begin(place, finished))
    half = read_candidate(run)
    for name, value in half.items():  # files have float16
        between = torch.lerp(before[name].double(), whole[name].double(), 0.5)
        torch.testing.assert_close(value.double(), between, atol=1e-6, rtol=1e-3)
    moved = [name for name in half if not torch.allclose(half[name], whole[name], atol=1e-5, rtol=3e-3)]
    assert any(name.startswith("scene.dense_head.") for name in moved)


def stub_dashboards(monkeypatch: pytest.MonkeyPatch, *, candidate: float, parts: tuple[str, ...] = PARTS) -> None:
    """Every line of the shipped weights is 10, and of the candidate as given."""

    def measure(media: Path, *, method: str, out: Path, **_: object) -> Dashboard:
        value = candidate if out.name == "candidate" else 10.0
        header = {"fingerprint": Path(method).name, "frames": 12, "sequences": dict.fromkeys(parts, 1)}
        lines = {line.name: 20 - value if line.higher_is_better else value for line in LINES}
        return Dashboard(header=header, lines=lines, beside={}, notes=[])

    monkeypatch.setattr(standing, "measure_dashboard", measure)


@pytest.fixture
def half_way(place: Path, tmp_path: Path) -> StandingRun:
    """A run of one step that may replace weights of its own."""
    UniSH.from_pretrained(place / "weights").save_pretrained(tmp_path / "own", dtype=torch.float16)
    run = open_run(tmp_path / "run", plan=PLAN, weights=tmp_path / "own", data=str(place / "shards"))
    run.train(minutes=NO_TIME)
    return run


@pytest.mark.long
@pytest.mark.parametrize(("candidate", "better"), [(9.9, True), (10.0, False), (10.1, False)])
def test_only_better_weights_are_installed(
    half_way: StandingRun, monkeypatch: pytest.MonkeyPatch, candidate: float, better: bool
) -> None:
    stub_dashboards(monkeypatch, candidate=candidate)
    shipped = half_way.weights / "model.safetensors"
    before = shipped.read_bytes()
    found = half_way.compare(Path("media"))
    assert found.better is better and shipped.read_bytes() == before, "comparing alone changes nothing"
    assert half_way.install(found) is better
    after = shipped.read_bytes()
    assert (after != before) is better
    assert (after == (half_way.folder / "candidate/model.safetensors").read_bytes()) is better
    state = json.loads((half_way.folder / "state.json").read_text())
    assert [(row["better"], row["installed"]) for row in state["evaluations"]] == [(better, better)]


@pytest.mark.long
def test_half_a_dashboard_installs_nothing(half_way: StandingRun, monkeypatch: pytest.MonkeyPatch) -> None:
    stub_dashboards(monkeypatch, candidate=5.0, parts=("clips",))
    before = (half_way.weights / "model.safetensors").read_bytes()
    with pytest.raises(InputError, match="clips alone"):
        half_way.install(half_way.compare(Path("media")))
    assert (half_way.weights / "model.safetensors").read_bytes() == before


@pytest.mark.long
def test_align_net_trains_after_the_scene_branch(place: Path, tmp_path: Path) -> None:
    few = replace(SMOKE.coarse.fit, steps=2)
    plan = replace(
        PLAN,
        coarse=replace(PLAN.coarse, fit=few, num_clips=8),
        fine=replace(PLAN.fine, fit=few, num_clips=8),
    )
    run = open_run(tmp_path, plan=plan, weights=place / "weights", data=str(place / "shards"), stages=STAGES)
    run.train(minutes=10)
    assert run.stages_left() == {}
    before, after = load_file(place / "weights/model.safetensors"), read_candidate(run)
    changed = {name.split(".")[0] for name in before if not torch.equal(before[name], after[name])}
    assert changed == {"scene", "align"}


def test_the_plan_goes_on_gently() -> None:
    assert STANDING.scene.name == SMOKE.scene.name
    assert STANDING.scene.fit.learning_rate <= 4e-4 and STANDING.scene.fit.steps >= 1_000_000


def test_what_cannot_be_is_said_in_one_line(place: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nothing is trained"):
        begin(place, tmp_path / "new").build_candidate()
    assert not (tmp_path / "new").exists()
    begin(place, tmp_path, shards=7).train(minutes=NO_TIME)
    assert begin(place, tmp_path).settings.shards == 7, "settings are kept"
    state = json.loads((tmp_path / "state.json").read_text())
    state["settings"]["shard_mib"] = 20.0
    (tmp_path / "state.json").write_text(json.dumps(state))
    assert begin(place, tmp_path).settings.shards == 7, "a run of before had one more"
    with pytest.raises(InputError, match=r"other settings \(minutes, shards\)"):
        begin(place, tmp_path, shards=8, minutes=3.0)
    with pytest.raises(InputError, match="no stage is called posture; there are: depth, coarse, fine"):
        begin(place, tmp_path / "new", stages=("depth", "posture"))
    with pytest.raises(InputError, match="at most 1"):
        begin(place, tmp_path / "new", share=1.5)
    with pytest.raises(InputError, match="above 0"):
        begin(place, tmp_path / "new", shards=0)
    (tmp_path / "state.json").write_text("{}")
    with pytest.raises(InputError, match="not the state"):
        begin(place, tmp_path)


@pytest.fixture
def tool(repository: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("standing_run", repository / "tools/standing_run.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.long
def test_the_tool_trains_judges_and_installs(
    place: Path, tmp_path: Path, tool: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(tool, "STANDING", PLAN)
    monkeypatch.delenv("UNISH_MEDIA_DIR", raising=False)
    UniSH.from_pretrained(place / "weights").save_pretrained(tmp_path / "own", dtype=torch.float16)
    common = ["--out", str(tmp_path / "run"), "--weights", str(tmp_path / "own"), "--quiet"]
    assert tool.main(common) == 2 and "nothing to do" in capsys.readouterr().err
    assert tool.main([*common, "--minutes", "1", "--evaluate"]) == 2, "the media folder is asked for before training"
    assert not (tmp_path / "run").exists()
    assert tool.main([*common, "--minutes", "1e-4", "--data", str(place / "shards"), "--total", "5"]) == 0
    assert "depth: 1 steps" in capsys.readouterr().out
    judged = [*common, "--media", str(tmp_path)]
    stub_dashboards(monkeypatch, candidate=11.0)
    assert tool.main([*judged, "--replace"]) == 1
    printed = capsys.readouterr().out
    assert "10        11   +10.0%  worse" in printed and "not better than own" in printed
    stub_dashboards(monkeypatch, candidate=9.0)
    assert tool.main([*judged, "--evaluate"]) == 0
    assert "installed" not in capsys.readouterr().out
    assert tool.main([*judged, "--replace"]) == 0
    assert "installed into" in capsys.readouterr().out
