"""Large systems are solved whatever the number of threads."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from unish.geometry.linear import solve_positive_definite


@pytest.fixture(params=[1, 2])
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


@pytest.mark.parametrize(("batch", "size"), [(4, 192), (2, 300), (1, 700), (30, 75)])
def test_the_solution_solves(threads: int, batch: int, size: int) -> None:
    generator = torch.Generator().manual_seed(0)
    root = torch.randn(batch, size, size, generator=generator)
    matrix, right = root @ root.mT + size * torch.eye(size), torch.randn(batch, size, generator=generator)
    solution = solve_positive_definite(matrix, right)
    assert ((matrix @ solution[..., None])[..., 0] - right).abs().max() < 1e-4


def test_what_rounding_has_made_indefinite_is_softened() -> None:
    """A flat direction: the rest of its batch is solved as it is."""
    flat = torch.diag(torch.tensor([1.0, -1e-8, 2.0]))
    found = solve_positive_definite(torch.stack([flat, 2 * torch.eye(3)]), torch.ones(2, 3))
    assert found.isfinite().all() and torch.equal(found[1], torch.full((3,), 0.5))
    assert abs(float(found[0, 0]) - 1) < 2e-3


def test_its_gradient_is_that_of_the_inverse() -> None:
    matrix = torch.tensor([[4.0, 1.0], [1.0, 3.0]], dtype=torch.float64)
    right = torch.tensor([1.0, 2.0], dtype=torch.float64, requires_grad=True)
    root = torch.linalg.cholesky(matrix).requires_grad_()
    assert torch.autograd.gradcheck(lambda a, b: solve_positive_definite(a @ a.mT, b), (root, right))
