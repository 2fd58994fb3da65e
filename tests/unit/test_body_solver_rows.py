"""The rows of the body solver: derivatives, and the minimum that its steps go to."""

import numpy as np
import pytest
import torch
from scipy.optimize import least_squares
from torch import Tensor

from moving_people import BODY, TIMES, disturb, look, move, normal, solve
from unish.body import pose_rows
from unish.body.landmark_jacobian import differentiate_landmarks, differentiate_parts
from unish.body.pose_rows import ACCELERATION_SIGMA as SIGMA
from unish.body.pose_rows import Evidence, Poses, motion_term, picture_term, prior_term, shape_term, steady_term
from unish.geometry.rotation import axis_angle_to_matrix, matrix_to_axis_angle, rotation_angle
from unish.network.human.solver import TURN_SIGMAS_RAD
from unish.structs import BodyParams


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


def test_derivatives_of_points_of_parts_are_those_of_autograd(rng: torch.Generator) -> None:
    rotations, betas = axis_angle_to_matrix(normal(2, 24, 3, generator=rng)), normal(2, 10, generator=rng)
    offsets = 0.2 * normal(2, 24, 3, generator=rng)

    def around_pelvis(changes: Tensor) -> Tensor:
        turned = rotations @ axis_angle_to_matrix(changes.unflatten(1, (24, 3)))
        rest = BODY.rest_joints(betas)
        skeleton = BODY.pose(rest, turned[:, 0], turned[:, 1:])
        return skeleton.positions - rest[:, :1] + (skeleton.rotations @ offsets[..., None])[..., 0]

    points, found = differentiate_parts(BODY, rotations, betas, offsets)
    changes = torch.zeros(2, 72, dtype=torch.float64)
    whole = torch.autograd.functional.jacobian(around_pelvis, changes)
    torch.testing.assert_close(points, around_pelvis(changes))
    torch.testing.assert_close(found, torch.stack([whole[i, :, :, i] for i in range(2)]))


def test_derivative_of_stature(rng: torch.Generator) -> None:
    betas = normal(3, 10, generator=rng).requires_grad_()
    (expected,) = torch.autograd.grad(BODY.standing_height(betas).sum(), betas)
    torch.testing.assert_close(BODY.differentiate_height(betas.detach()), expected)


def cost_of(poses: Poses, evidence: Evidence, tall: Tensor, turn_sigma: float, pelvis_sigma: float) -> Tensor:
    """Half of the sum of squares that the rows stand for, written down without derivatives."""
    return 0.5 * residuals(poses, evidence, tall, turn_sigma, pelvis_sigma).square().sum()


def residuals(
    poses: Poses, evidence: Evidence, tall: Tensor, turn_sigma: float = SIGMA, pelvis_sigma: float = SIGMA
) -> Tensor:
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
    seen = (BODY.landmarks(params) - evidence.centre[:, :, None]) @ evidence.to_axes
    error = (seen[..., :2] / seen[..., 2:] - evidence.image_points) * evidence.depth[..., None, None]
    picture = robust(error, pose_rows._LANDMARK_SCALE_M) * evidence.weights[..., None].sqrt()

    prior = matrix_to_axis_angle(start.rotations.mT @ rotations) / torch.tensor(TURN_SIGMAS_RAD)[:, None]

    speed = matrix_to_axis_angle(rotations[:, :-1].mT @ rotations[:, 1:])
    speed = torch.cat([speed, poses.position.diff(dim=1)[:, :, None]], dim=2)
    interval = evidence.times.diff(dim=1)[..., None, None]
    change = (speed / interval).diff(dim=1) / ((interval[:, 1:] + interval[:, :-1]) / 2)
    motion = robust(change[:, :, :24] / turn_sigma, pose_rows._ACCELERATION_SCALE)
    pelvis = robust(change[:, :, 24:] / pelvis_sigma, pose_rows._ACCELERATION_SCALE)
    motion = torch.cat([motion, pelvis], dim=2)

    moved = betas - start.betas
    shape = torch.cat(
        [
            moved / pose_rows._BETAS_SIGMA,
            betas / pose_rows._MEAN_SHAPE_SIGMA,
            (moved * tall).sum(-1, keepdim=True) / pose_rows._STATURE_SIGMA_M,
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
    # The camera moves: its centre is not where positions count from.
    centre = normal(people, frames, 3, generator=rng)
    start = start._replace(position=start.position + centre)
    evidence = Evidence(
        observed=view.observed, times=TIMES[:frames].expand(people, -1), image_points=view.image_points,
        weights=1e4 * torch.rand(people, frames, 33, generator=rng, dtype=torch.float64), to_axes=view.to_camera,
        centre=centre, depth=position[..., 2], start=start,
    )  # fmt: skip
    poses = change_by(start, 0.1 * normal(people, frames, 75, generator=rng), 0.2 * normal(people, 10, generator=rng))
    return poses, evidence, BODY.differentiate_height(start.betas)


@pytest.mark.parametrize(("turn_sigma", "pelvis_sigma"), [(SIGMA, SIGMA), (SIGMA, 0.2 * SIGMA), (0.2 * SIGMA, SIGMA)])
def test_rows_have_the_gradient_and_the_curvature_of_the_cost(
    rng: torch.Generator, turn_sigma: float, pelvis_sigma: float
) -> None:
    poses, evidence, tall = a_case(rng)
    by_frame = torch.zeros(1, 4, 75, dtype=torch.float64, requires_grad=True)
    by_betas = torch.zeros(1, 10, dtype=torch.float64, requires_grad=True)
    cost = cost_of(change_by(poses, by_frame, by_betas), evidence, tall, turn_sigma, pelvis_sigma)
    expected = torch.autograd.grad(cost, [by_frame, by_betas])

    matrix, gradient = picture_term(BODY, poses, evidence)
    prior, prior_gradient = prior_term(poses, evidence.start, TURN_SIGMAS_RAD)
    motion = motion_term(poses, evidence, turn_sigma=turn_sigma, pelvis_sigma=pelvis_sigma)
    shape, shape_gradient = shape_term(poses.betas, evidence.start.betas, tall)
    blocks = motion.gradient.clone()
    blocks[:, :, :24] += prior_gradient
    # Measured: 5e-7; logarithms of small rotations are series.
    torch.testing.assert_close(gradient[..., :75] + blocks.flatten(2), expected[0], rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(gradient[..., 75:].sum(1) + shape_gradient, expected[1], rtol=1e-5, atol=1e-5)
    for term in (matrix, prior, motion.blocks, shape):
        torch.testing.assert_close(term, term.mT, rtol=1e-6, atol=1e-6)
        assert torch.linalg.eigvalsh(term).min() > -1e-6 * term.abs().max()


def test_steady_distances_have_the_gradient_and_the_curvature_of_their_cost(rng: torch.Generator) -> None:
    """Distances that change unevenly from where they are expected cost; a change that is even in time does not."""
    poses, evidence, _ = a_case(rng, people=2, frames=5)
    times = TIMES[:5] + 0.02 * torch.rand(5, generator=rng, dtype=torch.float64)
    observed = torch.tensor([[True] * 5, [True] * 4 + [False]])
    evidence = evidence._replace(times=times.expand(2, -1), observed=observed)
    ray = torch.nn.functional.normalize(evidence.start.position - evidence.centre, dim=-1)
    expected = 4 + torch.rand(2, 5, generator=rng, dtype=torch.float64)

    def cost(position: Tensor) -> Tensor:
        away = ((position - evidence.centre) * ray).sum(-1) - expected
        speed, interval = away.diff(dim=1) / times.diff(), times.diff()
        change = speed.diff(dim=1) / ((interval[1:] + interval[:-1]) / 2)
        return 0.5 * ((change / 0.3).square() * observed[:, 2:]).sum()

    found = steady_term(poses, evidence, expected, 0.3)
    slope, curvature = torch.autograd.functional.jacobian, torch.autograd.functional.hessian
    gradient, hessian = slope(cost, poses.position), curvature(cost, poses.position)
    torch.testing.assert_close(found.gradient[:, :, 24], gradient)
    assert not found.gradient[:, :, :24].any() and not found.blocks[:, :, :24].any()
    for frame in range(5):
        for person in range(2):
            whole = hessian[person, frame, :, person]
            torch.testing.assert_close(found.blocks[person, frame, 24], whole[:, frame])
            if frame < 4:
                torch.testing.assert_close(found.to_next[person, frame, 24], whole[:, frame + 1])
            if frame < 3:
                torch.testing.assert_close(found.to_second[person, frame, 24], whole[:, frame + 2])
    even = evidence.centre + ray * (expected + 0.7 + 0.3 * times)[..., None]
    assert steady_term(poses._replace(position=even), evidence, expected, 0.3).gradient.abs().max() < 1e-8


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
