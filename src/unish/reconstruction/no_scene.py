"""Pixels that show no scene, sky, padding and insets: whatever a network says of them takes no part in anything."""

from __future__ import annotations

from dataclasses import replace

import torch
from jaxtyping import Bool, Int64
from torch import Tensor

from unish.reconstruction.window import mean_distance
from unish.structs import Clip, FrameArray, Prediction

_NO_CONFIDENCE = -30.0
"""Logit of a confidence that no stage takes for any."""


def find_padding(clip: Clip, size: tuple[int, int]) -> Bool[FrameArray, "T H W"]:
    """What lies beside the pictures that do not fill their frames, and pictures laid over them, in frames resized to
    (height, width) ``size``."""
    factor = torch.tensor([size[0] / clip.size[0], size[1] / clip.size[1]]).repeat(2)

    def resized(area: Int64[Tensor, "4"]) -> tuple[slice, slice]:
        top, left, bottom, right = (round(edge) for edge in (area * factor).tolist())
        return slice(top, bottom), slice(left, right)

    def padding(frame: int) -> Bool[Tensor, "H W"]:
        beside = torch.zeros(size, dtype=torch.bool)
        if clip.picture_area is not None:
            beside = torch.ones(size, dtype=torch.bool)
            beside[resized(clip.picture_area[frame])] = False
        if clip.inset_area is not None:
            beside[resized(torch.tensor(clip.inset_area))] = True
        return beside

    return FrameArray((clip.num_frames, *size), torch.bool, padding)


def leave_out(prediction: Prediction, no_scene: Bool[Tensor, "N H W"]) -> Prediction:
    """The same prediction, sure of nothing at these pixels.

    All that follows asks for confidence: the camera that is solved from points, the scale between windows, people as
    rulers, the floor, and the depth that is written. ``Prediction.scale`` is the mean distance of the confident points,
    these among them, so it is restated for those that are left: a unit stays as many metres as the network said.

    Args:
        prediction: of one window, batch of one.
        no_scene: of its frames.
    """
    if not no_scene.any():
        return prediction
    cleared = replace(prediction, point_conf_logits=prediction.point_conf_logits.masked_fill(no_scene, _NO_CONFIDENCE))
    before, after = mean_distance(prediction), mean_distance(cleared)
    if prediction.scale is None or before == 0:
        return cleared
    return replace(cleared, scale=prediction.scale * (after / before))
