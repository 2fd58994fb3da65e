"""A turn and a zoom explain the picture of a camera that stays in its place; a movement leaves a residual."""

from __future__ import annotations

import pytest
import torch

from unish.geometry.camera import make_intrinsics, project
from unish.geometry.parallax import Turn, fit_turn
from unish.geometry.rotation import axis_angle_to_matrix, rotation_angle

SIZE, FOCAL = (480, 640), 560.0
K = make_intrinsics(torch.tensor(FOCAL), *SIZE)


def match(
    turn: tuple[float, float, float], move: tuple[float, float, float] = (0.0, 0.0, 0.0), *, focal: float = FOCAL,
    zoom: float = 1.0, false: float = 0.0, noise: float = 0.0, seed: int = 0,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:  # fmt: skip
    """Pixels of 300 points at 1.5 to 6 m in two pictures; ``false`` of them moved together, as an object would."""
    generator = torch.Generator().manual_seed(seed)
    first = 20 + torch.rand(300, 2, generator=generator) * torch.tensor([600.0, 440.0])
    depth = 1.5 + 4.5 * torch.rand(300, generator=generator)
    own = make_intrinsics(torch.tensor(focal), *SIZE)
    points = torch.nn.functional.pad(first, (0, 1), value=1.0) @ torch.linalg.inv(own).mT * depth[:, None]
    moved = points @ axis_angle_to_matrix(torch.tensor(turn)).mT + torch.tensor(move)
    second = project(moved, make_intrinsics(torch.tensor(focal * zoom), *SIZE))
    second = second + noise * torch.randn(second.shape, generator=generator)
    other = torch.arange(300) < 300 * false
    second = torch.where(other[:, None], first + torch.tensor([37.0, -12.0]), second)
    return first, second, torch.ones(300)


def test_a_turn_is_found_exactly() -> None:
    found = fit_turn(*match((0.02, 0.15, -0.05)), K)
    true = axis_angle_to_matrix(torch.tensor([0.02, 0.15, -0.05]))
    assert rotation_angle(found.rotation @ true.mT) < 1e-4
    assert found.residual_px.median() < 0.01


def test_a_repeated_frame_leaves_nothing() -> None:
    found = fit_turn(*match((0.0, 0.0, 0.0)), K)
    assert found.residual_px.median() < 1e-3
    assert rotation_angle(found.rotation) < 1e-5


@pytest.mark.parametrize("focal", [FOCAL * 0.85, FOCAL * 1.18])
def test_a_wide_turn_tells_the_focal_length_and_is_no_parallax(focal: float) -> None:
    found = fit_turn(*match((0.03, 0.3, 0.0), focal=focal), K)
    assert found.residual_px.median() < 0.3
    assert abs(float(found.log_focal) - float(torch.tensor(focal / FOCAL).log())) < 0.03


@pytest.mark.parametrize("zoom", [0.8, 1.3])
def test_a_zoom_is_recognised_and_no_movement(zoom: float) -> None:
    found = fit_turn(*match((0.0, 0.05, 0.0), zoom=zoom), K)
    assert found.residual_px.median() < 0.1
    assert abs(float(found.log_zoom.exp()) - zoom) < 0.01
    assert fit_turn(*match((0.0, 0.05, 0.0), zoom=zoom), K, zooms=False).residual_px.median() > 3.0


@pytest.mark.parametrize("move", [(0.12, 0.0, 0.0), (0.0, 0.08, 0.05), (0.0, 0.0, 0.3)])
def test_a_movement_leaves_pixels(move: tuple[float, float, float]) -> None:
    assert fit_turn(*match((0.01, 0.1, 0.0), move), K).residual_px.median() > 2.0


@pytest.mark.parametrize("turn", [(0.0, 0.0, 0.0), (0.0, 0.1, 0.02)])
def test_an_object_that_fills_two_fifths_is_not_followed(turn: tuple[float, float, float]) -> None:
    found = fit_turn(*match(turn, false=0.4, noise=0.1), K)
    assert rotation_angle(found.rotation @ axis_angle_to_matrix(torch.tensor(turn)).mT) < 2e-3
    assert found.residual_px.median() < 0.5


def test_a_batch_gives_what_its_pairs_give_alone_and_nothing_is_nothing() -> None:
    pairs = [match((0.0, 0.1, 0.0)), match((0.05, 0.0, 0.1), (0.1, 0.0, 0.0))]
    first, second, weights = (torch.stack(part) for part in zip(*pairs, strict=True))
    together = fit_turn(first, second, weights, K.expand(2, 3, 3))
    for index, pair in enumerate(pairs):
        alone: Turn = fit_turn(*pair, K)
        torch.testing.assert_close(together.rotation[index], alone.rotation, atol=1e-4, rtol=0)
        torch.testing.assert_close(together.residual_px[index], alone.residual_px, atol=0.02, rtol=1e-3)
    nothing = fit_turn(first, second, weights * 0, K.expand(2, 3, 3))
    assert nothing.rotation.isfinite().all()


@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_few_matches_are_no_error(count: int) -> None:
    first, second, weights = match((0.0, 0.1, 0.0), (0.2, 0.0, 0.0))
    found = fit_turn(first, second, weights * (torch.arange(300) < count), K)
    assert all(value.isfinite().all() for value in vars(found).values())
