"""TransNet V2 (Souček and Lokoč 2020): which frames belong to a change from one shot to another.

    thumbnails ──> 3 × (2 × dilated convolutions over time, in parallel) ──> pooled ──┐
                     └─> similarity to the frames around ─────────────────────────────┼──> two layers ──> probability
    colour histograms ──> similarity to the frames around ────────────────────────────┘

The names of the weights are those of the released file.
"""

from __future__ import annotations

from pathlib import Path

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn
from torch.nn import functional

from unish.errors import InputError

INPUT_SIZE = (27, 48)
"""(height, width) of the thumbnails."""
_DILATIONS = (1, 2, 4, 8)
_FILTERS = (16, 32, 64)
_AROUND = 50
"""Frames on each side that a frame is compared with."""
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
        self.fc = nn.Linear(2 * _AROUND + 1, width)

    def forward(self, described: Float[Tensor, "T D"]) -> Float[Tensor, "T F"]:
        if self.projection is not None:
            described = self.projection(described)
        described = functional.normalize(described, dim=-1)
        similar = functional.pad(described @ described.T, (_AROUND, _AROUND))
        count = len(described)
        columns = torch.arange(count)[:, None] + torch.arange(2 * _AROUND + 1)[None]
        return torch.relu(self.fc(similar.gather(1, columns.to(similar.device))))


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

    def forward(self, thumbnails: UInt8[Tensor, "T 27 48 3"]) -> Float[Tensor, "2 T"]:
        """First row: the middle frame of a transition; second row: all its frames."""
        frames = thumbnails.permute(3, 0, 1, 2)[None].to(self.fc1.weight.dtype) / 255
        means = []
        for stack in self.SDDCNN:
            frames = stack(frames)
            means.append(frames.mean((3, 4))[0].T)
        features = [
            self.color_hist_layer(_histograms(thumbnails).to(frames.dtype)),
            self.frame_sim_layer(torch.cat(means, dim=1)),
            frames[0].permute(1, 2, 3, 0).flatten(1),
        ]
        hidden = torch.relu(self.fc1(torch.cat(features, dim=1)))
        return torch.cat([self.cls_layer1(hidden), self.cls_layer2(hidden)], dim=1).T


def _histograms(thumbnails: UInt8[Tensor, "T h w 3"]) -> Float[Tensor, "T 512"]:
    red, green, blue = (thumbnails.flatten(1, 2).long() * _LEVELS // 256).unbind(-1)
    cells = (red * _LEVELS + green) * _LEVELS + blue
    counts = torch.zeros(len(cells), _LEVELS**3, device=cells.device)
    return counts.scatter_add_(1, cells, torch.ones_like(cells, dtype=counts.dtype))
