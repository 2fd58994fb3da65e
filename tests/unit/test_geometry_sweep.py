"""Plane sweep, the filters under it, and depth maps held against one another."""

from __future__ import annotations

import torch
from textured_room import see_room, walk
from torch import Tensor

from unish.geometry.agreement import count_agreeing, fuse_depths, join_still_frames
from unish.geometry.picture_filters import box_mean, fill_in, guided_filter
from unish.geometry.rigid import invert_rigid
from unish.geometry.sweep import Sweep, choose_neighbours, sweep_depths

SIZE = (72, 96)


def room(num_frames: int = 5, size: tuple[int, int] = SIZE) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Grey pictures, true log-depth, w2c, intrinsics."""
    w2c, intrinsics = walk(num_frames, size)
    pictures, log_depth = see_room(invert_rigid(w2c), intrinsics, size)
    return pictures.mean(1), log_depth, w2c, intrinsics


def everything(grey: Tensor) -> Tensor:
    return torch.ones_like(grey, dtype=torch.bool)


def sweep_room(grey: Tensor, guess: Tensor, w2c: Tensor, intrinsics: Tensor, **given: Tensor) -> Sweep:
    usable = given.get("usable", everything(grey))
    neighbours = given.get("neighbours", choose_neighbours(guess, w2c, intrinsics, usable))
    return sweep_depths(grey, guess, w2c, intrinsics, neighbours, usable)


def wavy(log_depth: Tensor) -> Tensor:
    """A guess that is up to 20 % off, smoothly."""
    x = torch.linspace(0, 5, log_depth.shape[-1])
    return log_depth + 0.2 * x.sin()


def test_depth_is_found_to_two_percent_from_a_guess_that_is_off_by_twenty() -> None:
    grey, truth, w2c, intrinsics = room()
    found = sweep_room(grey, wavy(truth), w2c, intrinsics)
    error = (found.log_depth - truth).abs()
    certain = (found.score > 0.8) & (found.score - found.second_score > 0.05)
    assert error.median() < 0.02  # measured .007
    assert certain.float().mean() > 0.1
    assert (error[certain] < 0.02).float().mean() > 0.85
    assert found.score.median() > 0.9
    assert (wavy(truth) - truth).abs().median() > 0.1


def test_another_exposure_changes_nothing() -> None:
    grey, truth, w2c, intrinsics = room()
    gains = torch.tensor([1.0, 0.6, 1.4, 0.8, 1.2])[:, None, None]
    plain, exposed = (sweep_room(picture, wavy(truth), w2c, intrinsics) for picture in (grey, gains * grey + 0.1))
    assert (plain.log_depth - exposed.log_depth).abs().median() < 1e-3


def test_what_is_not_usable_is_never_compared() -> None:
    grey, truth, w2c, intrinsics = room()
    usable = everything(grey)
    usable[:, 20:40, 20:40] = False
    painted = torch.where(usable, grey, torch.rand_like(grey))
    first, second = (sweep_room(x, wavy(truth), w2c, intrinsics, usable=usable) for x in (grey, painted))
    # A square of pixels reaches four pixels, with the support, into what is not usable in the frame itself.
    away = torch.ones_like(usable[0])
    away[12:48, 12:48] = False
    seen_whole = away & ((first.log_depth - second.log_depth).abs() < 1e-3).all(0)
    assert seen_whole.sum() > 0.75 * away.sum()


def test_frames_are_chosen_that_see_the_same_from_another_place() -> None:
    _, truth, w2c, intrinsics = room(7)
    turned_away = w2c[3].clone()
    turned_away[0], turned_away[2] = -w2c[3][0], -w2c[3][2]
    w2c = torch.cat([w2c, w2c[:1], turned_away[None]])  # 7: where frame 0 stood; 8: looks back
    truth = torch.cat([truth, truth[:1], truth[3:4]])
    chosen = choose_neighbours(truth, w2c, intrinsics[:1].expand(9, 3, 3), everything(truth))
    assert chosen.shape == (9, 3)
    assert not (chosen == torch.arange(9)[:, None]).any()
    assert 7 not in chosen[0] and 0 not in chosen[7]
    assert 8 not in chosen[:8]


def test_the_order_of_frames_does_not_matter() -> None:
    grey, truth, w2c, intrinsics = room()
    order = torch.tensor([3, 0, 4, 1, 2])
    plain, mixed = (sweep_room(grey[i], wavy(truth)[i], w2c[i], intrinsics[i]) for i in (torch.arange(5), order))
    torch.testing.assert_close(mixed.log_depth, plain.log_depth[order], atol=1e-3, rtol=0)
    torch.testing.assert_close(mixed.score, plain.score[order], atol=1e-3, rtol=0)


def test_a_sweep_of_some_frames_is_part_of_that_of_all() -> None:
    """Frames are swept in blocks; where one begins must not show."""
    grey, truth, w2c, intrinsics = room()
    neighbours = choose_neighbours(truth, w2c, intrinsics, everything(truth))
    whole = sweep_room(grey, wavy(truth), w2c, intrinsics, neighbours=neighbours)
    to_front = torch.tensor([4, 0, 1, 2, 3])
    where = torch.argsort(to_front)
    again = sweep_room(
        grey[to_front], wavy(truth)[to_front], w2c[to_front], intrinsics, neighbours=where[neighbours[to_front]]
    )
    torch.testing.assert_close(again.log_depth, whole.log_depth[to_front], atol=1e-3, rtol=0)


def test_a_still_camera_shows_no_parallax() -> None:
    grey, truth, w2c, intrinsics = room(3)
    still = sweep_room(grey[:1].expand(3, -1, -1), truth, w2c[:1].expand(3, 4, 4), intrinsics)
    assert still.parallax_px.max() < 1e-3
    assert sweep_room(grey, truth, w2c, intrinsics).parallax_px.median() > 1


def test_gradients_of_the_sweep_are_those_of_finite_differences() -> None:
    grey, truth, w2c, intrinsics = (x.double() for x in room(3, (8, 10)))
    guess = (truth + 0.1).requires_grad_()
    moves, pictures = w2c.clone().requires_grad_(), grey.clone().requires_grad_()
    neighbours = torch.tensor([[1, 2], [0, 2], [0, 1]])

    def found(guess: Tensor, moves: Tensor, pictures: Tensor) -> tuple[Tensor, Tensor]:
        sweep = sweep_depths(pictures, guess, moves, intrinsics, neighbours, everything(grey))
        return sweep.log_depth[:, 2:-2, 2:-2], sweep.score[:, 2:-2, 2:-2]

    assert torch.autograd.gradcheck(found, (guess, moves, pictures), eps=1e-7, atol=1e-3, rtol=1e-3, fast_mode=True)


def test_a_mean_over_squares_is_that(rng) -> None:
    maps = torch.randn(2, 3, 7, 9, generator=rng)
    padded = torch.nn.functional.pad(maps, (2, 2, 2, 2), mode="replicate")
    torch.testing.assert_close(box_mean(maps, 2), padded.unfold(2, 5, 1).unfold(3, 5, 1).mean((-1, -2)))


def test_the_guided_filter_keeps_edges_that_the_picture_has(rng) -> None:
    step = (torch.arange(40) >= 20).float().expand(1, 30, 40)
    noisy = step + 0.1 * torch.randn(1, 30, 40, generator=rng)
    even = torch.ones_like(step)
    with_edge = guided_filter(noisy[:, None], step, even, radius=3, epsilon=1e-3)[:, 0]
    without = guided_filter(noisy[:, None], torch.zeros_like(step), even, radius=3, epsilon=1e-3)[:, 0]
    assert (with_edge - step).abs().mean() < 0.03
    assert (without - step)[..., 18:22].abs().mean() > 0.2
    left = (torch.arange(40) < 20).float().expand(1, 30, 40)
    of_left = guided_filter(noisy[:, None], torch.zeros_like(step), left, radius=3, epsilon=1e-3)[:, 0]
    # What has no weight does not reach what has, and is filled from it.
    assert of_left[..., :20].abs().mean() < 0.1 and of_left[..., 20:23].abs().mean() < 0.1
    assert torch.equal(of_left[..., 27:], noisy[..., 27:])


def test_filling_in_solves_its_least_squares(rng) -> None:
    values, precision = torch.randn(2, 5, 6, generator=rng), torch.rand(2, 5, 6, generator=rng)
    pictures = torch.rand(2, 3, 5, 6, generator=rng)
    precision[:, :, 3] = 0
    settings = {"step_sigma": 0.7, "colour_sigma": 0.5}
    shown = torch.ones(2, 5, 6, dtype=torch.bool)
    shown[1, 2, 2] = False
    found = fill_in(values, precision, pictures, shown, num_steps=60, **settings)
    through_sizes = fill_in(values, precision, pictures, shown, num_steps=60, num_levels=3, **settings)
    for frame in range(2):
        system = torch.diag(precision[frame].flatten())
        for row in range(5):
            for column in range(6):
                for other in ((row + 1, column), (row, column + 1)):
                    if other[0] < 5 and other[1] < 6:
                        unlike = (pictures[frame, :, row, column] - pictures[frame, :, other[0], other[1]]).square()
                        pair = bool(shown[frame, row, column] & shown[frame, other[0], other[1]])
                        weight = torch.exp(-pair * unlike.sum() / (2 * 0.5**2)) / 0.7**2
                        i, j = row * 6 + column, other[0] * 6 + other[1]
                        system[[i, j], [i, j]] += weight
                        system[[i, j], [j, i]] -= weight
        exact = torch.linalg.solve(system, (precision[frame] * values[frame]).flatten())
        torch.testing.assert_close(found[frame].flatten(), exact, atol=1e-4, rtol=1e-3)
        torch.testing.assert_close(through_sizes[frame].flatten(), exact, atol=1e-4, rtol=1e-3)
    nothing = fill_in(values, torch.zeros_like(precision), pictures, shown, num_steps=5, **settings)
    assert torch.equal(nothing, torch.zeros_like(values))


def test_filling_in_through_smaller_sizes_reaches_farther_in_as_many_steps() -> None:
    values, precision = torch.ones(1, 40, 60), torch.full((1, 40, 60), 1e-4)
    precision[:, :, :2] = 100.0
    pictures, shown = torch.zeros(1, 3, 40, 60), torch.ones(1, 40, 60, dtype=torch.bool)
    settings = {"step_sigma": 0.1, "colour_sigma": 0.1}
    values[:, :, 2:] = 0
    exact, near, far = (
        fill_in(values, precision, pictures, shown, num_steps=steps, num_levels=levels, **settings)
        for steps, levels in ((300, 1), (8, 1), (8, 5))
    )
    assert exact[0, :, -1].min() > 0.5
    assert (far - exact).abs().max() < 0.05  # measured .01
    assert (near - exact).abs().max() > 0.9


def test_filling_in_has_the_gradients_of_finite_differences(rng) -> None:
    values, precision = (torch.rand(1, 4, 5, generator=rng).double().requires_grad_() for _ in range(2))
    pictures = torch.rand(1, 3, 4, 5, generator=rng).double().requires_grad_()

    def fill(values: Tensor, precision: Tensor, pictures: Tensor) -> Tensor:
        settings = {"step_sigma": 0.5, "colour_sigma": 0.5}
        return fill_in(values, precision, pictures, everything(values), num_steps=4, num_levels=2, **settings)

    assert torch.autograd.gradcheck(fill, (values, precision, pictures))


def test_frames_with_the_true_depth_agree_and_others_do_not() -> None:
    _, truth, w2c, intrinsics = room()
    neighbours = choose_neighbours(truth, w2c, intrinsics, everything(truth))
    usable = everything(truth)
    right = count_agreeing(truth, w2c, intrinsics, neighbours, usable, sigma=0.03)
    assert (right[2] > 1.9).float().mean() > 0.8
    wrong = truth.clone()
    wrong[2] += 0.2
    assert count_agreeing(wrong, w2c, intrinsics, neighbours, usable, sigma=0.03)[2].max() < 0.2
    assert count_agreeing(truth, w2c, intrinsics, neighbours, ~usable, sigma=0.03).max() == 0


def test_fused_depths_agree_and_follow_the_surer_frame() -> None:
    _, truth, w2c, intrinsics = room()
    neighbours = choose_neighbours(truth, w2c, intrinsics, everything(truth), 4)
    off = truth + torch.tensor([0.0, 0.1, -0.1, 0.05, 0.0])[:, None, None]
    even = torch.ones_like(truth)

    def fuse(confidence: Tensor) -> Tensor:
        return fuse_depths(off, confidence, w2c, intrinsics, neighbours, tolerance=0.2, num_rounds=2)

    inside = (slice(None), slice(8, -8), slice(12, -12))
    before = (off - off.mean() - (truth - truth.mean()))[inside].abs().median()
    fused = fuse(even)
    assert (fused - fused.mean() - (truth - truth.mean()))[inside].abs().median() < 0.4 * before
    sure = torch.full_like(truth, 0.02)
    sure[0] = 1.0
    assert (fuse(sure) - truth)[inside].abs().median() < 0.02
    ignored = fuse(torch.tensor([1.0, 1, 0, 1, 1])[:, None, None] * even)
    torch.testing.assert_close(ignored[2], off[2])


def test_what_hides_a_point_does_not_pull_it() -> None:
    _, truth, w2c, intrinsics = room(3)
    neighbours = choose_neighbours(truth, w2c, intrinsics, everything(truth), 2)
    hidden = truth.clone()
    hidden[0, 10:38, 10:54] -= 1.2  # something at a third of the distance, in one frame alone
    fused = fuse_depths(hidden, torch.ones_like(truth), w2c, intrinsics, neighbours, tolerance=0.1, num_rounds=2)
    assert (fused - hidden).abs().median() < 0.002
    assert (fused - hidden)[1:].abs().mean() < 0.01


def test_a_still_camera_has_one_background(rng) -> None:
    log_depth = torch.randn(5, 6, 8, generator=rng)
    scene = torch.ones(5, 6, 8, dtype=torch.bool)
    scene[1, :3] = False
    scene[:, 5] = False
    joined = join_still_frames(log_depth, scene.float(), scene)
    torch.testing.assert_close(joined[0, 4], log_depth[:, 4].median(0).values)
    others = torch.cat([log_depth[:1], log_depth[2:]])[:, 0].sort(0).values[1]  # lower median of four
    torch.testing.assert_close(joined[0, 0], others)
    assert (joined[scene.all(0).expand(5, -1, -1)].reshape(5, -1).std(0) == 0).all()
    assert torch.equal(joined[~scene], log_depth[~scene])
