"""Our own expert: the relief of one person from a crop, learnt on close renders of dressed people.

A crop does not show how far away somebody is, but it shows how deep a surface is for its width. So the network predicts
the *relief*: depth along the ray of the crop's middle, in sides of the crop, with any offset. For somebody at distance
Z whose crop is s pixels wide under the focal length f, a side is Z·s/f metres, and (weak perspective)

    log(depth along the middle ray) = log Z + relief · s / f.

Legend: F frames of H×W pixels, C crops of S×S pixels.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional

from unish.geometry.camera import pixel_grid
from unish.lab.training.experts.protocol import ExpertView
from unish.lab.training.stages.people_cache import hash_weights
from unish.network.dense_layers import ChannelNorm, Residual, double
from unish.network.encoders.efficientnet import EfficientNetLite0

CROP_MARGIN = 1.15
"""Side of a crop over the longer side of the person's box."""
_RELIEF_UNIT = 0.1
"""Sides of the crop per unit of the last layer: about what relief varies by, so that all layers learn at one rate."""
_MIN_PIXELS = 100
"""Of a person, below which there is no surface to speak of."""


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


@dataclass(frozen=True, kw_only=True)
class CropBox:
    """A square around a person: whole pixels, which may reach out of the picture."""

    frame: int
    person: int
    left: int
    top: int
    side: int

    def cut(self, maps: Float[Tensor, "D H W"], size: int) -> Float[Tensor, "D size size"]:
        """The square, resized; 0 outside of the picture."""
        height, width = maps.shape[-2:]
        beyond = (-self.left, self.left + self.side - width, -self.top, self.top + self.side - height)
        square = functional.pad(maps, beyond)  # negative widths cut
        return functional.interpolate(square[None], (size, size), mode="bilinear", antialias=True)[0]

    def paste(self, values: Float[Tensor, "S S"], size: tuple[int, int]) -> Float[Tensor, "H W"]:
        """The square in its place in a picture of (H, W), 0 elsewhere."""
        square = functional.interpolate(values[None, None], (self.side, self.side), mode="bilinear")[0, 0]
        return functional.pad(
            square, (self.left, size[1] - self.left - self.side, self.top, size[0] - self.top - self.side)
        )

    def log_unit(self, intrinsics: Float[Tensor, "3 3"]) -> Float[Tensor, ""]:
        """s / f: relief times this is the change of log-depth."""
        return self.side / (intrinsics[0, 0] * intrinsics[1, 1]).sqrt()

    def along_middle(self, intrinsics: Float[Tensor, "3 3"], size: tuple[int, int]) -> Float[Tensor, "H W"]:
        """Depth along the crop's middle ray over z, for every pixel of the picture."""
        pixels = pixel_grid(*size, like=intrinsics)
        focal, centre = intrinsics.diagonal()[:2], intrinsics[:2, 2]
        middle = (pixels.new_tensor([self.left, self.top]) + self.side / 2 - centre) / focal
        axis = functional.normalize(torch.cat([middle, middle.new_ones(1)]), dim=0)
        return ((pixels - centre) / focal) @ axis[:2] + axis[2]


def find_boxes(person_ids: Int[Tensor, "F H W"], *, margin: float = CROP_MARGIN) -> Iterator[CropBox]:
    """A square around everybody who is large enough, frame by frame."""
    for frame, ids in enumerate(person_ids):
        for person in ids.unique().tolist():
            rows, columns = (ids == person).nonzero(as_tuple=True)
            if person < 0 or len(rows) < _MIN_PIXELS:
                continue
            low = torch.stack([columns.min(), rows.min()])
            high = torch.stack([columns.max(), rows.max()]) + 1
            side = int(((high - low).max() * margin).ceil())
            left, top = ((low + high - side) // 2).tolist()
            yield CropBox(frame=frame, person=person, left=left, top=top, side=side)


class CropExpert:
    """``CropNet`` asked about every person of every frame, pasted back into the pixels of the frames.

    Args:
        model: trained; see ``train_crop_expert``.
    """

    def __init__(self, model: CropNet) -> None:
        self.model = model.eval()
        self.key = f"crop {hash_weights(model)}"

    @torch.no_grad()
    def estimate(self, view: ExpertView) -> Float[Tensor, "F H W"]:
        """Depth with one unknown factor for each person and frame; 0 outside of people, and for very small ones."""
        size = (int(view.images.shape[-2]), int(view.images.shape[-1]))
        depth = torch.zeros_like(view.images[:, 0])
        for box in find_boxes(view.person_ids):
            mask = view.person_ids[box.frame] == box.person
            crop = box.cut(torch.cat([view.images[box.frame], mask[None].float()]), self.model.config.size)
            relief = self.model(crop[None, :3], crop[None, 3] > 0.5)[0]
            camera = view.intrinsics[box.frame]
            along = (box.paste(relief, size) * box.log_unit(camera)).exp()
            depth[box.frame] = torch.where(mask, along / box.along_middle(camera, size), depth[box.frame])
        return depth
