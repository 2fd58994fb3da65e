"""Penalties and draws that all losses share, and the scene terms of π³: points and normals."""

from __future__ import annotations

import math

import pytest
import torch

from unish.geometry.camera import make_intrinsics, unproject
from unish.geometry.rotation import axis_angle_to_matrix
from unish.lab.training.losses.penalties import (
    angle_between,
    charbonnier,
    mean_along,
    mean_where,
    smooth_angle,
    smooth_length,
)
from unish.lab.training.losses.points import confidence_loss, find_scale, local_point_loss, normal_loss
from unish.lab.training.losses.sampling import look_up, sample_entries, take


def random(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def make_points(seed: int, *lead: int, size: tuple[int, int] = (5, 6)) -> torch.Tensor:
    """Point maps of a hilly surface about 3 m away, float64."""
    depth = 3 + 0.1 * random(seed, *lead, *size)
    return unproject(depth, make_intrinsics(torch.full(lead, 8.0).double(), *size))


# Penalties ------------------------------------------------------------------------------------------------------------


def test_lengths_and_angles_are_right_and_have_gradients_where_they_vanish() -> None:
    vectors = random(0, 7, 3)
    torch.testing.assert_close(smooth_length(vectors), vectors.norm(dim=-1), atol=1.1e-4, rtol=0)
    turns = axis_angle_to_matrix(torch.nn.functional.normalize(vectors, dim=-1) * torch.linspace(0, 2.5, 7)[:, None])
    torch.testing.assert_close(smooth_angle(turns), torch.linspace(0, 2.5, 7).double(), atol=1e-3, rtol=0)
    along = torch.tensor([1.0, 0, 0]).double()
    torch.testing.assert_close(
        angle_between(along.expand(7, 3), turns @ along), torch.acos(turns[:, 0, 0]), atol=2e-4, rtol=0
    )
    for value in (torch.zeros(3), torch.eye(3), along.float(), -along.float()):
        value.requires_grad_()
        if value.dim() == 2:
            smooth_angle(value).backward()
        else:
            (smooth_length(value) + angle_between(value, along.float())).backward()
        assert value.grad is not None and value.grad.isfinite().all()


def test_robust_penalty_is_a_square_near_zero_and_a_length_far_away() -> None:
    squared = torch.tensor([1e-8, 1e8], dtype=torch.float64)
    wanted = torch.tensor([1e-8, 2 * 0.1 * 1e4], dtype=torch.float64)
    torch.testing.assert_close(charbonnier(squared, 0.1), wanted, rtol=1e-4, atol=0)
    assert torch.equal(charbonnier(squared, None), squared)


def test_means_do_not_see_padding() -> None:
    values, mask = random(0, 4, 5), random(1, 4, 5) > 0
    padded = torch.cat([values, torch.full((4, 3), torch.nan)], dim=1)
    wider = torch.cat([mask, torch.zeros(4, 3, dtype=torch.bool)], dim=1)
    torch.testing.assert_close(mean_where(padded, wider), values[mask].mean())
    torch.testing.assert_close(mean_along(padded, wider), mean_along(values, mask))
    assert mean_where(padded, torch.zeros_like(wider)) == 0
    assert (mean_along(padded, torch.zeros_like(wider)) == 0).all()


# Draws and places -----------------------------------------------------------------------------------------------------


def test_draws_are_repeatable_distinct_fair_and_from_the_mask() -> None:
    mask = torch.zeros(3, 50, dtype=torch.bool)
    mask[0, 10:30], mask[1, :4] = True, True
    index, drawn = sample_entries(mask, 8, torch.Generator().manual_seed(3))
    again, _ = sample_entries(mask, 8, torch.Generator().manual_seed(3))
    assert torch.equal(index, again)
    assert drawn.sum(1).tolist() == [8, 4, 0]
    assert mask.gather(1, index)[drawn].all()
    assert sorted(index[1, :4].tolist()) == [0, 1, 2, 3] and drawn[1, :4].all()
    assert len(set(index[0].tolist())) == 8
    counts = torch.zeros(50)
    generator = torch.Generator().manual_seed(0)
    for _ in range(500):
        counts[sample_entries(mask[:1], 5, generator)[0][0]] += 1
    assert counts[10:30].sum() == 2500
    assert counts[10:30].min() > 90 and counts[10:30].max() < 160  # 125 ± 3.5 standard deviations


def test_rows_are_taken_with_any_axes() -> None:
    values, index = random(0, 2, 9, 3), torch.tensor([[[1, 8], [0, 0]], [[2, 3], [4, 5]]])
    found = take(values, index)
    assert found.shape == (2, 2, 2, 3)
    assert torch.equal(found[1, 0, 1], values[1, 3])


def test_maps_are_read_where_pixels_say() -> None:
    grid = torch.stack(torch.meshgrid(torch.arange(6) + 0.5, torch.arange(4) + 0.5, indexing="xy"), -1)
    ramp = grid.movedim(-1, 0)[None]  # the value of a pixel is its own position
    assert look_up(ramp[0, 0], torch.tensor([[1.0, 1.0], [2.25, 3.5], [5.5, 0.5]])).tolist() == [1.5, 2.5, 5.5]
    assert look_up(ramp[0, 1], torch.tensor([[-9.0, 99.0]])).tolist() == [3.5]


# Points and normals ---------------------------------------------------------------------------------------------------


def test_local_points_vanish_on_truth_at_any_scale_and_keep_no_preferred_scale() -> None:
    truth = make_points(0, 2, 3)
    valid = random(1, 2, 3, 5, 6) > -1
    loss, error, scale = local_point_loss(0.2 * truth, truth, valid)
    assert loss < 1e-12 and error.max() < 1e-12
    torch.testing.assert_close(scale, torch.full((2,), 5.0).double())

    guess = (0.2 * make_points(2, 2, 3)).requires_grad_()
    loss, _, _ = local_point_loss(guess, truth, valid, truncation=0.02)
    torch.testing.assert_close(local_point_loss(7 * guess, truth, valid, truncation=0.02)[0], loss)
    gradient = torch.autograd.grad(loss, guess)[0]
    # At a minimum with a kink the derivative along the scale is at most that of the one sample at the kink.
    assert (gradient * guess).sum(dim=(1, 2, 3, 4)).abs().max() < 2 / valid[0].sum()


def test_local_points_are_a_plain_mean_and_ignore_what_is_not_valid() -> None:
    truth, guess = make_points(0, 1, 2), make_points(1, 1, 2)
    valid = torch.ones(1, 2, 5, 6, dtype=torch.bool)
    valid[0, 1, 2] = False
    spoilt = truth.clone()
    spoilt[0, 1, 2] = torch.nan
    loss, error, scale = local_point_loss(guess, spoilt, valid, truncation=0.01)
    slow = [
        min(abs(float(scale * guess[i][c] - truth[i][c]) / float(truth[i][2])), 0.01)
        for i in valid.nonzero().unbind(0) for i in [tuple(i.tolist())] for c in range(3)
    ]  # fmt: skip
    assert float(loss) == pytest.approx(sum(slow) / len(slow), rel=1e-12)
    assert (error[~valid] == 0).all()
    best = find_scale(guess, torch.where(valid[..., None], truth, 0.0), valid / truth[..., 2], truncation=0.01)
    assert torch.equal(scale, best)


def test_scene_terms_have_right_gradients() -> None:
    truth, guess = make_points(0, 1, 2), make_points(1, 1, 2).requires_grad_()
    valid = torch.ones(1, 2, 5, 6, dtype=torch.bool)
    assert torch.autograd.gradcheck(lambda p: normal_loss(p, truth, valid), guess)
    # The scale is a constant of the loss, so it must not move while derivatives are taken.
    _, _, scale = local_point_loss(guess, truth, valid)
    gradient = torch.autograd.grad(local_point_loss(guess, truth, valid)[0], guess)[0]
    expected = scale * (scale * guess - truth).sign() / truth[..., 2:] / truth.numel()
    off = (gradient - expected).abs() > 1e-12
    assert off.sum() <= 1  # the sample at the kink has no derivative


def test_normals_vanish_on_truth_and_measure_a_turn() -> None:
    truth = make_points(0, 1, 2, size=(9, 12))
    valid = random(1, 1, 2, 9, 12) > -1
    assert normal_loss(0.3 * truth, truth, valid) < 1e-9
    flat = unproject(torch.full((1, 1, 9, 12), 2.0).double(), make_intrinsics(torch.full((1, 1), 30.0).double(), 9, 12))
    turned = flat @ axis_angle_to_matrix(torch.tensor([0.0, 0.3, 0.0]).double()).T
    every = torch.ones(1, 1, 9, 12, dtype=torch.bool)
    assert float(normal_loss(turned, flat, every)) == pytest.approx(0.3, abs=2e-4)
    assert normal_loss(turned, flat, ~every) == 0


def test_no_normal_spans_a_depth_edge() -> None:
    """Half of a wall stands a metre further away: how far is not a matter of normals."""
    size = (9, 12)
    camera = make_intrinsics(torch.full((1, 1), 30.0).double(), *size)
    depth = torch.full((1, 1, *size), 2.0).double()
    depth[..., 6:] = 3.0
    guess = depth.clone()
    guess[..., 6:] = 3.7
    every = torch.ones(1, 1, *size, dtype=torch.bool)
    assert normal_loss(unproject(guess, camera), unproject(depth, camera), every) < 1e-9
    assert normal_loss(unproject(guess, camera), unproject(depth, camera), every, relative_step=10.0) > 0.005


def test_confidence_learns_where_the_error_is_small() -> None:
    error = torch.tensor([0.01, -0.4, 0.0]).reshape(1, 1, 1, 3)
    defined = torch.tensor([True, True, False]).reshape(1, 1, 1, 3)
    right = torch.tensor([20.0, -20.0, -20.0]).reshape(1, 1, 1, 3)
    assert confidence_loss(right, error, defined, threshold=0.1) < 1e-6
    assert confidence_loss(-right, error, defined, threshold=0.1) > 10
    assert float(confidence_loss(0 * right, error, defined)) == pytest.approx(math.log(2))
