"""MoGe-2 (Wang et al. 2025) through its own package, for those who have it and its weights."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from unish.errors import InputError
from unish.lab.training.experts.protocol import ExpertView

MOGE_WEIGHTS = "Ruicheng/moge-2-vitl"


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
        try:
            from moge.model.v2 import MoGeModel
        except ImportError:
            raise InputError(
                "the expert moge needs MoGe: pip install git+https://github.com/microsoft/MoGe.git, or choose another"
            ) from None
        self.model: Any = MoGeModel.from_pretrained(weights).to(device).eval()
        self.device = torch.device(device)
        self.key = f"moge {weights}"

    @torch.no_grad()
    def estimate(self, view: ExpertView) -> Float[Tensor, "F H W"]:
        """Metres as MoGe sees them; 0 where it masks the picture, and where nobody is."""
        half_view = view.images.shape[-1] / (2 * view.intrinsics[:, 0, 0])
        maps = [
            self.model.infer(
                image.to(self.device), fov_x=float(2 * angle.rad2deg()), use_fp16=self.device.type != "cpu"
            )["depth"]
            for image, angle in zip(view.images, half_view.atan(), strict=True)
        ]
        depth = torch.stack(maps).to(view.images.device, torch.float32)
        return torch.where(depth.isfinite() & (depth > 0) & (view.person_ids >= 0), depth, 0.0)
