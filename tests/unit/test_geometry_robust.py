"""Robust least squares: the linear answer where all is well, and the answer of most where some is wrong."""

from __future__ import annotations

import torch
from torch import Tensor

from unish.geometry.robust import solve_robust_least_squares


def no_prior(unknowns: Tensor) -> tuple[Tensor, Tensor]:
    return torch.zeros(0, dtype=unknowns.dtype), torch.zeros(0, len(unknowns), dtype=unknowns.dtype)


def test_small_residuals_give_the_weighted_linear_answer(rng) -> None:
    design = torch.randn(50, 3, generator=rng, dtype=torch.float64)
    target = design @ torch.tensor([1.0, -2.0, 0.5]).double() + 1e-3 * torch.randn(50, generator=rng).double()
    weights = torch.rand(50, generator=rng).double()
    found = solve_robust_least_squares(
        lambda x: (design @ x - target, design), no_prior, torch.zeros(3).double(), weights, steps=15
    )
    root = weights.sqrt()
    expected = torch.linalg.lstsq(design * root[:, None], (target * root)[:, None]).solution[:, 0]
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)


def test_wild_measurements_fade(rng) -> None:
    value = torch.cat([torch.full((20,), 3.0), torch.full((9,), 40.0)]).double()
    ones = torch.ones(29, 1).double()
    found = solve_robust_least_squares(
        lambda x: (ones @ x - value, ones), no_prior, torch.zeros(1).double(), torch.ones(29).double(), steps=30
    )
    assert abs(float(found) - 3.0) < 0.3


def test_a_prior_holds_what_nothing_measures() -> None:
    def prior(x: Tensor) -> tuple[Tensor, Tensor]:
        return (x - 7.0) / 2.0, torch.eye(2).double() / 2.0

    def measure(x: Tensor) -> tuple[Tensor, Tensor]:
        return x[:1].exp()[None, 0] - 1.0, torch.stack([x[:1].exp()[0], torch.zeros(()).double()])[None]

    found = solve_robust_least_squares(measure, prior, torch.zeros(2).double(), torch.tensor([1e6]).double(), steps=30)
    assert abs(float(found[0])) < 1e-3 and abs(float(found[1]) - 7.0) < 1e-6, "a curved measurement, too"
