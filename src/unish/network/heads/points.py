"""Dense heads: one linear layer gives every pixel of a patch its numbers.

Legend: B frames, h×w patches of s×s pixels, P = h·w, H = h·s, W = w·s, C channels.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from unish.network.linear import Linear


class PixelHead(nn.Module):
    """Patch tokens to K numbers per pixel; features are ordered (number, row in the patch, column in the patch)."""

    def __init__(self, dim: int, num_outputs: int, patch_size: int) -> None:
        super().__init__()
        self.patch_size = patch_size
        self.proj = Linear(dim, num_outputs * patch_size**2)

    def forward(self, patches: Float[Tensor, "B P C"], grid: tuple[int, int]) -> Float[Tensor, "B H W K"]:
        features = self.proj(patches).transpose(1, 2).unflatten(2, grid)
        return nn.functional.pixel_shuffle(features, self.patch_size).permute(0, 2, 3, 1)


def points_from_log_depth(raw: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 3"]:
    """(a, b, ζ) to the point (a·e^ζ, b·e^ζ, e^ζ): slopes of the ray and log-depth, so z is always positive."""
    depth = raw[..., 2:].exp()
    return torch.cat([raw[..., :2] * depth, depth], dim=-1)
