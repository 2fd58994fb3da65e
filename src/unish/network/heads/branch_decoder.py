"""The decoder in front of each head: a few blocks within the frame.

Legend: B frames, R special tokens, P patches, T = R + P, C channels.
"""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor, nn

from unish.network.chunks import map_chunks
from unish.network.layers import Block
from unish.network.linear import Linear
from unish.network.rope import Rotary, grid_positions, rotary_2d


@dataclass(frozen=True, kw_only=True)
class BranchDecoderConfig:
    """Sizes shared by the branch decoders of a network; the defaults are the published ones."""

    dim: int = 1024
    depth: int = 5
    num_heads: int = 16
    mlp_ratio: float = 4.0
    norm_eps: float = 1e-6
    rope_base: float = 100.0


class BranchDecoder(nn.Module):
    """Linear, blocks of attention within the frame (rotary, no q/k norm, no LayerScale), linear without a norm."""

    def __init__(self, config: BranchDecoderConfig, *, input_dim: int, output_dim: int) -> None:
        super().__init__()
        self.config = config
        self.input = Linear(input_dim, config.dim)
        self.blocks = nn.ModuleList(
            Block(config.dim, config.num_heads, mlp_ratio=config.mlp_ratio, norm_eps=config.norm_eps)
            for _ in range(config.depth)
        )
        self.output = Linear(config.dim, output_dim)

    def forward(self, hidden: Float[Tensor, "B T C"], grid: tuple[int, int]) -> Float[Tensor, "B T E"]:
        """Decode every token; ``grid`` = (rows, columns) of the patches, which follow the special tokens."""
        num_special = hidden.shape[1] - grid[0] * grid[1]
        positions = grid_positions(*grid, num_special=num_special, device=hidden.device)
        head_dim = self.config.dim // self.config.num_heads
        rotary = rotary_2d(positions, head_dim, base=self.config.rope_base, dtype=self.input.weight.dtype)
        return map_chunks(lambda frames: self._decode(frames, rotary), hidden, hidden.shape[1])

    def _decode(self, hidden: Tensor, rotary: Rotary) -> Tensor:
        tokens = self.input(hidden)
        for block in self.blocks:
            tokens = block(tokens, rotary)
        return self.output(tokens)
