"""The loss of the small scene branch: what is compared, and how much each term counts."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from unish.geometry.camera import unproject
from unish.lab.training.data import SceneBatch
from unish.lab.training.depth_prior_correction import correct_depth_prior
from unish.lab.training.losses.cameras import focal_loss
from unish.lab.training.losses.points import compare_points
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


def scene_loss(
    model: SmallScene, batch: SceneBatch, weights: SceneLossWeights, *, know_intrinsics: bool
) -> tuple[Tensor, dict[str, Tensor]]:
    """Weighted sum of all terms, and each of them for the log.

    Args:
        know_intrinsics: give the true intrinsics to the network (as a user with a calibrated camera would).
    """
    # The fused attention kernel's bfloat16 backward pass is slow on CPUs; plain matrix products are not.
    corrected_prior = correct_depth_prior(model, batch) if model.training and model.photo_prior is not None else None
    with sdpa_kernel(SDPBackend.MATH):
        output = model(
            batch.images,
            batch.intrinsics if know_intrinsics else None,
            long_side=max(batch.images.shape[-2:]),
            prior_log_depth=corrected_prior,
        )
    with torch.autocast(batch.images.device.type, enabled=False):
        points = compare_points(output.local_points, output.point_conf_logits, unproject(batch.depth, batch.intrinsics))
        terms = {name: getattr(points, name) for name in ("log_depth", "points", "edges", "anchor", "confidence")}
        terms["focal"] = focal_loss(
            output.auxiliary["log_focal"], batch.intrinsics, (batch.images.shape[-2], batch.images.shape[-1])
        )
        report = {"log_scale": points.scale.log().abs().mean()}
        loss = sum(getattr(weights, name) * term for name, term in terms.items())
    return loss, {name: term.detach() for name, term in (terms | report).items()}
