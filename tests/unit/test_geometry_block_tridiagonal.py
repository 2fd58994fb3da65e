"""Solves of block-tridiagonal systems against dense ones."""

import pytest
import torch
from torch import Tensor

from unish.geometry.block_tridiagonal import solve_block_tridiagonal, solve_second_order


def make_system(blocks: int, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Two systems with blocks of 3 and two right-hand sides."""
    given = {"generator": generator, "dtype": torch.float64}
    half = torch.randn(2, blocks, 3, 3, **given)
    diagonal = half @ half.mT + 20 * torch.eye(3, dtype=torch.float64)
    return diagonal, torch.randn(2, blocks - 1, 3, 3, **given), torch.randn(2, blocks, 3, 2, **given)


@pytest.mark.parametrize("blocks", [1, 2, 5])
def test_solution_is_that_of_the_dense_matrix(blocks: int, rng: torch.Generator) -> None:
    diagonal, upper, right = make_system(blocks, rng)
    dense = torch.zeros(2, blocks, 3, blocks, 3, dtype=torch.float64)
    for block in range(blocks):
        dense[:, block, :, block] = diagonal[:, block]
    for block in range(blocks - 1):
        dense[:, block, :, block + 1] = upper[:, block]
        dense[:, block + 1, :, block] = upper[:, block].mT
    expected = torch.linalg.solve(dense.flatten(3, 4).flatten(1, 2), right.flatten(1, 2))
    torch.testing.assert_close(solve_block_tridiagonal(diagonal, upper, right), expected.unflatten(1, (blocks, 3)))


@pytest.mark.parametrize("blocks", [4, 6])
def test_blocks_that_reach_the_next_but_one(blocks: int, rng: torch.Generator) -> None:
    diagonal, to_next, right = make_system(blocks, rng)
    to_second = torch.randn(2, blocks - 2, 3, 3, generator=rng, dtype=torch.float64)
    dense = torch.zeros(2, blocks, 3, blocks, 3, dtype=torch.float64)
    for block in range(blocks):
        dense[:, block, :, block] = diagonal[:, block]
    for coupling in (to_next, to_second):
        reach = blocks - coupling.shape[1]
        for block in range(blocks - reach):
            dense[:, block, :, block + reach] = coupling[:, block]
            dense[:, block + reach, :, block] = coupling[:, block].mT
    expected = torch.linalg.solve(dense.flatten(3, 4).flatten(1, 2), right.flatten(1, 2))
    found = solve_second_order(diagonal, to_next, to_second, right)
    torch.testing.assert_close(found, expected.unflatten(1, (blocks, 3)))


def test_gradients(rng: torch.Generator) -> None:
    given = [one.requires_grad_() for one in make_system(3, rng)]

    def solve(diagonal: Tensor, upper: Tensor, right: Tensor) -> Tensor:
        return solve_block_tridiagonal((diagonal + diagonal.mT) / 2, upper, right)

    assert torch.autograd.gradcheck(solve, given)


def test_a_matrix_that_is_not_positive_definite_is_refused(rng: torch.Generator) -> None:
    diagonal, upper, right = make_system(2, rng)
    with pytest.raises(torch.linalg.LinAlgError):
        solve_block_tridiagonal(diagonal, 100 * upper, right)
