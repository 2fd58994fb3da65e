"""The sky has no distance: whatever a network says of its pixels takes no part in anything."""

from __future__ import annotations

from dataclasses import replace

import torch
from jaxtyping import Bool
from torch import Tensor

from unish.reconstruction.stitch import mean_distance
from unish.structs import Prediction


def leave_out_sky(prediction: Prediction, sky: Bool[Tensor, "N H W"]) -> Prediction:
    """The same prediction, sure of nothing where the sky is.

    All that follows asks for confidence: the camera that is solved from points, the scale between windows, people as
    rulers, the floor, and the depth that is written. ``Prediction.scale`` is the mean distance of the confident points,
    the sky among them, so it is restated for those that are left: a unit stays as many metres as the network said.

    Args:
        prediction: of one window, batch of one.
        sky: of its frames.
    """
    if not sky.any():
        return prediction
    cleared = replace(prediction, point_conf_logits=prediction.point_conf_logits.masked_fill(sky[None], -torch.inf))
    before, after = mean_distance(prediction), mean_distance(cleared)
    if prediction.scale is None or before == 0:
        return cleared
    return replace(cleared, scale=prediction.scale * (after / before))
