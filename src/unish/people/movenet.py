"""MoveNet (Google, 2021): the 17 key points of one person, a torch port that reads the weights of the published model.

MobileNetV2 (Sandler et al., 2018) with a feature pyramid, and the four heads of CenterNet (Zhou et al., "Objects as
Points", 2019, §6.2): middle of a person, key points as seen from there, heat of each key point, and where in its cell a
key point lies. The numbers are those of the published graphs ``movenet/singlepose/{thunder,lightning}/4``.
"""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Float32
from numpy import ndarray
from torch import Tensor, nn

from unish.errors import InputError
from unish.people.regions import Region, cut_region

NUM_POINTS = 17
"""See ``KeypointModel.read_points``."""

MIRRORED_POINTS = (0, *(one for left in range(1, NUM_POINTS, 2) for one in (left + 1, left)))
"""The key point on the other side of the body."""

SIZES = {"thunder": (256, 1.75), "lightning": (192, 1.0)}
"""Name → pixels of a side of the picture that it reads, and factor of the widths of MobileNetV2."""

# Channels, blocks and stride of the first block of each stage of MobileNetV2; the inner width is six times the outer.
_STAGES = ((16, 1, 1), (24, 2, 2), (32, 3, 2), (64, 4, 2), (96, 3, 1), (160, 3, 2), (320, 1, 1))
_TAKEN = (9, 5, 2)
"""Blocks whose outputs the pyramid takes in, the coarsest first."""
_PYRAMID = (64, 32, 24)
_HEAD_WIDTH = 96
_NEARNESS = 1.8
_GRAPH = "StatefulPartitionedCall/"
_BACKBONE = _GRAPH + "center_net_mobile_net_v2fpn_feature_extractor/model_1/"


_relu6 = functools.partial(nn.functional.relu6, inplace=True)


class ConvUnit(nn.Module):
    """Convolution, padded as TensorFlow's "SAME" pads even sides: only after the last pixel where the stride is 2.

    There, the near side is padded by one step and what that adds to the result is left out: padding the input by
    itself would copy all of it.

    Args:
        source: names of kernel and bias in the published file; no bias where the second one is ``None``.
        depthwise: each channel for itself.
        activation: after it, in place.
    """

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        kernel: int,
        source: tuple[str, str | None],
        *,
        stride: int = 1,
        depthwise: bool = False,
        activation: Callable[[Tensor], Tensor] | None = _relu6,
    ) -> None:
        super().__init__()
        padding = kernel // 2 if stride == 1 else stride
        groups = channels_in if depthwise else 1
        self.conv = nn.Conv2d(
            channels_in, channels_out, kernel, stride, padding, groups=groups, bias=source[1] is not None
        )
        self.source, self.activation = source, activation

    def forward(self, x: Float[Tensor, "B Cin H W"]) -> Float[Tensor, "B Cout h w"]:
        x = self.conv(x)
        if self.conv.stride == (2, 2):
            x = x[..., 1:, 1:].contiguous(memory_format=torch.channels_last)
        return x if self.activation is None else self.activation(x)


class MoveNet(nn.Module):
    """Key points of the person nearest to the middle of a square picture.

    Args:
        size: pixels of a side, a multiple of 32.
        width: factor of the widths.
    """

    def __init__(self, size: int, width: float) -> None:
        super().__init__()
        self.size = size
        channels = _scale_width(32, width)
        self.stem = ConvUnit(3, channels, 3, _folded(_BACKBONE + "model/Conv1/Conv2D"), stride=2)
        self.blocks, widths = nn.ModuleList(), list[int]()
        for base, count, first_stride in _STAGES:
            for index in range(count):
                stride, wanted = first_stride if index == 0 else 1, _scale_width(base, width)
                self.blocks.append(_make_block(len(self.blocks), channels, wanted, stride))
                channels = wanted
                widths.append(channels)
        self.last = ConvUnit(channels, 1280, 1, _folded(_BACKBONE + "model/Conv_1/Conv2D"))
        inputs = (1280, *(widths[index] for index in _TAKEN))
        self.laterals = nn.ModuleList(
            ConvUnit(count, out, 1, _plain(_BACKBONE + _numbered("conv2d", index)), activation=None)
            for index, (count, out) in enumerate(zip(inputs, (64, *_PYRAMID), strict=True))
        )
        self.merges = nn.ModuleList(
            _make_separable(wide, narrow, _BACKBONE + _numbered("separable_conv2d", index), folded=True)
            for index, (wide, narrow) in enumerate(zip(_PYRAMID, (*_PYRAMID[1:], _PYRAMID[-1]), strict=True))
        )
        self.centre = _make_head("center_0", 3, 1)
        self.heat = _make_head("kpt_heatmap_0", 4, NUM_POINTS)
        self.regress = _make_head("kpt_regress_0", 5, 2 * NUM_POINTS)
        self.offset = _make_head("kpt_offset_0", 6, 2 * NUM_POINTS)

    def forward(self, pictures: Float[Tensor, "B 3 n n"]) -> Float[Tensor, "B 17 4"]:
        """RGB in [0, 255] → x, y in [0, 1] of the picture, score, and that of the other side (``KeypointModel``).

        A key point is where its heat is greatest, weighed down with the distance in cells from where the middle of the
        person says that it is; the middle is found in the same way around the middle of the picture.
        """
        features = self._extract(pictures)
        grid = features.shape[-1]
        cells = torch.cartesian_prod(torch.arange(grid), torch.arange(grid)).to(features)
        middle = torch.full((2,), grid // 2).to(features)
        near = self.centre(features).sigmoid().flatten(2)[:, 0] / ((cells - middle).norm(dim=-1) + _NEARNESS)
        at = near.argmax(-1)
        regressed = _pick(self.regress(features), at[:, None]).unflatten(-1, (NUM_POINTS, 2))[:, 0] + cells[at][:, None]
        heat = self.heat(features).sigmoid().flatten(2)
        away = (cells - regressed[:, :, None]).norm(dim=-1)
        best = (heat / (away + _NEARNESS)).argmax(-1)
        offsets = _pick(self.offset(features), best).unflatten(-1, (NUM_POINTS, 2))
        own = torch.arange(NUM_POINTS)
        rows_columns = (cells[best] + offsets[:, own, own]) / grid
        scores = torch.stack([heat, heat[:, MIRRORED_POINTS]], dim=-1)[torch.arange(len(heat))[:, None], own, best]
        return torch.cat([rows_columns.flip(-1), scores], dim=-1)

    def _extract(self, pictures: Float[Tensor, "B 3 n n"]) -> Float[Tensor, "B 24 g g"]:
        """Features at a quarter of the picture's resolution."""
        x, outputs = self.stem(pictures * (2 / 255) - 1), list[Tensor]()
        for block in self.blocks:
            inner = block(x)
            x = x + inner if inner.shape == x.shape else inner
            outputs.append(x)
        x = self.laterals[0](self.last(x))
        for index, lateral, merge in zip(_TAKEN, self.laterals[1:], self.merges, strict=True):
            x = merge(nn.functional.interpolate(x, scale_factor=2.0, mode="bilinear") + lateral(outputs[index]))
        return x


def _pick(maps: Float[Tensor, "B C g g"], cells: Tensor) -> Float[Tensor, "B K C"]:
    """The values of all channels in K cells of each map, counted row by row."""
    flat = maps.flatten(2).mT
    return flat.gather(1, cells[..., None].expand(-1, -1, flat.shape[-1]))


def _scale_width(channels: int, factor: float) -> int:
    """The nearest multiple of 8, at least 9/10 of the product (Sandler et al., 2018)."""
    scaled = int(channels * factor + 4) // 8 * 8
    return scaled if scaled >= 0.9 * channels * factor else scaled + 8


def _make_block(index: int, channels_in: int, channels_out: int, stride: int) -> nn.Sequential:
    """Inverted residual: widen, look around, narrow without activation. The first one does not widen."""
    name = _BACKBONE + ("model/expanded_conv" if index == 0 else f"model/block_{index}")
    inner = channels_in if index == 0 else 6 * channels_in
    units = [] if index == 0 else [ConvUnit(channels_in, inner, 1, _folded(f"{name}_expand/Conv2D"))]
    around = ConvUnit(inner, inner, 3, _folded(f"{name}_depthwise/depthwise"), stride=stride, depthwise=True)
    narrow = ConvUnit(inner, channels_out, 1, _folded(f"{name}_project/Conv2D"), activation=None)
    return nn.Sequential(*units, around, narrow)


def _make_separable(channels_in: int, channels_out: int, name: str, *, folded: bool) -> nn.Sequential:
    kernel = f"{name}/separable_conv2d/ReadVariableOp"
    mix = _folded(f"{name}/separable_conv2d") if folded else (f"{kernel}_1", f"{name}/BiasAdd/ReadVariableOp")
    return nn.Sequential(
        ConvUnit(channels_in, channels_in, 3, (kernel, None), depthwise=True, activation=None),
        ConvUnit(channels_in, channels_out, 1, mix, activation=nn.functional.relu_),
    )


def _make_head(name: str, number: int, channels: int) -> nn.Sequential:
    first = _make_separable(_PYRAMID[-1], _HEAD_WIDTH, f"{_GRAPH}{name}/separable_conv2d_{number}", folded=False)
    last = _plain(f"{_GRAPH}{name}/conv2d_{number + 1}")
    return nn.Sequential(first, ConvUnit(_HEAD_WIDTH, channels, 1, last, activation=None))


def _folded(name: str) -> tuple[str, str]:
    return f"{name}_weights", f"{name}_bn_offset"


def _plain(name: str) -> tuple[str, str]:
    return f"{name}/Conv2D/ReadVariableOp", f"{name}/BiasAdd/ReadVariableOp"


def _numbered(name: str, index: int) -> str:
    return name if index == 0 else f"{name}_{index}"


@torch.no_grad()
def load_movenet(name: str, graph: str | Path, weights: str | Path) -> MoveNet:
    """The published weights of ``thunder`` or ``lightning``, which are kept as float16, in float32.

    Args:
        graph: json of a TensorFlow.js graph model; its manifest says what lies where in the other file.
        weights: the numbers, one array after the other.

    Raises:
        InputError: the files do not hold exactly the arrays of this network.
    """
    model = MoveNet(*SIZES[name]).eval().requires_grad_(False)
    arrays = _read_arrays(Path(graph), Path(weights))
    try:
        for unit in model.modules():
            if isinstance(unit, ConvUnit):
                kernel, bias = unit.source
                # TensorFlow: height, width, in, out; depthwise height, width, channels, 1.
                order = (2, 3, 0, 1) if unit.conv.groups > 1 else (3, 2, 0, 1)
                _fill(unit.conv.weight, arrays[kernel].transpose(order))
                if bias is not None:
                    assert unit.conv.bias is not None
                    _fill(unit.conv.bias, arrays[bias])
    except (KeyError, ValueError) as error:
        raise InputError(f"{weights}: not the weights of MoveNet {name} ({error}); fetch the file again") from None
    return model


def _fill(parameter: Tensor, array: ndarray) -> None:
    if tuple(parameter.shape) != array.shape:
        raise ValueError(f"an array of {array.shape} where {tuple(parameter.shape)} is wanted")
    parameter.copy_(torch.from_numpy(array.astype(np.float32)))


def _read_arrays(graph: Path, weights: Path) -> Mapping[str, ndarray]:
    try:
        listed = json.loads(graph.read_text(encoding="utf-8"))["weightsManifest"][0]["weights"]
        raw, position, arrays = weights.read_bytes(), 0, {}
        for one in listed:
            dtype = np.dtype(one["quantization"]["dtype"] if "quantization" in one else one["dtype"])
            count = math.prod(one["shape"])
            arrays[one["name"]] = np.frombuffer(raw, dtype, count, position).reshape(one["shape"])
            position += count * dtype.itemsize
    except (ValueError, KeyError, IndexError, TypeError) as error:
        raise InputError(f"{weights}: not what {graph.name} describes ({error!r}); fetch both again") from None
    return arrays


class MoveNetPoints:
    """``KeypointModel``: all people of a picture in one batch.

    Args:
        model: the network.
    """

    def __init__(self, model: MoveNet) -> None:
        self.model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # not in torch's stubs

    @torch.inference_mode()
    def read_points(self, picture: Float32[Tensor, "3 H W"], regions: Sequence[Region]) -> Float32[ndarray, "B 17 4"]:
        """See ``KeypointModel``."""
        if not regions:
            return np.zeros((0, NUM_POINTS, 4), np.float32)
        crops = torch.stack([cut_region(picture, region, self.model.size) for region in regions]) * 255
        points = self.model(crops.contiguous(memory_format=torch.channels_last)).numpy()
        px = np.stack([region.to_picture(one[:, :2]) for region, one in zip(regions, points, strict=True)])
        return np.concatenate([px, points[..., 2:]], axis=-1).astype(np.float32)
