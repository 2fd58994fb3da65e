"""The published backbone of the crop branch: ViT-H/16 on person crops (ViTPose, Xu 2022; HMR 2.0, Goel 2023).

Legend: B crops, P patches, C channels.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from unish.network.chunks import map_chunks
from unish.network.layers import Block, PatchEmbedding


@dataclass(frozen=True, kw_only=True)
class CropVitConfig:
    """Sizes of a ``CropVit``; the defaults are the published ones."""

    dim: int = 1280
    depth: int = 32
    num_heads: int = 16
    mlp_ratio: float = 4.0
    patch_size: int = 16
    patch_padding: int = 2
    crop_size: tuple[int, int] = (256, 192)
    norm_eps: float = 1e-6

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of patches."""
        rows, columns = ((size + 2 * self.patch_padding) // self.patch_size for size in self.crop_size)
        return rows, columns


class CropVit(nn.Module):
    """RGB crops in [0, 1], without any further normalisation, to patch tokens."""

    def __init__(self, config: CropVitConfig) -> None:
        super().__init__()
        self.config = config
        rows, columns = config.grid
        self.patch_embed = PatchEmbedding(config.dim, config.patch_size, padding=config.patch_padding)
        self.pos_embed = nn.Parameter(0.02 * torch.randn(1, 1 + rows * columns, config.dim))
        self.blocks = nn.ModuleList(
            Block(config.dim, config.num_heads, mlp_ratio=config.mlp_ratio, norm_eps=config.norm_eps)
            for _ in range(config.depth)
        )
        self.norm = nn.LayerNorm(config.dim, eps=config.norm_eps)

    def embed(self, crops: Float[Tensor, "B 3 rows columns"]) -> Float[Tensor, "B P C"]:
        """Patch j gets entry j + 1 of the position table *plus* entry 0, that of a class token which does not exist."""
        return self.patch_embed(crops) + self.pos_embed[:, 1:] + self.pos_embed[:, :1]

    def forward(self, crops: Float[Tensor, "B 3 rows columns"]) -> Float[Tensor, "B P C"]:
        rows, columns = self.config.grid
        return map_chunks(self._encode, crops, rows * columns)

    def _encode(self, crops: Tensor) -> Tensor:
        tokens = self.embed(crops)
        for block in self.blocks:
            tokens = block(tokens)
        return self.norm(tokens)
