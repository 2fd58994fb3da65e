"""Model and loss as one module, which is what processes wrap and precision applies to."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from unish.errors import InputError
from unish.lab.training.trainer.config import FitConfig

Batch = Any
ComputeLoss = Callable[[nn.Module, Batch], tuple[Tensor, dict[str, Tensor]]]
"""(model, batch) → (scalar loss, detached scalars to log)."""

_LOW_PRECISION = {"bfloat16": torch.bfloat16, "float16": torch.float16}


class Objective(nn.Module):
    """``objective(batch)`` is ``compute_loss(model, batch)``.

    What several processes synchronise is this module's call, so a loss may use the model as it likes: several times,
    other methods than ``forward``, or through a name of its own.
    """

    def __init__(self, model: nn.Module, compute_loss: ComputeLoss, *, device: torch.device, precision: str) -> None:
        super().__init__()
        self.model = model
        self.compute_loss = compute_loss
        self.device_type = device.type
        self.low_precision = _LOW_PRECISION.get(precision)

    def forward(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        enabled = self.low_precision is not None
        with torch.autocast(self.device_type, dtype=self.low_precision, enabled=enabled):
            return self.compute_loss(self.model, batch)


def find_blocks(model: nn.Module, config: FitConfig) -> list[nn.Module]:
    """The modules whose class ``block_classes`` names.

    Raises:
        InputError: the model has none of a class.
    """
    blocks = [module for module in model.modules() if type(module).__name__ in config.block_classes]
    found = {type(block).__name__ for block in blocks}
    if missing := [name for name in config.block_classes if name not in found]:
        classes = sorted({type(module).__name__ for module in model.modules()})
        raise InputError(f"the model has no {', '.join(missing)}; block_classes can name: {', '.join(classes)}")
    return blocks


@contextmanager
def recompute_blocks(model: nn.Module, config: FitConfig) -> Iterator[None]:
    """While the block runs, the backward pass computes the named blocks again, if the config says so."""
    blocks = find_blocks(model, config) if config.recompute else []
    for block in blocks:
        # Not a wrapping module: it would change the names of the weights.
        block.forward = partial(checkpoint, block.forward, use_reentrant=False)  # type: ignore[method-assign]
    try:
        yield
    finally:
        for block in blocks:
            del block.forward
