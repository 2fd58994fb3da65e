"""FastDepth (Wofk et al., ICRA 2019; the pruned MobileNet with additive skips): metric depth of one photograph.

The small scene branch keeps it frozen, as it keeps its ImageNet features: it learnt from a Kinect in real rooms (NYU
Depth v2), and knows two things that renders do not teach, what real surfaces look like and how large they are. Batch
normalisation is folded into the convolutions when the published weights are read.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

STRIDE = 32
SQUASH = 0.75
"""Pictures of 4:3 were made square before training: columns are 3/4 as dense as rows."""
FOCAL_PX = 265.4
"""Vertical focal length in rows of the network's input: the Kinect's 518.86 px of 480, resized to 250, cropped to 228
rows, resized to 224. Depth grows with the focal length when everything else looks the same."""
NEAREST_M = 0.1

_STEM = 16
# (stride, channels) of the encoder's depthwise blocks, and channels of the decoder's; odd numbers because of pruning.
_ENCODER = (
    (1, 56), (2, 88), (1, 120), (2, 144), (1, 256),
    (2, 408), (1, 376), (1, 272), (1, 288), (1, 296), (1, 328), (2, 480), (1, 512),
)  # fmt: skip
_DECODER = (200, 256, 120, 56, 16)
_SKIPS = {1: 4, 2: 2, 3: 0}
"""Decoder block → encoder block whose output is added to its own."""


class FastDepth(nn.Module):
    """RGB in [0, 1] → depth in metres, at the size of the input, for the camera of its training pictures."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, _STEM, 3, stride=2, padding=1)
        widths = [_STEM, *(channels for _, channels in _ENCODER)]
        self.encoder = nn.ModuleList(
            _Separable(width, channels, kernel=3, stride=stride, activation=nn.ReLU6(inplace=True))
            for width, (stride, channels) in zip(widths, _ENCODER, strict=False)
        )
        widths = [widths[-1], *_DECODER]
        self.decoder = nn.ModuleList(
            _Separable(width, channels, kernel=5, stride=1, activation=nn.ReLU(inplace=True))
            for width, channels in zip(widths, _DECODER, strict=False)
        )
        self.out = nn.Conv2d(_DECODER[-1], 1, 1)

    def forward(self, images: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B H W"]:
        """Height and width must be multiples of 32; see ``input_size``."""
        x = functional.relu6(self.stem(images.contiguous(memory_format=torch.channels_last)), inplace=True)
        kept = []
        for block in self.encoder:
            x = block(x)
            kept.append(x)
        for index, block in enumerate(self.decoder):
            x = functional.interpolate(block(x), scale_factor=2, mode="nearest")
            if index in _SKIPS:
                x = x + kept[_SKIPS[index]]
        return self.out(x)[:, 0].float().clamp_min(NEAREST_M)


class _Separable(nn.Module):
    """A depthwise convolution, then 1×1, each with an activation behind it."""

    def __init__(self, inputs: int, outputs: int, *, kernel: int, stride: int, activation: nn.Module) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(inputs, inputs, kernel, stride=stride, padding=kernel // 2, groups=inputs)
        self.pointwise = nn.Conv2d(inputs, outputs, 1)
        self.activation = activation

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B D h w"]:
        return self.activation(self.pointwise(self.activation(self.depthwise(x))))


def input_size(height: int, width: int, side: int) -> tuple[int, int]:
    """Rows and columns, multiples of 32, of about side² pixels: the picture's aspect, squashed as in training."""
    aspect = math.sqrt(SQUASH * width / height)
    rows, columns = (max(2, round(side * factor / STRIDE)) for factor in (1 / aspect, aspect))
    return rows * STRIDE, columns * STRIDE


def convert_published_weights(published: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Initialisers of the published ONNX file, in file order → our state dict, batch normalisation folded in.

    Args:
        published: name → array. A convolution's kernel comes first, then gain, offset, mean and variance of the
            normalisation behind it, then a counter.

    Raises:
        ValueError: the arrays are not those of this network.
    """
    arrays = [array for array in published.values() if array.dim() > 0]
    names = [
        "stem",
        *(f"encoder.{i}.{part}" for i in range(len(_ENCODER)) for part in ("depthwise", "pointwise")),
        *(f"decoder.{i}.{part}" for i in range(len(_DECODER)) for part in ("depthwise", "pointwise")),
        "out",
    ]
    if len(arrays) != 5 * len(names):
        raise ValueError(f"{len(arrays)} arrays instead of {5 * len(names)}: not the published FastDepth")
    weights: dict[str, Tensor] = {}
    for index, name in enumerate(names):
        kernel, scale, offset, mean, variance = arrays[5 * index : 5 * index + 5]
        gain = scale / (variance + 1e-5).sqrt()
        weights[f"{name}.weight"] = kernel * gain[:, None, None, None]
        weights[f"{name}.bias"] = offset - mean * gain
    return weights
