"""The solver of the human branch: derivatives, the minimum it goes to, and what it must not depend on."""

from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from scipy.optimize import least_squares
from torch import Tensor

from unish.body import JOINT_NAMES, load_body
from unish.body.joints import MIRRORED_JOINTS
from unish.body.landmark_jacobian import differentiate_landmarks
from unish.geometry.camera import project
from unish.geometry.rotation import axis_angle_to_matrix, matrix_to_axis_angle, rotation_angle
from unish.network.human import solver_rows
from unish.network.human.solver import solve_bodies
from unish.network.human.solver_rows import Evidence, Poses, motion_term, picture_term, prior_term, shape_term
from unish.network.human.viewing_ray import PersonView, turn_to, view_person
from unish.structs import BodyParams

INTRINSICS = torch.tensor([[900.0, 0.0, 640.0], [0.0, 900.0, 360.0], [0.0, 0.0, 1.0]], dtype=torch.float64)
BODY = load_body().to(dtype=torch.float64)
UPRIGHT = torch.diag(torch.tensor([1.0, -1.0, -1.0], dtype=torch.float64))
TIMES = torch.tensor([0.0, 0.1, 0.25, 0.3, 0.5], dtype=torch.float64)


def normal(*shape: int, generator: torch.Generator) -> Tensor:
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def move(people: int, generator: torch.Generator, times: Tensor = TIMES) -> tuple[BodyParams, Tensor]:
    """People who move steadily before the camera, with shapes of their own; rotations of all joints, too."""
    since = times[None, :, None, None]
    turns = 0.25 * normal(people, 1, 24, 3, generator=generator)
    turns = turns + since * 0.5 * normal(people, 1, 24, 3, generator=generator)
    rotations = axis_angle_to_matrix(turns)
    rotations = torch.cat([UPRIGHT @ rotations[:, :, :1], rotations[:, :, 1:]], dim=2)
    where = torch.tensor([0.3, 0.2, 4.0]) + since[..., 0] * normal(people, 1, 3, generator=generator)
    betas = 0.5 * normal(people, 1, 10, generator=generator).expand(-1, len(times), -1)
    params = BodyParams(betas=betas, global_orient=rotations[:, :, 0], body_pose=rotations[:, :, 1:], transl=where)
    return params, rotations


def look(params: BodyParams) -> PersonView:
    """Perfect landmarks, all of them visible."""
    landmarks = BODY.landmarks(params)
    people = landmarks.shape[:2]
    intrinsics = INTRINSICS.expand(*people, 3, 3)
    px = project(landmarks, intrinsics)
    hips = landmarks[..., 23:25, :].mean(-2)
    world = (landmarks - hips[..., None, :]) @ turn_to(torch.nn.functional.normalize(hips, dim=-1))
    px = torch.cat([px, torch.ones_like(px[..., :1])], dim=-1)
    return view_person(px, world, torch.ones(people, dtype=torch.bool), intrinsics)


def disturb(rotations: Tensor, generator: torch.Generator, spread: float = 0.15) -> Tensor:
    """What a network might say instead."""
    return rotations @ axis_angle_to_matrix(spread * normal(*rotations.shape[:3], 3, generator=generator))


def cut(view: PersonView, people: slice | Tensor, frames: slice | Tensor = slice(None)) -> PersonView:
    return PersonView(**{field.name: getattr(view, field.name)[people][:, frames] for field in fields(view)})


def solve(rotations: Tensor, betas: Tensor, view: PersonView, times: Tensor = TIMES, steps: int = 3, **given):
    return solve_bodies(BODY, rotations, betas, view, times.expand(rotations.shape[:2]), steps=steps, **given)


def test_derivatives_of_landmarks_are_those_of_autograd(rng: torch.Generator) -> None:
    rotations, betas = axis_angle_to_matrix(normal(2, 24, 3, generator=rng)), normal(2, 10, generator=rng)

    def around_pelvis(changes: Tensor) -> Tensor:
        turned = rotations @ axis_angle_to_matrix(changes[:, :72].unflatten(1, (24, 3)))
        shape = betas + changes[:, 72:]
        pelvis = BODY.rest_joints(shape)[:, 0]
        params = BodyParams(betas=shape, global_orient=turned[:, 0], body_pose=turned[:, 1:], transl=-pelvis)
        return BODY.landmarks(params)

    points, found = differentiate_landmarks(BODY, rotations, betas)
    changes = torch.zeros(2, 82, dtype=torch.float64)
    whole = torch.autograd.functional.jacobian(around_pelvis, changes)
    torch.testing.assert_close(points, around_pelvis(changes))
    torch.testing.assert_close(found, torch.stack([whole[i, :, :, i] for i in range(2)]))


def test_derivative_of_stature(rng: torch.Generator) -> None:
    betas = normal(3, 10, generator=rng).requires_grad_()
    (expected,) = torch.autograd.grad(BODY.standing_height(betas).sum(), betas)
    torch.testing.assert_close(BODY.differentiate_height(betas.detach()), expected)


def cost_of(poses: Poses, evidence: Evidence, tall: Tensor) -> Tensor:
    """Half of the sum of squares that the rows stand for, written down without derivatives."""
    return 0.5 * residuals(poses, evidence, tall).square().sum()


def residuals(poses: Poses, evidence: Evidence, tall: Tensor) -> Tensor:
    """Residuals whose squares are the robust costs: s·√log(1 + e²/s²) in the direction of e is Cauchy's."""

    def robust(error: Tensor, scale: float) -> Tensor:
        square = (error.square().sum(-1, keepdim=True) / scale**2).clamp_min(1e-12)
        return error * (torch.log1p(square) / square).sqrt()

    betas, start = poses.betas, evidence.start
    every = betas[:, None].expand(-1, poses.position.shape[1], -1)
    pelvis = BODY.rest_joints(every)[:, :, 0]
    rotations = poses.rotations
    params = BodyParams(
        betas=every, global_orient=rotations[:, :, 0], body_pose=rotations[:, :, 1:], transl=poses.position - pelvis
    )
    seen = BODY.landmarks(params) @ evidence.to_axes
    error = (seen[..., :2] / seen[..., 2:] - evidence.image_points) * evidence.depth[..., None, None]
    picture = robust(error, solver_rows._LANDMARK_SCALE_M) * evidence.weights[..., None].sqrt()

    sigma = torch.tensor([solver_rows._TURN_SIGMA_RAD.get(name, solver_rows._LIMB_SIGMA_RAD) for name in JOINT_NAMES])
    prior = matrix_to_axis_angle(start.rotations.mT @ rotations) / sigma[:, None]

    speed = matrix_to_axis_angle(rotations[:, :-1].mT @ rotations[:, 1:])
    speed = torch.cat([speed, poses.position.diff(dim=1)[:, :, None]], dim=2)
    interval = evidence.times.diff(dim=1)[..., None, None]
    change = (speed / interval).diff(dim=1) / ((interval[:, 1:] + interval[:, :-1]) / 2)
    scale = solver_rows._ACCELERATION_SCALE * solver_rows._ACCELERATION_SIGMA
    motion = robust(change, scale) / solver_rows._ACCELERATION_SIGMA

    moved = betas - start.betas
    shape = torch.cat(
        [
            moved / solver_rows._BETAS_SIGMA,
            betas / solver_rows._MEAN_SHAPE_SIGMA,
            (moved * tall).sum(-1, keepdim=True) / solver_rows._STATURE_SIGMA_M,
        ],
        dim=-1,
    )
    return torch.cat([part.flatten(1) for part in (picture, prior, motion, shape)], dim=1)


def change_by(poses: Poses, frames: Tensor, shape: Tensor) -> Poses:
    turns = axis_angle_to_matrix(frames[..., :72].unflatten(-1, (24, 3)))
    return Poses(poses.rotations @ turns, poses.position + frames[..., 72:], poses.betas + shape)


def a_case(rng: torch.Generator, people: int = 1, frames: int = 4) -> tuple[Poses, Evidence, Tensor]:
    """People somewhere near to what the network said of them."""
    params, rotations = move(people, rng, TIMES[:frames])
    view = look(params)
    position = params.transl + BODY.rest_joints(params.betas)[:, :, 0]
    start = Poses(disturb(rotations, rng), position, params.betas[:, 0] + 0.2 * normal(people, 10, generator=rng))
    evidence = Evidence(
        observed=view.observed, times=TIMES[:frames].expand(people, -1), image_points=view.image_points,
        weights=1e4 * torch.rand(people, frames, 33, generator=rng, dtype=torch.float64), to_axes=view.to_camera,
        depth=position[..., 2], start=start,
    )  # fmt: skip
    poses = change_by(start, 0.1 * normal(people, frames, 75, generator=rng), 0.2 * normal(people, 10, generator=rng))
    return poses, evidence, BODY.differentiate_height(start.betas)


def test_rows_have_the_gradient_and_the_curvature_of_the_cost(rng: torch.Generator) -> None:
    poses, evidence, tall = a_case(rng)
    by_frame = torch.zeros(1, 4, 75, dtype=torch.float64, requires_grad=True)
    by_betas = torch.zeros(1, 10, dtype=torch.float64, requires_grad=True)
    expected = torch.autograd.grad(cost_of(change_by(poses, by_frame, by_betas), evidence, tall), [by_frame, by_betas])

    matrix, gradient = picture_term(BODY, poses, evidence)
    prior, prior_gradient = prior_term(poses, evidence.start)
    motion = motion_term(poses, evidence)
    shape, shape_gradient = shape_term(poses.betas, evidence.start.betas, tall)
    blocks = motion.gradient.clone()
    blocks[:, :, :24] += prior_gradient
    # Measured: 5e-7; logarithms of small rotations are series.
    torch.testing.assert_close(gradient[..., :75] + blocks.flatten(2), expected[0], rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(gradient[..., 75:].sum(1) + shape_gradient, expected[1], rtol=1e-5, atol=1e-5)
    for term in (matrix, prior, motion.blocks, shape):
        torch.testing.assert_close(term, term.mT, rtol=1e-6, atol=1e-6)
        assert torch.linalg.eigvalsh(term).min() > -1e-6 * term.abs().max()


def test_steps_go_to_the_minimum_that_scipy_finds(rng: torch.Generator) -> None:
    frames = 3
    params, rotations = move(1, rng, TIMES[:frames])
    view, betas = look(params), params.betas[:, 0]
    start, start_betas = disturb(rotations, rng), betas + 0.2 * normal(1, 10, generator=rng)
    remembered = []

    def remember(body: object, poses: Poses, evidence: Evidence) -> tuple[Tensor, Tensor]:
        remembered.append((poses, evidence))
        return picture_term(body, poses, evidence)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("unish.network.human.solver.picture_term", remember)
        solved, shape = solve(start, start_betas, view, TIMES[:frames], steps=30)
        three, _ = solve(start, start_betas, view, TIMES[:frames], steps=3)
    poses, evidence = remembered[0]
    # The solver adds frames that are not observed; they are no part of the problem.
    poses = Poses(poses.rotations[:, :frames], poses.position[:, :frames], poses.betas)
    evidence = evidence._replace(
        start=poses,
        **{name: getattr(evidence, name)[:, :frames] for name in evidence._fields if name != "start"},
    )
    tall = BODY.differentiate_height(start_betas)

    def at(changes: Tensor) -> Poses:
        return change_by(poses, changes[:, : frames * 75].unflatten(1, (frames, 75)), changes[:, frames * 75 :])

    def errors(numbers: np.ndarray) -> np.ndarray:
        return residuals(at(torch.from_numpy(numbers)[None]), evidence, tall)[0].numpy()

    def slopes(numbers: np.ndarray) -> np.ndarray:
        """Central differences, all of them as one batch."""
        moves = 1e-6 * torch.eye(len(numbers), dtype=torch.float64)
        sides = [residuals(at(torch.from_numpy(numbers) + sign * moves), evidence, tall) for sign in (1, -1)]
        return ((sides[0] - sides[1]) / 2e-6).T.numpy()

    found = least_squares(errors, np.zeros(frames * 75 + 10), slopes, x_scale="jac", xtol=1e-8)
    best = at(torch.from_numpy(found.x)[None])
    # Measured: 3e-5 rad and 2e-5; three steps leave 0.03 rad at the joint that is off most, of 0.4 at the start.
    assert rotation_angle(best.rotations.mT @ solved).max() < 2e-4
    torch.testing.assert_close(shape, best.betas, atol=2e-4, rtol=0)
    assert rotation_angle(best.rotations.mT @ three).max() < 0.07
    assert rotation_angle(best.rotations.mT @ start).max() > 0.2


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
