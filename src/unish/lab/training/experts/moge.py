"""MoGe-2 (Wang et al. 2025) through its own package, for those who have it and its weights."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from unish.lab.training.experts.protocol import ExpertView
from unish.network.depth_prior.moge import find_moge, infer_moge
from unish.slots import MOGE_WEIGHTS


class MogeExpert:
    """Depth of whole frames from ``moge.model.v2.MoGeModel``, one frame at a time.

    The package is told the horizontal field of view of the view's intrinsics, so its depth fits their rays.

    Args:
        weights: name on the Hugging Face hub, or a file.
        device: where MoGe runs.

    Raises:
        InputError: the package is not installed.
    """

    def __init__(self, weights: str = MOGE_WEIGHTS, *, device: str = "cpu") -> None:
        self.model: Any = find_moge("the expert moge").from_pretrained(weights).to(device).eval()
        self.device = torch.device(device)
        self.key = f"moge {weights}"

    @torch.no_grad()
    def estimate(self, view: ExpertView) -> Float[Tensor, "F H W"]:
        """Metres as MoGe sees them; 0 where it masks the picture, and where nobody is."""
        answers = infer_moge(self.model, view.images.to(self.device), view.intrinsics)
        depth = torch.stack([answer["depth"] for answer in answers]).to(view.images.device, torch.float32)
        return torch.where(depth.isfinite() & (depth > 0) & (view.person_ids >= 0), depth, 0.0)
