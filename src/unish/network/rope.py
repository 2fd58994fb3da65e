"""Rotary position embeddings: one axis (time) and two axes (rows and columns of the patch grid).

Su et al., "RoFormer", eq. (34), with the *half-split* pairing: number j of a vector of D is turned together with
number j + D/2 by the angle position · base^(−2j/D). In two axes the vector is cut into two halves, the first turned by
the row and the second by the column.

Legend: T tokens, D numbers of one head.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor


@dataclass(frozen=True)
class Rotary:
    """Cosines and sines for every token, ready to turn queries and keys.

    Attributes:
        cos, sin: (..., T, D); leading dimensions broadcast against those of the rotated tensor.
        num_axes: into how many independent parts the D numbers are cut (1 or 2).
    """

    cos: Float[Tensor, "*batch T D"]
    sin: Float[Tensor, "*batch T D"]
    num_axes: int

    def rotate(self, x: Float[Tensor, "*batch T D"]) -> Float[Tensor, "*batch T D"]:
        """x ⊙ cos + rotate_half(x) ⊙ sin, in the dtype of ``x``."""
        # The minus sign goes to the sines, of which there are fewer: the heads share them.
        sin_first, sin_second = self._halves(self.sin.to(x.dtype))
        signed_sin = torch.stack([-sin_first, sin_second], dim=-2).flatten(-3)
        first, second = self._halves(x)
        swapped = torch.stack([second, first], dim=-2).flatten(-3)
        return torch.addcmul(x * self.cos.to(x.dtype), swapped, signed_sin)

    def _halves(self, x: Float[Tensor, "*batch T D"]) -> tuple[Tensor, ...]:
        """The two numbers of each pair that is turned, (..., T, axes, D / axes / 2) each."""
        return x.unflatten(-1, (self.num_axes, 2, -1)).unbind(-2)


def grid_positions(
    height: int, width: int, *, num_special: int = 0, device: torch.device | None = None
) -> Int[Tensor, "T 2"]:
    """(row, column) of the patches of a grid, row by row and counted from 1, after ``num_special`` tokens at (0, 0)."""
    rows = torch.arange(1, height + 1, device=device)
    columns = torch.arange(1, width + 1, device=device)
    patches = torch.cartesian_prod(rows, columns).reshape(-1, 2)
    return torch.cat([patches.new_zeros(num_special, 2), patches])


def rotary_2d(
    positions: Int[Tensor, "*batch T 2"], head_dim: int, *, base: float = 100.0, dtype: torch.dtype = torch.float32
) -> Rotary:
    """Half of each head for the row, half for the column. ``head_dim`` must be divisible by 4.

    Angles are rounded to ``dtype`` before their cosine and sine are taken in it, as the published network does.

    Raises:
        ValueError: ``head_dim`` is not divisible by 4.
    """
    if head_dim % 4:
        raise ValueError(f"two-axis rotary embedding needs a head size divisible by 4, got {head_dim}")
    angles = _angles(positions, head_dim // 2, base).to(dtype)  # (..., T, 2, D/2)
    return Rotary(angles.cos().flatten(-2), angles.sin().flatten(-2), num_axes=2)


def rotary_1d(
    positions: Int[Tensor, "*batch T"], head_dim: int, *, base: float = 100.0, max_length: int | None = None
) -> Rotary:
    """The whole head for one axis.

    Think of a table with one row per position from 0 to the largest one. Where it would be longer than ``max_length``
    (decided for each item of the batch), a table of ``max_length`` rows is stretched over the range by linear
    interpolation of cosine and sine: the published rule for long clips. cos² + sin² is then slightly below 1.

    Raises:
        ValueError: ``head_dim`` is odd.
    """
    if head_dim % 2:
        raise ValueError(f"rotary embedding needs an even head size, got {head_dim}")
    if max_length is None:
        angles = _angles(positions, head_dim, base)
        return Rotary(angles.cos(), angles.sin(), num_axes=1)
    last = positions.amax(dim=-1, keepdim=True)
    stretched = positions * ((max_length - 1) / last.clamp_min(1))
    row = torch.where(last < max_length, positions, stretched)
    lower = row.floor().clamp_max(max_length - 2)
    share = (row - lower)[..., None]
    below, above = _angles(lower, head_dim, base), _angles(lower + 1, head_dim, base)
    return Rotary(torch.lerp(below.cos(), above.cos(), share), torch.lerp(below.sin(), above.sin(), share), num_axes=1)


def _angles(positions: Shaped[Tensor, "*batch"], dim: int, base: float) -> Float[Tensor, "*batch D"]:
    """position · base^(−2j/D) for j = 0 … D/2 − 1, twice in a row."""
    exponents = torch.arange(0, dim, 2, device=positions.device, dtype=torch.float32) / dim
    angles = positions[..., None].float() * base**-exponents
    return torch.cat([angles, angles], dim=-1)
