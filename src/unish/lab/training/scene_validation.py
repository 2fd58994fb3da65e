"""How good is the depth of a scene branch? The baseline it has to beat is always printed beside it.

AbsRel with one median scale per clip, against the *row-wise depth prior* (mean depth of each image row over training
data).
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from jaxtyping import Float
from torch import Tensor

from unish.lab.training.data import SceneBatch, SceneBatches
from unish.lab.training.trainer import move_batch
from unish.network.outputs import SceneOutput
from unish.network.small_scene import SmallScene


def measure_row_prior(shards: SceneBatches, *, num_batches: int, num_rows: int) -> Float[Tensor, "rows"]:
    """Mean log-depth of every image row (stretched to ``num_rows``) over some training batches."""
    total, count = torch.zeros(num_rows), torch.zeros(num_rows)
    for step in range(num_batches):
        depth = shards(step).depth
        row = (torch.arange(depth.shape[-2]) * num_rows // depth.shape[-2])[:, None].expand(depth.shape[-2:])
        valid = depth > 0
        logs = torch.where(valid, depth.clamp(0.05, 80.0).log(), 0.0)
        total.index_add_(0, row.flatten(), logs.flatten(0, 1).sum(0).flatten())
        count.index_add_(0, row.flatten(), valid.flatten(0, 1).sum(0).float().flatten())
    return total / count.clamp_min(1.0)


def depth_error(
    depth: Float[Tensor, "N H W"], truth: Float[Tensor, "N H W"], *, far: float = 80.0
) -> tuple[float, float]:
    """AbsRel and share of δ < 1.25 over the pixels with true depth in (0, far), after one median scale for the clip."""
    valid = (truth > 0) & (truth < far)
    if not valid.any():
        return float("nan"), float("nan")
    predicted, wanted = depth[valid], truth[valid]
    predicted = predicted * (wanted.median() / predicted.median())
    ratio = torch.maximum(predicted / wanted, wanted / predicted)
    return float(((predicted - wanted).abs() / wanted).mean()), float((ratio < 1.25).float().mean())


def stretch_row_prior(log_depth: Float[Tensor, "rows"], size: tuple[int, int]) -> Float[Tensor, "H W"]:
    """The row-wise depth prior as a depth map."""
    rows = torch.nn.functional.interpolate(log_depth[None, None], size[0], mode="linear")[0, 0]
    return rows.exp()[:, None].expand(size)


@torch.no_grad()
def score_scene(model: SmallScene, batches: Iterable[SceneBatch], row_prior: Float[Tensor, "rows"]) -> dict[str, float]:
    """Means over clips, intrinsics not given; computed where the model is.

    AbsRel and δ of network and row-wise depth prior; |log f| error.
    """
    rows: list[dict[str, float]] = []
    device = next(model.parameters()).device
    row_prior = row_prior.to(device)
    for batch in batches:
        batch = move_batch(batch, device)
        output = model(batch.images, long_side=max(batch.images.shape[-2:]))
        for clip in range(len(batch.images)):
            rows.append(_score_clip(output, batch, clip, row_prior))
    return {name: _mean_of_known([row[name] for row in rows]) for name in rows[0]}


def _mean_of_known(values: list[float]) -> float:
    known = [value for value in values if not math.isnan(value)]
    return sum(known) / len(known) if known else math.nan


def _score_clip(output: SceneOutput, batch: SceneBatch, clip: int, row_prior: Tensor) -> dict[str, float]:
    depth, truth = output.local_points[clip, ..., 2], batch.depth[clip]
    prior = stretch_row_prior(row_prior, (truth.shape[-2], truth.shape[-1])).expand_as(truth)
    absrel, delta = depth_error(depth, truth)
    prior_absrel, prior_delta = depth_error(prior, truth)
    focal = (output.intrinsics[clip, :, 0, 0] / batch.intrinsics[clip, :, 0, 0]).log().abs().mean()
    return {
        "absrel": absrel,
        "row_prior_absrel": prior_absrel,
        "delta": delta,
        "row_prior_delta": prior_delta,
        "log_focal": float(focal),
    }
