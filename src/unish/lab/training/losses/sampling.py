"""Which pixels a loss looks at: repeatable draws from masks, and maps read at given places.

Legend: M maps, L pixels in a row, Q places.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor


@torch.no_grad()
def sample_entries(
    mask: Bool[Tensor, "*batch L"], count: int, generator: torch.Generator
) -> tuple[Int[Tensor, "*batch S"], Bool[Tensor, "*batch S"]]:
    """Up to ``count`` entries of each mask, without repetition, in random order; S = min(count, L).

    Returns:
        Indices, and which of them are real: a mask with fewer than S entries gives all of them, first.
    """
    # The generator decides on its own device, so that a draw does not depend on where the data lies.
    keys = torch.rand(mask.shape, generator=generator, device=generator.device).to(mask.device)
    best, index = torch.where(mask, keys, -1.0).topk(min(count, mask.shape[-1]), dim=-1)
    return index, best >= 0


def take(values: Shaped[Tensor, "*batch L D"], index: Int[Tensor, "*batch *S"]) -> Shaped[Tensor, "*batch *S D"]:
    """Rows of ``values`` at the indices, whatever axes these have."""
    lead, depth = values.dim() - 2, values.shape[-1]
    rows = values.gather(-2, index.flatten(lead)[..., None].expand(*values.shape[:-2], -1, depth))
    return rows.reshape(*index.shape, depth)


def look_up(maps: Shaped[Tensor, "*batch H W"], pixels: Float[Tensor, "*batch Q 2"]) -> Shaped[Tensor, "*batch Q"]:
    """Values of the pixels that contain the given positions (clamped to the image; NaN reads the first pixel)."""
    height, width = maps.shape[-2:]
    cell = pixels.nan_to_num(0.0).floor()
    column = cell[..., 0].clamp(0, width - 1).long()
    row = cell[..., 1].clamp(0, height - 1).long()
    return maps.flatten(-2).gather(-1, row * width + column)
