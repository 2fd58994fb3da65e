"""Regenerates the weights and inputs that the parity fixtures were made with, for any part of the network."""

from __future__ import annotations

import importlib.util
import json
import zlib
from pathlib import Path
from types import ModuleType

import numpy as np
import torch
from torch import Tensor, nn

from unish.network.adapters import name_to_published


def load_rule(parity_dir: Path, name: str = "seeded") -> ModuleType:
    """A Python file of the parity folder as a module."""
    spec = importlib.util.spec_from_file_location(f"parity_{name}", parity_dir / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class SeededWeights:
    """Weights by published key; buffers are the published constants."""

    def __init__(self, parity_dir: Path) -> None:
        self.rule = load_rule(parity_dir)
        self.keys = json.loads((parity_dir / "unish_state_dict_keys.json").read_text())["keys"]
        self.buffers = json.loads((parity_dir / "unish_buffers.json").read_text())

    def value(self, key: str) -> Tensor:
        """The tensor that stands under a published key."""
        shape = self.keys[key]["shape"]
        if key in self.buffers:
            return torch.tensor(self.buffers[key]).reshape(shape)
        return torch.from_numpy(self.rule.seeded(key, tuple(shape)))

    def fill(self, part: nn.Module, prefix: str = "") -> nn.Module:
        """Load a part that stands under ``prefix`` in this package's names; every tensor of it must have a value.

        The values take the place of the part's own tensors, which may be on the meta device.
        """
        state = {}
        for name in part.state_dict():
            ours = f"{prefix}.{name}" if prefix else name
            published = name_to_published(ours)
            assert published is not None, f"{ours} has no published name"
            state[name] = self.value(published)
        part.load_state_dict(state, strict=True, assign=True)
        return part.eval()


def seeded_input(name: str, shape: tuple[int, ...], scale: float = 1.0) -> Tensor:
    """The fixture input of that name: scale · N(0, 1) from the checksum of the name."""
    generator = np.random.default_rng(zlib.crc32(f"in.{name}".encode()))
    return torch.from_numpy(np.float32(scale) * generator.standard_normal(size=shape, dtype=np.float32))


def relative_error(actual: Tensor, expected: np.ndarray) -> float:
    """Largest difference over the largest expected magnitude."""
    reference = torch.from_numpy(np.asarray(expected)).double()
    difference = (actual.detach().double().reshape(reference.shape) - reference).abs().max()
    return float(difference / reference.abs().max().clamp_min(1e-30))
