"""What the network sees beside a picture that does not fill its frame is no scene."""

from __future__ import annotations

from dataclasses import replace

import torch
from jaxtyping import Int64
from torch import Tensor

from unish.structs import Prediction

_NO_CONFIDENCE = -30.0
"""Logit of a confidence that no stage takes for any."""


def leave_out_padding(
    prediction: Prediction, areas: Int64[Tensor, "N 4"] | None, clip_size: tuple[int, int]
) -> Prediction:
    """The same prediction, sure of nothing beside the pictures.

    Args:
        prediction: of one window, batch of one.
        areas: (top, left, bottom, right) of the picture in each of its frames, pixels of the clip; ``None`` where every
            picture fills its frame.
        clip_size: (height, width) of the clip's frames.
    """
    if areas is None:
        return prediction
    logits = prediction.point_conf_logits.clone()
    height, width = logits.shape[-2:]
    factor = torch.tensor([height / clip_size[0], width / clip_size[1]]).repeat(2)
    for one, area in zip(logits[0], areas * factor, strict=True):
        inside = torch.zeros_like(one, dtype=torch.bool)
        top, left, bottom, right = (round(edge) for edge in area.tolist())
        inside[top:bottom, left:right] = True
        one[~inside] = _NO_CONFIDENCE
    return replace(prediction, point_conf_logits=logits)
