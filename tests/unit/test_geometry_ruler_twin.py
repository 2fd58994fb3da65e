"""The ruler against a twin that solves each least-squares problem as it stands in the docstring."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from test_geometry_ruler import make_case
from torch import Tensor

from unish.geometry.ruler import MIN_DEPTH_M, STATURE_SPREAD, scale_from_person, solve_translation


def solve_linear(points: np.ndarray, rays: np.ndarray, weights: np.ndarray, focal: np.ndarray) -> np.ndarray:
    """Rows (1, 0, −a)·t = a·z − x and (0, 1, −b)·t = b·z − y, in pixels at unit depth."""
    rows, right = [], []
    for (x, y, z), (a, b), weight in zip(points, rays, weights, strict=True):
        for row, value, f in (((1, 0, -a), a * z - x, focal[0]), ((0, 1, -b), b * z - y, focal[1])):
            rows.append(np.sqrt(weight) * f * np.array(row))
            right.append(np.sqrt(weight) * f * value)
    return np.linalg.lstsq(np.array(rows), np.array(right), rcond=None)[0]


def twin(
    points: Tensor, px: Tensor, weights: Tensor, intrinsics: Tensor, iterations: int, robust_iterations: int
) -> tuple[np.ndarray, float]:
    points, px, weights, camera = (x.numpy() for x in (points, px, weights, intrinsics))
    rays = (np.linalg.inv(camera) @ np.c_[px, np.ones(len(px))].T).T[:, :2]
    focal = np.array([camera[0, 0], camera[1, 1]])

    def squared_error(transl: np.ndarray) -> np.ndarray:
        seen = (camera @ (points + transl).T).T
        return ((seen[:, :2] / seen[:, 2:] - px) ** 2).sum(1)

    transl, current = solve_linear(points, rays, weights, focal), weights
    for step in range(iterations + robust_iterations):
        depth = np.maximum(points[:, 2] + transl[2], MIN_DEPTH_M)
        if step >= iterations:
            error = squared_error(transl)
            order = np.argsort(error)
            half = np.searchsorted(np.cumsum(weights[order]), weights.sum() / 2)
            current = weights / (1 + error / max(error[order][half], 1.0))
        transl = solve_linear(points, rays, current / depth**2, focal)
    return transl, float(np.sqrt((weights * squared_error(transl)).sum() / weights.sum()))


@pytest.mark.parametrize(("iterations", "robust_iterations"), [(0, 0), (2, 0), (1, 3)])
def test_the_closed_form_is_the_least_squares_solution(rng, iterations: int, robust_iterations: int) -> None:
    points, _, intrinsics, observed = make_case(11, 4, depth=2.5)
    intrinsics[:, 1, 1], intrinsics[:, 0, 2] = 430.0, 350.0  # neither square pixels nor a centred camera
    observed = observed + 12 * torch.randn(observed.shape, generator=rng, dtype=torch.float64)
    observed[:, 3] += 80.0
    weights = torch.rand(4, 17, generator=rng, dtype=torch.float64)
    found, residual = solve_translation(
        points, observed, weights, intrinsics, iterations=iterations, robust_iterations=robust_iterations
    )
    for case in range(4):
        inputs = (x[case] for x in (points, observed, weights, intrinsics))
        wanted, rest = twin(*inputs, iterations, robust_iterations)
        np.testing.assert_allclose(found[case].numpy(), wanted, rtol=1e-9, atol=1e-9)
        assert float(residual[case]) == pytest.approx(rest, rel=1e-9)


def test_a_fit_to_the_pixel_is_not_made_better_by_doubt(rng) -> None:
    """Errors of a hundredth of a pixel are no reason to doubt a landmark: the robust scale is one pixel at least."""
    points, _, intrinsics, observed = make_case(12, 1)
    observed = observed + 0.01 * torch.randn(observed.shape, generator=rng, dtype=torch.float64)
    weights = torch.ones(1, 17, dtype=torch.float64)
    plain, _ = solve_translation(points, observed, weights, intrinsics, iterations=5)
    robust, _ = solve_translation(points, observed, weights, intrinsics, iterations=2, robust_iterations=3)
    assert (plain - robust).norm() < 1e-6 * plain.norm()


def test_points_that_look_mirrored_are_as_far_as_their_size_says() -> None:
    """The ratio of sizes, in metres and in ray units, around their weighted middles."""
    points, _, intrinsics, observed = make_case(13, 1)
    points = points * torch.tensor([-1.0, -1.0, 1.0])
    weights = torch.rand(1, 17, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found, _ = solve_translation(points, observed, weights, intrinsics, iterations=0)
    w = weights[0, :, None] / weights.sum()
    rays = (observed[0] - intrinsics[0, :2, 2]) / intrinsics[0, 0, 0]
    middle_ray, middle = (w * rays).sum(0), (w * points[0]).sum(0)
    size = (w * (points[0, :, :2] - middle[:2]) ** 2).sum()
    depth = (size / (w * (rays - middle_ray) ** 2).sum()).sqrt()
    torch.testing.assert_close(found[0, 2] + middle[2], depth, rtol=1e-6, atol=0)
    shift = (w * (rays * points[0, :, 2:] - points[0, :, :2])).sum(0)
    torch.testing.assert_close(found[0, :2], shift + middle_ray * found[0, 2], rtol=1e-9, atol=1e-9)


def test_equal_rays_carry_no_depth_and_a_hundredth_of_a_pixel_is_equal() -> None:
    points, _, intrinsics, _ = make_case(14, 3)
    spread = torch.tensor([0.0, 0.005, 0.1]).double()[:, None, None]
    observed = torch.tensor([330.0, 250.0]).double() + spread * torch.randn(
        3, 17, 2, generator=torch.Generator().manual_seed(2), dtype=torch.float64
    )
    weights = torch.full((3, 17), 0.01, dtype=torch.float64)
    found, residual = solve_translation(points, observed, weights, intrinsics, iterations=0, fallback_depth_m=7.0)
    depth = found[:, 2] + points[..., 2].mean(1)
    torch.testing.assert_close(depth[:2], torch.full((2,), 7.0).double())
    assert abs(float(depth[2]) - 7.0) > 1.0 and residual.isfinite().all()


def test_without_any_weight_points_are_put_on_the_optical_axis() -> None:
    points, _, intrinsics, observed = make_case(15, 1)
    found, residual = solve_translation(points, observed, torch.zeros(1, 17).double(), intrinsics)
    assert found[0].tolist() == [0.0, 0.0, 4.0] and residual.isinf().all()


def test_the_uncertainty_of_the_scale_is_its_formula(rng) -> None:
    """Scatter over the effective number of samples, and the spread of statures over that of people."""
    scene = torch.rand(3, 5, generator=rng, dtype=torch.float64) + 1
    body = scene * 2.5 * (0.1 * torch.randn(3, 5, generator=rng, dtype=torch.float64)).exp()
    weights = torch.rand(3, 5, generator=rng, dtype=torch.float64) + 0.1
    body[0, 0], scene[1, 1], weights[2, 2], body[2, 3], scene[2, 4] = -1.0, torch.inf, 0.0, 0.0, -2.0
    used = np.ones((3, 5), bool)
    used[[0, 1, 2, 2, 2], [0, 1, 2, 3, 4]] = False
    w = np.where(used, weights, 0.0)
    ratio = np.log(np.where(used, body, 1.0) / np.where(used, scene, 1.0))

    def median(values: np.ndarray) -> float:
        order = np.argsort(values[used])
        return values[used][order][np.searchsorted(np.cumsum(w[used][order]), w.sum() / 2)]

    middle = median(ratio)
    spread = 1.4826 * median(np.abs(ratio - middle))
    samples, people = w.sum() ** 2 / (w**2).sum(), w.sum() ** 2 / (w.sum(1) ** 2).sum()
    scale, uncertainty = scale_from_person(body, scene, weights)
    assert float(scale) == pytest.approx(np.exp(middle), rel=1e-12)
    assert float(uncertainty) == pytest.approx(np.sqrt(spread**2 / samples + STATURE_SPREAD**2 / people), rel=1e-12)
    assert STATURE_SPREAD == 0.05


def test_a_scale_without_samples_is_unknown() -> None:
    scale, uncertainty = scale_from_person(torch.ones(1, 2), torch.ones(1, 2), torch.zeros(1, 2))
    assert scale.isnan() and uncertainty.isinf()
