"""YOLOv4-tiny (Wang et al., "Scaled-YOLOv4", 2021), persons only: a torch port that reads the Darknet weights.

The layers stand in the order of the published ``yolov4-tiny.cfg``, which is also the order of the numbers in the file.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Float32, UInt8
from numpy import ndarray
from torch import Tensor, nn

from unish.errors import InputError
from unish.people.boxes import clip_box, suppress
from unish.people.protocols import Detection

_ANCHORS_PX = ((81.0, 82.0), (135.0, 169.0), (344.0, 319.0)), ((23.0, 27.0), (37.0, 58.0), (81.0, 82.0))
_STRIDES = (32, 16)
_SCALE_XY = 1.05
_NUM_CLASSES = 80
_PERSON = 0
_BATCH_NORM_EPS = 1e-6

BOX_STEP_PX = 1 / 4
"""Boxes are rounded to it. Another number of threads changes the last digits of sums, and people who are followed by
landmarks, read where the last ones were, make a pixel of a thousandth within ten frames."""


class ConvUnit(nn.Module):
    """Convolution, batch norm already folded in, and (unless ``linear``) a leaky ReLU of slope 0.1."""

    def __init__(self, channels_in: int, channels_out: int, kernel: int, stride: int = 1, *, linear: bool = False):
        super().__init__()
        self.conv = nn.Conv2d(channels_in, channels_out, kernel, stride, kernel // 2)
        self.linear = linear

    def forward(self, x: Float[Tensor, "B Cin H W"]) -> Float[Tensor, "B Cout h w"]:
        x = self.conv(x)
        return x if self.linear else nn.functional.leaky_relu_(x, 0.1)


class CrossStage(nn.Module):
    """Cross-stage partial block: half of the channels take a detour. Returns the pooled block and its inner part."""

    def __init__(self, channels: int):
        super().__init__()
        half = channels // 2
        self.enter = ConvUnit(channels, channels, 3)
        self.first = ConvUnit(half, half, 3)
        self.second = ConvUnit(half, half, 3)
        self.merge = ConvUnit(channels, channels, 1)

    def forward(self, x: Float[Tensor, "B C H W"]) -> tuple[Float[Tensor, "B C2 h w"], Float[Tensor, "B C H W"]]:
        x = self.enter(x)
        first = self.first(x.chunk(2, dim=1)[1])
        inner = self.merge(torch.cat([self.second(first), first], dim=1))
        return nn.functional.max_pool2d(torch.cat([x, inner], dim=1), 2), inner


class YoloV4Tiny(nn.Module):
    """Raw predictions at strides 32 and 16: per anchor x, y, w, h, objectness and 80 classes."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = ConvUnit(3, 32, 3, 2)
        self.down = ConvUnit(32, 64, 3, 2)
        self.stages = nn.ModuleList([CrossStage(64), CrossStage(128), CrossStage(256)])
        self.deep = ConvUnit(512, 512, 3)
        self.neck = ConvUnit(512, 256, 1)
        self.coarse = ConvUnit(256, 512, 3)
        self.coarse_out = ConvUnit(512, 3 * (5 + _NUM_CLASSES), 1, linear=True)
        self.lateral = ConvUnit(256, 128, 1)
        self.fine = ConvUnit(384, 256, 3)
        self.fine_out = ConvUnit(256, 3 * (5 + _NUM_CLASSES), 1, linear=True)

    def forward(
        self, x: Float[Tensor, "B 3 H W"]
    ) -> tuple[Float[Tensor, "B 255 h32 w32"], Float[Tensor, "B 255 h16 w16"]]:
        x = self.down(self.stem(x))
        for stage in self.stages:
            x, inner = stage(x)
        x = self.neck(self.deep(x))
        up = nn.functional.interpolate(self.lateral(x), scale_factor=2, mode="nearest")
        return self.coarse_out(self.coarse(x)), self.fine_out(self.fine(torch.cat([up, inner], dim=1)))


def load_darknet(path: str | Path) -> YoloV4Tiny:
    """Read Darknet weights: a header (three int32, one int64), then float32 numbers, layer after layer.

    A layer with batch norm stores bias, gain, running mean, running variance and kernel; one without, bias and kernel.
    The norm is folded into the convolution.

    Raises:
        InputError: the file does not hold exactly the numbers of this network.
    """
    model = YoloV4Tiny().eval().requires_grad_(False)
    units = [module for module in model.modules() if isinstance(module, ConvUnit)]
    numbers = torch.from_numpy(np.fromfile(path, dtype=np.float32, offset=20))
    expected = sum(unit.conv.weight.numel() + unit.conv.out_channels * (1 if unit.linear else 4) for unit in units)
    if numbers.numel() != expected:
        raise InputError(f"{path}: holds {numbers.numel()} numbers, YOLOv4-tiny has {expected}; fetch the file again")
    position = 0

    def take(shape: tuple[int, ...]) -> Tensor:
        nonlocal position
        count = int(np.prod(shape))
        position += count
        return numbers[position - count : position].reshape(shape)

    for unit in units:
        channels = (unit.conv.out_channels,)
        bias = take(channels)
        if unit.linear:
            kernel = take(tuple(unit.conv.weight.shape))
        else:
            gain, mean, variance = take(channels), take(channels), take(channels)
            gain = gain / torch.sqrt(variance + _BATCH_NORM_EPS)
            kernel = take(tuple(unit.conv.weight.shape)) * gain[:, None, None, None]
            bias = bias - mean * gain
        unit.conv.weight.copy_(kernel)
        assert unit.conv.bias is not None
        unit.conv.bias.copy_(bias)
    return model


class YoloDetector:
    """``Detector`` that runs YOLOv4-tiny on pictures resized to ``long_side``.

    Args:
        model: the network.
        long_side: pixels of the longer side that the network sees.
        min_score: objectness × person probability.
        max_iou: overlap above which the weaker of two boxes goes.
        batch: pictures at a time; bounds the memory.
    """

    def __init__(
        self, model: YoloV4Tiny, *, long_side: int = 608, min_score: float = 0.25, max_iou: float = 0.5, batch: int = 4
    ):
        self.model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # not in torch's stubs
        self.long_side = long_side
        self.min_score = min_score
        self.max_iou = max_iou
        self.batch = batch

    @torch.inference_mode()
    def detect(self, images: UInt8[Tensor, "T H W 3"]) -> list[list[Detection]]:
        """The people in each picture, best first."""
        found: list[list[Detection]] = []
        size = (int(images.shape[1]), int(images.shape[2]))
        for chunk in images.split(self.batch):
            padded, factor = self._letterbox(chunk)
            boxes, scores = decode(self.model(padded))
            found += [self._select(boxes[i].numpy() / factor, scores[i].numpy(), size) for i in range(boxes.shape[0])]
        return found

    def _letterbox(self, images: UInt8[Tensor, "T H W 3"]) -> tuple[Float32[Tensor, "T 3 h w"], float]:
        """Resize, then pad with grey at the right and below to multiples of 32; and the factor of the resizing."""
        height, width = images.shape[1:3]
        factor = self.long_side / max(height, width)
        inner = max(round(height * factor), 1), max(round(width * factor), 1)
        # Resizing bytes and keeping channels last are worth a third of the detector's time.
        shrunk = nn.functional.interpolate(images.permute(0, 3, 1, 2), inner, mode="bilinear", antialias=True)
        shrunk = shrunk.float().div_(255).contiguous(memory_format=torch.channels_last)
        return nn.functional.pad(shrunk, (0, -inner[1] % 32, 0, -inner[0] % 32), value=0.5), factor

    def _select(self, boxes: Float32[ndarray, "N 4"], scores: Float32[ndarray, "N"], size) -> list[Detection]:
        likely = scores >= self.min_score
        boxes, scores = boxes[likely], scores[likely]
        kept = suppress(boxes, scores, max_iou=self.max_iou)
        rounded = BOX_STEP_PX * np.round(boxes / BOX_STEP_PX)
        return [Detection(box_xyxy=clip_box(rounded[i], size), score=float(scores[i])) for i in kept]


def decode(
    outputs: tuple[Float[Tensor, "B 255 h32 w32"], Float[Tensor, "B 255 h16 w16"]],
) -> tuple[Float[Tensor, "B N 4"], Float[Tensor, "B N"]]:
    """x0, y0, x1, y1 in pixels of the network's input, and objectness × person probability, of every anchor.

    Centres: (σ(t)·1.05 − 0.025 + cell)·stride; sizes: anchor·eᵗ (Bochkovskiy et al., "YOLOv4", 2020, §3.4).
    """
    boxes, scores = [], []
    for raw, anchors, stride in zip(outputs, _ANCHORS_PX, _STRIDES, strict=True):
        batch, _, height, width = raw.shape
        raw = raw.reshape(batch, 3, 5 + _NUM_CLASSES, height, width).permute(0, 1, 3, 4, 2)
        cell_y, cell_x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
        cell = torch.stack([cell_x, cell_y], dim=-1).to(raw)
        centre = (raw[..., :2].sigmoid() * _SCALE_XY - (_SCALE_XY - 1) / 2 + cell) * stride
        half = raw[..., 2:4].exp() * raw.new_tensor(anchors)[:, None, None] / 2
        boxes.append(torch.cat([centre - half, centre + half], dim=-1).reshape(batch, -1, 4))
        score = raw[..., 4].sigmoid() * raw[..., 5 + _PERSON].sigmoid()
        scores.append(score.reshape(batch, -1))
    return torch.cat(boxes, dim=1), torch.cat(scores, dim=1)
