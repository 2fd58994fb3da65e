"""The cross-frame decoder: attention within frames and across all frames of the clip, in turns.

Legend: B clips, N frames, P patches of a frame, R special tokens of a frame, T = R + P, C channels.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from unish.network.layers import Block
from unish.network.rope import grid_positions, rotary_2d


@dataclass(frozen=True, kw_only=True)
class DecoderConfig:
    """Sizes of an ``AlternatingDecoder``; the defaults are the published ones."""

    dim: int = 1024
    depth: int = 36
    num_heads: int = 16
    mlp_ratio: float = 4.0
    num_special_tokens: int = 5
    qk_norm: bool = True
    layer_scale: float | None = 0.01
    norm_eps: float = 1e-6
    rope_base: float = 100.0

    def __post_init__(self) -> None:
        if self.depth < 2 or self.depth % 2:
            raise ValueError(f"the decoder's depth must be even and positive (frame, global, …), got {self.depth}")


class AlternatingDecoder(nn.Module):
    """Blocks 0, 2, … attend within each frame, blocks 1, 3, … over all tokens of the clip (π³, Wang et al. 2025).

    The same learned special tokens are put in front of the patches of every frame. Positions are those of the patch
    grid alone, so frames in another order give the same tokens in that order.
    """

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        self.config = config
        self.special_tokens = nn.Parameter(1e-6 * torch.randn(1, 1, config.num_special_tokens, config.dim))
        self.blocks = nn.ModuleList(
            Block(
                config.dim,
                config.num_heads,
                mlp_ratio=config.mlp_ratio,
                qk_norm=config.qk_norm,
                layer_scale=config.layer_scale,
                norm_eps=config.norm_eps,
            )
            for _ in range(config.depth)
        )

    @property
    def hidden_dim(self) -> int:
        """Channels of what ``forward`` returns."""
        return 2 * self.config.dim

    def forward(self, patches: Float[Tensor, "B N P C"], grid: tuple[int, int]) -> Float[Tensor, "B N T hidden"]:
        """Decode the patch tokens of a clip.

        Args:
            patches: (B, N, P, C), row by row.
            grid: rows and columns of patches, P = rows · columns.

        Returns:
            (B, N, R + P, 2C): output of the last frame block beside that of the last global block; special tokens
            first.
        """
        num_clips, num_frames = patches.shape[:2]
        tokens = torch.cat(
            [self.special_tokens.expand(num_clips, num_frames, -1, -1).to(patches.dtype), patches], dim=2
        )
        num_tokens = tokens.shape[2]
        positions = grid_positions(*grid, num_special=self.config.num_special_tokens, device=patches.device)
        head_dim = self.config.dim // self.config.num_heads
        dtype = self.special_tokens.dtype
        in_frame = rotary_2d(positions, head_dim, base=self.config.rope_base, dtype=dtype)
        in_clip = rotary_2d(positions.repeat(num_frames, 1), head_dim, base=self.config.rope_base, dtype=dtype)

        within = tokens
        for frame_block, global_block in zip(self.blocks[::2], self.blocks[1::2], strict=True):
            within = frame_block(tokens.reshape(num_clips * num_frames, num_tokens, -1), in_frame)
            across = global_block(within.reshape(num_clips, num_frames * num_tokens, -1), in_clip)
            tokens = across.reshape(num_clips, num_frames, num_tokens, -1)
        return torch.cat([within.reshape_as(tokens), tokens], dim=-1)
