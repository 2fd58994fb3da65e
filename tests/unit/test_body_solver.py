"""What the solver of bodies must not depend on, and what it does with errors, gaps and wild numbers."""

from dataclasses import fields, replace

import pytest
import torch
from torch import Tensor

from moving_people import BODY, TIMES, cut, disturb, look, move, normal, solve
from unish.body import load_body
from unish.body.joints import MIRRORED_JOINTS
from unish.geometry.rotation import axis_angle_to_matrix, rotation_angle
from unish.network.human.solver import solve_bodies
from unish.network.human.viewing_ray import PersonView
from unish.structs import BodyParams


def test_batch_is_single_and_the_order_of_people_means_nothing(rng: torch.Generator) -> None:
    params, rotations = move(3, rng)
    view, start, betas = look(params), disturb(rotations, rng), params.betas[:, 0]
    together, shapes = solve(start, betas, view)
    order = torch.tensor([2, 0])
    some, some_shapes = solve(start[order], betas[order], cut(view, order))
    torch.testing.assert_close(some, together[order])
    torch.testing.assert_close(some_shapes, shapes[order])


def test_turned_camera_turns_the_root_alone(rng: torch.Generator) -> None:
    params, rotations = move(2, rng)
    view, start, betas = look(params), disturb(rotations, rng), params.betas[:, 0]
    turn = axis_angle_to_matrix(torch.tensor([0.1, -0.3, 0.2], dtype=torch.float64))
    turned_view = replace(view, to_camera=turn @ view.to_camera)
    turned_start = torch.cat([turn @ start[:, :, :1], start[:, :, 1:]], dim=2)
    straight, shapes = solve(start, betas, view)
    turned, turned_shapes = solve(turned_start, betas, turned_view)
    torch.testing.assert_close(turned[:, :, 1:], straight[:, :, 1:])
    torch.testing.assert_close(turned[:, :, 0], turn @ straight[:, :, 0])
    torch.testing.assert_close(turned_shapes, shapes)


def test_known_turns_of_the_camera_are_no_motion_of_people(rng: torch.Generator) -> None:
    params, rotations = move(1, rng)
    view, start, betas = look(params), disturb(rotations, rng), params.betas[:, 0]
    turns = axis_angle_to_matrix(0.4 * normal(1, 5, 3, generator=rng))
    panned_view = replace(view, to_camera=turns.mT @ view.to_camera)
    panned_start = torch.cat([turns[:, :, None].mT @ start[:, :, :1], start[:, :, 1:]], dim=2)
    straight, _ = solve(start, betas, view)
    panned, _ = solve(panned_start, betas, panned_view, camera_rotations=turns)
    blind, _ = solve(panned_start, betas, panned_view)
    torch.testing.assert_close(panned[:, :, 1:], straight[:, :, 1:])
    torch.testing.assert_close(panned[:, :, 0], turns.mT @ straight[:, :, 0])
    assert rotation_angle(blind[:, :, 1:].mT @ straight[:, :, 1:]).max() > 1e-3


def test_mirrored_people_get_mirrored_solutions(rng: torch.Generator) -> None:
    params, rotations = move(2, rng)
    view, start, betas = look(params), disturb(rotations, rng), params.betas[:, 0]
    flip = torch.tensor([-1.0, 1.0, 1.0], dtype=torch.float64)
    both = flip[:, None] * flip
    mirrored_view = replace(view.mirror(), to_camera=view.to_camera * both)
    solved, shapes = solve(start, betas, view)
    mirrored, mirrored_shapes = solve(start[:, :, list(MIRRORED_JOINTS)] * both, betas, mirrored_view)
    torch.testing.assert_close(mirrored, solved[:, :, list(MIRRORED_JOINTS)] * both)
    torch.testing.assert_close(mirrored_shapes, shapes)


def test_unobserved_frames_keep_the_networks_pose_and_change_no_other(rng: torch.Generator) -> None:
    params, rotations = move(2, rng)
    view, start, betas = look(params), disturb(rotations, rng), params.betas[:, 0]
    seen = torch.tensor([[True, False, True, True, False], [False] * 5])
    gaps = replace(
        view, observed=seen, image_points=view.image_points * seen[..., None, None],
        points=view.points * seen[..., None, None], visibility=view.visibility * seen[..., None],
    )  # fmt: skip
    solved, shapes = solve(start, torch.stack([betas[0], torch.zeros_like(betas[1])]), gaps)
    assert torch.equal(solved[~seen], start[~seen]) and not shapes[1].any()
    kept = seen[0].nonzero()[:, 0]
    alone, alone_shapes = solve(start[:1, kept], betas[:1], cut(view, slice(1), kept), TIMES[kept])
    torch.testing.assert_close(solved[:1, kept], alone)
    torch.testing.assert_close(shapes[:1], alone_shapes)


def test_frames_far_apart_in_time_are_solved_apart(rng: torch.Generator) -> None:
    params, rotations = move(1, rng)
    view, start, betas = look(params), disturb(rotations, rng), params.betas[:, 0]
    # The shape is shared all the same, so compare with other times that are far apart.
    torch.testing.assert_close(
        solve(start, betas, view, 100 * TIMES)[0], solve(start, betas, view, 1000 * TIMES)[0], atol=1e-4, rtol=0
    )
    near = solve(start, betas, view, TIMES)[0]
    assert rotation_angle(near.mT @ solve(start, betas, view, 100 * TIMES)[0]).max() > 0.02


def test_infinite_sigma_is_a_landmark_that_is_not_there(rng: torch.Generator) -> None:
    params, rotations = move(1, rng)
    view, start, betas = look(params), disturb(rotations, rng), params.betas[:, 0]
    sigma = torch.full((1, 5, 33), torch.nan, dtype=torch.float64)
    known = solve(start, betas, view, sigma=sigma)[0]
    torch.testing.assert_close(known, solve(start, betas, view)[0])
    sigma[..., 25] = torch.inf
    wrong = replace(view, image_points=view.image_points.clone())
    wrong.image_points[..., 25, :] += 0.3
    # The start is found with all landmarks; with the same one, what stands at this landmark means nothing.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("unish.network.human.solver.place_landmarks", lambda *_: params.transl)
        ignored, without = solve(start, betas, wrong, sigma=sigma)[0], solve(start, betas, view, sigma=sigma)[0]
        torch.testing.assert_close(ignored, without)
        assert rotation_angle(solve(start, betas, wrong)[0].mT @ without).max() > 0.01


def test_landmarks_that_are_guessed_say_nothing(rng: torch.Generator) -> None:
    params, rotations = move(1, rng)
    view, start, betas = look(params), disturb(rotations, rng), params.betas[:, 0]
    known = replace(view, visibility=view.visibility.clone())
    wrong = replace(known, image_points=view.image_points.clone())
    known.visibility[..., 13], wrong.image_points[..., 13, :] = 0.49, 5.0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("unish.network.human.solver.place_landmarks", lambda *_: params.transl)
        torch.testing.assert_close(solve(start, betas, wrong)[0], solve(start, betas, known)[0])
        known.visibility[..., 13] = 0.51
        assert rotation_angle(solve(start, betas, wrong)[0].mT @ solve(start, betas, known)[0]).max() > 1e-3


def test_small_sigma_counts_for_more(rng: torch.Generator) -> None:
    params, rotations = move(1, rng)
    view, start, betas = look(params), disturb(rotations, rng), params.betas[:, 0]

    def error(sigma_m: float) -> Tensor:
        solved, shape = solve(start, betas, view, sigma=torch.full((1, 5, 33), sigma_m / 4, dtype=torch.float64))
        seen = BODY.landmarks(
            BodyParams(
                betas=shape[:, None].expand(-1, 5, -1), global_orient=solved[:, :, 0], body_pose=solved[:, :, 1:],
                transl=params.transl,
            )
        )  # fmt: skip
        return (seen - BODY.landmarks(params)).norm(dim=-1).mean()

    assert error(0.005) < error(0.05) < error(1.0)


def test_float32_holds(rng: torch.Generator) -> None:
    params, rotations = move(4, rng)
    view, start, betas = look(params), disturb(rotations, rng), params.betas[:, 0]
    exact, shapes = solve(start, betas, view)
    single = PersonView(
        **{
            field.name: value if (value := getattr(view, field.name)).dtype == torch.bool else value.float()
            for field in fields(view)
        }
    )
    rounded, rounded_shapes = solve_bodies(
        load_body(), start.float(), betas.float(), single, TIMES.float().expand(4, -1), steps=3
    )
    assert rotation_angle(rounded.double().mT @ exact).max() < 2e-3
    torch.testing.assert_close(rounded_shapes.double(), shapes, atol=2e-3, rtol=0)


def test_gradients_reach_the_network_and_the_landmarks(rng: torch.Generator) -> None:
    params, rotations = move(1, rng, TIMES[:3])
    view, start, betas = look(params), disturb(rotations, rng), params.betas[:, 0]
    sigma = torch.full((1, 3, 33), 0.004, dtype=torch.float64)
    sigma[..., 3], sigma[..., 4] = torch.inf, torch.nan
    weights = normal(1, 3, 24, 3, 3, generator=rng)

    def value(turns: Tensor, shape: Tensor, moved: Tensor) -> Tensor:
        seen = replace(view, image_points=view.image_points + moved)
        solved, found = solve(start @ axis_angle_to_matrix(turns), shape, seen, TIMES[:3], steps=2, sigma=sigma)
        return (solved * weights).sum() + found.sum()

    given = [torch.zeros(1, 3, 24, 3), betas, torch.zeros(1, 3, 33, 2)]
    given = [one.double().clone().requires_grad_() for one in given]
    gradients = torch.autograd.grad(value(*given), given)
    for position, (one, gradient) in enumerate(zip(given, gradients, strict=True)):
        direction = normal(*one.shape, generator=rng)
        near = [list(given), list(given)]
        for side, sign in zip(near, (1, -1), strict=True):
            side[position] = one.detach() + sign * 1e-6 * direction
        with torch.no_grad():
            slope = (value(*near[0]) - value(*near[1])) / 2e-6
        torch.testing.assert_close((gradient * direction).sum(), slope, rtol=1e-4, atol=1e-6)


def test_no_numbers_break_it(rng: torch.Generator) -> None:
    """Landmarks that no body could have, at the lens and far away, with a start of no likeness."""
    params, rotations = move(2, rng)
    view = look(params)
    for scale in (0.0, 1e-3, 30.0):
        wild = replace(view, image_points=scale * normal(*view.image_points.shape, generator=rng))
        single = PersonView(
            **{
                field.name: value if (value := getattr(wild, field.name)).dtype == torch.bool else value.float()
                for field in fields(wild)
            }
        )
        solved, shapes = solve_bodies(
            load_body(), disturb(rotations, rng, 2.0).float(), torch.zeros(2, 10), single,
            TIMES.float().expand(2, -1), steps=3,
        )  # fmt: skip
        assert solved.isfinite().all() and shapes.isfinite().all()
        assert (solved.mT @ solved - torch.eye(3)).abs().max() < 1e-4


def test_people_whose_legs_are_never_seen_get_the_mean_shape(rng: torch.Generator) -> None:
    params, rotations = move(2, rng)
    view, start = look(params), disturb(rotations, rng)
    child = torch.zeros(2, 10, dtype=torch.float64)
    child[:, 1] = -3.0  # 95 cm tall
    cut = replace(view, visibility=view.visibility.clone())
    cut.visibility[0, :, 25:] = 0.1
    heights = BODY.standing_height(solve(start, child, cut)[1])
    assert abs(heights[0] - 1.70) < 0.05 and heights[1] < 1.1
    # The same when all of it lies outside of the picture, unless one frame shows the legs.
    sigma = torch.full((2, 5, 33), torch.nan, dtype=torch.float64)
    sigma[0, :, 25:], sigma[1, 1:, 25:] = torch.inf, torch.inf
    heights = BODY.standing_height(solve(start, child, view, sigma=sigma)[1])
    assert abs(heights[0] - 1.70) < 0.05 and heights[1] < 1.1
