"""XFeat: key points and descriptors of pictures (Potje, Cadar, Araujo, Martins & Nascimento, CVPR 2024).

    grey ──> blocks 1–5 (strides 4, 4, 8, 16, 32) ──> sum at stride 8 ──> fusion ──> 64 descriptor maps ──> reliability
    grey in 8×8 cells ──> key point head ──> for each cell: which of its 64 pixels is a key point, or none

The network without its fine matcher (sub-pixel places come from ``subpixel``), frozen, with its authors' weights. Their
batch normalisation has no weights of its own and is part of the convolutions here.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Bool, Float
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

from unish.geometry.surfaces import highest_around
from unish.network.matching.records import KeyPoints

WEIGHTS = Path(__file__).parent / "xfeat.safetensors"
CHANNELS = 64
CELL = 8
"""Pixels, each way, of a cell of the descriptor maps and of the key point head."""

STRIDE = 32
"""The sides of the network's input are multiples of this."""

MIN_PROBABILITY = 0.05
PEAK_RADIUS = 2
"""A key point has the highest probability among the pixels that are at most so far away in x and in y."""

_PIXELS_AT_ONCE = 1 << 18
"""More of them do not fit into the cache of a processor, and take longer each."""


@dataclass(frozen=True, kw_only=True)
class FeatureMaps:
    """What the network says of F pictures, in cells of 8×8 pixels.

    Attributes:
        descriptors: not normalised.
        keypoint_logits: of the pixels of each cell, row by row, and last of none of them.
        reliability: in [0, 1], how surely a descriptor is found again.
    """

    descriptors: Float[Tensor, "F 64 h w"]
    keypoint_logits: Float[Tensor, "F 65 h w"]
    reliability: Float[Tensor, "F h w"]


class XFeat(nn.Module):
    """0.66 million weights. ``XFeat.load()`` has those that ship with the package."""

    def __init__(self) -> None:
        super().__init__()
        self.skip1 = nn.Sequential(nn.AvgPool2d(4), nn.Conv2d(1, 24, 1))
        self.block1 = nn.Sequential(_layer(1, 4), _layer(4, 8, stride=2), _layer(8, 8), _layer(8, 24, stride=2))
        self.block2 = nn.Sequential(_layer(24, 24), _layer(24, 24))
        self.block3 = nn.Sequential(_layer(24, 64, stride=2), _layer(64, 64), _layer(64, 64, kernel=1))
        self.block4 = nn.Sequential(_layer(64, 64, stride=2), _layer(64, 64), _layer(64, 64))
        self.block5 = nn.Sequential(
            _layer(64, 128, stride=2), _layer(128, 128), _layer(128, 128), _layer(128, 64, kernel=1)
        )
        self.fusion = nn.Sequential(_layer(64, 64), _layer(64, 64), nn.Conv2d(64, CHANNELS, 1))
        self.reliability = nn.Sequential(_layer(64, 64, kernel=1), _layer(64, 64, kernel=1), nn.Conv2d(64, 1, 1))
        self.keypoints = nn.Sequential(*(_layer(64, 64, kernel=1) for _ in range(3)), nn.Conv2d(64, CELL * CELL + 1, 1))

    @classmethod
    def load(cls) -> XFeat:
        """The frozen network with the weights that ship with the package, in float32."""
        network = cls().eval().requires_grad_(False)
        network.load_state_dict({name: value.float() for name, value in load_file(WEIGHTS).items()})
        return network

    def forward(self, images: Float[Tensor, "F 3 H W"]) -> FeatureMaps:
        """RGB pictures whose sides are multiples of 32. Each is brought to mean 0 and variance 1: any range will do."""
        grey = functional.instance_norm(images.mean(1, keepdim=True))
        quarter = self.block2(self.block1(grey) + self.skip1(grey))
        eighth = self.block3(quarter)
        sixteenth = self.block4(eighth)
        size = (int(eighth.shape[-2]), int(eighth.shape[-1]))
        coarse = [
            functional.interpolate(level, size, mode="bilinear", align_corners=False)
            for level in (sixteenth, self.block5(sixteenth))
        ]
        descriptors = self.fusion(eighth + coarse[0] + coarse[1])
        return FeatureMaps(
            descriptors=descriptors,
            keypoint_logits=self.keypoints(functional.pixel_unshuffle(grey, CELL)),
            reliability=self.reliability(descriptors).sigmoid()[:, 0],
        )


def _layer(in_channels: int, out_channels: int, *, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, kernel, stride=stride, padding=kernel // 2), nn.ReLU(inplace=True)
    )


def detect_key_points(
    network: XFeat,
    images: Float[Tensor, "F 3 H W"],
    *,
    num_keypoints: int,
    usable: Bool[Tensor, "F H W"] | None = None,
) -> KeyPoints:
    """The best key points of each picture, in a fixed number of slots.

    Args:
        images: RGB in [0, 1], of any size: the network sees them at the nearest multiples of 32, and the result is in
            pixels of what was given.
        num_keypoints: slots K of each picture.
        usable: False where no key points are wanted; everywhere True if not given.
    """
    height, width = int(images.shape[-2]), int(images.shape[-1])
    size = (_nearest_multiple(height), _nearest_multiple(width))
    at_once = max(_PIXELS_AT_ONCE // (size[0] * size[1]), 1)
    parts = []
    for start in range(0, len(images), at_once):
        chunk = images[start : start + at_once]
        resized = chunk
        if size != (height, width):
            resized = functional.interpolate(chunk, size, mode="bilinear", align_corners=False, antialias=True)
        allowed = None
        if usable is not None:
            allowed = usable[start : start + at_once, None].to(images.dtype)
            allowed = functional.interpolate(allowed, size, mode="nearest-exact")[:, 0] > 0
        parts.append(_pick(network(resized), num_keypoints, allowed))
    px, scores, descriptors = (torch.cat(part) for part in zip(*parts, strict=True))
    return KeyPoints(
        px=px * px.new_tensor([width / size[1], height / size[0]]),
        scores=scores,
        descriptors=descriptors,
    )


def _nearest_multiple(side: int) -> int:
    return max(round(side / STRIDE), 1) * STRIDE


def score_pixels(maps: FeatureMaps) -> Float[Tensor, "F H W"]:
    """Of every pixel: probability × reliability where the probability has a peak, 0 elsewhere."""
    probability = functional.pixel_shuffle(maps.keypoint_logits.softmax(1)[:, :-1], CELL)
    peaks = (probability == highest_around(probability, PEAK_RADIUS)) & (probability > MIN_PROBABILITY)
    reliability = functional.interpolate(
        maps.reliability[:, None], scale_factor=CELL, mode="bilinear", align_corners=False
    )
    return torch.where(peaks, probability * reliability, 0.0)[:, 0]


def _pick(
    maps: FeatureMaps, num_keypoints: int, allowed: Bool[Tensor, "F H W"] | None
) -> tuple[Float[Tensor, "F K 2"], Float[Tensor, "F K"], Float[Tensor, "F K 64"]]:
    """Places (pixels of the network's input), scores and descriptors of the best peaks."""
    pixel_scores = score_pixels(maps)
    if allowed is not None:
        pixel_scores = pixel_scores * allowed
    height, width = int(pixel_scores.shape[-2]), int(pixel_scores.shape[-1])
    count = min(num_keypoints, height * width)
    scores, index = pixel_scores.flatten(1).topk(count)
    px = torch.stack([index % width, index // width], dim=-1) + 0.5
    grid = px / px.new_tensor([width, height]) * 2 - 1
    descriptors = functional.normalize(maps.descriptors, dim=1)
    sampled = functional.grid_sample(
        descriptors, grid[:, :, None].to(descriptors.dtype), mode="bicubic", align_corners=False
    )
    sampled = functional.normalize(sampled[..., 0].transpose(1, 2), dim=-1)
    found = (scores > 0)[..., None]
    empty = num_keypoints - count
    return (
        functional.pad((px * found).to(scores.dtype), (0, 0, 0, empty)),
        functional.pad(scores, (0, empty)),
        functional.pad(sampled * found, (0, 0, 0, empty)),
    )
