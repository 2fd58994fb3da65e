"""Symmetric positive definite systems whose matrix is block-tridiagonal, as smoothness over time makes them."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor


def solve_block_tridiagonal(
    diagonal: Float[Tensor, "*batch M n n"],
    upper: Float[Tensor, "*batch M-1 n n"],
    right: Float[Tensor, "*batch M n k"],
) -> Float[Tensor, "*batch M n k"]:
    """Solve A·x = ``right`` by a block Cholesky factorisation; the work grows with M·n³.

    One after the other over the M blocks, together over the batch. Differentiable once: the backward pass solves with
    the same factor, so that nothing but the factor is kept.

    Args:
        diagonal: blocks A[m, m], symmetric.
        upper: blocks A[m, m + 1]; those below the diagonal are their transposes.
        right: right-hand sides.

    Raises:
        torch.linalg.LinAlgError: the matrix is not positive definite.
    """
    return _BlockTridiagonalSolve.apply(diagonal, upper, right)


def solve_second_order(
    diagonal: Float[Tensor, "*batch N n n"],
    to_next: Float[Tensor, "*batch N-1 n n"],
    to_second: Float[Tensor, "*batch N-2 n n"],
    right: Float[Tensor, "*batch N n k"],
) -> Float[Tensor, "*batch N n k"]:
    """The same for blocks that are coupled to the next one and to the one after: two of them make one.

    Args:
        diagonal: blocks A[m, m], an even number of them and at least four.
        to_next, to_second: blocks A[m, m + 1] and A[m, m + 2].
    """
    size = diagonal.shape[-1]
    inside, between = to_next[..., 0::2, :, :], to_next[..., 1::2, :, :]
    even, odd = diagonal[..., 0::2, :, :], diagonal[..., 1::2, :, :]
    pairs = torch.cat([torch.cat([even, inside], dim=-1), torch.cat([inside.mT, odd], dim=-1)], dim=-2)
    skipped = [to_second[..., 0::2, :, :], torch.zeros_like(between)]
    upper = torch.cat([torch.cat(skipped, dim=-1), torch.cat([between, to_second[..., 1::2, :, :]], dim=-1)], dim=-2)
    solution = solve_block_tridiagonal(pairs, upper, right.unflatten(-3, (-1, 2)).flatten(-3, -2))
    return solution.unflatten(-2, (2, size)).flatten(-4, -3)


class _BlockTridiagonalSolve(torch.autograd.Function):
    """A = L·Lᵀ with lower triangular blocks L[m, m] = ``factors`` and L[m + 1, m] = ``below``."""

    @staticmethod
    def forward(ctx: Any, diagonal: Tensor, upper: Tensor, right: Tensor) -> Tensor:
        factors, below = _factorise(diagonal, upper)
        solution = _substitute(factors, below, right)
        ctx.save_for_backward(solution, *factors, *below)
        return solution

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        solution, *blocks = ctx.saved_tensors
        count = solution.shape[-3]
        by_right = _substitute(blocks[:count], blocks[count:], gradients[0])
        # dx = A⁻¹ (db − dA x); A[m, m + 1] stands in the matrix twice.
        by_diagonal = -by_right @ solution.mT
        by_upper = -(
            by_right[..., :-1, :, :] @ solution[..., 1:, :, :].mT
            + solution[..., :-1, :, :] @ by_right[..., 1:, :, :].mT
        )
        return by_diagonal, by_upper, by_right


def _factorise(diagonal: Tensor, upper: Tensor) -> tuple[list[Tensor], list[Tensor]]:
    factors, below = [torch.linalg.cholesky(diagonal[..., 0, :, :])], list[Tensor]()
    for block in range(1, diagonal.shape[-3]):
        half = torch.linalg.solve_triangular(factors[-1], upper[..., block - 1, :, :], upper=False)
        below.append(half.mT)
        factors.append(torch.linalg.cholesky(diagonal[..., block, :, :] - half.mT @ half))
    return factors, below


def _substitute(factors: list[Tensor], below: list[Tensor], right: Tensor) -> Tensor:
    forward = [torch.linalg.solve_triangular(factors[0], right[..., 0, :, :], upper=False)]
    for block in range(1, len(factors)):
        rest = right[..., block, :, :] - below[block - 1] @ forward[-1]
        forward.append(torch.linalg.solve_triangular(factors[block], rest, upper=False))
    solution = [torch.linalg.solve_triangular(factors[-1].mT, forward[-1], upper=True)]
    for block in range(len(factors) - 2, -1, -1):
        rest = forward[block] - below[block].mT @ solution[-1]
        solution.append(torch.linalg.solve_triangular(factors[block].mT, rest, upper=True))
    return torch.stack(solution[::-1], dim=-3)
