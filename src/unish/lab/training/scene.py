"""The loss of the small scene branch: what is compared, and how much each term counts."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from unish.geometry.camera import unproject
from unish.lab.training.data import SceneBatch
from unish.lab.training.depth_prior_correction import correct_depth_prior
from unish.lab.training.losses.cameras import (
    angle_degrees,
    compare_relative_poses,
    focal_loss,
    pose_loss,
    relative_poses,
)
from unish.lab.training.losses.matches import find_true_matches, match_losses
from unish.lab.training.losses.points import compare_points
from unish.network.outputs import SceneOutput
from unish.network.small_scene import SmallScene


@dataclass(frozen=True, kw_only=True)
class SceneLossWeights:
    """Factor of every term. The edge term stays small: at full weight it drowns the depth itself."""

    log_depth: float = 1.0
    points: float = 0.3
    edges: float = 0.5
    anchor: float = 0.2
    confidence: float = 0.1
    focal: float = 0.5
    coarse_match: float = 0.1
    flow: float = 1.0
    match_weight: float = 0.2
    pose: float = 0.05


def scene_loss(
    model: SmallScene, batch: SceneBatch, weights: SceneLossWeights, *, know_intrinsics: bool, with_cameras: bool = True
) -> tuple[Tensor, dict[str, Tensor]]:
    """Weighted sum of all terms, and each of them for the log.

    Args:
        know_intrinsics: give the true intrinsics to the network (as a user with a calibrated camera would).
        with_cameras: ``False`` leaves out matches and cameras, which learn faster than depth and cost a third.
    """
    # The fused attention kernel's bfloat16 backward pass is slow on CPUs; plain matrix products are not.
    corrected_prior = correct_depth_prior(model, batch) if model.training and model.photo_prior is not None else None
    with sdpa_kernel(SDPBackend.MATH):
        output = model(
            batch.images,
            batch.intrinsics if know_intrinsics else None,
            long_side=max(batch.images.shape[-2:]),
            with_cameras=with_cameras,
            keep_training_outputs=True,
            prior_log_depth=corrected_prior,
        )
    with torch.autocast(batch.images.device.type, enabled=False):
        points = compare_points(output.local_points, output.point_conf_logits, unproject(batch.depth, batch.intrinsics))
        terms = {name: getattr(points, name) for name in ("log_depth", "points", "edges", "anchor", "confidence")}
        terms["focal"] = focal_loss(
            output.auxiliary["log_focal"], batch.intrinsics, (batch.images.shape[-2], batch.images.shape[-1])
        )
        report = {"log_scale": points.scale.log().abs().mean()}
        if with_cameras:
            camera_terms, camera_report = _camera_terms(output, batch, points.scale)
            terms, report = terms | camera_terms, report | camera_report
        loss = sum(getattr(weights, name) * term for name, term in terms.items())
    return loss, {name: term.detach() for name, term in (terms | report).items()}


def _camera_terms(output: SceneOutput, batch: SceneBatch, scale: Tensor) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Loss terms of matches and pair poses, and the errors in units that mean something."""
    pairs, poses = output.auxiliary["pairs"], output.auxiliary["first_to_second"]
    truth = relative_poses(batch.c2w, pairs)
    matches = match_losses(
        output.auxiliary["targets_px"],
        output.auxiliary["weight_logits"],
        output.auxiliary["log_probability"],
        find_true_matches(batch.depth, batch.person_ids, batch.intrinsics, truth, pairs),
    )
    unit = batch.depth.clamp_max(20.0).mean(dim=(1, 2, 3)).clamp_min(0.1)
    errors = compare_relative_poses(poses, truth, scale=scale, unit=unit)
    report = {
        "rotation_deg": angle_degrees(poses.detach(), truth).mean(),
        "still_deg": angle_degrees(torch.eye(4, device=truth.device).expand_as(truth), truth).mean(),
        "translation": errors.translation.mean(),
    }
    terms = {
        "coarse_match": matches["coarse"],
        "flow": matches["flow"],
        "match_weight": matches["weight"],
        "pose": pose_loss(errors),
    }
    return terms, report
