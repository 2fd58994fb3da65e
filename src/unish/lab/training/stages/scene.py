"""The scene branch of ``small``: points, confidence and field of view, on synthetic shards or other data."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch
from torch import nn
from tqdm import tqdm

from unish.lab.datasets import ClipSource, LiveClips, MixedSource, names_source, open_source
from unish.lab.synthetic.shards import ShardConfig, write_shards
from unish.lab.training.data import SceneBatch, SceneBatches, SceneDataConfig, run_ahead
from unish.lab.training.scene import SceneLossWeights, scene_loss
from unish.lab.training.scene_validation import measure_row_prior, score_scene
from unish.lab.training.trainer import FitConfig, fit
from unish.network import UniSH
from unish.network.small_scene import SmallScene, SmallSceneConfig

_KNOWN_INTRINSICS_EVERY = 3  # every third batch is told its intrinsics
FROZEN_PARTS = ("encoder", "photo_prior")


@dataclass(frozen=True, kw_only=True)
class SceneMix:
    """What is rendered for the scene branch: ``num_shards`` of every kind of shard, all of one seed."""

    kinds: tuple[ShardConfig, ...]
    num_shards: int
    seed: int


@dataclass(frozen=True, kw_only=True)
class SceneStage:
    """A row of the recipe: all of the scene branch but ``FROZEN_PARTS`` trains."""

    name: str
    fit: FitConfig
    losses: SceneLossWeights
    data: SceneDataConfig
    validation_batches: int = 8


def open_scene_data(data: Path, mix: SceneMix) -> ClipSource:
    """A folder of shards, rendered when it has none; ``live``; or any name that ``open_source`` knows."""
    if str(data) == "live":
        return MixedSource([LiveClips(kind, seed=mix.seed) for kind in mix.kinds])
    if not names_source(data):
        _make_shards(data, mix)
    return open_source(data)


def _make_shards(data: Path, mix: SceneMix) -> None:
    """Render the shards into a folder that has none, or go on where that was cut off."""
    unfinished = data / ".unfinished"
    if any(data.glob("*.safetensors")) and not unfinished.exists():
        return
    data.mkdir(parents=True, exist_ok=True)
    unfinished.touch()
    for number, kind in enumerate(mix.kinds):
        with tqdm(total=mix.num_shards, desc="shards", disable=None) as bar:
            write_shards(
                data, num_shards=mix.num_shards, first=number * mix.num_shards, seed=mix.seed, config=kind,
                workers=os.cpu_count() or 1, progress=partial(_advance, bar),
            )  # fmt: skip
    unfinished.unlink()


def _advance(bar: tqdm, _: str, done: int, total: int | None) -> None:
    bar.update(done - bar.n)


def run_scene_stage(
    model: SmallScene,
    stage: SceneStage,
    mix: SceneMix,
    run_dir: Path,
    *,
    data: Path,
    resume: bool,
    minutes: float | None,
) -> None:
    """Train ``model`` in place, from whatever weights it has. A run that is finished already only loads its weights."""
    source = open_scene_data(data, mix)
    batches = SceneBatches(source, stage.data, seed=1)
    checked = replace(stage.data, first=19, last=20, long_sides=(max(stage.data.long_sides),), max_stride=2,
                      degrade=False)  # fmt: skip
    held_back = SceneBatches(source, checked, seed=2)
    row_prior = measure_row_prior(batches, num_batches=30, num_rows=model.config.row_knots)
    for name, part in model.named_children():
        part.requires_grad_(name not in FROZEN_PARTS)

    def compute_loss(_: nn.Module, batch: SceneBatch) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        know = bool(torch.randint(_KNOWN_INTRINSICS_EVERY, ()) == 0)
        return scene_loss(model, batch, stage.losses, know_intrinsics=know)

    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # half the time of a convolution
    with run_ahead(batches) as stream:
        fit(
            model,
            compute_loss,
            stream,
            config=replace(stage.fit, minutes=minutes),
            run_dir=run_dir,
            resume=resume,
            validate=lambda _: score_scene(model, [held_back(i) for i in range(stage.validation_batches)], row_prior),
        )


def make_small_scene(config: SmallSceneConfig | None = None) -> SmallScene:
    """A fresh scene branch whose frozen parts (image encoder, depth prior) are those of the checkpoint that ships."""
    model = SmallScene(config or SmallSceneConfig())
    shipped = UniSH.from_pretrained("small").scene
    for name in FROZEN_PARTS:
        getattr(model, name).load_state_dict(getattr(shipped, name).state_dict())
    return model
