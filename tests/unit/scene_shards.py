"""A shard for tests of the scene branch's training."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from safetensors.numpy import save_file


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
