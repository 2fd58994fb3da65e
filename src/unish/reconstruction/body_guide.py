"""What is left between a body and the relief of its person, smoothed so that arms do not pull at the trunk behind them.

A joint bilateral filter (Petschnigg et al., Eisemann & Durand, 2004): a pixel takes the mean of what is left at pixels
near it whose body is at about the same depth,

    weight = exp(−|pixels apart|² / 2 σ² − (log of body depths apart)² / 2 τ²).

Legend: K crops of S×S pixels.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from numpy import ndarray
from scipy.ndimage import distance_transform_edt
from torch import Tensor

from unish.geometry.camera import pixel_grid
from unish.render.plain import draw_depth

SIGMA = 0.0375
"""σ, in sides of the crop: finer than that, the relief is believed, and coarser the body."""

TAU = 0.05
"""τ, in log-depth: 15 cm at 3 m."""

MOST = 0.3
"""Of what is left, in log-depth: more is a body that is not that of this person."""

_EVERY = 4
"""Pixels along rows and columns for one that is asked: what is left is smooth."""

_ANYWHERE = 1e-9
"""Weight of pixels that are not near: where no body is, the mean of all is taken."""

_FARTHEST = 9.0
"""In units of σ and τ: what is farther has so little weight that nothing is left of it beside ``_ANYWHERE``. Numbers
that are nearly too small for floats take a processor many times as long."""


def draw_bodies(
    vertices: Float[Tensor, "K V 3"],
    faces: Int[ndarray, "F 3"],
    cameras: Float[Tensor, "K 3 3"],
    size: int,
) -> Float[Tensor, "K size size"]:
    """Depth of each body in its crop, 0 elsewhere.

    Args:
        vertices: camera axes; NaN where there is no body.
        cameras: intrinsics in pixels of the crops.
    """
    drawn = torch.zeros(len(vertices), size, size)
    for layer, body, camera in zip(drawn, vertices, cameras, strict=True):
        if torch.isfinite(body).all():
            layer.copy_(torch.from_numpy(draw_depth(body.numpy(), faces, camera.numpy(), (size, size))))
    return drawn


def smooth_within_parts(
    left: Float[Tensor, "K S S"],
    log_body: Float[Tensor, "K S S"],
    known: Bool[Tensor, "K S S"],
    wanted: Bool[Tensor, "K S S"],
) -> Float[Tensor, "K S S"]:
    """``left``, smoothed as the module says, for all pixels that are wanted; 0 elsewhere and where nothing is known.

    Args:
        log_body: log of the body's depth.
        known: where there is a body. What is wanted beside it takes the part of the body that is nearest.
    """
    out = torch.zeros_like(left)
    size = left.shape[-1]
    places = pixel_grid(size, size, like=left) / (size * SIGMA)
    asked = torch.zeros(size, size, dtype=torch.bool)
    asked[_EVERY // 2 :: _EVERY, _EVERY // 2 :: _EVERY] = True
    for layer, values, body, there, some in zip(out, left, log_body, known, wanted, strict=True):
        sources = there & asked
        if not sources.any():
            continue
        nearest = distance_transform_edt(~there.numpy(), return_distances=False, return_indices=True)
        rows, columns = torch.from_numpy(nearest).long()
        features = torch.cat([places, body[rows, columns][..., None] / TAU], dim=-1)
        apart = torch.cdist(features[some], features[sources]).clamp_max_(_FARTHEST)
        weights = apart.square_().div_(-2).exp_().add_(_ANYWHERE)
        layer[some] = weights @ values[sources].clamp(-MOST, MOST) / weights.sum(-1)
    return out
