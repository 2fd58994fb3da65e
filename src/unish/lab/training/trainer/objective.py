"""Model and loss as one module, which is what processes wrap and precision applies to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

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
