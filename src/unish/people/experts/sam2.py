"""SAM 2 (Ravi et al. 2024) through ``transformers``: masks of people whose boxes are known."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float32, UInt8
from numpy import ndarray
from torch import Tensor
from torch.nn import functional

from unish.assets.pretrained import IMAGENET_MEAN, IMAGENET_STD, find_pretrained
from unish.people.protocols import Observation
from unish.structs import FrameTensor

_TYPES = ("sam2", "sam2_video")  # the published weights are those of both, under the second name


class Sam2Segmenter:
    """``Segmenter`` that asks for one mask for each person's box, frame by frame.

    Args:
        weights: folder, or ``OWNER/NAME`` of the hub, in the format of ``transformers``.
        device: where the network runs.

    Raises:
        InputError: ``transformers`` is missing, or there are no such weights.
    """

    def __init__(self, weights: str, device: str) -> None:
        self._device = device
        self._stored = find_pretrained(weights, _TYPES)

    @property
    def fingerprint(self) -> str:
        """Of weights and library."""
        return self._stored.fingerprint

    @cached_property
    def _model(self) -> Any:
        return self._stored.load("Sam2Model", self._device)

    @torch.inference_mode()
    def segment(
        self,
        images: UInt8[FrameTensor, "T H W 3"],
        frame: int,
        people: Sequence[Observation],
        size: tuple[int, int],
    ) -> Float32[ndarray, "P h w"]:
        """See ``Segmenter``."""
        if not people:
            return np.zeros((0, *size), np.float32)
        picture = images[frame]
        side = int(self._model.config.prompt_encoder_config.image_size)
        boxes = np.stack([person.box_xyxy for person in people])
        answer = self._model(
            pixel_values=prepare(picture, side).to(self._device),
            input_boxes=scale_boxes(boxes, (int(picture.shape[0]), int(picture.shape[1])), side).to(self._device),
            multimask_output=False,
        )
        return decode(answer.pred_masks[0, :, 0].float().cpu(), size).numpy()


def prepare(picture: UInt8[Tensor, "H W 3"], side: int) -> Float32[Tensor, "1 3 side side"]:
    """Squeezed to a square and normalised, as SAM 2 was trained."""
    squeezed = functional.interpolate(
        picture.permute(2, 0, 1)[None], (side, side), mode="bilinear", align_corners=False, antialias=True
    )
    mean, std = (torch.tensor(value)[:, None, None] for value in (IMAGENET_MEAN, IMAGENET_STD))
    return (squeezed.float() / 255 - mean) / std


def scale_boxes(boxes_xyxy: Float[ndarray, "P 4"], size: tuple[int, int], side: int) -> Float32[Tensor, "1 P 4"]:
    """Boxes in pixels of a picture of (height, width) ``size`` to those of the square."""
    factor = np.array([side / size[1], side / size[0]] * 2)
    return torch.from_numpy(boxes_xyxy * factor).float()[None]


def decode(logits: Float[Tensor, "P m m"], size: tuple[int, int]) -> Float32[Tensor, "P h w"]:
    """Probabilities over the whole picture at another size."""
    return functional.interpolate(logits[:, None], size, mode="bilinear", align_corners=False)[:, 0].sigmoid()
