"""The person as a ruler: exact on exact data, robust on bad landmarks, finite where nothing is known."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from unish.geometry.camera import make_intrinsics, project
from unish.geometry.ruler import scale_from_person, solve_translation


def make_case(seed: int, *batch: int, depth: float = 4.0, num_points: int = 17) -> tuple[torch.Tensor, ...]:
    """Random points of human size, where they stand and how they look; float64."""
    generator = torch.Generator().manual_seed(seed)
    points = torch.randn(*batch, num_points, 3, generator=generator, dtype=torch.float64) * torch.tensor(
        [0.3, 0.6, 0.2]
    )
    transl = torch.randn(*batch, 3, generator=generator, dtype=torch.float64) * 0.5 + torch.tensor([0.0, 0.0, depth])
    intrinsics = make_intrinsics(torch.full(batch, 500.0, dtype=torch.float64), 480, 640)
    return points, transl, intrinsics, project(points + transl[..., None, :], intrinsics)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), depth=st.floats(4.0, 40.0))
def test_exact_data_give_the_translation_back(seed: int, depth: float) -> None:
    points, transl, intrinsics, observed = make_case(seed, 3, depth=depth)
    got, residual = solve_translation(points, observed, torch.ones(3, 17, dtype=torch.float64), intrinsics)
    torch.testing.assert_close(got, transl, atol=1e-8, rtol=1e-8)
    assert residual.max() < 1e-5


def test_float32_is_accurate_to_a_millimetre_at_ten_metres() -> None:
    points, transl, intrinsics, observed = (x.float() for x in make_case(0, 20, depth=10.0))
    got, _ = solve_translation(points, observed, torch.ones(20, 17), intrinsics)
    assert (got - transl).norm(dim=-1).max() < 1e-4  # rounding; measured: 3e-6


def test_batch_equals_single() -> None:
    points, _, intrinsics, observed = make_case(1, 2, 3)
    observed = observed + torch.randn(observed.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    weights = torch.rand(2, 3, 17, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    whole, error = solve_translation(points, observed, weights, intrinsics, robust_iterations=2)
    one, one_error = solve_translation(
        points[1, 2], observed[1, 2], weights[1, 2], intrinsics[1, 2], robust_iterations=2
    )
    torch.testing.assert_close(whole[1, 2], one)
    torch.testing.assert_close(error[1, 2], one_error)


def test_unseen_points_may_be_nan_and_have_no_say() -> None:
    points, transl, intrinsics, observed = make_case(2, 4)
    observed[:, 5:9] = torch.nan
    weights = torch.ones(4, 17, dtype=torch.float64)
    weights[:, 5:9] = 0
    points.requires_grad_()
    got, residual = solve_translation(points, observed, weights, intrinsics, robust_iterations=1)
    torch.testing.assert_close(got, transl, atol=1e-7, rtol=1e-7)
    (got.sum() + residual.sum()).backward()
    assert points.grad is not None and points.grad.isfinite().all()
    assert (points.grad[:, 5:9] == 0).all()


def test_close_to_the_least_pixel_error() -> None:
    """The re-weighted closed form ends within 2 % of the error that an iterative solver reaches on pixels."""
    points, _, intrinsics, observed = make_case(3, 1, depth=3.0)
    observed = observed + 4 * torch.randn(
        observed.shape, generator=torch.Generator().manual_seed(5), dtype=torch.float64
    )
    weights = torch.ones(1, 17, dtype=torch.float64)
    got, residual = solve_translation(points, observed, weights, intrinsics)
    best = got.detach().clone().requires_grad_()
    optimiser = torch.optim.LBFGS([best], max_iter=200, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimiser.zero_grad()
        value = (project(points + best[:, None], intrinsics) - observed).square().sum(-1).mean()
        value.backward()
        return value

    optimiser.step(loss)
    assert residual.item() <= 1.02 * loss().sqrt().item()


def test_one_bad_landmark_does_not_dominate() -> None:
    points, transl, intrinsics, observed = make_case(4, 10)
    observed = observed + torch.randn(observed.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    observed[:, 0] += 150.0
    weights = torch.ones(10, 17, dtype=torch.float64)
    plain, _ = solve_translation(points, observed, weights, intrinsics)
    robust, _ = solve_translation(points, observed, weights, intrinsics, robust_iterations=5)
    plain_error, robust_error = ((x - transl).norm(dim=-1).mean() for x in (plain, robust))
    assert robust_error < 0.05 < plain_error


@pytest.mark.parametrize("num_seen", [0, 1])
def test_too_few_points_stay_finite(num_seen: int) -> None:
    points, _, intrinsics, observed = make_case(6, 1)
    points.requires_grad_()
    weights = torch.zeros(1, 17, dtype=torch.float64)
    weights[:, :num_seen] = 1
    got, residual = solve_translation(points, observed, weights, intrinsics, fallback_depth_m=5.0)
    assert got.isfinite().all()
    assert residual.isinf().all() == (num_seen == 0)
    if num_seen:
        torch.testing.assert_close(project(points + got[:, None], intrinsics)[:, 0], observed[:, 0])
        torch.testing.assert_close(points[:, 0, 2] + got[:, 2], torch.tensor([5.0], dtype=torch.float64))
    got.sum().backward()
    assert points.grad is not None and points.grad.isfinite().all()


def test_mirrored_points_stay_in_front_of_the_camera() -> None:
    points, transl, intrinsics, observed = make_case(7, 5)
    got, _ = solve_translation(points * torch.tensor([-1, -1, 1]), observed, torch.ones(5, 17).double(), intrinsics)
    assert (got[:, 2] > 1.0).all()
    assert ((got[:, 2] / transl[:, 2]).log().abs() < 0.075).all()  # twice the measured 0.037


def test_gradients() -> None:
    points, _, intrinsics, observed = make_case(8, 1, num_points=6)
    observed = observed + torch.randn(observed.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    weights = torch.rand(1, 6, generator=torch.Generator().manual_seed(1), dtype=torch.float64) + 0.5
    inputs = tuple(x.requires_grad_() for x in (points, observed, weights))
    assert torch.autograd.gradcheck(lambda p, o, w: solve_translation(p, o, w, intrinsics, robust_iterations=1), inputs)


def test_scale_ignores_a_minority_of_nonsense_and_reports_its_uncertainty() -> None:
    generator = torch.Generator().manual_seed(0)
    scene = torch.rand(3, 20, generator=generator) + 1.0
    body = scene * 2.5 * (0.02 * torch.randn(3, 20, generator=generator)).exp()
    body[:, :4] *= 5.0
    scene[:, 4] = 0.0
    body[:, 5] = torch.nan
    scale, uncertainty = scale_from_person(body, scene, torch.ones(3, 20))
    assert abs(scale.item() / 2.5 - 1) < 0.014  # twice the measured 0.0069: a fifth of the samples say 12.5
    assert 0.05 / 3**0.5 < uncertainty.item() < 0.035
    _, alone = scale_from_person(body[:1], scene[:1], torch.ones(1, 20))
    assert alone > uncertainty


def test_scale_doubles_when_the_scene_halves() -> None:
    scene = torch.rand(2, 5, 7, generator=torch.Generator().manual_seed(0)) + 1
    body, weights = scene * 3 + 0.1, torch.ones(2, 5, 7)
    single, _ = scale_from_person(body, scene, weights)
    double, _ = scale_from_person(body, scene / 2, weights)
    torch.testing.assert_close(double, 2 * single)


def test_scale_without_evidence_is_unknown() -> None:
    scale, uncertainty = scale_from_person(torch.ones(0, 4), torch.ones(0, 4), torch.ones(0, 4))
    assert scale.isnan() and uncertainty.isinf()
