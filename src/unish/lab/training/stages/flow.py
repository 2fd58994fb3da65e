"""Real video without truth for the scene branch: points, cameras and focal length must explain the optical flow."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from unish.lab.datasets import ClipSource
from unish.lab.training.data.flow import FlowBatch, FlowBatches, FlowDataConfig
from unish.lab.training.losses.distillation import forgetting_loss
from unish.lab.training.losses.flow import depth_flow_loss, flow_loss
from unish.lab.training.stages.scene import FROZEN_PARTS
from unish.lab.training.trainer import FitConfig, fit
from unish.network.outputs import SceneOutput
from unish.network.small_scene import SmallScene


@dataclass(frozen=True, kw_only=True)
class FlowWeights:
    """Factor of every term; 0 leaves it out.

    Attributes:
        flow: percent of the image diagonal by which points, cameras and intrinsics miss the flow.
        depth: log-depth that two frames disagree on.
        forgetting: relative change of the points; the first two leave the scale of a clip, and much of a clip whose
            camera stands still, undecided.
    """

    flow: float = 1.0
    depth: float = 1.0
    forgetting: float = 0.5


@dataclass(frozen=True, kw_only=True)
class FlowStage:
    """A row of the recipe: all of the scene branch but its frozen parts trains, on videos."""

    name: str
    losses: FlowWeights
    fit: FitConfig
    data: FlowDataConfig = field(default_factory=FlowDataConfig)


def run_flow_stage(
    stage: FlowStage,
    model: SmallScene,
    source: ClipSource,
    run_dir: Path,
    *,
    seed: int = 0,
    resume: bool = False,
    minutes: float | None = None,
    progress: bool = True,
) -> None:
    """Train ``model`` in place. What it must not forget are its answers before.

    Raises:
        InputError: the source does not say who is where, or OpenCV is not installed.
    """
    batches = FlowBatches(source, stage.data, seed=seed)
    frozen = copy.deepcopy(model).eval().requires_grad_(False)
    for name, part in model.named_children():
        part.requires_grad_(name not in FROZEN_PARTS)

    def compute_loss(_: nn.Module, batch: FlowBatch) -> tuple[Tensor, dict[str, Tensor]]:
        # The trainer may have moved the model since the copy was made.
        return flow_stage_loss(model, frozen.to(batch.images.device), batch, stage.losses)

    fit(
        model,
        compute_loss,
        batches,
        config=replace(stage.fit, seed=seed, minutes=minutes),
        run_dir=run_dir,
        resume=resume,
        progress=progress,
    )


def flow_stage_loss(
    model: SmallScene, frozen: SmallScene, batch: FlowBatch, weights: FlowWeights
) -> tuple[Tensor, dict[str, Tensor]]:
    """Weighted sum of all terms, and each of them for the log."""
    output = _look(model, batch)
    with torch.autocast(batch.images.device.type, enabled=False):
        terms = _compare(output, batch)
        if weights.forgetting:
            with torch.no_grad():
                before = _look(frozen, batch).local_points
            everywhere = torch.ones_like(before[..., 0], dtype=torch.bool)
            terms["forgetting"] = forgetting_loss(output.local_points, before, everywhere)
        loss = sum(getattr(weights, name) * term for name, term in terms.items() if getattr(weights, name))
    return loss, {name: term.detach() for name, term in terms.items()}


@torch.no_grad()
def score_flow(model: SmallScene, batches: Iterable[FlowBatch]) -> dict[str, float]:
    """Medians over the batches of ``flow_percent`` and ``depth_percent``, by which frames disagree (see the losses)."""
    rows = [_compare(_look(model, batch), batch) for batch in batches]
    return {
        "flow_percent": float(torch.stack([row["flow"] for row in rows]).median()),
        "depth_percent": 100 * float(torch.stack([row["depth"] for row in rows]).median()),
    }


def _look(model: SmallScene, batch: FlowBatch) -> SceneOutput:
    return model(batch.images, long_side=max(batch.images.shape[-2:]))


def _compare(output: SceneOutput, batch: FlowBatch) -> dict[str, Tensor]:
    return {
        "flow": flow_loss(output.local_points, output.c2w, output.intrinsics, batch.flow, batch.pairs, batch.mask),
        "depth": depth_flow_loss(output.local_points, output.c2w, batch.flow, batch.pairs, batch.mask),
    }
