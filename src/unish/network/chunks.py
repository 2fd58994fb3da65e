"""Work that is independent along the batch, done in parts, so that memory does not grow with the length of a clip."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

MAX_TOKENS = 8192
"""Tokens that pass a layer at once. Ten frames of 518×294 pixels: enough to keep an accelerator busy, and the widest
layer of the published network then takes 134 MB in float32."""


def map_chunks(function: Callable[[Tensor], Tensor], items: Tensor, tokens_per_item: int) -> Tensor:
    """``function(items)``, for a function that treats every item of the first axis by itself.

    Args:
        function: its result has the first axis of its argument.
        items: (B, ...).
        tokens_per_item: decides how many items are taken at once; at least one.
    """
    size = max(MAX_TOKENS // tokens_per_item, 1)
    if len(items) <= size:
        return function(items)
    return torch.cat([function(part) for part in items.split(size)])
