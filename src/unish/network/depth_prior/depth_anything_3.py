"""Depth Anything 3 (Lin et al. 2025) through its own package, for those who have it.

Which kind of depth a model gives follows from its name, as the authors' table of models describes it:

    DA3METRIC-…            each frame alone; metres = depth · focal length (pixels of its input) / 300
    DA3NESTED-…            metres
    DA3MONO-…              each frame alone, up to a factor
    DA3-SMALL … DA3-GIANT  all frames together, up to one factor
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from unish.assets.pretrained import name_version
from unish.errors import InputError
from unish.network.depth_prior.record import PriorDepth, PriorView

_METRES_AT_FOCAL_PX = 300.0
_NON_COMMERCIAL = ("nested", "giant", "da3-large")


class DepthAnything3:
    """``DepthPrior`` from ``depth_anything_3.api.DepthAnything3``.

    Args:
        weights: ``OWNER/NAME`` of the hub, or a folder whose name says which model it is.
        device: where the network runs.

    Raises:
        InputError: the package is not installed.
    """

    def __init__(self, weights: str, device: str) -> None:
        try:
            from depth_anything_3.api import DepthAnything3 as Model
        except ImportError:
            raise InputError(
                "depth-anything-3 needs its own package: clone https://github.com/ByteDance-Seed/Depth-Anything-3, "
                "pip install it, or give another --depth-prior"
            ) from None
        self._class: Any = Model
        self._weights, self._device = weights, device
        self._model_name = Path(weights).name.lower()
        self.name = f"depth-anything-3 {weights}"
        self.licence = (
            "CC BY-NC 4.0: not for commercial use"
            if any(part in self._model_name for part in _NON_COMMERCIAL)
            else "Apache-2.0"
        )
        self.fingerprint = f"{self.name} {name_version('depth-anything-3')}"

    @cached_property
    def _model(self) -> Any:
        return self._class.from_pretrained(self._weights).to(self._device).eval()

    @torch.inference_mode()
    def estimate(self, view: PriorView) -> PriorDepth:
        """See ``DepthPrior``."""
        pictures = [np.asarray((image * 255).round().byte().permute(1, 2, 0).cpu()) for image in view.images]
        found = self._model.inference(pictures)
        depth = torch.as_tensor(np.asarray(found.depth), dtype=torch.float32)
        known = depth.isfinite() & (depth > 0)
        height, width = (int(side) for side in depth.shape[-2:])
        if "metric" in self._model_name:
            if view.intrinsics is None:
                # One camera films all frames: the factor is not known, but it is one.
                return PriorDepth(values=depth, known=known, kind="scale-free", one_scale=True)
            focal = _mean_focal(view.intrinsics, view.images.shape[-2:], (height, width))
            return PriorDepth(values=depth * (focal / _METRES_AT_FOCAL_PX), known=known, kind="metric")
        if "mono" in self._model_name:
            return PriorDepth(values=depth, known=known, kind="scale-free")
        own = None if found.intrinsics is None else torch.as_tensor(np.asarray(found.intrinsics), dtype=torch.float32)
        focal_of_picture = None
        if own is not None and view.intrinsics is None:
            down, across = view.picture_size[0] / height, view.picture_size[1] / width
            focal_px = float((own[:, 0, 0] * across + own[:, 1, 1] * down).median() / 2)
            focal_of_picture = focal_px / float(np.hypot(*view.picture_size))
        if "nested" not in self._model_name:
            return PriorDepth(values=depth, known=known, kind="scale-free", one_scale=True, focal=focal_of_picture)
        if own is not None and view.intrinsics is not None:
            # What looks alike is as many times farther away as the focal length is longer.
            told = _mean_focal(view.intrinsics, view.images.shape[-2:], (height, width))
            depth = depth * (told / float(((own[:, 0, 0] + own[:, 1, 1]) / 2).median()))
        return PriorDepth(values=depth, known=known, kind="metric", focal=focal_of_picture)


def _mean_focal(intrinsics: Float[Tensor, "N 3 3"], size: torch.Size, of_size: tuple[int, int]) -> float:
    """Mean of fx and fy of the first frame, in pixels of a picture of another size."""
    down, across = of_size[0] / size[0], of_size[1] / size[1]
    return float(intrinsics[0, 0, 0] * across + intrinsics[0, 1, 1] * down) / 2
