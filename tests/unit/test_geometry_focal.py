"""Focal length and depth shift from point maps of known cameras."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import least_squares

from unish.geometry.camera import make_intrinsics, unproject
from unish.geometry.focal import PUBLISHED_FTOL, focal_to_pixels, recover_focal_and_shift, view_plane_grid


def make_map(seed: int, height: int, width: int, focal: float, shift: float) -> torch.Tensor:
    """A wavy surface seen by a pinhole camera (focal in half diagonals), its depth short of the truth by ``shift``."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(1, 1, 5, 5, generator=generator, dtype=torch.float64) * 3 + 2
    depth = torch.nn.functional.interpolate(coarse, (height, width), mode="bicubic")[0, 0]
    pixels = focal_to_pixels(torch.tensor(focal, dtype=torch.float64), height, width)
    points = unproject(depth, make_intrinsics(pixels, height, width))
    return points - torch.tensor([0.0, 0.0, shift])


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 1000),
    focal=st.floats(0.5, 4.0),
    shift=st.floats(-0.8, 0.8),
    size=st.sampled_from([(48, 64), (100, 60), (30, 30)]),
)
def test_exact_maps_give_the_camera_back(seed: int, focal: float, shift: float, size: tuple[int, int]) -> None:
    points = make_map(seed, *size, focal, shift)
    got_focal, got_shift = recover_focal_and_shift(points, torch.ones(size, dtype=torch.bool))
    assert abs(got_focal.item() - focal) < 1e-6 * focal
    assert abs(got_shift.item() - shift) < 1e-6


def test_known_focal_leaves_the_shift() -> None:
    points = make_map(0, 40, 50, 1.3, 0.25)
    mask = torch.ones(40, 50, dtype=torch.bool)
    focal, shift = recover_focal_and_shift(points, mask, focal=torch.tensor(1.3, dtype=torch.float64))
    assert focal.item() == 1.3 and abs(shift.item() - 0.25) < 1e-8


def test_the_result_is_a_minimum_and_batch_equals_single() -> None:
    generator = torch.Generator().manual_seed(0)
    maps = torch.stack([make_map(seed, 64, 64, 1.0, 0.1) for seed in range(4)]).reshape(2, 2, 64, 64, 3)
    maps = maps + 0.03 * torch.randn(maps.shape, generator=generator, dtype=torch.float64)
    mask = torch.rand(2, 2, 64, 64, generator=generator) > 0.3
    focal, shift = recover_focal_and_shift(maps, mask)
    uv = view_plane_grid(64, 64, like=maps)

    def error(focal: float, shift: float, points: torch.Tensor, keep: torch.Tensor) -> float:
        plane = focal * points[..., :2] / (points[..., 2:] + shift)
        return ((plane - uv).square().sum(-1) * keep).sum().item()

    for i in range(2):
        for j in range(2):
            single = recover_focal_and_shift(maps[i, j], mask[i, j])
            assert torch.equal(single[0], focal[i, j]) and torch.equal(single[1], shift[i, j])
            best = error(focal[i, j].item(), shift[i, j].item(), maps[i, j], mask[i, j])
            for step in (-1e-3, 1e-3):
                assert error(focal[i, j].item() + step, shift[i, j].item(), maps[i, j], mask[i, j]) > best
                assert error(focal[i, j].item(), shift[i, j].item() + step, maps[i, j], mask[i, j]) > best


@pytest.mark.parametrize("noise", [0.0, 0.02, 0.2])
@pytest.mark.parametrize("shift", [-1.0, 0.4, 30.0])
def test_an_early_stop_is_where_minpack_stops(noise: float, shift: float) -> None:
    """One map after the other through SciPy's Levenberg–Marquardt, as the published network does it."""
    generator = torch.Generator().manual_seed(1)
    maps = torch.stack([make_map(seed, 64, 64, 1.3, shift) for seed in range(4)])
    maps = (maps + noise * torch.randn(maps.shape, generator=generator, dtype=torch.float64)).float()
    focal, found = recover_focal_and_shift(maps, torch.ones(4, 64, 64, dtype=torch.bool), ftol=PUBLISHED_FTOL)
    uv = view_plane_grid(64, 64, like=maps.double()).reshape(-1, 2).numpy()
    for index, points in enumerate(maps.reshape(4, -1, 3).numpy()):

        def explain(delta: np.ndarray, points: np.ndarray = points) -> tuple[float, np.ndarray]:
            plane = points[:, :2] / (points[:, 2:] + delta)
            best = (plane * uv).sum() / np.square(plane).sum()
            return best, (best * plane - uv).ravel()

        expected = least_squares(
            lambda delta, explain=explain: explain(delta)[1], x0=0.0, ftol=1e-3, method="lm", x_scale=1.0
        ).x
        np.testing.assert_allclose(found[index].item(), expected.item(), rtol=1e-6)
        np.testing.assert_allclose(focal[index].item(), explain(expected)[0], rtol=1e-6)


def test_scale_of_the_points_scales_the_shift_only() -> None:
    points, mask = make_map(3, 50, 70, 1.1, 0.3), torch.ones(50, 70, dtype=torch.bool)
    one, ten = recover_focal_and_shift(points, mask), recover_focal_and_shift(10 * points, mask)
    torch.testing.assert_close(ten[0], one[0])
    torch.testing.assert_close(ten[1], 10 * one[1])


@pytest.mark.parametrize("num_valid", [0, 1])
def test_too_few_samples_give_the_stated_defaults(num_valid: int) -> None:
    points = torch.full((2, 64, 64, 3), torch.nan)
    points[:, 0, :num_valid] = 1.0
    focal, shift = recover_focal_and_shift(points, torch.ones(2, 64, 64, dtype=torch.bool))
    assert focal.tolist() == [1.0, 1.0] and shift.tolist() == [0.0, 0.0]


def test_points_and_mask_are_left_as_they_are() -> None:
    """Points behind the camera too, which the published code takes out of the caller's mask."""
    points, mask = make_map(5, 64, 64, 1.2, 0.2), torch.ones(64, 64, dtype=torch.bool)
    points[:2, :, 2] = -1.0
    before = points.clone()
    _, shift = recover_focal_and_shift(points, mask)
    assert (points[..., 2] + shift < 0).any()
    assert mask.all() and torch.equal(points, before)


def test_points_on_the_axis_alone_tell_no_focal_length() -> None:
    points = torch.tensor([0.0, 0.0, 2.0]).expand(64, 64, 3)
    focal, shift = recover_focal_and_shift(points, torch.ones(64, 64, dtype=torch.bool))
    assert focal.item() == 1.0 and shift.isfinite()


def test_an_empty_batch_stays_empty() -> None:
    focal, shift = recover_focal_and_shift(torch.ones(0, 64, 64, 3), torch.ones(0, 64, 64, dtype=torch.bool))
    assert focal.shape == shift.shape == (0,)


def test_points_that_are_not_finite_or_have_no_depth_do_not_count() -> None:
    points, mask = make_map(5, 64, 64, 1.2, 0.2), torch.ones(64, 64, dtype=torch.bool)
    points[10:20] = torch.inf
    points[30:33] = torch.nan
    points[40:42, :, 2] = 0.0
    focal, shift = recover_focal_and_shift(points, mask)
    assert abs(focal.item() - 1.2) < 1e-6 and abs(shift.item() - 0.2) < 1e-6
