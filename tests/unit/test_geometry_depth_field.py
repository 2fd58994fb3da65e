"""The smooth correction of a depth prior, and what becomes of people in it."""

from __future__ import annotations

import torch
from torch import Tensor

from unish.geometry.depth_field import fit_depth_field, ground_shift, sample_depth_field

SIZE = (60, 80)


def random_anchors(frames: int, count: int, generator: torch.Generator) -> Tensor:
    return torch.rand(frames, count, 2, generator=generator) * torch.tensor([80.0, 60.0])


def a_smooth_error(place: Tensor) -> Tensor:
    """Of log-depth: a level, a slope and a bend."""
    x, y = place[..., 0] / 80, place[..., 1] / 60
    return 0.3 + 0.3 * x - 0.2 * y + 0.15 * (2.5 * x).sin() * (2.0 * y).cos()


def pixel_places() -> Tensor:
    y, x = torch.meshgrid(torch.arange(60) + 0.5, torch.arange(80) + 0.5, indexing="ij")
    return torch.stack([x, y], dim=-1)


def test_a_smooth_error_is_found_between_the_anchors_too(rng) -> None:
    anchors = random_anchors(1, 300, rng)
    field = fit_depth_field(anchors, a_smooth_error(anchors), torch.full((1, 300), 400.0), SIZE)
    error = sample_depth_field(field, SIZE)[0] - a_smooth_error(pixel_places())
    assert error.abs().median() < 0.01  # measured .0011
    assert error.abs().max() < 0.06  # measured .023, in a corner


def test_anchors_of_another_surface_do_not_bend_the_field(rng) -> None:
    anchors = random_anchors(1, 400, rng)
    ratio = a_smooth_error(anchors)
    ratio[:, ::6] += 0.8
    field = fit_depth_field(anchors, ratio, torch.full((1, 400), 400.0), SIZE)
    error = sample_depth_field(field, SIZE)[0] - a_smooth_error(pixel_places())
    assert error.abs().median() < 0.04  # measured .019; without Huber .12


def test_without_anchors_nothing_is_corrected(rng) -> None:
    nothing = torch.full((1, 20), torch.nan)
    field = fit_depth_field(torch.full((1, 20, 2), torch.nan), nothing, torch.zeros(1, 20), SIZE)
    assert torch.equal(field, torch.zeros(1, 12, 16))
    assert torch.equal(sample_depth_field(field, SIZE), torch.zeros(1, *SIZE))


def test_a_few_anchors_do_not_move_a_whole_frame(rng) -> None:
    anchors = random_anchors(1, 24, rng)
    weights = torch.full((1, 24), 400.0)
    weights[:, 3:] = 0

    def fit(ratio: float) -> Tensor:
        return sample_depth_field(fit_depth_field(anchors, torch.full((1, 24), ratio), weights, SIZE), SIZE)

    # Three that are off by a factor of ten are wrong, and three that are off by a third are right about their places.
    assert torch.equal(fit(-2.3), torch.zeros(1, *SIZE))
    x, y = anchors[0, :3].long().unbind(-1)
    near = fit(0.3)
    assert (near[0, y, x] - 0.3).abs().max() < 0.1
    # Five outvote the prior.
    weights[:, :5] = 400.0
    torch.testing.assert_close(fit(-2.3), torch.full((1, *SIZE), -2.3))


def test_a_wrong_match_among_many_anchors_says_nothing(rng) -> None:
    anchors, weights = random_anchors(1, 100, rng), torch.full((1, 100), 400.0)
    ratio = 0.5 + a_smooth_error(anchors)
    right = torch.ones(1, 100, dtype=torch.bool)
    right[:, :3] = False
    wild = fit_depth_field(anchors, torch.where(right, ratio, -1.5), weights, SIZE)
    torch.testing.assert_close(wild, fit_depth_field(anchors, ratio, weights * right, SIZE), atol=1e-3, rtol=0)


def test_far_from_anchors_the_field_is_the_level_of_its_frame(rng) -> None:
    anchors = random_anchors(1, 200, rng) * torch.tensor([0.2, 1.0])
    ratio = torch.where(anchors[..., 0] < 14, 0.3, -0.1)
    field = sample_depth_field(fit_depth_field(anchors, ratio, torch.full((1, 200), 400.0), SIZE), SIZE)[0]
    level = 0.3  # the median of the ratios
    assert (field[:, -1] - level).abs().max() < (field[:, 18] - level).abs().min()
    constant = fit_depth_field(anchors, torch.full((1, 200), 0.3), torch.full((1, 200), 400.0), SIZE)
    torch.testing.assert_close(sample_depth_field(constant, SIZE), torch.full((1, *SIZE), 0.3))


def test_frames_do_not_know_of_one_another(rng) -> None:
    anchors, weights = random_anchors(3, 50, rng), 400 * torch.rand(3, 50, generator=rng)
    ratio = torch.randn(3, 50, generator=rng) / 5
    together = fit_depth_field(anchors, ratio, weights, SIZE)
    alone = torch.cat([fit_depth_field(*(x[i : i + 1] for x in (anchors, ratio, weights)), SIZE) for i in range(3)])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-4)
    order = torch.randperm(50, generator=rng)
    shuffled = fit_depth_field(anchors[:, order], ratio[:, order], weights[:, order], SIZE)
    torch.testing.assert_close(together, shuffled, atol=1e-5, rtol=1e-4)


def test_gradients_are_those_of_finite_differences(rng) -> None:
    anchors = random_anchors(2, 9, rng).double().requires_grad_()
    ratio = (torch.randn(2, 9, generator=rng) / 5).double().requires_grad_()
    weights = (400 * torch.rand(2, 9, generator=rng)).double().requires_grad_()

    def fit(anchors: Tensor, ratio: Tensor, weights: Tensor) -> Tensor:
        return sample_depth_field(fit_depth_field(anchors, ratio, weights, SIZE, grid=(4, 5)), (6, 8))

    assert torch.autograd.gradcheck(fit, (anchors, ratio, weights))


def test_the_field_is_the_same_at_every_size_and_has_no_creases(rng) -> None:
    field = torch.randn(1, 12, 16, generator=rng)
    fine = sample_depth_field(field, (270, 390))
    torch.testing.assert_close(sample_depth_field(field, (90, 130)), fine[:, 1::3, 1::3], atol=1e-5, rtol=0)
    # A crease would be a jump of the slope; a spline's slope changes by steps of the size of a pixel.
    assert fine.diff(n=2, dim=-1).abs().max() < 0.1 * fine.diff(dim=-1).abs().max()
    torch.testing.assert_close(sample_depth_field(torch.ones(1, 12, 16), SIZE), torch.ones(1, *SIZE))


def test_people_move_with_the_ground_beside_their_feet() -> None:
    correction = torch.arange(60.0)[None, :, None].expand(2, 60, 80) / 100
    correction = correction + torch.tensor([0.0, 1.0])[:, None, None]
    people = torch.full((2, 60, 80), -1)
    people[:, 10:50, 10:20] = 0
    people[0, 5:31, 40:50] = 2
    shift = ground_shift(correction, people)
    assert shift.shape == (2, 3)
    # The lowest tenth of rows 10–49 is 46–49, and the ground is looked at three pixels farther.
    torch.testing.assert_close(shift[:, 0], torch.tensor([0.47, 1.47]), atol=0.03, rtol=0)
    torch.testing.assert_close(shift[0, 2], torch.tensor(0.29), atol=0.03, rtol=0)
    assert shift[0, 1] == 0 and shift[1, 2] == 0

    wall_behind = correction.clone()
    wall_behind[:, 10:40, 10:20] = 9.0  # what the field makes of the pixels of a person does not matter
    torch.testing.assert_close(ground_shift(wall_behind, people)[:, 0], shift[:, 0])
    crowd = torch.where(people == -1, 1, people)  # nothing but people: their own pixels are all there is
    torch.testing.assert_close(ground_shift(correction, crowd)[:, 0], shift[:, 0], atol=0.03, rtol=0)


def test_without_people_there_is_nobody_to_move() -> None:
    assert ground_shift(torch.rand(2, 6, 8), torch.full((2, 6, 8), -1)).shape == (2, 0)
