"""Which pixels show the sky: a small head on frozen features of photographs, refined to the edges of the picture.

    images at three sizes ──> EfficientNet-Lite0 (strides 4, 8, 16) ──> SkyHead ──> mean ──> probability at stride 4
    ──> grown over what looks like the sky of this very picture ──> random walk between edges ──> guided filter ──> mask

The smallest size tells a sky from a white wall, for it sees the whole room at once; the largest sees slits between
roofs.

It runs beside the network whose points it clears, so every preset has it, and it needs no people and no cameras.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from scipy import ndimage, sparse
from scipy.sparse.linalg import spsolve
from torch import Tensor, nn
from torch.nn import functional

from unish.network.encoders.efficientnet import EfficientNetLite0
from unish.network.small_scene import working_size
from unish.network.weights import SHIPPED, read_safetensors

WEIGHTS = Path(__file__).parent / "sky_head.safetensors"
LONG_SIDES = (160, 224, 448)
"""Sizes at which the encoder works; what follows the head works at the last."""

STRIDE = 4
HIDDEN = 32
THRESHOLD = 0.5
RADIUS, SMOOTHING = 4, 1e-3
"""Of the guided filter: half side of its window in pixels of the working size, and variance of colours (0..1) that
counts as an edge."""

SEED, MAYBE = 0.35, 0.15
"""A cell that is sky by itself, and one that may be sky if it looks like those and touches them."""

LOOKS_LIKE, COLOUR_SIGMA, SMOOTH = 6.0, 0.03, 0.06
"""Largest squared Mahalanobis distance from the seeds' colours, standard deviation that these have at least (0..1), and
largest mean step between neighbouring pixels."""

MIN_SEEDS, GROWN = 6, 0.9
TRUST, EDGE, LEAK = 0.003, 0.03, 1e-4
"""Of the random walk: pull of what is sure towards itself, step of colour (0..1) over which neighbours part, and the
least of both, so that every cell hangs on something."""

_ENCODER_PREFIX = "scene.encoder."
_FRAMES_AT_ONCE = 4


class SkyHead(nn.Module):
    """Encoder features of F frames, their colours and rows → logits of sky at stride 4; 9 thousand weights."""

    def __init__(self) -> None:
        super().__init__()
        fine, middle, coarse = EfficientNetLite0.channels
        self.fine = nn.Conv2d(fine + 4, HIDDEN, 1)
        self.middle = nn.Conv2d(middle, HIDDEN, 1, bias=False)
        self.coarse = nn.Conv2d(coarse, HIDDEN, 1, bias=False)
        self.whole = nn.Linear(coarse, HIDDEN, bias=False)
        self.out = nn.Sequential(nn.ReLU(), nn.Conv2d(HIDDEN, HIDDEN // 2, 1), nn.ReLU(), nn.Conv2d(HIDDEN // 2, 1, 1))

    def forward(
        self,
        fine: Float[Tensor, "F 24 h4 w4"],
        middle: Float[Tensor, "F 40 h8 w8"],
        coarse: Float[Tensor, "F 112 h16 w16"],
        colours: Float[Tensor, "F 3 h4 w4"],
    ) -> Float[Tensor, "F h4 w4"]:
        """``colours`` are mean RGB in [0, 1] of each cell. The features' mean distinguishes indoors from outdoors."""
        size = (int(fine.shape[-2]), int(fine.shape[-1]))
        rows = torch.linspace(-1.0, 1.0, size[0], device=fine.device)[None, None, :, None].expand(len(fine), 1, *size)
        hidden = self.fine(torch.cat([fine, colours, rows], dim=1))
        for layer, features in ((self.middle, middle), (self.coarse, coarse)):
            hidden = hidden + functional.interpolate(layer(features), size, mode="bilinear", align_corners=False)
        hidden = hidden + self.whole(coarse.mean((2, 3)))[:, :, None, None]
        return self.out(hidden)[:, 0]


def find_sky(images: UInt8[Tensor, "T H W 3"]) -> Bool[Tensor, "T H W"]:
    """Pixels that show the sky, also through a window; every frame by itself."""
    head, encoder = _load_head(), load_encoder()
    found = [torch.zeros(0, *images.shape[1:3], dtype=torch.bool)]
    with torch.inference_mode():
        for chunk in images.split(_FRAMES_AT_ONCE) if len(images) else ():
            pictures = chunk.permute(0, 3, 1, 2).float() / 255
            sizes = [shrink(pictures, long_side) for long_side in LONG_SIDES]
            logits = [head(*encoder(small), mean_colours(small))[:, None] for small in sizes]
            shape, small = logits[-1].shape[-2:], sizes[-1]
            mean = torch.stack([_resize(one, shape) for one in logits]).mean(0)[:, 0]
            grown = grow(mean.sigmoid(), small)
            walked = torch.stack([walk(*one) for one in zip(grown, mean_colours(small), strict=True)])
            found.append(refine(walked, small, pictures) > THRESHOLD)
    return torch.cat(found)


def shrink(pictures: Float[Tensor, "F 3 H W"], long_side: int) -> Float[Tensor, "F 3 h w"]:
    """To a working size, whose sides are multiples of 16."""
    size = working_size(int(pictures.shape[-2]), int(pictures.shape[-1]), long_side)
    return functional.interpolate(pictures, size, mode="bilinear", align_corners=False, antialias=True)


def _resize(maps: Float[Tensor, "F 1 a b"], size: tuple[int, int]) -> Float[Tensor, "F 1 h w"]:
    return functional.interpolate(maps, size, mode="bilinear", align_corners=False)


def mean_colours(small: Float[Tensor, "F 3 h w"]) -> Float[Tensor, "F 3 h4 w4"]:
    """Mean RGB of each cell of the head."""
    return functional.avg_pool2d(small, STRIDE)


def grow(probability: Float[Tensor, "F h4 w4"], small: Float[Tensor, "F 3 h w"]) -> Float[Tensor, "F h4 w4"]:
    """Raise the probability of cells that look like the sure sky of their own picture and hang together with it.

    Skies differ more from picture to picture than within one: a head that knows a part of one need not know the rest.
    """
    grey = small.mean(1, keepdim=True)
    steps = functional.pad(grey.diff(dim=3).abs(), (0, 1)) + functional.pad(grey.diff(dim=2).abs(), (0, 0, 0, 1))
    smooth = (functional.avg_pool2d(steps, STRIDE)[:, 0] < SMOOTH).numpy()
    grown = probability.clone()
    for frame, (chance, colours) in enumerate(zip(probability, mean_colours(small), strict=True)):
        seeds = (chance > SEED).numpy()
        if seeds.sum() < MIN_SEEDS:
            continue
        sample, weights = colours[:, seeds], chance[seeds] / chance[seeds].sum()
        middle = (sample * weights).sum(1, keepdim=True)
        spread = (sample - middle) * weights @ (sample - middle).T + COLOUR_SIGMA**2 * torch.eye(3)
        off = colours.flatten(1) - middle
        distance = (off * torch.linalg.solve(spread, off)).sum(0).unflatten(0, chance.shape).numpy()
        alike = seeds | ((distance < LOOKS_LIKE) & (chance > MAYBE).numpy() & smooth[frame])
        parts, _ = ndimage.label(alike)
        joined = torch.from_numpy(np.isin(parts, np.unique(parts[seeds])))
        grown[frame] = torch.where(joined, chance.clamp_min(GROWN), chance)
    return grown


def walk(probability: Float[Tensor, "h4 w4"], colours: Float[Tensor, "3 h4 w4"]) -> Float[Tensor, "h4 w4"]:
    """The probability that a walk from each cell, which crosses edges of colour seldom, first ends in sky.

    Random walker with priors (Grady, "Multilabel random walker image segmentation using prior models", 2005): cells
    agree with their neighbours of the same colour, and with the given probability where that is far from one half. A
    smooth sky is sky to its edges, and a patch that was taken for sky amid more of the like that is none is none.
    """
    height, width = probability.shape
    number = np.arange(height * width).reshape(height, width)
    shown, given = colours.double().numpy(), probability.double().numpy().ravel()
    links = []
    for one, other in ((np.s_[:, :-1], np.s_[:, 1:]), (np.s_[:-1, :], np.s_[1:, :])):
        step = ((shown[:, *one] - shown[:, *other]) ** 2).sum(axis=0)
        links.append((number[one].ravel(), number[other].ravel(), np.exp(-step / EDGE**2).ravel() + LEAK))
    first, second, weight = (np.concatenate(part) for part in zip(*links, strict=True))
    graph = sparse.coo_matrix((weight, (first, second)), (number.size, number.size)).tocsr()
    graph = graph + graph.T
    pull = TRUST * (2 * given - 1) ** 2 + LEAK
    laplacian = sparse.diags(np.asarray(graph.sum(axis=1)).ravel() + pull) - graph
    return torch.from_numpy(spsolve(laplacian.tocsc(), pull * given).reshape(height, width)).float()


def refine(
    probability: Float[Tensor, "F h4 w4"], small: Float[Tensor, "F 3 h w"], pictures: Float[Tensor, "F 3 H W"]
) -> Float[Tensor, "F H W"]:
    """The probability as a locally linear function of colour: guided filter (He, Sun & Tang, 2013), whose coefficients
    are found at the working size and applied to the whole picture (He & Sun, 2015)."""
    size = (int(small.shape[-2]), int(small.shape[-1]))
    wanted = functional.interpolate(probability[:, None], size, mode="bilinear", align_corners=False)
    mean, mean_wanted = _box(small), _box(wanted)
    products = small[:, :, None] * small[:, None]
    covariance = _box(products.flatten(1, 2)).unflatten(1, (3, 3)) - mean[:, :, None] * mean[:, None]
    covariance = covariance.permute(0, 3, 4, 1, 2) + SMOOTHING * torch.eye(3, device=small.device)
    shared = (_box(small * wanted) - mean * mean_wanted).permute(0, 2, 3, 1)
    slope = torch.linalg.solve(covariance, shared).permute(0, 3, 1, 2)
    offset = mean_wanted - (slope * mean).sum(1, keepdim=True)
    line = functional.interpolate(
        _box(torch.cat([slope, offset], dim=1)), pictures.shape[-2:], mode="bilinear", align_corners=False
    )
    return (line[:, :3] * pictures).sum(1) + line[:, 3]


def _box(maps: Float[Tensor, "F C h w"]) -> Float[Tensor, "F C h w"]:
    """Mean over the window, of what lies inside the picture."""
    return functional.avg_pool2d(maps, 2 * RADIUS + 1, stride=1, padding=RADIUS, count_include_pad=False)


@lru_cache(maxsize=1)
def load_encoder() -> EfficientNetLite0:
    """The frozen encoder that ships with the small preset."""
    stored = read_safetensors(SHIPPED / "small" / "model.safetensors")
    encoder = EfficientNetLite0().eval().requires_grad_(False)
    encoder.load_state_dict(
        {name.removeprefix(_ENCODER_PREFIX): value.float() for name, value in stored.items() if _ENCODER_PREFIX in name}
    )
    return encoder


@lru_cache(maxsize=1)
def _load_head() -> SkyHead:
    head = SkyHead().eval().requires_grad_(False)
    head.load_state_dict({name: value.float() for name, value in read_safetensors(WEIGHTS).items()})
    return head
