"""MoGe-2 (Wang et al. 2025) through its own package, for those who have it and its weights."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from unish.assets.pretrained import name_version
from unish.errors import InputError
from unish.network.depth_prior.record import PriorDepth, PriorView


class Moge2:
    """``DepthPrior`` from ``moge.model.v2.MoGeModel``, one frame at a time.

    A known camera is told to it; of an unknown one it finds the focal length itself.

    Args:
        weights: name on the Hugging Face hub, or a file.
        device: where MoGe runs.

    Raises:
        InputError: the package is not installed.
    """

    licence = "MIT"

    def __init__(self, weights: str, device: str) -> None:
        self._weights, self._device = weights, device
        self._class = find_moge("moge-2")
        self.name = f"moge-2 {weights}"
        self.fingerprint = f"{self.name} {name_version('moge')}"

    @cached_property
    def _model(self) -> Any:
        return self._class.from_pretrained(self._weights).to(self._device).eval()

    @torch.inference_mode()
    def estimate(self, view: PriorView) -> PriorDepth:
        """See ``DepthPrior``."""
        answers = infer_moge(self._model, view.images.to(self._device), view.intrinsics)
        depth = torch.stack([answer["depth"] for answer in answers]).float().cpu()
        focal = None
        if view.intrinsics is None:
            # Its intrinsics are divided by the width and the height of the picture.
            height, width = view.picture_size
            normalised = torch.stack([answer["intrinsics"] for answer in answers]).float().cpu()
            focal_px = (normalised[:, 0, 0] * width + normalised[:, 1, 1] * height) / 2
            focal = float(focal_px.median()) / (height**2 + width**2) ** 0.5
        return PriorDepth(values=depth, known=depth.isfinite() & (depth > 0), kind="metric", focal=focal)


def find_moge(needed_for: str) -> Any:
    """The class of MoGe-2's models.

    Raises:
        InputError: the package is not installed.
    """
    try:
        from moge.model.v2 import MoGeModel
    except ImportError:
        raise InputError(
            f"{needed_for} needs MoGe: pip install git+https://github.com/microsoft/MoGe.git, or choose another"
        ) from None
    return MoGeModel


def infer_moge(
    model: Any, images: Float[Tensor, "N 3 H W"], intrinsics: Float[Tensor, "N 3 3"] | None
) -> list[dict[str, Tensor]]:
    """What MoGe says of each frame: ``depth`` (H, W), infinite where it masks the picture, ``intrinsics`` and more.

    Args:
        images: RGB in [0, 1], where the model is.
        intrinsics: pixels of the images; MoGe is told the horizontal field of view, so its depth fits their rays. It
            finds a camera of its own where ``None``.
    """
    views: list[float | None] = [None] * len(images)
    if intrinsics is not None:
        half_view = images.shape[-1] / (2 * intrinsics[:, 0, 0])
        views = [float(2 * angle.rad2deg()) for angle in half_view.atan()]
    fp16 = images.device.type != "cpu"
    return [model.infer(image, fov_x=view, use_fp16=fp16) for image, view in zip(images, views, strict=True)]
