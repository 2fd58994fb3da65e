"""A whole training, from nothing to a folder of weights: stages in their order, each in a folder of its own."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from unish.errors import InputError
from unish.lab.training.data import SceneBatches
from unish.lab.training.lifter import LifterConfig, train_lifter
from unish.lab.training.scene_validation import measure_row_prior
from unish.lab.training.stages.distill import DistillStage, train_distill_stage
from unish.lab.training.stages.localise import LocaliseStage, train_localise_stage
from unish.lab.training.stages.scene import (
    SceneMix,
    SceneStage,
    make_small_scene,
    open_scene_data,
    run_scene_stage,
)
from unish.lab.training.trainer import load_run_weights
from unish.network import UniSH
from unish.network.config import UniSHConfig
from unish.network.human.landmark_branch import LandmarkBranchConfig
from unish.network.small_scene import SmallScene, SmallSceneConfig


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Rows that make one checkpoint of our network.

    Attributes:
        config: its branches are ``SmallScene`` and ``LandmarkBranch``.
        pretrained_encoder: take the frozen parts of the scene branch from the shipped weights; tests do without.
        shares: of a wall-clock budget, for scene, distillation, human branch, coarse and fine.
    """

    config: UniSHConfig
    scene: SceneStage
    mix: SceneMix
    distill: DistillStage
    lifter: LifterConfig
    coarse: LocaliseStage
    fine: LocaliseStage
    pretrained_encoder: bool = True
    shares: tuple[float, float, float, float, float] = (0.5, 0.1, 0.2, 0.1, 0.1)


def run_plan(plan: Plan, run_dir: Path, *, data: Path, resume: bool, minutes: float | None) -> UniSH:
    """All stages, then ``checkpoint`` in the run folder, as ``UniSH.from_pretrained`` reads it.

    Args:
        data: folder with a subfolder for each part: ``scene``, ``crop-expert``, ``distill``, ``motion`` (captured
            motion, if any), ``coarse``, ``fine``. What is missing is rendered.
    """
    budgets = [None if minutes is None else minutes * share for share in plan.shares]
    network = UniSH(plan.config)
    network.scene.load_state_dict(
        train_scene(plan, run_dir / "scene", data=data / "scene", resume=resume, minutes=budgets[0]).state_dict()
    )
    assert isinstance(network.scene, SmallScene)
    train_distill_stage(
        plan.distill, network.scene, run_dir / plan.distill.name, data=data / plan.distill.name,
        expert_data=data / "crop-expert", resume=resume, minutes=budgets[1],
    )  # fmt: skip
    motion = data / "motion"
    paths = [motion, *sorted(motion.glob("*.tar.*"))] if motion.is_dir() else []
    lifter = train_lifter(run_dir / "lifter", plan.lifter, motion_paths=paths, resume=resume)
    network.human.load_state_dict(lifter.state_dict())
    for stage, budget in zip((plan.coarse, plan.fine), budgets[3:], strict=True):
        train_localise_stage(
            stage, network, run_dir / stage.name, data=data / stage.name, resume=resume, minutes=budget
        )
    network.save_pretrained(run_dir / "checkpoint", dtype=torch.float16)
    return network


def train_scene(plan: Plan, run_dir: Path, *, data: Path, resume: bool, minutes: float | None) -> SmallScene:
    """The scene branch of a plan alone, in a subfolder of the run folder."""
    assert isinstance(plan.config.scene, SmallSceneConfig) and isinstance(plan.config.human, LandmarkBranchConfig)
    torch.manual_seed(0)
    model = make_small_scene(plan.config.scene) if plan.pretrained_encoder else SmallScene(plan.config.scene)
    stage = plan.scene
    batches = SceneBatches(open_scene_data(data, plan.mix), stage.data, seed=1)
    model.dense_head.row_prior.data = measure_row_prior(batches, num_batches=30, num_rows=model.config.row_knots)
    run_scene_stage(model, stage, plan.mix, run_dir / stage.name, data=data, resume=resume, minutes=minutes)
    return model


def distill_trained(
    stage: DistillStage, network: UniSH, run_dir: Path, *, data: Path, resume: bool, minutes: float | None
) -> UniSH:
    """Distillation by itself, on a network that is trained; then ``checkpoint`` in the run folder."""
    assert isinstance(network.scene, SmallScene)
    train_distill_stage(
        stage, network.scene, run_dir / stage.name, data=data, expert_data=run_dir / "crop-expert-data", resume=resume,
        minutes=minutes,
    )  # fmt: skip
    network.save_pretrained(run_dir / "checkpoint", dtype=torch.float16)
    return network


def localise_trained(
    stage: LocaliseStage,
    network: UniSH,
    run_dir: Path,
    *,
    data: Path,
    resume: bool,
    minutes: float | None,
    after: LocaliseStage | None = None,
) -> UniSH:
    """One localisation stage by itself, on a network whose branches are trained; ``after`` names the stage before it.

    Raises:
        InputError: the stage before it has not run in this folder.
    """
    if after is not None:
        before = run_dir / after.name
        if not before.is_dir():
            raise InputError(f"{before}: no such run; run `unish train {after.name} --out {run_dir}` first")
        weights = load_run_weights(before)
        network.align.load_state_dict(take_part(weights, "align."))
        network.human.load_state_dict(take_part(weights, "human."))
    train_localise_stage(stage, network, run_dir / stage.name, data=data, resume=resume, minutes=minutes)
    network.save_pretrained(run_dir / "checkpoint", dtype=torch.float16)
    return network


def take_part(weights: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    """The weights whose names begin with ``prefix``, without it."""
    return {name.removeprefix(prefix): value for name, value in weights.items() if name.startswith(prefix)}
