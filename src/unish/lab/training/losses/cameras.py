"""Relative camera poses and field of view against exact truth.

Legend: B clips, N frames, E pairs of frames; R rotation, t translation of a pair (a hat marks the prediction), s scale.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from unish.geometry.rigid import invert_rigid
from unish.geometry.rotation import rotation_angle
from unish.lab.training.losses.penalties import smooth_angle, smooth_length


@dataclass(frozen=True, kw_only=True)
class CameraErrors:
    """Per pair: rotation error in radians, translation error in units of the clip's mean depth. (B, E) each."""

    rotation: Float[Tensor, "B E"]
    translation: Float[Tensor, "B E"]


def relative_poses(c2w: Float[Tensor, "B N 4 4"], pairs: Int[Tensor, "2 E"]) -> Float[Tensor, "B E 4 4"]:
    """``first_to_second`` of each pair: maps camera points of its first frame into its second."""
    return invert_rigid(c2w[:, pairs[1]]) @ c2w[:, pairs[0]]


def compare_relative_poses(
    predicted: Float[Tensor, "B E 4 4"],
    truth: Float[Tensor, "B E 4 4"],
    *,
    scale: Float[Tensor, "B"],
    unit: Float[Tensor, "B"],
) -> CameraErrors:
    """Errors of relative poses; ``scale`` brings the prediction to metres, ``unit`` is the clip's mean depth."""
    turned = predicted[..., :3, :3].transpose(-1, -2) @ truth[..., :3, :3]
    offset = predicted[..., :3, 3] * scale[:, None, None] - truth[..., :3, 3]
    return CameraErrors(rotation=smooth_angle(turned), translation=smooth_length(offset) / unit[:, None])


def pose_loss(errors: CameraErrors) -> Tensor:
    """Huber on both: rotations matter to about 1°, translations to about 2 % of the mean depth."""
    rotation = functional.huber_loss(errors.rotation / 0.02, torch.zeros_like(errors.rotation), delta=1.0)
    translation = functional.huber_loss(errors.translation / 0.02, torch.zeros_like(errors.translation), delta=1.0)
    return rotation + translation


def angle_degrees(
    predicted: Float[Tensor, "*batch 4 4"], truth: Float[Tensor, "*batch 4 4"]
) -> Float[Tensor, "*batch"]:
    """Rotation error in degrees, for reports."""
    return rotation_angle(predicted[..., :3, :3].transpose(-1, -2) @ truth[..., :3, :3]).rad2deg()


def focal_loss(log_focal: Float[Tensor, "B"], intrinsics: Float[Tensor, "B N 3 3"], size: tuple[int, int]) -> Tensor:
    """|log f − log f*| with f in units of the image diagonal; the truth is the clip's mean."""
    diagonal = (size[0] ** 2 + size[1] ** 2) ** 0.5
    truth = (intrinsics[..., 0, 0].mean(dim=1) / diagonal).log()
    return (log_focal - truth).abs().mean()
