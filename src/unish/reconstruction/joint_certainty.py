"""Which joints were seen, and which follow from the pose prior alone."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from unish.body.joint_evidence import find_seen, joint_certainty, landmark_certainty
from unish.geometry.rigid import invert_rigid
from unish.reconstruction.shot import MetricShot
from unish.structs import Landmarks

SEEN = 0.5
"""Certainty from which on a joint counts as seen in the report."""


def measure_joint_certainty(
    shots: Sequence[MetricShot], landmarks: Landmarks, image_size: tuple[int, int]
) -> Float[Tensor, "P T 24"]:
    """Certainty of every joint, 0 to 1, from the landmarks that tell where it is (``body.joint_evidence``).

    Args:
        shots: of all T frames; their bodies say how many metres a pixel is.
        landmarks: of all T frames, pixels of the processed images of ``image_size`` (height, width).
    """
    metres_per_pixel = torch.cat([_metres_per_pixel(shot) for shot in shots], dim=1)
    sigma_px = landmarks.sigma_px
    sigma_m = torch.full_like(landmarks.px[..., 0], torch.nan) if sigma_px is None else sigma_px * metres_per_pixel
    seen = torch.where(find_seen(landmarks.px, image_size), landmarks.px[..., 2], 0.0)
    return joint_certainty(landmark_certainty(seen, sigma_m))


def _metres_per_pixel(shot: MetricShot) -> Float[Tensor, "P T 1"]:
    """At the depth of each pelvis."""
    w2c = invert_rigid(shot.c2w)
    depth = (w2c[:, 2, :3] * shot.joints[..., 0, :]).sum(-1) + w2c[:, 2, 3]
    focal = (shot.intrinsics[:, 0, 0] * shot.intrinsics[:, 1, 1]).sqrt()
    return (depth / focal)[..., None]
