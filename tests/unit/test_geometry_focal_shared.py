"""One camera of many frames, pixels that are not square, principal points off the middle."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.optimize import least_squares
from torch import Tensor

from unish.geometry.camera import make_intrinsics, resize_intrinsics, thin_intrinsics, unproject
from unish.geometry.focal import (
    SAMPLES_PER_SIDE,
    focal_to_pixels,
    recover_focal_and_shift,
    recover_shared_focal_and_shift,
    recover_shift,
    view_plane_grid,
)

PICTURE, SIZE = (150, 250), (64, 128)
"""A picture of square pixels, and what it was squeezed to."""


def depth_maps(rng: torch.Generator, *batch: int) -> Tensor:
    smooth = torch.nn.functional.interpolate(
        torch.rand(int(np.prod(batch)), 1, 4, 6, generator=rng), SIZE, mode="bicubic", align_corners=True
    )
    return (2.0 + 3.0 * smooth[:, 0]).double().reshape(*batch, *SIZE)


def squeezed_camera(focal_px: float) -> Tensor:
    return resize_intrinsics(make_intrinsics(torch.tensor(focal_px), *PICTURE), PICTURE, SIZE).double()


def test_the_view_plane_is_that_of_the_picture_with_square_pixels() -> None:
    like = torch.zeros((), dtype=torch.float64)
    plane = view_plane_grid(*SIZE, like=like, picture_size=PICTURE)
    diagonal = np.hypot(*PICTURE)
    for row, column in ((0, 0), (10, 100), (63, 127)):
        x = (column + 0.5) * PICTURE[1] / SIZE[1] - PICTURE[1] / 2
        y = (row + 0.5) * PICTURE[0] / SIZE[0] - PICTURE[0] / 2
        np.testing.assert_allclose(plane[row, column].numpy(), [2 * x / diagonal, 2 * y / diagonal], atol=1e-12)
    torch.testing.assert_close(
        view_plane_grid(*PICTURE, like=like), view_plane_grid(*PICTURE, like=like, picture_size=PICTURE)
    )
    assert focal_to_pixels(torch.tensor(1.0), 3, 4).item() == 2.5


@pytest.mark.parametrize("shared", [False, True])
def test_a_squeezed_map_gives_the_focal_length_of_its_picture(rng, shared: bool) -> None:
    depth = depth_maps(rng, 2, 3)
    points = unproject(depth, squeezed_camera(210.0).expand(2, 3, 3, 3)) - torch.tensor([0.0, 0.0, 0.25])
    mask = torch.ones(2, 3, *SIZE, dtype=torch.bool)
    solve = recover_shared_focal_and_shift if shared else recover_focal_and_shift
    focal, shift = solve(points, mask, picture_size=PICTURE)
    assert focal.shape == shift.shape == ((2,) if shared else (2, 3))
    np.testing.assert_allclose(focal_to_pixels(focal, *PICTURE), 210.0, rtol=1e-6)
    np.testing.assert_allclose(shift, 0.25, atol=1e-6)


def test_frames_that_share_a_camera_have_the_least_error_together(rng) -> None:
    """Noise differs from frame to frame; the twin is SciPy on the sampled points of all frames of a clip."""
    points = unproject(depth_maps(rng, 2, 3), squeezed_camera(210.0).expand(2, 3, 3, 3))
    noise = torch.tensor([0.0, 0.02, 0.1], dtype=torch.float64)[:, None, None, None]
    points = points + noise * torch.randn(points.shape, generator=rng, dtype=torch.float64)
    mask = torch.rand(2, 3, *SIZE, generator=rng) > 0.4
    focal, shift = recover_shared_focal_and_shift(points, mask, picture_size=PICTURE)
    rows, columns = (np.arange(SAMPLES_PER_SIDE) * size // SAMPLES_PER_SIDE for size in SIZE)
    plane = view_plane_grid(*SIZE, like=points[..., 0], picture_size=PICTURE).numpy()[rows][:, columns]
    for clip in range(2):
        sampled = points[clip].numpy()[:, rows][:, :, columns]
        keep = mask[clip].numpy()[:, rows][:, :, columns]

        def residual(guess: np.ndarray, sampled: np.ndarray = sampled, keep: np.ndarray = keep) -> np.ndarray:
            return ((guess[0] * sampled[..., :2] / (sampled[..., 2:] + guess[1]) - plane) * keep[..., None]).ravel()

        best = least_squares(residual, [1.0, 0.0], xtol=1e-12, ftol=1e-14, gtol=1e-14).x
        np.testing.assert_allclose([focal[clip], shift[clip]], best, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("missing", [-0.2, 0.0, 0.4])
def test_a_known_camera_off_centre_leaves_the_shift_alone(rng, missing: float) -> None:
    camera = torch.tensor([[110.0, 0, 80.0], [0, 90.0, 20.0], [0, 0, 1]]).double()
    other = torch.tensor([[100.0, 0, 60.0], [0, 95.0, 40.0], [0, 0, 1]]).double()
    cameras = torch.stack([torch.stack([camera, other])] * 2)
    points = unproject(depth_maps(rng, 2, 2), cameras)
    points[1] = 2 * points[1]
    mask = torch.ones(2, 2, *SIZE, dtype=torch.bool)
    points[0, 0, :20], mask[0, 0, :20] = 7.0, False
    points[0, 1, 5], points[1, 1, :, 3] = torch.nan, torch.inf
    shift = recover_shift(points - torch.tensor([0.0, 0.0, missing]), mask, cameras)
    np.testing.assert_allclose(shift, [missing, missing], atol=1e-7)


def test_the_shift_of_a_known_camera_is_the_least_error(rng) -> None:
    camera = torch.tensor([[110.0, 0, 80.0], [0, 90.0, 20.0], [0, 0, 1]]).double()
    points = unproject(depth_maps(rng, 1), camera[None]) - torch.tensor([0.0, 0.0, 0.3])
    points = points + 0.05 * torch.randn(points.shape, generator=rng, dtype=torch.float64)
    mask = torch.rand(1, *SIZE, generator=rng) > 0.3
    shift = recover_shift(points, mask, camera[None])
    rows, columns = (np.arange(SAMPLES_PER_SIDE) * size // SAMPLES_PER_SIDE for size in SIZE)
    rays = unproject(torch.ones(SIZE, dtype=torch.float64), camera)[..., :2].numpy()[rows][:, columns]
    sampled, keep = points[0].numpy()[rows][:, columns], mask[0].numpy()[rows][:, columns, None]
    best = least_squares(
        lambda d: ((sampled[..., :2] / (sampled[..., 2:] + d) - rays) * keep).ravel(), [0.0], xtol=1e-12, ftol=1e-14
    ).x
    assert float(shift) == pytest.approx(float(best[0]), abs=1e-6)


def test_without_samples_nothing_is_shifted() -> None:
    points = torch.full((2, *SIZE, 3), torch.nan)
    mask = torch.ones(2, *SIZE, dtype=torch.bool)
    focal, shift = recover_shared_focal_and_shift(points, mask)
    assert (float(focal), float(shift)) == (1.0, 0.0)
    assert float(recover_shift(points, mask, torch.eye(3).expand(2, 3, 3))) == 0.0


def test_thinned_pixels_see_what_they_saw() -> None:
    """Pixel k of the thinned image looks along the ray of pixel first + k·stride of the whole."""
    camera = torch.tensor([[[110.0, 0, 80.0], [0, 90.0, 20.0], [0, 0, 1]]])
    for first, stride in ((0, 1), (1, 2), (0, 2), (1, 3)):
        whole = unproject(torch.ones(1, 12, 16), camera)[:, first::stride, first::stride]
        thin = unproject(torch.ones(whole.shape[:3]), thin_intrinsics(camera, first, stride))
        torch.testing.assert_close(thin, whole)
    assert camera[0, 0, 0] == 110, "the given camera is left as it is"
