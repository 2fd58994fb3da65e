"""Exact truncated scale and shift: against every kink of the piecewise linear sum, and laws that need no twin."""

from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from unish.geometry import alignment
from unish.geometry.alignment import solve_exact_scale_shift, solve_scale

TRUNCATIONS = [None, 0.3, 3.0]


def random(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def measure(
    scale: torch.Tensor,
    shift: torch.Tensor,
    source: torch.Tensor,
    target: torch.Tensor,
    weights: torch.Tensor,
    truncation: float | None,
) -> float:
    """The sum that is minimised."""
    residual = weights * (scale * source + shift - target).abs()
    return residual.clamp_max(torch.inf if truncation is None else truncation).sum().item()


@pytest.mark.parametrize("truncation", [0.05, 0.3, 3.0, 1e9])
def test_truncated_scale_equals_the_best_of_all_kinks(truncation: float) -> None:
    for seed in range(20):
        source, target, weights = random(seed, 15), random(seed + 50, 15), random(seed + 99, 15).abs()
        found = solve_scale(source, target, weights, truncation=truncation)
        reach = truncation / (weights * source.abs())
        kinks = torch.cat([target / source, target / source - reach, target / source + reach])
        costs = (weights * (kinks[:, None] * source - target).abs()).clamp_max(truncation).sum(-1)
        cost = (weights * (found * source - target).abs()).clamp_max(truncation).sum()
        assert cost <= costs.min() + 1e-12


def test_what_is_never_truncated_is_the_weighted_median() -> None:
    source, target, weights = random(0, 3, 30), random(1, 3, 30), random(2, 3, 30).abs()
    found = solve_scale(source, target, weights, truncation=1e6)
    torch.testing.assert_close(found, solve_scale(source, target, weights), rtol=0, atol=0)


def test_truncation_finds_a_minority_that_agrees() -> None:
    """A third of the samples say 2, the others anything larger: no median could know, a truncated sum does."""
    source = random(0, 60).abs() + 0.5
    target = torch.cat([2 * source[:20], 4 * source[20:] + 5 * random(1, 40).abs()])
    ones = torch.ones(60).double()
    assert solve_scale(source, target, ones, truncation=0.05) == pytest.approx(2.0, abs=1e-12)
    assert abs(solve_scale(source, target, ones) - 2.0) > 0.1


@pytest.mark.parametrize("truncation", TRUNCATIONS)
def test_scale_and_shift_equal_the_best_of_all_pairs(truncation: float | None) -> None:
    for seed in range(5):
        source, target, weights = random(seed, 12), random(seed + 50, 12), random(seed + 99, 12).abs()
        problem = (source, target, weights, truncation)
        through = []
        for a, b in itertools.combinations(range(12), 2):
            scale = (target[a] - target[b]) / (source[a] - source[b])
            through.append(measure(scale, target[a] - scale * source[a], *problem))
        found = solve_exact_scale_shift(source, target, weights, truncation=truncation)
        assert measure(*found, *problem) == pytest.approx(min(through), abs=1e-12)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000), scale=st.floats(0.05, 20))
def test_scale_and_shift_are_exact_with_a_majority_of_outliers(seed: int, scale: float) -> None:
    source, ones, shift = random(seed, 2, 30), torch.ones(2, 30).double(), random(seed + 1, 2, 1)
    outliers = torch.zeros(2, 30).double()
    outliers[:, :16] = 50 * scale * random(seed + 2, 2, 16)
    found, moved = solve_exact_scale_shift(source, scale * source + shift + outliers, ones, truncation=1e-3 * scale)
    torch.testing.assert_close(found, scale * ones[:, 0], rtol=1e-9, atol=0)
    torch.testing.assert_close(moved, shift[:, 0], rtol=0, atol=1e-8)


def test_batch_equals_single_and_blocks_equal_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    source, target, weights = random(0, 2, 3, 9), random(1, 2, 3, 9), random(2, 2, 3, 9).clamp_min(0)
    whole = solve_exact_scale_shift(source, target, weights, truncation=0.4)
    monkeypatch.setattr(alignment, "_EVENTS_AT_ONCE", 500)
    blocks = solve_exact_scale_shift(source, target, weights, truncation=0.4)
    one = solve_exact_scale_shift(source[1, 2], target[1, 2], weights[1, 2], truncation=0.4)
    for i in range(2):
        torch.testing.assert_close(whole[i], blocks[i], rtol=0, atol=0)
        torch.testing.assert_close(whole[i][1, 2], one[i], rtol=0, atol=0)


def test_unseen_samples_do_not_count_and_nothing_seen_is_the_identity() -> None:
    source, target, weights = random(0, 9), random(1, 9), torch.ones(9).double()
    weights[5:] = 0
    weights[7:] = torch.tensor([-1.0, torch.nan])
    source[5:], target[6:] = torch.nan, torch.inf
    source.requires_grad_()
    few = solve_exact_scale_shift(source[:5], target[:5], weights[:5], truncation=0.5)
    all_of_them = solve_exact_scale_shift(source, target, weights, truncation=0.5)
    for i in range(2):
        torch.testing.assert_close(all_of_them[i], few[i], rtol=0, atol=0)
    scale, shift = solve_exact_scale_shift(source, target, torch.zeros(9).double(), truncation=0.5)
    assert scale == 1 and shift == 0
    (all_of_them[0] + scale + all_of_them[1] + shift).backward()
    assert source.grad is not None and source.grad.isfinite().all()


def test_a_constant_source_is_a_shift() -> None:
    scale, shift = solve_exact_scale_shift(torch.full((5,), 3.0), torch.full((5,), 4.0), torch.ones(5), truncation=0.1)
    assert scale == 1 and shift == 1
    assert solve_scale(torch.zeros(5), torch.ones(5), torch.ones(5), truncation=0.1).isnan()


@pytest.mark.slow
@pytest.mark.parametrize("truncation", TRUNCATIONS)
def test_gradients_are_those_of_the_minimiser(truncation: float | None) -> None:
    # All weights differ: equal ones leave minima that are flat, along which no sample is preferred.
    weights = random(4, 9).abs()
    flat = (random(2, 9).requires_grad_(), random(3, 9).requires_grad_())
    assert torch.autograd.gradcheck(lambda s, t: solve_scale(s, t, weights, truncation=truncation), flat)
    assert torch.autograd.gradcheck(lambda s, t: solve_exact_scale_shift(s, t, weights, truncation=truncation), flat)
