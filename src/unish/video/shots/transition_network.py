"""TransNet V2 (Souček and Lokoč 2020): which frames belong to a change from one shot to another.

    thumbnails ──> 3 × (2 × dilated convolutions over time, in parallel) ──> pooled ──┐
                     └─> similarity to the frames around ─────────────────────────────┼──> two layers ──> probability
    colour histograms ──> similarity to the frames around ────────────────────────────┘

The names of the weights are those of the released file.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from pickle import UnpicklingError

import torch
from jaxtyping import Float, Float32, UInt8
from numpy import ndarray
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

from unish.errors import InputError
from unish.video.shots.transitions import INPUT_SIZE, TransitionModel

HEAD = Path(__file__).parent / "transition_head.safetensors"

_DILATIONS = (1, 2, 4, 8)
_FILTERS = (16, 32, 64)
AROUND = 101
"""Frames that a frame is compared with: itself, and as many before it as after it."""
OURS_POWER = 12
"""So much surer than the published one our head has to be: it finds wipes and circles, and more whip pans, too."""
_HEAD_DILATIONS = (1, 3, 9)
_LEVELS = 8
"""Bins per colour channel."""


class _SpaceThenTime(nn.Module):
    """A convolution over the picture, then one over time with gaps."""

    def __init__(self, channels: int, filters: int, dilation: int) -> None:
        super().__init__()
        space = nn.Conv3d(channels, 2 * filters, (1, 3, 3), padding=(0, 1, 1), bias=False)
        time = nn.Conv3d(2 * filters, filters, (3, 1, 1), dilation=(dilation, 1, 1), padding="same", bias=False)
        self.layers = nn.Sequential(space, time)

    def forward(self, frames: Float[Tensor, "1 C T h w"]) -> Float[Tensor, "1 F T h w"]:
        return self.layers(frames)


class _Dilated(nn.Module):
    """The same input at four time scales, side by side."""

    def __init__(self, channels: int, filters: int) -> None:
        super().__init__()
        for dilation in _DILATIONS:
            self.add_module(f"Conv3D_{dilation}", _SpaceThenTime(channels, filters, dilation))
        self.bn = nn.BatchNorm3d(len(_DILATIONS) * filters, eps=1e-3)

    def forward(self, frames: Float[Tensor, "1 C T h w"]) -> Float[Tensor, "1 F T h w"]:
        scales = [self.get_submodule(f"Conv3D_{dilation}")(frames) for dilation in _DILATIONS]
        return torch.relu(self.bn(torch.cat(scales, dim=1)))


class _Stack(nn.Module):
    """Two of them with a way around the second, and half the picture size."""

    def __init__(self, channels: int, filters: int) -> None:
        super().__init__()
        self.DDCNN = nn.ModuleList([_Dilated(channels, filters), _Dilated(len(_DILATIONS) * filters, filters)])

    def forward(self, frames: Float[Tensor, "1 C T h w"]) -> Float[Tensor, "1 F T h2 w2"]:
        first = self.DDCNN[0](frames)
        return functional.avg_pool3d(first + self.DDCNN[1](first), (1, 2, 2))


class _Similarities(nn.Module):
    """Cosine similarities of each frame to those around it → features."""

    def __init__(self, channels: int | None = None, *, width: int = 128) -> None:
        super().__init__()
        self.projection = None if channels is None else nn.Linear(channels, width)
        self.fc = nn.Linear(AROUND, width)

    def compare(self, described: Float[Tensor, "T D"]) -> Float[Tensor, "T 101"]:
        return compare_around(described if self.projection is None else self.projection(described))

    def forward(self, similar: Float[Tensor, "T 101"]) -> Float[Tensor, "T F"]:
        return torch.relu(self.fc(similar))


def compare_around(described: Float[Tensor, "T D"]) -> Float[Tensor, "T 101"]:
    """Cosine similarity of each frame to those up to 50 before and after it; 0 where there is none."""
    described, reach = functional.normalize(described, dim=-1), AROUND // 2
    similar = functional.pad(described @ described.T, (reach, reach))
    columns = torch.arange(len(described), device=similar.device)[:, None] + torch.arange(AROUND, device=similar.device)
    return similar.gather(1, columns)


@dataclass(frozen=True, kw_only=True)
class Described:
    """What the network knows of each frame of a window.

    Attributes:
        cells: features of 3 × 6 parts of the picture.
        similar: to the frames around, three times: by features, by colours, and by luma in place.
        hidden: the last layer before the verdict.
    """

    cells: Float[Tensor, "T 18 256"]
    similar: Float[Tensor, "T 303"]
    hidden: Float[Tensor, "T 1024"]


class TransitionNetwork(nn.Module):
    """Thumbnails of consecutive frames → for each, the logit that a transition is going on there."""

    def __init__(self) -> None:
        super().__init__()
        widths = [len(_DILATIONS) * filters for filters in _FILTERS]
        inputs = zip([3, *widths[:-1]], _FILTERS, strict=True)
        self.SDDCNN = nn.ModuleList([_Stack(channels, filters) for channels, filters in inputs])
        self.frame_sim_layer = _Similarities(sum(widths))
        self.color_hist_layer = _Similarities()
        height, width = (side // 2 ** len(_FILTERS) for side in INPUT_SIZE)
        self.fc1 = nn.Linear(widths[-1] * height * width + 2 * 128, 1024)
        self.cls_layer1 = nn.Linear(1024, 1)
        self.cls_layer2 = nn.Linear(1024, 1)

    def describe(self, thumbnails: UInt8[Tensor, "T 27 48 3"]) -> Described:
        pictures = thumbnails.to(self.fc1.weight.dtype) / 255
        frames = pictures.permute(3, 0, 1, 2)[None]
        means = []
        for stack in self.SDDCNN:
            frames = stack(frames)
            means.append(frames.mean((3, 4))[0].T)
        cells = frames[0].permute(1, 2, 3, 0).flatten(1, 2)
        by_colour = self.color_hist_layer.compare(_histograms(thumbnails).to(cells.dtype))
        by_features = self.frame_sim_layer.compare(torch.cat(means, dim=1))
        features = [self.color_hist_layer(by_colour), self.frame_sim_layer(by_features), cells.flatten(1)]
        luma = pictures.mean(-1).flatten(1)
        similar = [by_features, by_colour, compare_around(luma - luma.mean(dim=1, keepdim=True))]
        hidden = torch.relu(self.fc1(torch.cat(features, dim=1)))
        return Described(cells=cells, similar=torch.cat(similar, dim=1), hidden=hidden)

    def forward(self, thumbnails: UInt8[Tensor, "T 27 48 3"]) -> Float[Tensor, "2 T"]:
        """First row: the middle frame of a transition; second row: all its frames. As published."""
        hidden = self.describe(thumbnails).hidden
        return torch.cat([self.cls_layer1(hidden), self.cls_layer2(hidden)], dim=1).T


class TransitionHead(nn.Module):
    """Our own verdict on what the network knows: it has seen whip pans, passers-by, flashes and titles, too."""

    def __init__(self, *, width: int = 96, dropout: float = 0.0) -> None:
        super().__init__()
        self.cells = nn.Sequential(nn.LayerNorm(256), nn.Linear(256, 32), nn.ReLU())
        self.similar = nn.Sequential(nn.Linear(3 * AROUND, 64), nn.ReLU())
        self.hidden = nn.Sequential(nn.LayerNorm(1024), nn.Linear(1024, 64), nn.ReLU())
        self.join = nn.Sequential(nn.Dropout(dropout), nn.Linear(18 * 32 + 2 * 64, width), nn.ReLU())
        self.over_time = nn.ModuleList(
            [nn.Conv1d(width, width, 5, dilation=gap, padding="same") for gap in _HEAD_DILATIONS]
        )
        self.dropout = nn.Dropout(dropout)
        self.out = nn.Linear(width, 1)

    def forward(self, described: Described) -> Float[Tensor, "T"]:
        parts = [self.cells(described.cells).flatten(1), self.similar(described.similar), self.hidden(described.hidden)]
        frames = self.join(torch.cat(parts, dim=1)).T[None]
        for layer in self.over_time:
            frames = frames + torch.relu(layer(self.dropout(frames)))
        return self.out(frames[0].T)[:, 0]


def _histograms(thumbnails: UInt8[Tensor, "T h w 3"]) -> Float[Tensor, "T 512"]:
    red, green, blue = (thumbnails.flatten(1, 2).long() * _LEVELS // 256).unbind(-1)
    cells = (red * _LEVELS + green) * _LEVELS + blue
    counts = torch.zeros(len(cells), _LEVELS**3, device=cells.device)
    return counts.scatter_add_(1, cells, torch.ones_like(cells, dtype=counts.dtype))


@lru_cache(maxsize=1)
def load_transition_model(path: Path) -> TransitionModel:
    """The larger of two verdicts: that of the published network, and that of our head on its features; and the latter.

    Raises:
        InputError: the file holds other weights.
    """
    network, head = TransitionNetwork().eval(), TransitionHead().eval()
    try:
        network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    except (RuntimeError, UnpicklingError) as error:
        raise InputError(f"{path}: these are not the weights of TransNet V2 ({str(error).splitlines()[0]})") from None
    head.load_state_dict(load_file(HEAD))

    @torch.inference_mode()
    def judge(thumbnails: UInt8[ndarray, "T 27 48 3"]) -> Float32[ndarray, "T 2"]:
        described = network.describe(torch.from_numpy(thumbnails))
        published = network.cls_layer2(described.hidden)[:, 0].sigmoid()
        ours = head(described).sigmoid()
        return torch.stack([torch.maximum(published, ours**OURS_POWER), ours], dim=-1).numpy()

    return judge
