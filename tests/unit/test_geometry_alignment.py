"""Scale, line and similarity fits: exact where the answer is known, against slow twins where it is not."""

from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from unish.geometry.alignment import Similarity, align_rigid, align_similarity, solve_scale, solve_scale_shift
from unish.geometry.rigid import make_rigid, transform_points
from unish.geometry.rotation import axis_angle_to_matrix, rotation_angle
from unish.geometry.statistics import weighted_mean, weighted_median


def random(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@settings(max_examples=50, deadline=None)
@given(
    pairs=st.lists(st.tuples(st.floats(-10, 10), st.floats(0, 5)), min_size=1, max_size=12).filter(
        lambda pairs: sum(weight for _, weight in pairs) > 1e-3
    )
)
def test_weighted_median_minimises_the_absolute_deviation(pairs: list[tuple[float, float]]) -> None:
    values, weights = torch.tensor(pairs, dtype=torch.float64).T
    middle = weighted_median(values, weights)
    cost = (weights * (values - middle).abs()).sum()
    for candidate in values:
        assert cost <= (weights * (values - candidate).abs()).sum() + 1e-9


def test_statistics_ignore_nan_of_weight_zero_and_know_nothing_without_weight() -> None:
    values, weights = torch.tensor([torch.nan, 1.0, 2.0, 9.0]), torch.tensor([0.0, 1.0, 1.0, 1.0])
    assert weighted_median(values, weights) == 2.0
    assert weighted_mean(values[:, None], weights)[0] == 4.0
    assert weighted_median(values, torch.zeros(4)).isnan()
    assert weighted_median(torch.zeros(2, 0), torch.zeros(2, 0)).isnan().all()
    assert weighted_mean(values[:, None], torch.zeros(4))[0] == 0.0


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 1000), scale=st.floats(0.01, 100))
def test_scale_is_exact_with_a_minority_of_outliers(seed: int, scale: float) -> None:
    source = random(seed, 3, 40).abs() + 0.1
    target = scale * source
    target[:, :12] *= 7.0
    torch.testing.assert_close(
        solve_scale(source, target, torch.ones(3, 40).double()), torch.full((3,), scale).double()
    )


def test_scale_equals_the_best_of_all_candidates() -> None:
    source, target, weights = random(0, 15), random(1, 15), random(2, 15).abs()
    found = solve_scale(source, target, weights)
    costs = [(weights * (ratio * source - target).abs()).sum() for ratio in target / source]
    assert (weights * (found * source - target).abs()).sum() <= min(costs) + 1e-12


def test_scale_shift_is_exact_and_robust() -> None:
    source = random(0, 4, 60).abs() + 1
    target = 2.5 * source - 0.7
    scale, shift = solve_scale_shift(source, target, torch.ones_like(source), robust_iterations=0)
    torch.testing.assert_close(scale, torch.full((4,), 2.5).double())
    torch.testing.assert_close(shift, torch.full((4,), -0.7).double())
    target[:, :12] += 10
    scale, shift = solve_scale_shift(source, target, torch.ones_like(source), robust_iterations=30)
    # Twice the measured errors after 30 rounds; least squares is off by 1.0 and 3.8.
    assert (scale - 2.5).abs().max() < 0.001 and (shift + 0.7).abs().max() < 0.0034


def test_scale_shift_comes_close_to_the_exact_l1_line() -> None:
    """The slow twin: an L1 line passes through two of the samples, so all pairs are tried."""
    source, target, weights = random(3, 14), random(4, 14), random(5, 14).abs() + 0.1
    scale, shift = solve_scale_shift(source, target, weights, robust_iterations=200)
    best = torch.inf
    for i, j in itertools.combinations(range(14), 2):
        slope = (target[i] - target[j]) / (source[i] - source[j])
        cost = (weights * (slope * (source - source[i]) + target[i] - target).abs()).sum()
        best = min(best, cost.item())
    assert (weights * (scale * source + shift - target).abs()).sum() < 1.02 * best


def test_scale_shift_of_a_constant_source_is_a_shift() -> None:
    scale, shift = solve_scale_shift(torch.full((5,), 3.0), torch.full((5,), 4.0), torch.ones(5))
    assert scale == 1.0 and shift == 1.0


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 1000),
    angle=st.sampled_from([0.0, 1e-7, 0.3, 1.5, 3.1415926, 3.141592653589793]),
    scale=st.floats(0.05, 20),
)
def test_similarity_round_trip(seed: int, angle: float, scale: float) -> None:
    axis = torch.nn.functional.normalize(random(seed, 3), dim=0)
    truth = Similarity(
        scale=torch.tensor(scale, dtype=torch.float64),
        rotation=axis_angle_to_matrix(axis * angle),
        translation=random(seed + 1, 3),
    )
    source = random(seed + 2, 10, 3)
    found = align_similarity(source, truth.apply(source), torch.ones(10, dtype=torch.float64))
    torch.testing.assert_close(found.scale, truth.scale)
    torch.testing.assert_close(found.rotation, truth.rotation, atol=1e-8, rtol=0)
    torch.testing.assert_close(found.translation, truth.translation, atol=1e-7, rtol=1e-7)
    torch.testing.assert_close(found.inverse().apply(found.apply(source)), source)


def test_mirrored_points_never_give_a_reflection() -> None:
    source = random(0, 5, 12, 3)
    found = align_similarity(source, source * torch.tensor([-1, 1, 1]), torch.ones(5, 12).double())
    torch.testing.assert_close(torch.linalg.det(found.rotation), torch.ones(5).double())


def test_flat_points_give_the_rotation_back() -> None:
    source = random(0, 12, 3) * torch.tensor([1, 1, 0])
    rotation = axis_angle_to_matrix(torch.tensor([0.5, -0.4, 1.0], dtype=torch.float64))
    found = align_rigid(source, source @ rotation.T, torch.ones(12).double())
    torch.testing.assert_close(found.rotation, rotation)


def test_rigid_keeps_the_scale_and_batch_equals_single() -> None:
    source, target, weights = random(0, 2, 3, 9, 3), random(1, 2, 3, 9, 3), random(2, 2, 3, 9).abs()
    whole = align_rigid(source, target, weights, robust_iterations=2)
    one = align_rigid(source[1, 2], target[1, 2], weights[1, 2], robust_iterations=2)
    assert (whole.scale == 1).all()
    torch.testing.assert_close(whole.rotation[1, 2], one.rotation)
    torch.testing.assert_close(whole.translation[1, 2], one.translation)


def test_no_small_change_of_the_fit_is_better() -> None:
    source, target, weights = random(0, 9, 3), random(1, 9, 3), random(2, 9).abs()
    found = align_similarity(source, target, weights)

    def cost(fit: Similarity) -> float:
        return (weights * (fit.apply(source) - target).square().sum(-1)).sum().item()

    for seed in range(30):
        turn = axis_angle_to_matrix(random(seed, 3) * 0.01)
        other = Similarity(
            scale=found.scale * (1 + 0.01 * random(seed + 50, 1)[0]),
            rotation=turn @ found.rotation,
            translation=found.translation + 0.01 * random(seed + 90, 3),
        )
        assert cost(other) > cost(found)


def test_outliers_and_unseen_points() -> None:
    source = random(0, 40, 3)
    rigid = make_rigid(
        axis_angle_to_matrix(torch.tensor([0.2, 1.0, -0.5]).double()), torch.tensor([1.0, 2, 3]).double()
    )
    target = transform_points(rigid, source) + 0.001 * random(1, 40, 3)
    target[:8] += 5.0
    target[8] = torch.nan
    weights = torch.ones(40).double()
    weights[8] = 0
    robust = align_rigid(source, target, weights, robust_iterations=20)
    # Twice what noise of 0.001 on 31 good points leaves: 6.6e-5 and 4.0e-4; the eight bad ones would bring 0.1 and 1.
    assert rotation_angle(robust.rotation @ rigid[:3, :3].T) < 1.4e-4
    assert (robust.translation - rigid[:3, 3]).norm() < 8e-4


def test_no_evidence_is_the_identity() -> None:
    found = align_similarity(torch.full((4, 3), torch.nan), torch.zeros(4, 3), torch.zeros(4))
    assert found.scale == 1 and found.translation.eq(0).all()
    assert rotation_angle(found.rotation) < 1e-6


def test_poses_and_points_move_together() -> None:
    fit = Similarity(
        scale=torch.tensor(3.0).double(),
        rotation=axis_angle_to_matrix(torch.tensor([0.1, 0.2, 0.3]).double()),
        translation=torch.tensor([1.0, 2.0, 3.0]).double(),
    )
    c2w = make_rigid(axis_angle_to_matrix(random(0, 5, 3)), random(1, 5, 3))
    local = random(2, 5, 7, 3)
    moved = transform_points(fit.apply_to_poses(c2w), 3.0 * local)
    torch.testing.assert_close(moved.reshape(-1, 3), fit.apply(transform_points(c2w, local).reshape(-1, 3)))


@pytest.mark.parametrize("with_scale", [True, False])
def test_gradients(with_scale: bool) -> None:
    inputs = (random(0, 6, 3).requires_grad_(), random(1, 6, 3).requires_grad_(), random(2, 6).abs().requires_grad_())

    def fit(source: torch.Tensor, target: torch.Tensor, weights: torch.Tensor) -> tuple[torch.Tensor, ...]:
        found = align_similarity(source, target, weights, with_scale=with_scale)
        return found.rotation, found.translation, found.scale * 1.0

    assert torch.autograd.gradcheck(fit, inputs)


def test_scale_gradient() -> None:
    inputs = (random(0, 9).requires_grad_(), random(1, 9).requires_grad_())
    assert torch.autograd.gradcheck(lambda s, t: solve_scale(s, t, torch.ones(9).double()), inputs)
