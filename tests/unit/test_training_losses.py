"""Losses of the scene branch: zero on truth, at the exact scale."""

import math

import pytest
import torch

from unish.geometry.camera import make_intrinsics, unproject
from unish.geometry.rigid import make_rigid
from unish.geometry.rotation import axis_angle_to_matrix
from unish.lab.training.losses.cameras import focal_loss
from unish.lab.training.losses.points import compare_points, find_scale

SIZE = (48, 64)


def make_scene() -> dict[str, torch.Tensor]:
    """Two cameras before a fronto-parallel wall at 4 m, the second one 0.2 m to the right and turned by 1°."""
    intrinsics = make_intrinsics(torch.tensor([[60.0, 60.0]]), *SIZE)
    c2w = torch.eye(4).repeat(1, 2, 1, 1)
    angle = torch.tensor([0.0, torch.pi / 180, 0.0])
    c2w[0, 1] = make_rigid(axis_angle_to_matrix(angle), torch.tensor([0.2, 0.0, 0.0]))
    rays = unproject(torch.ones(1, 2, *SIZE), intrinsics)
    in_world = rays @ c2w[:, :, None, :3, :3].mT
    depth = (4.0 - c2w[:, :, 2, 3])[..., None, None] / in_world[..., 2]
    return {"intrinsics": intrinsics, "c2w": c2w, "depth": depth, "ids": torch.full((1, 2, *SIZE), -1)}


def test_point_losses_vanish_on_truth_at_any_scale() -> None:
    scene = make_scene()
    truth = unproject(scene["depth"], scene["intrinsics"])
    losses = compare_points(0.37 * truth, torch.full((1, 2, *SIZE), 20.0), truth)
    for name in ("log_depth", "points", "edges", "confidence"):
        assert getattr(losses, name) < 1e-4, name
    assert float(losses.scale) == pytest.approx(1 / 0.37, rel=1e-4)
    assert float(losses.anchor) == pytest.approx(-math.log(0.37), rel=1e-3)
    assert compare_points(truth, torch.full((1, 2, *SIZE), 20.0), truth).anchor < 1e-5


def test_undefined_and_far_pixels_do_not_decide() -> None:
    scene = make_scene()
    scene["depth"][0, 0, :10] = 0.0
    scene["depth"][0, 1, :10] = 200.0
    truth = unproject(scene["depth"], scene["intrinsics"])
    guess = truth.clone()
    guess[0, 0, :10] = 7.0
    guess[0, 1, :10] *= 3.0  # far is far
    losses = compare_points(guess, torch.full((1, 2, *SIZE), 20.0), truth)
    assert losses.log_depth < 1e-4
    assert float(losses.scale) == pytest.approx(1.0, abs=1e-4)


def test_scale_equals_brute_force() -> None:
    generator = torch.Generator().manual_seed(0)
    predicted = torch.randn(2, 5, 8, 3, generator=generator)
    target = 1.7 * predicted + 0.8 * torch.randn(2, 5, 8, 3, generator=generator)
    weight = torch.rand(2, 5, 8, generator=generator)
    candidates = torch.linspace(0.1, 4.0, 8001)
    for clip in range(2):
        error = (candidates[:, None, None, None] * predicted[clip] - target[clip]).abs().sum(-1) * weight[clip]
        best = candidates[error.sum(dim=(1, 2)).argmin()]
        assert find_scale(predicted, target, weight)[clip] == pytest.approx(float(best), abs=1e-3)


def test_scale_without_truth_is_one() -> None:
    assert find_scale(torch.rand(1, 4, 4, 3), torch.rand(1, 4, 4, 3), torch.zeros(1, 4, 4)) == 1


def test_focal_loss_vanishes_on_truth() -> None:
    diagonal = (SIZE[0] ** 2 + SIZE[1] ** 2) ** 0.5
    log_focal = (torch.tensor([60.0]) / diagonal).log()
    assert focal_loss(log_focal, make_scene()["intrinsics"], SIZE) < 1e-6
    torch.testing.assert_close(focal_loss(log_focal - 0.1, make_scene()["intrinsics"], SIZE), torch.tensor(0.1))
