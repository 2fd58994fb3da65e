"""The surface head: the relief of one person from a crop, learnt on close renders of dressed people.

Relief is depth in sides of the crop, with any offset: see ``unish.geometry.crop_box``.

Legend: C crops of S×S pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from unish.network.dense_layers import ChannelNorm, Residual, double
from unish.network.encoders.efficientnet import EfficientNetLite0
from unish.network.sky import load_encoder
from unish.network.weights import read_safetensors

WEIGHTS = Path(__file__).parent / "crop_net.safetensors"
_RELIEF_UNIT = 0.1
"""Sides of the crop per unit of the last layer: about what relief varies by, so that all layers learn at one rate."""


@dataclass(frozen=True, kw_only=True)
class CropNetConfig:
    """Sizes of ``CropNet``.

    Attributes:
        size: S, a multiple of 16.
        widths: channels at strides 16, 8, 4 and 2.
    """

    size: int = 160
    widths: tuple[int, int, int, int] = (96, 64, 48, 24)


class CropNet(nn.Module):
    """Crop and mask → relief: frozen features of photographs, a convolutional decoder, skips down to stride 2."""

    def __init__(self, config: CropNetConfig) -> None:
        super().__init__()
        self.config = config
        *rest, finest = config.widths
        self.encoder = EfficientNetLite0().requires_grad_(False)
        self.norms = nn.ModuleList(ChannelNorm(count) for count in self.encoder.channels)
        self.skips = nn.ModuleList(
            nn.Conv2d(count, width, 1) for count, width in zip(self.encoder.channels, rest[::-1], strict=True)
        )
        self.stem = nn.Sequential(
            nn.Conv2d(4, finest, 3, stride=2, padding=1), nn.ReLU(), nn.Conv2d(finest, finest, 3, padding=1)
        )
        self.narrow = nn.ModuleList(
            nn.Conv2d(wide, width, 1) for wide, width in zip(config.widths, config.widths[1:], strict=False)
        )
        self.refine = nn.ModuleList(Residual(width) for width in config.widths)
        self.relief = nn.Conv2d(finest, 1, 3, padding=1)
        nn.init.zeros_(self.relief.weight)

    def forward(self, images: Float[Tensor, "C 3 S S"], masks: Bool[Tensor, "C S S"]) -> Float[Tensor, "C S S"]:
        """Relief of the masked person, in sides of the crop, larger = farther; outside of the mask it means nothing."""
        with torch.no_grad():
            features = self.encoder(images)
        levels = [skip(norm(level)) for skip, norm, level in zip(self.skips, self.norms, features, strict=True)]
        levels = [self.stem(torch.cat([images, masks[:, None].to(images.dtype)], dim=1)), *levels]
        x = self.refine[0](levels.pop())
        for narrow, refine in zip(self.narrow, list(self.refine)[1:], strict=True):
            x = refine(double(narrow(x)) + levels.pop())
        return _RELIEF_UNIT * double(self.relief(x)).float()[:, 0]


@lru_cache(maxsize=1)
def load_crop_net() -> CropNet:
    """The network that ships, ready for inference; its encoder is that of the small preset."""
    model = CropNet(CropNetConfig())
    encoder = {f"encoder.{name}": value for name, value in load_encoder().state_dict().items()}
    model.load_state_dict({name: value.float() for name, value in read_safetensors(WEIGHTS).items()} | encoder)
    return model.eval().requires_grad_(False)
