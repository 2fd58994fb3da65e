"""What the camera solve minimises, step by step against slow twins, and whom it does not believe."""

from __future__ import annotations

import pytest
import torch
from pose_paths import chain_pairs
from torch import Tensor

from unish.geometry.rigid import invert_rigid, make_rigid, transform_points
from unish.geometry.rotation import axis_angle_to_matrix, rotation_angle
from unish.network.camera_solve import (
    PosePrior,
    _initial_pose,
    _normal_equations,
    exp_twist,
    fuse_pairs,
    log_rigid,
    solve_pairs,
    twist_between,
)
from unish.network.matching.pairs import list_gap_pairs

FOCAL = torch.tensor(150.0)
LAST_THRESHOLD_PX = 2.0
"""Where the robust threshold of ``solve_pairs`` ends."""


def no_prior(*shape: int) -> PosePrior:
    return PosePrior(twist=torch.zeros(*shape, 6), precision=torch.full((*shape, 6), 1e-8))


def random_points(num: int, generator: torch.Generator) -> Tensor:
    """A deep scene of mean depth about 1 inside a 60° field of view."""
    depth = 0.4 + 1.5 * torch.rand(num, generator=generator)
    rays = torch.rand(num, 2, generator=generator) - 0.5
    return torch.cat([rays, torch.ones(num, 1)], dim=-1) * depth[:, None]


def see(pose: Tensor, points: Tensor) -> Tensor:
    moved = transform_points(pose, points)
    return moved[..., :2] / moved[..., 2:]


def degrees_between(a: Tensor, b: Tensor) -> float:
    return float(rotation_angle(a[..., :3, :3].mT @ b[..., :3, :3]).rad2deg().max())


def a_pose() -> Tensor:
    return make_rigid(axis_angle_to_matrix(torch.tensor([0.05, -0.2, 0.1])), torch.tensor([0.1, -0.05, 0.15]))


def test_normal_equations_are_those_of_the_weighted_residuals(rng) -> None:
    """The twin lets autograd find the Jacobian of the residuals by a twist from the left."""
    points, pose = random_points(40, rng).double(), a_pose().double()
    targets = see(pose, points) + 0.02 * torch.randn(40, 2, generator=rng, dtype=torch.float64)
    weights, threshold = torch.rand(40, generator=rng, dtype=torch.float64), torch.tensor(0.03, dtype=torch.float64)

    def residuals(twist: Tensor) -> Tensor:
        return see(exp_twist(twist) @ pose, points) - targets

    still = torch.zeros(6, dtype=torch.float64)
    rest, jacobian = residuals(still), torch.autograd.functional.jacobian(residuals, still)  # (40, 2), (40, 2, 6)
    trust = weights / (1 + rest.square().sum(-1) / threshold**2) ** 2
    normal, gradient = _normal_equations(pose, points, targets, weights, threshold)
    torch.testing.assert_close(normal, torch.einsum("q,qci,qcj->ij", trust, jacobian, jacobian) / 40)
    torch.testing.assert_close(gradient, torch.einsum("q,qci,qc->i", trust, jacobian, rest) / 40)


def test_the_solution_is_where_matches_and_prior_pull_alike(rng) -> None:
    points, pose = random_points(80, rng), a_pose()
    targets = see(pose, points) + 0.004 * torch.randn(80, 2, generator=rng)
    weights = torch.rand(80, generator=rng)
    prior = PosePrior(
        twist=log_rigid(pose) + 0.01 * torch.randn(6, generator=rng),
        precision=torch.tensor([0.1, 2.0, 0.3, 1.0, 0.02, 0.5]),
    )
    found, curvature = solve_pairs(points, targets, weights, prior, focal=FOCAL, num_steps=60)
    normal, gradient = _normal_equations(found, points, targets, weights, LAST_THRESHOLD_PX / FOCAL)
    pull = prior.precision * twist_between(exp_twist(prior.twist), found)
    assert pull.norm() > 0.001, "the prior must matter for this test to tell"
    # Twice what the way from the last threshold but one leaves after one step: 4e-5 of 1.3e-3, and 0.0034 of 0.12.
    torch.testing.assert_close(gradient, -pull, atol=8e-5, rtol=0)
    torch.testing.assert_close(curvature, normal + torch.diag(prior.precision), atol=7e-3, rtol=0)


def test_a_prior_that_is_held_firmly_holds(rng) -> None:
    """Whatever the matches say; what it leaves open, they decide."""
    points, pose = random_points(200, rng), a_pose()
    twist = torch.tensor([0.3, -0.2, 0.1, 0.1, -0.3, 0.2])
    firm = PosePrior(twist=twist, precision=torch.full((6,), 1e4))
    found, _ = solve_pairs(points, see(pose, points), torch.ones(200), firm, focal=FOCAL)
    torch.testing.assert_close(found, exp_twist(twist), atol=1e-3, rtol=0)
    loose = PosePrior(twist=twist, precision=torch.full((6,), 1e-6))
    found, _ = solve_pairs(points, see(pose, points), torch.ones(200), loose, focal=FOCAL)
    torch.testing.assert_close(found, pose, atol=1e-4, rtol=0)


@pytest.mark.parametrize("share", [0.2, 0.3])
def test_wrong_matches_that_agree_with_one_another_pull_little(rng, share: float) -> None:
    """All of them are 6 pixels to the right: what moves with a second surface. The last threshold, of 2 pixels, decides
    how far they pull the view; one of 8 pixels would let them pull by degrees."""
    points, pose, wrong = random_points(600, rng), a_pose(), int(600 * share)
    targets = see(pose, points)
    targets[:wrong, 0] += 6 / FOCAL
    found, _ = solve_pairs(points, targets, torch.ones(600), no_prior(), focal=FOCAL, num_steps=8)
    off_px = FOCAL * (see(found, points[wrong:]) - targets[wrong:]).norm(dim=-1).median()
    assert off_px < 2 * {0.2: 0.0151, 0.3: 0.0265}[share]  # twice what is measured


def test_points_behind_either_camera_have_no_say(rng) -> None:
    """Those that would be drawn near their targets too, which no robust weight sorts out."""
    points, pose = random_points(200, rng), make_rigid(torch.eye(3), torch.tensor([0.0, 0.0, 0.5]))
    aside = 0.01 * torch.randn(100, 2, generator=rng)
    behind_second = torch.cat([aside[:50], torch.full((50, 1), -0.7)], -1)
    behind_first = torch.cat([aside[50:], torch.full((50, 1), -0.1)], -1)
    targets = torch.cat([see(pose, points), torch.full((100, 2), 0.02)])
    every = torch.cat([points, behind_second, behind_first])
    found, _ = solve_pairs(every, targets, torch.ones(300), no_prior(), focal=FOCAL)
    start = exp_twist(torch.zeros(6))
    alone = _normal_equations(start, every, targets, torch.ones(300), LAST_THRESHOLD_PX / FOCAL)
    for got, wanted in zip(
        alone,
        _normal_equations(start, points, targets[:200], torch.ones(200), LAST_THRESHOLD_PX / FOCAL),
        strict=True,
    ):
        torch.testing.assert_close(got * 300, wanted * 200)
    torch.testing.assert_close(found, pose, atol=1e-4, rtol=0)


def test_matches_without_weight_may_be_anything(rng) -> None:
    points, pose = random_points(120, rng), a_pose()
    targets, weights = see(pose, points), torch.ones(120)
    targets[:60], weights[:60] = 0.7 * torch.randn(60, 2, generator=rng), 0.0
    start = _initial_pose(points, targets, weights, torch.eye(4))
    torch.testing.assert_close(
        start, _initial_pose(points[60:], targets[60:], weights[60:], torch.eye(4)), atol=2e-3, rtol=0
    )
    found, _ = solve_pairs(points, targets, weights, no_prior(), focal=FOCAL)
    torch.testing.assert_close(found, pose, atol=1e-5, rtol=0)


def test_the_start_is_exact_for_a_camera_that_turns_and_stays_at_the_prior_without_matches(rng) -> None:
    points = random_points(150, rng)
    turned = make_rigid(axis_angle_to_matrix(torch.tensor([0.3, -0.5, 1.2])), torch.zeros(3))
    seen = transform_points(turned, points)
    targets, ahead = seen[:, :2] / seen[:, 2:], (seen[:, 2] > 0.1).float()
    prior = exp_twist(torch.tensor([0.3, -0.1, 0.2, 0.1, 0.4, -0.2]))
    start = _initial_pose(points, targets, ahead, prior)
    torch.testing.assert_close(start, turned, atol=2e-3, rtol=0)
    torch.testing.assert_close(_initial_pose(points, targets, torch.zeros(150), prior), prior, atol=1e-5, rtol=0)


def test_the_start_moves_the_camera_as_far_as_parallax_says(rng) -> None:
    """Rays that spread evenly around the axis turn nothing when the camera goes forward."""
    points = random_points(400, rng)
    points = torch.cat([points * torch.tensor([x, y, 1.0]) for x in (-1, 1) for y in (-1, 1)])
    forward = make_rigid(torch.eye(3), torch.tensor([0.0, 0.0, -0.2]))
    start = _initial_pose(points, see(forward, points), torch.ones(1600), torch.eye(4))
    torch.testing.assert_close(start, forward, atol=3e-4, rtol=0)


def test_a_wide_turn_is_found_from_its_rays(rng) -> None:
    points = random_points(300, rng)
    pose = make_rigid(axis_angle_to_matrix(torch.tensor([0.2, 0.6, -1.0])), torch.tensor([0.1, -0.1, 0.2]))
    moved = transform_points(pose, points)
    found, _ = solve_pairs(points, see(pose, points), (moved[:, 2] > 0.1).float(), no_prior(), focal=FOCAL)
    assert degrees_between(found, pose) < 1e-3
    torch.testing.assert_close(found[:3, 3], pose[:3, 3], atol=1e-5, rtol=0)


def test_gradients_are_those_of_the_solution(rng) -> None:
    """Two steps carry the gradient; at the optimum they give what moving the matches does to the pose."""
    points, pose = random_points(60, rng).double(), a_pose().double()
    targets = see(pose, points)
    prior = PosePrior(twist=torch.zeros(6, dtype=torch.float64), precision=torch.full((6,), 1e-6, dtype=torch.float64))

    def solve(targets: Tensor) -> Tensor:
        focal, weights = FOCAL.double(), torch.ones(60, dtype=torch.float64)
        return log_rigid(solve_pairs(points, targets, weights, prior, focal=focal, num_steps=8)[0])

    direction = torch.randn(60, 2, generator=rng, dtype=torch.float64)
    targets.requires_grad_()
    for part in range(6):
        (slope,) = torch.autograd.grad(solve(targets)[part], targets)
        step = 1e-5 * direction
        wanted = (solve(targets.detach() + step)[part] - solve(targets.detach() - step)[part]) / 2e-5
        torch.testing.assert_close((slope * direction).sum(), wanted, atol=1e-4, rtol=1e-3)


def test_without_loops_the_start_stays(rng) -> None:
    steps = exp_twist(0.3 * torch.randn(2, 3, 6, generator=rng))
    chain = chain_pairs(steps)
    curvature = torch.eye(6).expand(2, 3, 6, 6)
    torch.testing.assert_close(fuse_pairs(steps, curvature, list_gap_pairs(4, (1,)), start=chain), chain)


def make_graph(noise: float, rng: torch.Generator) -> tuple[Tensor, Tensor, Tensor, list[tuple[int, int]]]:
    """A path with wide steps, noisy relative poses of its pairs, and a curvature of its own for each pair."""
    path = chain_pairs(exp_twist(0.5 * torch.randn(1, 5, 6, generator=rng, dtype=torch.float64)))
    pairs = list_gap_pairs(6, (1, 2, 4))
    first, second = torch.tensor(pairs).T
    error = exp_twist(noise * torch.randn(1, len(pairs), 6, generator=rng, dtype=torch.float64))
    root = torch.randn(1, len(pairs), 6, 6, generator=rng, dtype=torch.float64)
    size = 10 ** (2 * torch.rand(1, len(pairs), 1, 1, generator=rng, dtype=torch.float64))
    curvature = size * (root @ root.mT + 0.1 * torch.eye(6, dtype=torch.float64))
    return path, error @ path[:, second] @ invert_rigid(path[:, first]), curvature, pairs


def step_graph(relative: Tensor, curvature: Tensor, pairs: list[tuple[int, int]], poses: Tensor) -> Tensor:
    """Slow twin of a step: autograd finds the Jacobian of all errors, and the least squares are solved as such."""
    first, second = torch.tensor(pairs).T

    def errors(twist: Tensor) -> Tensor:
        moved = exp_twist(torch.cat([torch.zeros(1, 6, dtype=twist.dtype), twist.reshape(-1, 6)])) @ poses[0]
        return log_rigid(relative[0] @ moved[first] @ invert_rigid(moved[second]))

    still = torch.zeros(6 * (poses.shape[1] - 1), dtype=torch.float64)
    error, jacobian = errors(still), torch.autograd.functional.jacobian(errors, still)
    size = error.norm(dim=-1)
    trust = 1 / (1 + (size / (3 * size.median() + 1e-3)) ** 2)
    information = curvature[0] * trust[:, None, None]
    normal = torch.einsum("eki,ekl,elj->ij", jacobian, information, jacobian)
    twist = -torch.linalg.solve(normal, torch.einsum("eki,ekl,el->i", jacobian, information, error))
    return (exp_twist(torch.cat([torch.zeros(6, dtype=twist.dtype), twist]).reshape(-1, 6)) @ poses[0])[None]


def test_a_step_on_the_pose_graph_is_that_of_least_squares(rng) -> None:
    """Wide pairs, each with a curvature of its own: the adjoint of a pair is far from the identity here."""
    _, relative, curvature, pairs = make_graph(1e-3, rng)
    chain = chain_pairs(relative[:, :5])
    wanted = step_graph(relative, curvature, pairs, chain)
    found = fuse_pairs(relative, curvature, pairs, start=chain_pairs(relative[:, :5]), num_steps=1)
    moved = float((wanted - chain).abs().max())
    assert moved > 1e-3, "the step must matter for this test to tell"
    # Twice the measured share: the adjoint is exact only where the error of a pair is nothing.
    assert float((found - wanted).abs().max()) < 0.0043 * moved
    wanted = step_graph(relative, curvature, pairs, wanted)
    assert (
        float((fuse_pairs(relative, curvature, pairs, start=chain_pairs(relative[:, :5])) - wanted).abs().max())
        < 0.0016 * moved
    )


@pytest.mark.parametrize("wrong", [6, 9])
def test_a_pair_that_disagrees_with_the_rest_is_not_believed(rng, wrong: int) -> None:
    path, relative, curvature, pairs = make_graph(1e-4, rng)
    curvature = torch.eye(6, dtype=torch.float64).expand_as(curvature)
    relative[:, wrong] = exp_twist(torch.tensor([0.2, 0.1, -0.2, 0.1, -0.2, 0.15]).double()) @ relative[:, wrong]
    found = fuse_pairs(relative, curvature, pairs, start=chain_pairs(relative[:, :5]))
    assert degrees_between(found, path) < 0.022  # twice the measured 0.011; the wrong pair is off by 15 degrees
