"""Bundle adjustment as a layer: it finds the truth, equals a converged solver, learns nothing from what is masked."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.optimize import least_squares

from unish.geometry import bundle
from unish.geometry.bundle import Bundle, BundleConfig, Observations, adjust_bundle
from unish.geometry.camera import make_intrinsics, project
from unish.geometry.rigid import exp_twist, invert_rigid, log_rigid, transform_points

SIZE, LONG_SIDE, FOCAL = (480, 640), 640, 560.0


class World:
    """Cameras on a path, anchors in each of their pictures, exact observations of them in all other pictures."""

    def __init__(self, num_frames: int = 5, num_anchors: int = 60, *, seed: int = 0, turn: float = 0.08) -> None:
        generator = torch.Generator().manual_seed(seed)
        steps = torch.cat([torch.tensor([[0.12, 0.02, 0.05]]).repeat(num_frames, 1), torch.zeros(num_frames, 3)], 1)
        steps[:, 4] = turn * torch.linspace(-1, 1, num_frames)
        steps[0] = 0.0
        self.w2c = exp_twist(steps.cumsum(0) + 0.01 * torch.randn(num_frames, 6, generator=generator) * (steps != 0))
        self.intrinsics = make_intrinsics(torch.full((num_frames,), FOCAL), *SIZE)
        pixels = torch.rand(num_frames, num_anchors, 2, generator=generator) * torch.tensor(SIZE[::-1])
        self.depth = 1.5 + 2.5 * torch.rand(num_frames, num_anchors, generator=generator)
        rays = torch.nn.functional.pad(pixels, (0, 1), value=1.0) @ torch.linalg.inv(self.intrinsics).mT
        world = transform_points(invert_rigid(self.w2c), rays * self.depth[..., None])
        others = [[j for j in range(num_frames) if j != i] for i in range(num_frames)]
        self.seen_by = torch.tensor(others)
        seen = torch.stack(
            [transform_points(self.w2c[row], world[i].expand(len(row), -1, -1)) for i, row in enumerate(others)]
        )
        targets = project(seen, self.intrinsics[self.seen_by])
        inside = ((targets > 0) & (targets < torch.tensor(SIZE[::-1]))).all(-1) & (seen[..., 2] > 0.1)
        self.observations = Observations(
            anchors_px=pixels[None],
            seen_by=self.seen_by,
            targets_px=targets[None],
            weights=inside[None].float(),
            prior_log_depth=self.depth.log()[None],
            prior_weights=torch.ones(1, num_frames, num_anchors),
        )

    def near(self, amount: float, *, seed: int = 1) -> torch.Tensor:
        """Poses that are a little wrong."""
        noise = amount * torch.randn(len(self.w2c), 6, generator=torch.Generator().manual_seed(seed))
        noise[0] = 0.0
        return (exp_twist(noise) @ self.w2c)[None]

    def wrong_prior(self, amount: float, *, seed: int = 2) -> Observations:
        noise = amount * torch.randn(self.depth.shape, generator=torch.Generator().manual_seed(seed))
        return replace(self.observations, prior_log_depth=self.observations.prior_log_depth + noise)

    def solve(self, observations: Observations | None = None, **options: object) -> Bundle:
        start = options.pop("start", None)
        return adjust_bundle(
            observations or self.observations,
            self.near(0.03) if start is None else start,
            options.pop("intrinsics", self.intrinsics[None]),
            LONG_SIDE,
            **options,
        )


def pose_errors(found: torch.Tensor, true: torch.Tensor) -> torch.Tensor:
    return log_rigid(found @ invert_rigid(true)).abs().amax()


def test_exact_observations_and_a_bad_start_give_the_true_cameras() -> None:
    world = World()
    found = world.solve()
    assert pose_errors(found.w2c[0], world.w2c) < 1e-3
    assert (found.log_depth[0] - world.depth.log()).abs()[found.information[0] > 400].max() < 1e-2
    assert found.residual[world.observations.weights > 0].max() < 0.05


def test_observations_outweigh_a_wrong_depth_prior() -> None:
    """The true scale is the prior's on average, so errors are told after the path was scaled."""
    world = World()
    found = world.solve(world.wrong_prior(0.2))
    centres, true = (invert_rigid(poses)[:, :3, 3] for poses in (found.w2c[0], world.w2c))
    scale = (centres * true).sum() / centres.square().sum()
    assert (centres * scale - true).abs().max() < 2e-3
    sure = found.information[0] > 400
    assert (found.log_depth[0] + scale.log() - world.depth.log()).abs()[sure].median() < 2e-3
    before = (world.wrong_prior(0.2).prior_log_depth[0] - world.depth.log()).abs()[sure].median()
    assert before > 0.1


def test_a_wrong_focal_length_is_found_where_the_camera_turns_and_held_where_it_may_not_move() -> None:
    world = World(turn=0.25)
    wrong = make_intrinsics(torch.full((5,), FOCAL * 1.12), *SIZE)[None]
    found = world.solve(intrinsics=wrong)
    assert abs(float(found.log_focal[0]) + np.log(1.12)) < 0.01
    held = world.solve(intrinsics=wrong, frees_focal=torch.zeros(1))
    assert float(held.log_focal[0]) == 0.0


def test_a_camera_that_only_turns_stays_in_its_place_to_the_bit() -> None:
    world = World(turn=0.1)
    turning = world.near(0.0)
    turning[..., :3, 3] = 0.0
    found = world.solve(start=turning, moves=torch.zeros(1))
    assert (found.w2c[..., :3, 3] == 0).all()


@pytest.mark.parametrize("share", [0.2, 0.35])
def test_false_matches_hardly_move_the_cameras(share: float) -> None:
    world = World(num_anchors=200)
    generator = torch.Generator().manual_seed(3)
    targets = world.observations.targets_px
    false = torch.rand(targets.shape[:-1], generator=generator) < share
    wild = torch.rand(targets.shape, generator=generator) * torch.tensor(SIZE[::-1])
    found = world.solve(replace(world.observations, targets_px=torch.where(false[..., None], wild, targets)))
    assert pose_errors(found.w2c[0], world.w2c) < 4e-3


def test_derivatives_are_those_of_the_residuals() -> None:
    """Every analytic column against central differences in float64."""
    world = World(num_frames=3, num_anchors=7)
    double = Observations(
        **{k: v.double() if v.is_floating_point() else v for k, v in vars(world.observations).items()}
    )
    intrinsics = world.intrinsics.double()[None]
    depth = double.prior_log_depth + 0.05
    start = world.near(0.05).double()
    one = torch.ones(1, dtype=torch.float64)

    def residual(twists: torch.Tensor, focal: torch.Tensor, shift: torch.Tensor) -> bundle._Linear:
        state = bundle._State(exp_twist(twists) @ start, focal, torch.zeros(1, 3).double(), depth + shift)
        return bundle._linearise(state, double, intrinsics, 1.0, 1e6, torch.ones(1, 2).double(), one)

    still, none, level = torch.zeros(1, 3, 6).double(), torch.zeros(1).double(), torch.zeros(1, 3, 1).double()
    linear, step = residual(still, none, level), 1e-5

    def difference(twists: torch.Tensor, focal: torch.Tensor, shift: torch.Tensor) -> torch.Tensor:
        ahead, behind = residual(twists, focal, shift), residual(-twists, -focal, -shift)
        return (ahead.residual - behind.residual) / (2 * step)

    torch.testing.assert_close(linear.by_depth, difference(still, none, level + step), atol=1e-4, rtol=1e-5)
    torch.testing.assert_close(linear.by_others[..., 6], difference(still, none + step, level), atol=1e-4, rtol=1e-5)
    for frame in range(3):
        for column in range(6):
            moved = still.clone()
            moved[0, frame, column] = step
            expected = torch.zeros_like(linear.residual)
            expected[:, frame] += linear.by_others[:, frame, ..., column]
            sees = (world.seen_by == frame)[None, :, :, None, None]
            expected += torch.where(sees, linear.by_others[..., 7 + column], 0.0)
            torch.testing.assert_close(expected, difference(moved, none, level), atol=1e-4, rtol=1e-5)


def test_it_equals_a_converged_dense_solver() -> None:
    """Without robust weights the layer and SciPy minimise the same sum of squares."""
    world = World(num_frames=3, num_anchors=12)
    generator = torch.Generator().manual_seed(5)
    targets = world.observations.targets_px
    noisy = replace(world.wrong_prior(0.1), targets_px=targets + torch.randn(targets.shape, generator=generator))
    plain = BundleConfig(thresholds=(1e5, 1e5), depth_threshold=1e5, damping=1e-6, num_steps=20)
    found = world.solve(noisy, config=plain)
    seen, prior = noisy.weights[0].numpy(), noisy.prior_log_depth[0].numpy()

    def unpack(x: np.ndarray) -> bundle._State:
        twists = torch.cat([torch.zeros(1, 6), torch.tensor(x[:12]).float().reshape(2, 6)])[None].double()
        depth = torch.tensor(x[16:]).reshape(1, 3, 12)
        return bundle._State(
            exp_twist(twists) @ world.near(0.03).double(), torch.tensor(x[12:13]), torch.tensor(x[13:16])[None], depth
        )

    double = Observations(**{k: v.double() if v.is_floating_point() else v for k, v in vars(noisy).items()})
    one = torch.ones(1, dtype=torch.float64)

    def residuals(x: np.ndarray) -> np.ndarray:
        state = unpack(x)
        linear = bundle._linearise(
            state, double, world.intrinsics.double()[None], 1.0, 1e9, torch.ones(1, 2).double(), one
        )
        depth = (state.log_depth[0].numpy() - prior - x[13:16, None]) / plain.depth_sigma
        return np.concatenate([
            (linear.residual[0].numpy() * np.sqrt(seen)[..., None]).ravel(), depth.ravel(),
            x[13:16] / plain.scale_sigma, x[12:13] / plain.focal_sigma,
        ])  # fmt: skip

    solved = unpack(least_squares(residuals, np.concatenate([np.zeros(16), prior.ravel()]), xtol=1e-12, ftol=1e-12).x)
    assert pose_errors(found.w2c[0], solved.w2c[0].float()) < 2e-3
    assert abs(float(found.log_focal[0] - solved.log_focal[0])) < 2e-3
    assert (found.log_depth - solved.log_depth.float()).abs().max() < 5e-3


def test_a_batch_gives_what_its_clips_give_alone() -> None:
    worlds = [World(seed=7), World(seed=8)]
    both = Observations(**{
        name: worlds[0].seen_by if name == "seen_by" else torch.cat([getattr(w.observations, name) for w in worlds])
        for name in vars(worlds[0].observations)
    })  # fmt: skip
    starts = torch.cat([world.near(0.02) for world in worlds])
    together = adjust_bundle(both, starts, worlds[0].intrinsics.expand(2, 5, 3, 3), LONG_SIDE)
    for index, world in enumerate(worlds):
        alone = world.solve(start=starts[index : index + 1])
        torch.testing.assert_close(together.w2c[index], alone.w2c[0], atol=2e-4, rtol=0)


def test_gradients_are_those_of_the_solution() -> None:
    """The derivative of a camera by the matches, the prior and the focal length, against differences of the layer.

    Robust weights are constants to the gradient, so that it is one of the same problem without them.
    """
    world = World(num_frames=3, num_anchors=30)
    plain = BundleConfig(thresholds=(1e5, 1e5), depth_threshold=1e5, num_steps=14)
    generator = torch.Generator().manual_seed(9)
    noisy = world.wrong_prior(0.05)
    of_targets, of_prior = (
        torch.randn(x.shape, generator=generator) for x in (noisy.targets_px, noisy.prior_log_depth)
    )

    def path(by: torch.Tensor) -> torch.Tensor:
        moved = replace(
            noisy,
            targets_px=noisy.targets_px + by[0] * of_targets,
            prior_log_depth=noisy.prior_log_depth + by[1] * 0.1 * of_prior,
        )
        focal = (world.intrinsics * torch.exp(0.1 * by[2] * torch.tensor([1.0, 1.0, 0.0]))[:, None])[None]
        found = world.solve(moved, config=plain, intrinsics=focal, frees_focal=torch.zeros(1))
        return found.w2c[0, 2, :3, 3].sum()

    by = torch.zeros(3, requires_grad=True)
    (slope,) = torch.autograd.grad(path(by), by)
    with torch.no_grad():
        numeric = torch.stack([(path(0.2 * one) - path(-0.2 * one)) / 0.4 for one in torch.eye(3)])
    assert (slope - numeric).abs().max() < 0.05 * numeric.abs().min()


def test_a_frame_that_nothing_matches_keeps_its_start_and_nothing_is_nan() -> None:
    world = World()
    weights = world.observations.weights.clone()
    weights[:, 4] = 0.0
    weights[:, :4][(world.seen_by[:4] == 4)[None]] = 0.0
    start = world.near(0.02)
    found = world.solve(replace(world.observations, weights=weights), start=start)
    assert pose_errors(found.w2c[0, 4], start[0, 4]) < 1e-6
    assert all(torch.isfinite(value).all() for value in vars(found).values())


def test_known_cameras_stay_and_depths_are_solved_with_them() -> None:
    """And with them the scale, which free cameras would take from the prior."""
    world, zero = World(), torch.zeros(1)
    twice = replace(world.wrong_prior(0.1), prior_log_depth=world.wrong_prior(0.1).prior_log_depth + np.log(1.3))
    found = world.solve(twice, start=world.w2c[None], moves=zero, turns=zero, frees_focal=zero)
    assert pose_errors(found.w2c[0], world.w2c) < 1e-6
    sure = found.information[0] > 400
    assert (found.log_depth[0] - world.depth.log()).abs()[sure].median() < 2e-3
