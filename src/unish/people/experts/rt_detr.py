"""RT-DETR (Zhao et al. 2024) through ``transformers``: boxes of people."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float32, UInt8
from numpy import ndarray
from torch import Tensor
from torch.nn import functional

from unish.assets.pretrained import find_pretrained
from unish.errors import InputError
from unish.people.boxes import clip_box, suppress
from unish.people.protocols import Detection

_CLASSES = {"rt_detr": "RTDetrForObjectDetection", "rt_detr_v2": "RTDetrV2ForObjectDetection"}
_SIDE = 640
_PERSON = "person"
_FRAMES_AT_ONCE = 4


class RtDetrDetector:
    """``Detector``. Boxes that two queries give to one person are one detection.

    Args:
        weights: folder, or ``OWNER/NAME`` of the hub, in the format of ``transformers``, with a class called person.
        device: where the network runs.
        min_score: weakest detection.
        max_iou: overlap above which the weaker of two boxes goes. The network itself gives each object one box, so
            this is higher than for detectors that need it.

    Raises:
        InputError: ``transformers`` is missing, there are no such weights, or they know no people.
    """

    def __init__(self, weights: str, device: str, *, min_score: float = 0.1, max_iou: float = 0.85) -> None:
        self._device, self._min_score, self._max_iou = device, min_score, max_iou
        self._stored = find_pretrained(weights, _CLASSES)
        names = self._stored.config.get("id2label") or {}
        self._person = next((int(number) for number, name in names.items() if name == _PERSON), None)
        if self._person is None:
            raise InputError(f"{weights}: none of its {len(names)} classes is called {_PERSON}; give others")

    @property
    def fingerprint(self) -> str:
        """Of weights and library."""
        return self._stored.fingerprint

    @cached_property
    def _model(self) -> Any:
        return self._stored.load(_CLASSES[self._stored.config["model_type"]], self._device)

    @torch.inference_mode()
    def detect(self, images: UInt8[Tensor, "T H W 3"]) -> list[list[Detection]]:
        """See ``Detector``."""
        size, found = (int(images.shape[1]), int(images.shape[2])), list[list[Detection]]()
        for chunk in images.split(_FRAMES_AT_ONCE):
            # As it was trained: squeezed to a square, and not normalised.
            pictures = functional.interpolate(
                chunk.permute(0, 3, 1, 2), (_SIDE, _SIDE), mode="bilinear", antialias=True
            )
            answer = self._model(pixel_values=(pictures.float() / 255).to(self._device))
            boxes, scores = decode(
                answer.logits.float().cpu(), answer.pred_boxes.float().cpu(), self._person or 0, size
            )
            found += [self._select(*one, size) for one in zip(boxes.numpy(), scores.numpy(), strict=True)]
        return found

    def _select(
        self, boxes: Float32[ndarray, "Q 4"], scores: Float32[ndarray, "Q"], size: tuple[int, int]
    ) -> list[Detection]:
        likely = np.flatnonzero(scores >= self._min_score)
        kept = likely[suppress(boxes[likely], scores[likely], max_iou=self._max_iou)]
        return [Detection(box_xyxy=clip_box(boxes[row], size), score=float(scores[row])) for row in kept]


def decode(
    logits: Float[Tensor, "B Q classes"], boxes: Float[Tensor, "B Q 4"], person: int, size: tuple[int, int]
) -> tuple[Float[Tensor, "B Q 4"], Float[Tensor, "B Q"]]:
    """x0, y0, x1, y1 in pixels of a picture of (height, width) ``size``, and the probability of a person.

    The rule of ``RTDetrImageProcessor.post_process_object_detection`` for one class: every class has a sigmoid of its
    own, and boxes are centre and size in shares of the picture.
    """
    half = boxes[..., 2:] / 2
    corners = torch.cat([boxes[..., :2] - half, boxes[..., :2] + half], dim=-1)
    return corners * corners.new_tensor([size[1], size[0]]).repeat(2), logits[..., person].sigmoid()
