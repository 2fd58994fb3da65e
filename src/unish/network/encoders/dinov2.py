"""The published image encoder: DINOv2 with register tokens (Oquab et al. 2023, Darcet et al. 2024).

Legend: B images, h×w patches, P = h·w, C channels.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from unish.network.chunks import map_chunks
from unish.network.layers import Block, PatchEmbedding


@dataclass(frozen=True, kw_only=True)
class DinoConfig:
    """Sizes of a ``DinoEncoder``; the defaults are ViT-L/14 with 4 registers, trained at 518 pixels."""

    dim: int = 1024
    depth: int = 24
    num_heads: int = 16
    mlp_ratio: float = 4.0
    patch_size: int = 14
    table_side: int = 37
    num_register_tokens: int = 4
    layer_scale: float = 1.0
    norm_eps: float = 1e-6


class DinoEncoder(nn.Module):
    """Normalised images to patch tokens."""

    def __init__(self, config: DinoConfig) -> None:
        super().__init__()
        self.config = config
        self.patch_embed = PatchEmbedding(config.dim, config.patch_size)
        self.cls_token = nn.Parameter(1e-6 * torch.randn(1, 1, config.dim))
        self.register_tokens = nn.Parameter(1e-6 * torch.randn(1, config.num_register_tokens, config.dim))
        self.pos_embed = nn.Parameter(0.02 * torch.randn(1, 1 + config.table_side**2, config.dim))
        self.blocks = nn.ModuleList(
            Block(
                config.dim,
                config.num_heads,
                mlp_ratio=config.mlp_ratio,
                layer_scale=config.layer_scale,
                norm_eps=config.norm_eps,
            )
            for _ in range(config.depth)
        )
        self.norm = nn.LayerNorm(config.dim, eps=config.norm_eps)

    def interpolate_positions(self, grid: tuple[int, int]) -> Float[Tensor, "1 tokens C"]:
        """Position table for the class token and a grid of h×w patches (rows, columns).

        The square table is resized to the grid by antialiased bicubic interpolation (cubic with a = −0.5) in float32,
        and used untouched when the grid has its own size.
        """
        side = self.config.table_side
        if grid == (side, side):
            return self.pos_embed
        table = self.pos_embed[:, 1:].float().reshape(1, side, side, -1).permute(0, 3, 1, 2)
        resized = nn.functional.interpolate(table, size=grid, mode="bicubic", antialias=True, align_corners=False)
        patches = resized.flatten(2).transpose(1, 2).to(self.pos_embed.dtype)
        return torch.cat([self.pos_embed[:, :1], patches], dim=1)

    def embed(self, images: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B tokens C"]:
        """Tokens that enter the first block: class token, registers (which get no position), patches."""
        grid = images.shape[-2] // self.config.patch_size, images.shape[-1] // self.config.patch_size
        patches = self.patch_embed(images)
        tokens = torch.cat([self.cls_token.expand(len(images), -1, -1), patches], dim=1)
        tokens = tokens + self.interpolate_positions(grid)
        registers = self.register_tokens.expand(len(images), -1, -1)
        return torch.cat([tokens[:, :1], registers, tokens[:, 1:]], dim=1)

    def forward(self, images: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B P C"]:
        """Normalised patch tokens, row by row; height and width are multiples of the patch size."""
        num_patches = images[0, 0].numel() // self.config.patch_size**2
        return map_chunks(self._encode, images, 1 + self.config.num_register_tokens + num_patches)

    def _encode(self, images: Tensor) -> Tensor:
        tokens = self.embed(images)
        for block in self.blocks:
            tokens = block(tokens)
        return self.norm(tokens)[:, 1 + self.config.num_register_tokens :]
