"""Weights between those that a training began with and those that it ended with.

On the straight line between them, what was learnt is mostly kept and what was forgotten mostly comes back (Wortsman et
al., "Robust fine-tuning of zero-shot models", 2022).
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor


def interpolate(began: Mapping[str, Tensor], ended: Mapping[str, Tensor], share: float) -> dict[str, Tensor]:
    """``began`` + share · (``ended`` − ``began``), by name, on the device of ``ended``; integers are its own."""
    return {
        name: torch.lerp(began[name].to(value.device), value, share) if value.is_floating_point() else value
        for name, value in ended.items()
    }
