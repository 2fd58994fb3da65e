"""Recipes: named, refused clearly, and stages that train what they say."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from scene_shards import make_tiny_scene, write_shard

from network_models import tiny_release
from unish.cli import main, train
from unish.errors import InputError
from unish.lab import training
from unish.lab.training import recipes
from unish.lab.training.experts.crop_training import CropExpertStage
from unish.lab.training.recipes import DEPTH, PAPER, RECIPES, SCENE_MIX, SMOKE
from unish.lab.training.stages.distill import DistillStage
from unish.lab.training.stages.paper import run_paper_plan
from unish.lab.training.stages.people_clips import PeopleConfig
from unish.lab.training.stages.scene import run_scene_stage
from unish.lab.training.trainer import FitConfig
from unish.network import UniSH

ONE = FitConfig(steps=1, warmup_steps=0, log_every=1, checkpoint_every=0)


def test_unknown_recipe_lists_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="pretrain-small"):
        training.run("large", out=tmp_path, data=tmp_path)
    known = {
        "pretrain-small",
        "crop-expert",
        "distill",
        "small-lifter",
        "coarse",
        "fine",
        "small-all",
        "paper",
        "smoke",
    }
    assert known <= RECIPES.keys()


def test_fine_wants_coarse_first(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="train coarse"):
        training.run("fine", out=tmp_path, data=tmp_path)


def test_paper_says_what_it_lacks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recipes, "PAPER", replace(PAPER, config=tiny_release()))
    with pytest.raises(InputError, match=r"pi3\.safetensors"):
        training.run("paper", out=tmp_path, data=tmp_path)


@pytest.mark.long
def test_the_scene_stage_trains_all_but_the_frozen_parts(tmp_path: Path) -> None:
    write_shard(tmp_path)
    model = make_tiny_scene()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    stage = replace(DEPTH, fit=replace(DEPTH.fit, steps=2, learning_rate=1e-2))
    run_scene_stage(model, stage, SCENE_MIX, tmp_path / "run", data=tmp_path, resume=False, minutes=None)
    changed = {name.split(".")[0] for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == {"embed", "decoder", "dense_head", "focal_head"}


def shrink_distill(fit: FitConfig) -> DistillStage:
    """The row of ``smoke``, a few steps of it."""
    assert isinstance(SMOKE.distill.expert, CropExpertStage)
    expert = replace(SMOKE.distill.expert, fit=fit, num_clips=8)
    return replace(SMOKE.distill, expert=expert, fit=fit, num_clips=8)


@pytest.mark.long
def test_distill_trains_the_dense_head_of_what_ships(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recipes, "DISTILL", shrink_distill(replace(SMOKE.coarse.fit, steps=2, log_every=1)))
    out = tmp_path / "run"
    assert main(["train", "distill", "--out", str(out), "--quiet"]) == 0
    for name in ("crop-expert", "distill"):
        assert (out / name / "checkpoint.pt").is_file()
    shipped, refined = (UniSH.from_pretrained(name).state_dict() for name in ("small", out / "checkpoint"))
    changed = {name for name, value in refined.items() if not torch.equal(value, shipped[name])}
    assert changed and all(name.startswith("scene.dense_head.") for name in changed)
    assert main(["train", "distill", "--out", str(out), "--quiet"]) == 2, "a run was overwritten without --resume"


@pytest.mark.long
def test_fine_goes_on_from_given_weights_where_no_coarse_has_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recipes, "FINE", replace(SMOKE.fine, fit=replace(ONE, learning_rate=1e-3), num_clips=8))
    shards, out = tmp_path / "shards", tmp_path / "run"
    SMOKE.fine.world.open(shards, 8)
    own = UniSH.from_pretrained("small")
    with torch.no_grad():
        next(own.align.parameters()).add_(0.25)
    own.save_pretrained(tmp_path / "own", dtype=torch.float16)
    common = ["train", "fine", "--data", f"shards:{shards}", "--out", str(out), "--quiet"]
    assert main(common) == 2, "neither a run of coarse nor weights"
    assert main([*common, "--start", str(tmp_path / "own")]) == 0
    began, taught = (UniSH.from_pretrained(name).state_dict() for name in (tmp_path / "own", out / "checkpoint"))
    changed = {name for name, value in taught.items() if not torch.equal(value, began[name])}
    assert changed and all(name.startswith("align.") for name in changed)
    first = next(name for name, _ in own.align.named_parameters())
    torch.testing.assert_close(taught[f"align.{first}"], began[f"align.{first}"], atol=0.05, rtol=0)


def test_only_what_begins_with_weights_takes_a_start(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "smoke", "--start", "small", "--out", str(tmp_path / "run"), "--quiet"]) == 2
    assert "coarse, distill, fine take a start" in capsys.readouterr().err
    assert main(["train", "fine", "--start", str(tmp_path / "none"), "--out", str(tmp_path / "run"), "--quiet"]) == 2
    assert "none" in capsys.readouterr().err


@pytest.mark.long
def test_smoke_goes_from_nothing_to_weights_that_load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All stages on the command's own path, in a still smaller setting."""
    fit = replace(SMOKE.coarse.fit, steps=2, log_every=1)
    monkeypatch.setattr(
        recipes,
        "SMOKE",
        replace(
            SMOKE,
            scene=replace(SMOKE.scene, fit=fit),
            distill=shrink_distill(fit),
            lifter=replace(SMOKE.lifter, fit=fit, pool_size=4),
            coarse=replace(SMOKE.coarse, fit=fit, num_clips=8),
            fine=replace(SMOKE.fine, fit=fit, num_clips=8),
        ),
    )
    out = tmp_path / "run"
    assert main(["train", "smoke", "--out", str(out), "--quiet"]) == 0
    for stage in ("scene/depth", "crop-expert", "distill", "lifter", "coarse", "fine"):
        assert (out / stage / "checkpoint.pt").is_file() and (out / stage / "metrics.jsonl").is_file()
    network = UniSH.from_pretrained(out / "checkpoint")
    prediction = network(torch.rand(1, 2, 3, 48, 64), None, torch.tensor([[0.0, 0.2]], dtype=torch.float64))
    assert prediction.local_points.isfinite().all() and prediction.scale is not None
    assert main(["train", "smoke", "--out", str(out), "--quiet"]) == 2, "a run was overwritten without --resume"
    assert main(["train", "smoke", "--out", str(out), "--quiet", "--resume"]) == 0


@pytest.mark.long
def test_the_published_training_in_miniature(tmp_path: Path) -> None:
    """Crops in, human branch and AlignNet trained, scene frozen; then AlignNet alone."""
    world = replace(SMOKE.coarse.world, clip=replace(SMOKE.coarse.world.clip, num_frames=2), clips_per_shard=2)
    world.open(tmp_path / "people", 2)
    config = replace(tiny_release(), body="free")
    people = PeopleConfig(num_frames=2, num_people=1, num_observations=1)
    plan = replace(
        PAPER,
        config=config,
        coarse=replace(PAPER.coarse, fit=ONE, people=people),
        fine=replace(PAPER.fine, fit=ONE, people=people),
        scene_weights=None,
        backbone_weights=None,
        coarse_data="shards:{data}/people",
        fine_data="shards:{data}/people",
    )
    torch.manual_seed(0)
    before = UniSH(config).state_dict()
    torch.manual_seed(0)
    after = run_paper_plan(plan, tmp_path / "run", data=tmp_path, resume=False, minutes=None).state_dict()
    changed = {name.split(".")[0] for name, value in after.items() if not torch.equal(value, before[name])}
    assert changed == {"human", "align"}


def test_the_command_names_every_recipe() -> None:
    assert set(train.RECIPES) == RECIPES.keys()
