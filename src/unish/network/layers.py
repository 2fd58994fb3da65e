"""The transformer layers that every part of the network shares.

Legend: B batch (anything flattened in front), T tokens, S tokens attended to, C channels, H heads, D = C / H.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from unish.network.chunks import map_chunks
from unish.network.linear import Linear
from unish.network.rope import Rotary


class LayerScale(nn.Module):
    """A learned factor per channel on a residual branch (Touvron et al., "Going deeper with image transformers")."""

    def __init__(self, dim: int, initial_value: float) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.full((dim,), initial_value))

    def forward(self, x: Float[Tensor, "*batch C"]) -> Float[Tensor, "*batch C"]:
        return x * self.gamma


class Mlp(nn.Module):
    """Linear, exact GELU, linear; over so many tokens at a time that the wide layer in between stays small."""

    def __init__(self, dim: int, hidden_dim: int) -> None:
        super().__init__()
        self.fc1 = Linear(dim, hidden_dim)
        self.fc2 = Linear(hidden_dim, dim)

    def forward(self, x: Float[Tensor, "*batch C"]) -> Float[Tensor, "*batch C"]:
        tokens = x.reshape(-1, x.shape[-1])
        return map_chunks(lambda part: self.fc2(nn.functional.gelu(self.fc1(part))), tokens, 1).reshape(x.shape)


def attend(
    query: Float[Tensor, "B T E"],
    key: Float[Tensor, "B S E"],
    value: Float[Tensor, "B S E"],
    *,
    num_heads: int,
    query_rotary: Rotary | None = None,
    key_rotary: Rotary | None = None,
    key_valid: Bool[Tensor, "B S"] | None = None,
) -> Float[Tensor, "B T E"]:
    """Multi-head softmax attention, scale D^(−1/2), on channels that are head-major (head, D).

    Keys that are not valid get no weight; every query needs at least one that is.
    """
    query, key, value = (x.unflatten(-1, (num_heads, -1)).transpose(-2, -3) for x in (query, key, value))
    if query_rotary is not None:
        query = query_rotary.rotate(query)
    if key_rotary is not None:
        key = key_rotary.rotate(key)
    mask = None if key_valid is None else key_valid[..., None, None, :]
    out = nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=mask)
    return out.transpose(-2, -3).flatten(-2)


class Attention(nn.Module):
    """Self-attention with one fused projection, [q | k | v], each head-major.

    With ``qk_norm`` queries and keys pass a LayerNorm over the D numbers of a head (shared by the heads, ε = 1e-5
    whatever the block uses) before the rotary embedding.
    """

    def __init__(self, dim: int, num_heads: int, *, qk_norm: bool = False) -> None:
        super().__init__()
        if dim % num_heads:
            raise ValueError(f"{dim} channels do not divide into {num_heads} heads")
        self.num_heads = num_heads
        self.qkv = Linear(dim, 3 * dim)
        self.proj = Linear(dim, dim)
        self.q_norm = nn.LayerNorm(dim // num_heads) if qk_norm else nn.Identity()
        self.k_norm = nn.LayerNorm(dim // num_heads) if qk_norm else nn.Identity()

    def forward(self, x: Float[Tensor, "B T C"], rotary: Rotary | None = None) -> Float[Tensor, "B T C"]:
        query, key, value = self.qkv(x).unflatten(-1, (3, self.num_heads, -1)).permute(2, 0, 3, 1, 4)  # (3, B, H, T, D)
        query, key = self.q_norm(query), self.k_norm(key)
        if rotary is not None:
            query, key = rotary.rotate(query), rotary.rotate(key)
        out = nn.functional.scaled_dot_product_attention(query, key, value)
        return self.proj(out.transpose(1, 2).flatten(2))


class Block(nn.Module):
    """Pre-norm transformer block: x + γ₁ ⊙ Attn(LN(x)), then x + γ₂ ⊙ MLP(LN(x)).

    Args:
        layer_scale: initial value of γ; ``None`` leaves γ out.
        norm_eps: ε of the two LayerNorms.

    Attributes:
        recompute: keep no activations for the gradient but the input, and compute the others again in the backward
            pass (gradient checkpointing).
    """

    def __init__(
        self,
        dim: int,
        num_heads: int,
        *,
        mlp_ratio: float = 4.0,
        qk_norm: bool = False,
        layer_scale: float | None = None,
        norm_eps: float = 1e-6,
    ) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim, eps=norm_eps)
        self.attn = Attention(dim, num_heads, qk_norm=qk_norm)
        self.ls1 = nn.Identity() if layer_scale is None else LayerScale(dim, layer_scale)
        self.norm2 = nn.LayerNorm(dim, eps=norm_eps)
        self.mlp = Mlp(dim, int(dim * mlp_ratio))
        self.ls2 = nn.Identity() if layer_scale is None else LayerScale(dim, layer_scale)
        self.recompute = False

    def forward(self, x: Float[Tensor, "B T C"], rotary: Rotary | None = None) -> Float[Tensor, "B T C"]:
        if self.recompute and torch.is_grad_enabled():
            return checkpoint(self._compute, x, rotary, use_reentrant=False)
        return self._compute(x, rotary)

    def _compute(self, x: Tensor, rotary: Rotary | None) -> Tensor:
        x = x + self.ls1(self.attn(self.norm1(x), rotary))
        return x + self.ls2(self.mlp(self.norm2(x)))


class PatchEmbedding(nn.Module):
    """Images to tokens: a convolution whose stride is the patch size, tokens row by row."""

    def __init__(self, dim: int, patch_size: int, *, padding: int = 0) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, dim, kernel_size=patch_size, stride=patch_size, padding=padding)

    def forward(self, images: Float[Tensor, "B 3 height width"]) -> Float[Tensor, "B T C"]:
        return self.proj(images).flatten(2).transpose(1, 2)
