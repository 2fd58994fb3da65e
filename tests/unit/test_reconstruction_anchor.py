"""Distances along viewing rays: who is believed how far, over time and beside the scene."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from placed_bodies import BODY, UPRIGHT, make_placed, pelvis_of
from unish.reconstruction.anchor import (
    DISTANCE_SIGMA,
    MISFIT_TO_SIGMA,
    POPULATION_SPREAD,
    RULER_SIGMA_LIMIT,
    PlacedBodies,
    _smooth_series,
    move_along_ray,
    place_bodies,
    shrink_shapes,
    smooth_distances,
)


def whittaker_twin(times: np.ndarray, values: np.ndarray, weights: np.ndarray, seconds: float) -> np.ndarray:
    """argmin Σ w·r·(x − y)² + λ ∫ ẍ² with dense matrices, the same three rounds of Cauchy weights."""
    num, steps = len(times), np.diff(times)
    second = np.zeros((num - 2, num))
    for i in range(num - 2):
        left, right = steps[i], steps[i + 1]
        second[i, i : i + 3] = [1 / left, -1 / left - 1 / right, 1 / right]
        second[i] /= np.sqrt((left + right) / 2)
    roughness = seconds**4 / steps.mean() * second.T @ second
    smooth, robust = values, np.ones(num)
    for _ in range(3):
        inverse_noise = np.diag(weights * robust)
        smooth = np.linalg.solve(inverse_noise + roughness, inverse_noise @ values)
        residual = np.abs(values - smooth)
        scale = max(1.4826 * np.median(residual), 1e-4)
        robust = 1 / (1 + (residual / (2.5 * scale)) ** 2)
    return smooth


@pytest.mark.parametrize("seconds", [0.1, 0.35, 1.0])
@pytest.mark.parametrize("num", [3, 4, 12])
def test_smoothing_equals_its_definition(num: int, seconds: float) -> None:
    rng = np.random.default_rng(num)
    times, values = np.cumsum(rng.uniform(0.05, 0.4, num)), rng.normal(size=num)
    weights = rng.uniform(0.2, 3.0, num)
    expected = whittaker_twin(times, values, weights, seconds)
    np.testing.assert_allclose(_smooth_series(times, values, weights, seconds), expected, rtol=0, atol=1e-9)


def test_distances_are_smoothed_along_the_ray_and_nothing_else_moves() -> None:
    times = torch.arange(12) / 6.0
    noisy = 4.0 * (0.06 * torch.randn(12, generator=torch.Generator().manual_seed(0))).exp()
    ray = torch.tensor([0.2, -0.1, 1.0])
    placed = make_placed((noisy[:, None] * ray)[None])
    after = pelvis_of(smooth_distances(BODY, placed, times))[0]
    expected = np.exp(whittaker_twin(times.double().numpy(), noisy.log().double().numpy(), np.ones(12), 0.35))
    torch.testing.assert_close(after, torch.from_numpy(expected).float()[:, None] * ray, rtol=1e-5, atol=1e-5)


def test_frames_that_measure_badly_give_way() -> None:
    distance = torch.full((9,), 4.0)
    distance[4] = 4.4
    sigma = torch.full((1, 9), 0.05)
    sure = pelvis_of(smooth_distances(BODY, make_placed(_ahead(distance), sigma), torch.arange(9) / 6))[0, :, 2]
    sigma[0, 4] = 0.5
    unsure = pelvis_of(smooth_distances(BODY, make_placed(_ahead(distance), sigma), torch.arange(9) / 6))[0, :, 2]
    assert float((unsure - 4).abs().max()) < 0.2 * float((sure - 4).abs().max())


def test_frames_weigh_by_the_square_of_their_certainty() -> None:
    rng = np.random.default_rng(3)
    times = torch.arange(12) / 6.0
    sigma = rng.uniform(0.02, 0.2, 12)
    logs = np.log(4.0) + sigma * rng.normal(size=12)
    placed = make_placed(_ahead(torch.from_numpy(np.exp(logs)).float()), torch.from_numpy(sigma).float()[None])
    weights = sigma**-2 / (sigma**-2).mean()
    # They err by half a metre, so that 0.35 s is not enough: an acceleration of 2 m/s² takes √(0.5 / 2) s to go as far.
    seconds = np.sqrt(np.median(sigma * np.exp(logs)) / 2.0)
    assert seconds > 0.4
    expected = np.exp(whittaker_twin(times.double().numpy(), logs, weights, seconds))
    found = pelvis_of(smooth_distances(BODY, placed, times))[0, :, 2]
    torch.testing.assert_close(found, torch.from_numpy(expected).float(), rtol=1e-5, atol=1e-5)


def test_the_time_over_which_distances_are_smoothed_has_an_end() -> None:
    """A network that has learnt nothing puts people anywhere: a time scale without end is beyond what numbers hold."""
    rng = np.random.default_rng(4)
    times, sigma = torch.arange(40) / 30.0, torch.full((1, 40), 0.5)
    logs = np.log(1e9) + 0.3 * rng.normal(size=40)
    placed = make_placed(_ahead(torch.from_numpy(np.exp(logs)).float()), sigma)
    expected = np.exp(whittaker_twin(times.double().numpy(), logs, np.ones(40), 4.0))
    found = pelvis_of(smooth_distances(BODY, placed, times))[0, :, 2]
    torch.testing.assert_close(found, torch.from_numpy(expected).float(), rtol=1e-3, atol=0)


def test_nothing_is_known_of_absent_people_and_short_pieces_stay() -> None:
    """Two metres nearer after a gap of over a second: each side is smooth by itself; over half a second they join."""
    distance = torch.tensor([4.0, 4.0, 4.0, 4.0, 2.0, 2.0, 2.0, 2.0])
    apart = torch.tensor([0, 1, 2, 3, 10, 11, 12, 13]) / 6.0
    alone = pelvis_of(smooth_distances(BODY, make_placed(_ahead(distance)), apart))
    torch.testing.assert_close(alone, _ahead(distance), rtol=0, atol=1e-5)
    near = torch.tensor([0, 1, 2, 3, 6, 7, 8, 9]) / 6.0
    joined = pelvis_of(smooth_distances(BODY, make_placed(_ahead(distance)), near))
    assert float((joined - _ahead(distance)).abs().max()) > 0.05
    valid = torch.ones(1, 8, dtype=torch.bool)
    valid[:, 2:] = False
    pair = torch.tensor([4.0, 5.0, *[9.0] * 6])
    kept = pelvis_of(smooth_distances(BODY, make_placed(_ahead(pair), valid=valid), near))
    torch.testing.assert_close(kept, _ahead(pair))


def _ahead(distance: Tensor) -> Tensor:
    return (distance[:, None] * torch.tensor([0.0, 0.0, 1.0]))[None]


def test_moving_along_the_ray_multiplies_the_pelvis() -> None:
    pelvis = torch.tensor([[[0.5, 0.2, 3.0], [-1.0, 0.0, 6.0]]])
    moved = move_along_ray(BODY, make_placed(pelvis), torch.tensor([[1.5, 0.5]]))
    torch.testing.assert_close(pelvis_of(moved), pelvis * torch.tensor([[[1.5], [0.5]]]), rtol=0, atol=1e-5)


def test_rulers_are_people_whose_distance_is_sure_and_who_are_there() -> None:
    sigma = torch.tensor([[0.05, RULER_SIGMA_LIMIT, RULER_SIGMA_LIMIT + 0.01, 0.05]])
    valid = torch.tensor([[True, True, True, False]])
    placed = make_placed(torch.ones(1, 4, 3), sigma, valid)
    assert placed.is_ruler.tolist() == [[True, True, False, False]]


def test_shapes_shrink_by_the_error_beyond_that_of_a_well_seen_person() -> None:
    sigma = torch.tensor([[0.05, 0.05], [0.17, 0.17]])
    settled = shrink_shapes(torch.ones(2, 10), sigma, torch.ones(2, 2, dtype=torch.bool))
    excess = 0.17**2 - DISTANCE_SIGMA["full"] ** 2
    assert settled[0, 0] == pytest.approx(1.0, abs=1e-6)
    assert settled[1, 0] == pytest.approx(POPULATION_SPREAD**2 / (POPULATION_SPREAD**2 + excess), rel=1e-5)


def _place(px: Tensor, fallback: Tensor, *, intrinsics: Tensor, sigma: Tensor | None = None) -> PlacedBodies:
    rotations = torch.cat([UPRIGHT[None], torch.eye(3).expand(23, 3, 3)]).expand(1, 1, 24, 3, 3)
    return place_bodies(
        BODY, rotations, torch.zeros(1, 10), px, intrinsics[None], (400, 600), torch.ones(1, 1, dtype=torch.bool),
        fallback, sigma,
    )  # fmt: skip


def test_landmarks_outside_the_picture_or_guessed_do_not_place_anybody() -> None:
    intrinsics = torch.tensor([[500.0, 0, 300], [0, 400, 200], [0, 0, 1]])
    params = replace(make_placed(torch.zeros(1, 1, 3)).params, transl=torch.tensor([[[0.3, 0.2, 4.0]]]))
    marks = BODY.landmarks(params)
    px = marks @ intrinsics.T
    px = torch.cat([px[..., :2] / px[..., 2:], torch.ones(1, 1, 33, 1)], dim=-1)
    fallback = torch.tensor([[[9.0, 9.0, 9.0]]])
    there = _place(px, fallback, intrinsics=intrinsics)
    torch.testing.assert_close(there.params.transl, params.transl, rtol=0, atol=1e-3)
    assert not there.by_network.any()
    spoilt = px.clone()
    spoilt[..., 15, :] = torch.tensor([900.0, 100.0, 1.0])  # a wrist outside of the picture
    spoilt[..., 13, :] = torch.tensor([10.0, 10.0, 0.49])  # an elbow that is guessed
    torch.testing.assert_close(
        _place(spoilt, fallback, intrinsics=intrinsics).params.transl, params.transl, atol=1e-3, rtol=0
    )
    px[..., :11, 2] = 0.0  # faces have a test of their own
    three = px.clone()
    three[..., [11, 12, 13, 14, 15, 16, 23, 24, 25], 2] = 0.0
    lost = _place(three, fallback, intrinsics=intrinsics)
    assert torch.equal(lost.params.transl, fallback) and bool(lost.by_network.all())
    assert float(lost.distance_sigma) == DISTANCE_SIGMA["none"]
    four = px.clone()
    four[..., [11, 12, 13, 14, 15, 16, 23, 24], 2] = 0.0
    assert not _place(four, fallback, intrinsics=intrinsics).by_network.any()
    nowhere = torch.full((1, 1, 3), torch.nan)
    assert not _place(three, nowhere, intrinsics=intrinsics).valid.any()


def test_a_face_measures_with_the_shoulders_where_no_hip_is_seen() -> None:
    intrinsics = torch.tensor([[500.0, 0, 300], [0, 400, 200], [0, 0, 1]])
    params = replace(make_placed(torch.zeros(1, 1, 3)).params, transl=torch.tensor([[[0.3, 0.2, 4.0]]]))
    marks = BODY.landmarks(params) @ intrinsics.T
    px = torch.cat([marks[..., :2] / marks[..., 2:], torch.ones(1, 1, 33, 1)], dim=-1)
    fallback = torch.tensor([[[9.0, 9.0, 9.0]]])
    px[..., 13:, 2] = 0.0
    cut = _place(px, fallback, intrinsics=intrinsics)
    assert not cut.by_network.any() and float(cut.distance_sigma) == pytest.approx(DISTANCE_SIGMA["shoulders"])
    assert cut.is_ruler.all(), "somebody at arm's length stands where their face says, not where the scene is"
    torch.testing.assert_close(cut.params.transl, params.transl, rtol=0, atol=1e-3)
    one_shoulder = px.clone()
    one_shoulder[..., 12, 2] = 0.0
    assert _place(one_shoulder, fallback, intrinsics=intrinsics).by_network.all()
    # Where a hip is seen, the face has no say: it pitches with the head.
    px[..., 13:, 2] = 1.0
    nodding = px.clone()
    nodding[..., :11, 1] += 15.0
    whole = [_place(one, fallback, intrinsics=intrinsics).params.transl for one in (px, nodding)]
    assert torch.equal(*whole)


def test_landmarks_in_doubt_measure_less() -> None:
    intrinsics = torch.tensor([[500.0, 0, 300], [0, 400, 200], [0, 0, 1]])
    params = replace(make_placed(torch.zeros(1, 1, 3)).params, transl=torch.tensor([[[0.3, 0.2, 4.0]]]))
    marks = BODY.landmarks(params) @ intrinsics.T
    px = torch.cat([marks[..., :2] / marks[..., 2:], torch.ones(1, 1, 33, 1)], dim=-1)
    px[..., 27:29, 1] -= 20.0
    sigma = torch.full((1, 1, 33), torch.nan)
    fallback = torch.zeros(1, 1, 3)
    alike = _place(px, fallback, intrinsics=intrinsics).params.transl
    unknown = _place(px, fallback, intrinsics=intrinsics, sigma=sigma).params.transl
    torch.testing.assert_close(unknown, alike)
    sigma[..., 27:29] = 1000.0
    doubted = _place(px, fallback, intrinsics=intrinsics, sigma=sigma).params.transl
    assert (alike - params.transl).norm() > 0.1 and (doubted - params.transl).norm() < 1e-3


def test_a_misfit_makes_a_ruler_unsure_by_its_share_of_the_height_in_the_picture() -> None:
    intrinsics = torch.tensor([[500.0, 0, 300], [0, 400, 200], [0, 0, 1]])
    params = replace(make_placed(torch.zeros(1, 1, 3)).params, transl=torch.tensor([[[0.0, 0.3, 4.0]]]))
    marks = BODY.landmarks(params) @ intrinsics.T
    px = torch.cat([marks[..., :2] / marks[..., 2:], torch.ones(1, 1, 33, 1)], dim=-1)
    px[..., 11:29, 1] += torch.tensor([6.0, -6.0]).repeat(9)
    placed = _place(px, torch.zeros(1, 1, 3), intrinsics=intrinsics)
    height_px = 400 * float(BODY.standing_height(torch.zeros(10))) / float(placed.params.transl[..., 2])
    # Left and right are off by as much in opposite ways: nothing can be fitted to that.
    expected = np.hypot(DISTANCE_SIGMA["full"], MISFIT_TO_SIGMA * 6.0 / height_px)
    assert float(placed.distance_sigma) == pytest.approx(expected, rel=0.02)
