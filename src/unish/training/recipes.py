"""Full training runs, each a named function: everything that decides the result stands here."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch
from torch import nn
from tqdm import tqdm

from unish.datasets import ClipSource, LiveClips, MixedSource, names_source, open_source
from unish.network import UniSH
from unish.network.human.landmark_branch import LandmarkBranch
from unish.network.small_scene import SmallScene, SmallSceneConfig
from unish.synthetic.config import SynthConfig
from unish.synthetic.shards import ShardConfig, write_shards
from unish.training.data import SceneBatch, SceneBatches, SceneDataConfig, run_ahead
from unish.training.lifter import LifterConfig, train_lifter
from unish.training.scene import SceneLossWeights, scene_loss
from unish.training.scene_validation import measure_row_prior, score_scene
from unish.training.trainer import FitConfig, fit

Recipe = Callable[..., nn.Module]
_KNOWN_INTRINSICS_EVERY = 3  # every third batch is told its intrinsics
FROZEN_PARTS = ("encoder", "photo_prior")
_CAMERA_PARTS = ("match_features", "matcher", "pose_head")


@dataclass(frozen=True, kw_only=True)
class SceneStage:
    """A part of the scene recipe.

    Attributes:
        trains_cameras: matching and cameras alone, on frozen depth; otherwise everything else.
        steps, learning_rate: of the stage; the share of a wall-clock budget follows from ``time_share``.
    """

    name: str
    trains_cameras: bool
    steps: int
    learning_rate: float
    time_share: float


# Cameras are solved on the depth but send it no gradient, and a step that includes them costs half as much again.
SCENE_STAGES = (
    SceneStage(name="depth", trains_cameras=False, steps=12000, learning_rate=6e-4, time_share=0.72),
    SceneStage(name="cameras", trains_cameras=True, steps=3000, learning_rate=1e-3, time_share=0.28),
)

# Small pictures, short clips, many places: variety of place teaches more than another frame of the same one.
_SHARDS = ShardConfig(
    sizes=((128, 192), (192, 128), (144, 192), (160, 160), (112, 192)),
    clips_per_shard=16,
    clip=SynthConfig(num_frames=6, fps=None),
)
# Rooms without people, filmed from near by, need as many again: there everything but a person has to be understood.
_ROOM_SHARDS = replace(_SHARDS, clip=replace(_SHARDS.clip, place="room", max_people=0))
_NUM_SHARDS = 200
_SHARD_SEED = 1


def train_small_scene(run_dir: Path, *, data: Path, resume: bool = False, minutes: float | None = None) -> SmallScene:
    """The scene branch of ``small``: points, confidence, field of view and cameras on synthetic shards.

    Args:
        data: folder of shards; they are made when it has none (6400 clips, about 45 minutes of a core). ``live``
            renders such clips while training runs, and any name that ``open_source`` knows takes its data instead.
        minutes: wall-clock budget in place of the fixed number of steps.
    """
    source = open_scene_data(data)
    torch.manual_seed(0)
    model = make_small_scene()
    shards = SceneBatches(source, SceneDataConfig(), seed=1)
    model.dense_head.row_prior.data = measure_row_prior(shards, num_batches=30, num_rows=model.config.row_knots)
    for stage in SCENE_STAGES:
        budget = None if minutes is None else minutes * stage.time_share
        run_scene_stage(model, stage, run_dir / stage.name, data=data, resume=resume, minutes=budget)
    return model


def open_scene_data(data: Path) -> ClipSource:
    """What ``train_small_scene`` trains on."""
    if str(data) == "live":
        return MixedSource([LiveClips(config, seed=_SHARD_SEED) for config in (_SHARDS, _ROOM_SHARDS)])
    if not names_source(data):
        _make_shards(data)
    return open_source(data)


def _make_shards(data: Path) -> None:
    """Render the recipe's shards into a folder that has none, or go on where that was cut off."""
    unfinished = data / ".unfinished"
    if any(data.glob("*.safetensors")) and not unfinished.exists():
        return
    data.mkdir(parents=True, exist_ok=True)
    unfinished.touch()
    for first, config in ((0, _SHARDS), (_NUM_SHARDS, _ROOM_SHARDS)):
        with tqdm(total=_NUM_SHARDS, desc="shards", disable=None) as bar:
            write_shards(
                data, num_shards=_NUM_SHARDS, first=first, seed=_SHARD_SEED, config=config,
                workers=os.cpu_count() or 1, progress=partial(_advance, bar),
            )  # fmt: skip
    unfinished.unlink()


def _advance(bar: tqdm, _: str, done: int, total: int | None) -> None:
    bar.update(done - bar.n)


def run_scene_stage(
    model: SmallScene, stage: SceneStage, run_dir: Path, *, data: Path, resume: bool, minutes: float | None
) -> None:
    """Train one part of ``model`` in place. A stage that is finished already only loads its weights."""
    source = open_scene_data(data)
    shards = SceneBatches(source, SceneDataConfig(), seed=1)
    held_back = SceneBatches(
        source, SceneDataConfig(first=19, last=20, long_sides=(192,), max_stride=2, degrade=False), seed=2
    )
    row_prior = measure_row_prior(shards, num_batches=30, num_rows=model.config.row_knots)
    for name, part in model.named_children():
        part.requires_grad_(name not in FROZEN_PARTS and (name in _CAMERA_PARTS) == stage.trains_cameras)

    def compute_loss(_: nn.Module, batch: SceneBatch) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        know = bool(torch.randint(_KNOWN_INTRINSICS_EVERY, ()) == 0)
        return scene_loss(model, batch, SceneLossWeights(), know_intrinsics=know, with_cameras=stage.trains_cameras)

    config = FitConfig(
        steps=stage.steps,
        minutes=minutes,
        learning_rate=stage.learning_rate,
        warmup_steps=200,
        precision="bfloat16",
        ema_decay=0.998,
        log_every=50,
        checkpoint_every=200,
        validate_every=1000,
    )
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # half the time of a convolution
    with run_ahead(shards) as batches:
        fit(
            model,
            compute_loss,
            batches,
            config=config,
            run_dir=run_dir,
            resume=resume,
            validate=lambda _: score_scene(model, [held_back(i) for i in range(8)], row_prior),
        )


def train_small_lifter(
    run_dir: Path, *, data: Path, resume: bool = False, minutes: float | None = None
) -> LandmarkBranch:
    """The human branch of ``small``: landmarks to SMPL.

    Args:
        data: folder of motion capture files (subfolders and tar archives included); procedural motion alone when there
            is no such folder.
        minutes: wall-clock budget in place of the fixed number of steps.
    """
    config = LifterConfig()
    config = replace(config, fit=replace(config.fit, minutes=minutes))
    paths = [data, *sorted(data.glob("*.tar.*"))] if data.is_dir() else []
    return train_lifter(run_dir, config, motion_paths=paths, resume=resume)


def make_small_scene(config: SmallSceneConfig | None = None) -> SmallScene:
    """A fresh scene branch whose frozen parts (image encoder, photo prior) are those of the checkpoint that ships."""
    model = SmallScene(config or SmallSceneConfig())
    shipped = UniSH.from_pretrained("small").scene
    for name in FROZEN_PARTS:
        getattr(model, name).load_state_dict(getattr(shipped, name).state_dict())
    return model


RECIPES: dict[str, Recipe] = {"small-scene": train_small_scene, "small-lifter": train_small_lifter}
