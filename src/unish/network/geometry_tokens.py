"""Geometric channels that a plain AlignNet needs in the tokens of our small branches: points, and places of people.

The tokens of π³ determine its points, and the published human token encodes the box of the person; AlignNet places
people among points from tokens alone. Ours encode neither by themselves: the dense head also reads finer features and
the monocular depth prior, and landmarks are lifted in the person's own view.

Legend: B clips, N frames, F = B·N, h×w the working size, h4×w4 a quarter of it, P patches, T = special tokens + P.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

_FREQUENCIES = (4.0, 8.0, 16.0, 32.0)
"""Of rays x/z: from the width of a picture to that of a patch."""
_USUAL_LOG_DEPTH = 1.2  # 3.3 m
_GAIN = 3.0
"""Adapters normalise a whole token: a few channels of the scale of hundreds of others would have little weight."""

NUM_PLACE = 3 + 4 * len(_FREQUENCIES)
NUM_GEOMETRY = 8 + 4 * len(_FREQUENCIES)


def describe_place(rays: Float[Tensor, "*batch 2"], inverse_depth: Float[Tensor, "*batch"]) -> Tensor:
    """Where in the picture a person is and how large: (*batch, ``NUM_PLACE``).

    Args:
        rays: x/z and y/z of the person.
        inverse_depth: proportional to the person's size in the picture, 1/metre.
    """
    size = (4 * inverse_depth)[..., None].log()
    return torch.cat([2 * rays, size, _GAIN * _encode_rays(rays)], dim=-1)


def append_geometry(
    hidden: Float[Tensor, "B N T C"],
    grid: tuple[int, int],
    log_depth: Float[Tensor, "F h w"],
    conf_logits: Float[Tensor, "F h4 w4"],
    rays: Float[Tensor, "F P 2"],
) -> Float[Tensor, "B N T D"]:
    """The tokens, normalised, with ``NUM_GEOMETRY`` more channels.

    Of every patch: mean, nearest and spread of the log-depth; confidence; the ray (x/z, y/z) and its square; the
    log-depth over the frame's mean; and the ray in sines and cosines, as in ``describe_place``, so that attention can
    find the patches where a person is. Special tokens get the mean over all patches.

    Args:
        grid: rows and columns of patches.
        rays: of the patches' centres.
    """

    def pool(maps: Float[Tensor, "F a b"]) -> Float[Tensor, "F P"]:
        return functional.adaptive_avg_pool2d(maps[:, None], grid).flatten(1)

    mean = pool(log_depth)
    nearest = -functional.adaptive_max_pool2d(-log_depth[:, None], grid).flatten(1)
    spread = (pool(log_depth.square()) - mean.square()).clamp_min(1e-8).sqrt()
    numbers = [
        2.0 * (mean - _USUAL_LOG_DEPTH),
        2.0 * (nearest - _USUAL_LOG_DEPTH),
        5.0 * spread,
        0.5 * pool(conf_logits),
        2.0 * rays[..., 0],
        2.0 * rays[..., 1],
        4.0 * rays.square().sum(-1),
        2.0 * (mean - mean.mean(1, keepdim=True)),
    ]  # each with a spread of about 1
    patches = _GAIN * torch.cat([torch.stack(numbers, dim=-1), _encode_rays(rays)], dim=-1)
    special = patches.mean(1, keepdim=True).expand(-1, hidden.shape[2] - patches.shape[1], -1)
    geometry = torch.cat([special, patches], dim=1).unflatten(0, hidden.shape[:2])
    normalised = functional.layer_norm(hidden, hidden.shape[-1:])
    return torch.cat([normalised, geometry.to(hidden.dtype)], dim=-1)


def _encode_rays(rays: Float[Tensor, "*batch 2"]) -> Float[Tensor, "*batch K"]:
    """Sines and cosines of x/z and y/z at every frequency."""
    angles = [frequency * rays for frequency in _FREQUENCIES]
    return torch.cat([wave(angle) for angle in angles for wave in (torch.sin, torch.cos)], dim=-1)
