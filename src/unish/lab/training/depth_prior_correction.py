"""Monocular depth prior in training: its error on renders reduced to its error on photographs.

FastDepth learnt from photographs of rooms and errs more on renders than there, so a network that trained beside its
raw output would learn to weight it too little. Where the clip lies within its range, its smooth error is reduced by a
random share, such that on average it is as good as its authors measured on photographs; the error that remains is its
own. Far places and people get the raw prior: FastDepth fails on them in photographs too. So do some clips whatever they
show, so that the network learns to detect a prior that contradicts everything else.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from unish.lab.training.data import SceneBatch
from unish.network.dense_layers import DENSE_STRIDE
from unish.network.small_scene import SmallScene

LEVEL_SHARES = (0.8, 1.0)
SHAPE_SHARES = (0.3, 0.8)
"""Shares of a clip's mean error and of the rest of its error that are removed, sampled uniformly per clip. Three
quarters of the cells are then within a factor 1.25 of the truth in rooms; FastDepth's authors measured .771 on
photographs of rooms."""
CORRECTED_SHARE = 0.75  # of the clips
_RANGE_M = 10.0  # of the Kinect that FastDepth learnt from
_LEAST_SHARE_IN_RANGE = 0.9
_SMOOTH_CELLS = 4  # of stride 4: errors finer than 16 pixels stay


def correct_depth_prior(model: SmallScene, batch: SceneBatch) -> Float[Tensor, "B N h4 w4"]:
    """``SmallScene.predict_depth_prior`` of a training batch, corrected. Uses PyTorch's global random numbers."""
    prior = model.predict_depth_prior(batch.images, (batch.images.shape[-2], batch.images.shape[-1]))
    error = smooth_error(model, batch, prior)
    scene = 1 - _people_share(batch)
    level = (error * scene).sum(dim=(1, 2, 3), keepdim=True) / scene.sum(dim=(1, 2, 3), keepdim=True).clamp_min(1e-3)
    shape = (error - level) * scene
    corrected = torch.rand(len(prior), 1, 1, 1, device=prior.device) < CORRECTED_SHARE
    return prior + corrected * (
        _sample_shares(LEVEL_SHARES, prior) * level + _sample_shares(SHAPE_SHARES, prior) * shape
    )


def _people_share(batch: SceneBatch) -> Float[Tensor, "B N h4 w4"]:
    people = (batch.person_ids >= 0).float().flatten(0, 1)[:, None]
    return functional.avg_pool2d(people, DENSE_STRIDE)[:, 0].unflatten(0, batch.depth.shape[:2])


def _sample_shares(bounds: tuple[float, float], like: Float[Tensor, "B N h w"]) -> Float[Tensor, "B 1 1 1"]:
    low, high = bounds
    return low + (high - low) * torch.rand(len(like), 1, 1, 1, device=like.device)


def smooth_error(model: SmallScene, batch: SceneBatch, prior: Float[Tensor, "B N h4 w4"]) -> Float[Tensor, "B N h4 w4"]:
    """True log-depth minus the prior, of all but people, smoothed.

    0 in clips that reach beyond its range.
    """
    known = ((batch.depth > 0) & (batch.person_ids < 0)).flatten(0, 1)[:, None].float()
    log_depth = batch.depth.flatten(0, 1)[:, None].clamp_min(1e-3).log()
    near = ((batch.depth > 0) & (batch.depth < _RANGE_M)).float().mean(dim=(1, 2, 3)) >= _LEAST_SHARE_IN_RANGE
    cells = functional.avg_pool2d(known, DENSE_STRIDE)
    true = functional.avg_pool2d(log_depth * known, DENSE_STRIDE) / cells.clamp_min(1e-6)
    size = (batch.images.shape[-2], batch.images.shape[-1])
    ratio = model.log_focal_ratio(batch.intrinsics, size).flatten(0, 1)[:, None]
    error = (true - prior.flatten(0, 1)[:, None] - ratio) * cells
    weight = functional.avg_pool2d(cells, _SMOOTH_CELLS)
    smooth = functional.avg_pool2d(error, _SMOOTH_CELLS) / weight.clamp_min(1e-3)
    fine = functional.interpolate(smooth, prior.shape[-2:], mode="bilinear", align_corners=False)[:, 0]
    return fine.unflatten(0, prior.shape[:2]) * near[:, None, None, None]
