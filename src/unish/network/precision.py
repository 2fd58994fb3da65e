"""Which number format each part of the network is kept and computed in: this page decides, the modules follow.

A module computes in the format of its weights; where a tensor passes from one part to another, ``cast_like`` brings it
into the format of the next.

=========  =======================================  =============================================
dtype      the transformer trunks                   heads, human head, AlignNet
=========  =======================================  =============================================
float32    float32                                  float32
bfloat16   bfloat16, rotary angles too (published)  float32, with weights rounded to bfloat16
float16    float16, rotary angles too               float32, with weights rounded to float16
=========  =======================================  =============================================

Buffers (image statistics, mean body), point maps, cameras and everything geometric are float32 throughout.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from unish.errors import InputError

TRUNKS = (
    "scene.encoder",
    "scene.decoder",
    "scene.point_decoder",
    "scene.conf_decoder",
    "scene.camera_decoder",
    "human.backbone",
)
"""The parts of the published network that are nothing but transformer blocks, and nearly all of its weights."""

_DTYPES = (torch.float32, torch.bfloat16, torch.float16)


@dataclass(frozen=True, kw_only=True)
class WeightFormat:
    """How a tensor of the network is kept.

    Attributes:
        dtype: in memory.
        rounded_to: its numbers are rounded to this dtype first.
    """

    dtype: torch.dtype = torch.float32
    rounded_to: torch.dtype = torch.float32

    def holds(self, stored: torch.dtype) -> bool:
        """Whether numbers that are stored in this dtype can be used as they lie there."""
        return stored == self.dtype == self.rounded_to

    def convert(self, tensor: Tensor) -> Tensor:
        """The tensor in this format; whole numbers and flags stay as they are."""
        return tensor.to(self.rounded_to).to(self.dtype) if tensor.is_floating_point() else tensor


def choose_formats(model: nn.Module, dtype: torch.dtype) -> dict[str, WeightFormat]:
    """The format of every tensor of a network's state, by name.

    Raises:
        InputError: another dtype than the three; or not float32 for a network without the published trunks.
    """
    if dtype not in _DTYPES:
        raise InputError(f"dtype {dtype}: the network computes in {', '.join(map(str, _DTYPES))}")
    state = model.state_dict()
    if dtype == torch.float32:
        return {name: WeightFormat() for name in state}
    if not all(any(name.startswith(f"{trunk}.") for name in state) for trunk in TRUNKS):
        raise InputError(f"dtype {dtype}: only the published network computes in it; use torch.float32")
    buffers = {name for name, _ in model.named_buffers()}
    formats = {}
    for name in state:
        in_trunk = name.startswith(tuple(f"{trunk}." for trunk in TRUNKS))
        reduced = WeightFormat(dtype=dtype if in_trunk else torch.float32, rounded_to=dtype)
        formats[name] = WeightFormat() if name in buffers else reduced
    return formats


def cast_like(x: Float[Tensor, "*shape"], part: nn.Module) -> Float[Tensor, "*shape"]:
    """``x`` in the dtype of a part's weights, where it enters that part."""
    return x.to(next(part.parameters()).dtype)
