"""Depth Anything V2 (Yang et al. 2024) through ``transformers``: inverse depth up to scale and shift, or metres."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from unish.assets.pretrained import IMAGENET_MEAN, IMAGENET_STD, find_pretrained
from unish.network.depth_prior.record import PriorDepth, PriorView

_SIDE, _MULTIPLE = 518, 14  # of the published models: pixels, and pixels of a patch
_FRAMES_AT_ONCE = 4


class DepthAnythingV2:
    """``DepthPrior``. The published sizes differ in licence: Small is Apache-2.0, Base and Large are CC BY-NC 4.0.

    Args:
        weights: folder, or ``OWNER/NAME`` of the hub, in the format of ``transformers``.
        device: where the network runs.

    Raises:
        InputError: ``transformers`` is missing, or there are no such weights.
    """

    def __init__(self, weights: str, device: str) -> None:
        self.name, self.device = f"depth-anything-v2 {weights}", device
        self._stored = find_pretrained(weights, ("depth_anything",))
        self._metric = self._stored.config.get("depth_estimation_type", "relative") == "metric"
        self.licence = name_licence(weights)

    @property
    def fingerprint(self) -> str:
        """See ``DepthPrior``."""
        return self._stored.fingerprint

    @cached_property
    def _model(self) -> Any:
        return self._stored.load("DepthAnythingForDepthEstimation", self.device)

    @torch.inference_mode()
    def estimate(self, view: PriorView) -> PriorDepth:
        """See ``DepthPrior``."""
        size = input_size(*view.picture_size)
        mean, std = (view.images.new_tensor(value)[:, None, None] for value in (IMAGENET_MEAN, IMAGENET_STD))
        found = [
            self._model(pixel_values=((_resize(chunk, size) - mean) / std).to(self.device)).predicted_depth
            for chunk in view.images.split(_FRAMES_AT_ONCE)
        ]
        values = torch.cat(found).float().cpu()
        known = values.isfinite() & (values > 0 if self._metric else True)
        return PriorDepth(values=values, known=known, kind="metric" if self._metric else "affine")


def input_size(height: int, width: int) -> tuple[int, int]:
    """Size at which the network sees a picture: the side that has to change less becomes 518, both are multiples of 14.

    The rule of ``DPTImageProcessor`` with ``keep_aspect_ratio``, as the published models are used with it.
    """
    down, across = _SIDE / height, _SIDE / width
    factor = across if abs(1 - across) < abs(1 - down) else down
    rows, columns = (max(1, round(factor * side / _MULTIPLE)) * _MULTIPLE for side in (height, width))
    return rows, columns


def _resize(images: Float[Tensor, "N 3 H W"], size: tuple[int, int]) -> Float[Tensor, "N 3 h w"]:
    resized = functional.interpolate(images, size, mode="bicubic", align_corners=False, antialias=True)
    return resized.clamp(0, 1)


def name_licence(weights: str) -> str:
    lowered = weights.lower()
    if any(f"-{size}" in lowered for size in ("base", "large", "giant")):
        return "CC BY-NC 4.0: not for commercial use"
    return "Apache-2.0" if "-small" in lowered else "not known here: see where the weights come from"
