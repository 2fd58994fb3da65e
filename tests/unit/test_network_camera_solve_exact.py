"""The camera solve: exact matches give exact cameras, bad ones do no harm."""

import pytest
import torch
from pose_paths import chain_pairs

from unish.geometry.rigid import exp_twist, invert_rigid, log_rigid, make_rigid, rigid_adjoint, transform_points
from unish.geometry.rotation import axis_angle_to_matrix, rotation_angle
from unish.network.camera_solve import (
    PosePrior,
    fuse_pairs,
    solve_pairs,
)
from unish.network.matching.pairs import list_gap_pairs

FOCAL = torch.tensor(150.0)


def no_prior(*shape: int) -> PosePrior:
    return PosePrior(twist=torch.zeros(*shape, 6), precision=torch.full((*shape, 6), 1e-8))


def random_points(num: int, generator: torch.Generator) -> torch.Tensor:
    """A deep scene of mean depth about 1 inside a 60° field of view."""
    depth = 0.4 + 1.5 * torch.rand(num, generator=generator)
    rays = torch.rand(num, 2, generator=generator) - 0.5
    return torch.cat([rays, torch.ones(num, 1)], dim=-1) * depth[:, None]


def seen_from(pose: torch.Tensor, points: torch.Tensor) -> torch.Tensor:
    moved = transform_points(pose, points)
    return moved[..., :2] / moved[..., 2:]


def degrees_between(a: torch.Tensor, b: torch.Tensor) -> float:
    return float(rotation_angle(a[..., :3, :3].mT @ b[..., :3, :3]).rad2deg().max())


@pytest.mark.parametrize("seed", range(4))
def test_exact_matches_give_the_exact_pose(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    points = random_points(300, generator).expand(3, -1, -1)
    turn = 0.25 * torch.randn(3, 3, generator=generator).clamp(-1, 1)
    pose = make_rigid(axis_angle_to_matrix(turn), 0.15 * torch.randn(3, 3, generator=generator).clamp(-1, 1))
    found, _ = solve_pairs(points, seen_from(pose, points), torch.ones(3, 300), no_prior(3), focal=FOCAL.expand(3))
    # Rounding; measured: 4e-6 degrees and 1.4e-7.
    assert degrees_between(found, pose) < 1e-4
    assert (found - pose)[..., :3, 3].norm(dim=-1).max() < 5e-6


def test_a_third_of_wrong_matches_is_outvoted() -> None:
    generator = torch.Generator().manual_seed(0)
    points = random_points(600, generator)
    pose = make_rigid(axis_angle_to_matrix(torch.tensor([0.02, 0.06, -0.03])), torch.tensor([0.05, 0.0, 0.08]))
    seen = seen_from(pose, points)
    seen[:200] += 0.3 * torch.randn(200, 2, generator=generator)
    found, _ = solve_pairs(points, seen, torch.ones(600), no_prior(), focal=FOCAL)
    assert degrees_between(found, pose) < 5e-4  # twice the measured 2.5e-4


def test_still_camera_gives_identity() -> None:
    points = random_points(200, torch.Generator().manual_seed(1))
    found, _ = solve_pairs(points, points[:, :2] / points[:, 2:], torch.ones(200), no_prior(), focal=FOCAL)
    torch.testing.assert_close(found, torch.eye(4), atol=1e-6, rtol=0)


@pytest.mark.parametrize("case", ["no weight", "all points equal", "points behind", "huge targets"])
def test_degenerate_input_stays_finite(case: str) -> None:
    points = random_points(50, torch.Generator().manual_seed(2))
    rays, weights = points[:, :2] / points[:, 2:], torch.ones(50)
    if case == "no weight":
        weights = torch.zeros(50)
    elif case == "all points equal":
        points, rays = torch.tensor([0.0, 0.0, 1.0]).expand(50, 3), torch.zeros(50, 2)
    elif case == "points behind":
        points = points * torch.tensor([1.0, 1.0, -1.0])
    else:
        rays = 1e4 * rays
    rays = rays.clone().requires_grad_()
    prior = PosePrior(twist=torch.zeros(6), precision=torch.full((6,), 1e-4))
    found, _ = solve_pairs(points, rays, weights, prior, focal=FOCAL)
    found.square().sum().backward()
    assert found.isfinite().all()
    assert rays.grad.isfinite().all()


def test_without_evidence_the_prior_decides() -> None:
    points = random_points(50, torch.Generator().manual_seed(3))
    twist = torch.tensor([0.1, -0.05, 0.2, 0.02, 0.3, -0.1])
    prior = PosePrior(twist=twist, precision=torch.full((6,), 1e-3))
    found, _ = solve_pairs(points, torch.zeros(50, 2), torch.zeros(50), prior, focal=FOCAL)
    torch.testing.assert_close(log_rigid(found), twist, atol=1e-6, rtol=0)


def test_batch_equals_single() -> None:
    generator = torch.Generator().manual_seed(4)
    points = torch.stack([random_points(80, generator) for _ in range(3)])
    rays, weights = 0.3 * torch.randn(3, 80, 2, generator=generator), torch.rand(3, 80, generator=generator)
    together, _ = solve_pairs(points, rays, weights, no_prior(3), focal=FOCAL.expand(3))
    for i in range(3):
        alone, _ = solve_pairs(points[i], rays[i], weights[i], no_prior(), focal=FOCAL)
        torch.testing.assert_close(together[i], alone, atol=1e-4, rtol=1e-3)


def random_path(num_frames: int, generator: torch.Generator) -> torch.Tensor:
    steps = exp_twist(0.1 * torch.randn(1, num_frames - 1, 6, generator=generator))
    return chain_pairs(steps)


def test_fusing_consistent_pairs_changes_nothing() -> None:
    w2c = random_path(6, torch.Generator().manual_seed(5))
    pairs = list_gap_pairs(6, (1, 2, 4))
    first, second = torch.tensor(pairs).T
    relative = w2c[:, second] @ invert_rigid(w2c[:, first])
    fused = fuse_pairs(relative, torch.eye(6).expand(1, len(pairs), 6, 6), pairs, start=chain_pairs(relative[:, :5]))
    torch.testing.assert_close(fused, w2c, atol=1e-5, rtol=0)  # measured: 6e-7


def test_fusing_noisy_pairs_is_better_than_chaining() -> None:
    generator = torch.Generator().manual_seed(6)
    num_frames, chained_error, fused_error = 9, 0.0, 0.0
    pairs = list_gap_pairs(num_frames, (1, 2, 4))
    first, second = torch.tensor(pairs).T
    for _ in range(10):
        w2c = random_path(num_frames, generator)
        noise = exp_twist(0.02 * torch.randn(1, len(pairs), 6, generator=generator))
        relative = noise @ w2c[:, second] @ invert_rigid(w2c[:, first])
        fused = fuse_pairs(
            relative, torch.eye(6).expand(1, len(pairs), 6, 6), pairs, start=chain_pairs(relative[:, : num_frames - 1])
        )
        chained = chain_pairs(relative[:, : num_frames - 1])
        fused_error += degrees_between(fused[:, -1], w2c[:, -1])
        chained_error += degrees_between(chained[:, -1], w2c[:, -1])
    assert fused_error < 0.8 * chained_error


def test_adjoint_moves_a_twist_to_the_other_side() -> None:
    generator = torch.Generator().manual_seed(7)
    pose = exp_twist(torch.randn(6, generator=generator, dtype=torch.float64))
    twist = 1e-5 * torch.randn(6, generator=generator, dtype=torch.float64)
    torch.testing.assert_close(
        pose @ exp_twist(twist), exp_twist(rigid_adjoint(pose) @ twist) @ pose, atol=1e-9, rtol=0
    )
