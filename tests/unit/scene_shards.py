"""A scene branch, a batch and a shard for tests of its training."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import save_file

from unish.lab.training.data import SceneBatch
from unish.network.decoder import DecoderConfig
from unish.network.small_scene import SmallScene, SmallSceneConfig

TINY = SmallSceneConfig(
    long_side=64,
    decoder=DecoderConfig(dim=32, depth=2, num_heads=2, num_special_tokens=2, layer_scale=None),
    widths=(16, 16, 16),
)


def make_tiny_scene() -> SmallScene:
    """The same weights every time."""
    torch.manual_seed(0)
    return SmallScene(TINY)


def make_scene_batch() -> SceneBatch:
    """Two clips of two frames of noise before a still camera."""
    frames, size = (2, 2), (48, 64)
    generator = torch.Generator().manual_seed(0)
    intrinsics = torch.tensor([[40.0, 0.0, 32.0], [0.0, 40.0, 24.0], [0.0, 0.0, 1.0]])
    return SceneBatch(
        images=torch.rand(*frames, 3, *size, generator=generator),
        depth=1 + torch.rand(*frames, *size, generator=generator),
        person_ids=torch.full((*frames, *size), -1),
        intrinsics=intrinsics.expand(*frames, 3, 3),
        c2w=torch.eye(4).expand(*frames, 4, 4),
    )


def write_shard(folder: Path) -> None:
    """Twenty clips of noise before a still camera."""
    generator = np.random.default_rng(0)
    clips, frames, height, width = 20, 4, 32, 48
    intrinsics = np.array([[40, 0, 24], [0, 40, 16], [0, 0, 1]], np.float32)
    save_file(
        {
            "images": generator.integers(0, 256, (clips, frames, height, width, 3)).astype(np.uint8),
            "depth": (1 + generator.random((clips, frames, height, width))).astype(np.float16),
            "ids": np.full((clips, frames, height, width), -1, np.int8),
            "intrinsics": np.broadcast_to(intrinsics, (clips, frames, 3, 3)).copy(),
            "c2w": np.tile(np.eye(4, dtype=np.float32), (clips, frames, 1, 1)),
        },
        folder / "shard-000000.safetensors",
    )
