"""Convolutions with a stride that stand for TensorFlow's: where its "SAME" puts the padding."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from unish.network.encoders.efficientnet import EfficientNetLite0
from unish.people.movenet import SIZES, ConvUnit, MoveNet


def pad_as_tensorflow(x: Tensor, kernel: int, stride: int) -> Tensor:
    """As many zeros as ⌈size / stride⌉ results need, half of them before, the odd one after the last."""
    sides: list[int] = []
    for size in (x.shape[-1], x.shape[-2]):
        needed = max((-(-size // stride) - 1) * stride + kernel - size, 0)
        sides += [needed // 2, needed - needed // 2]
    return functional.pad(x, sides)


@pytest.mark.parametrize(
    ("network", "kind"),
    [(EfficientNetLite0(), nn.Conv2d), (MoveNet(*SIZES["lightning"]), ConvUnit)],
    ids=["efficientnet", "movenet"],
)
def test_each_convolution_pads_as_tensorflow_does(network: nn.Module, kind: type[nn.Module]) -> None:
    seen = set()
    for layer in (one for one in network.modules() if isinstance(one, kind)):
        conv: nn.Conv2d = getattr(layer, "conv", layer)
        kernel, stride = conv.kernel_size[0], conv.stride[0]
        x = torch.randn(2, conv.in_channels, 12, 16)
        padded = pad_as_tensorflow(x, kernel, stride)
        expected = functional.conv2d(padded, conv.weight, conv.bias, stride, groups=conv.groups)
        activation = getattr(layer, "activation", None)
        torch.testing.assert_close(
            layer(x), expected if activation is None else activation(expected), rtol=1e-5, atol=1e-6
        )
        seen.add((kernel, stride))
    assert {(3, 2), (3, 1), (1, 1)} <= seen
