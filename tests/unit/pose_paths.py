"""Camera paths for tests of the pose graph."""

from __future__ import annotations

import torch
from torch import Tensor


def chain_pairs(consecutive: Tensor) -> Tensor:
    """w2c (..., N, 4, 4), world = first camera, from the relative poses (..., N−1, 4, 4) of neighbouring frames."""
    pose = torch.eye(4, dtype=consecutive.dtype).expand(*consecutive.shape[:-3], 4, 4)
    chained = [pose]
    for step in consecutive.unbind(-3):
        pose = step @ pose
        chained.append(pose)
    return torch.stack(chained, dim=-3)
