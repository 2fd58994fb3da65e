"""Rotations, rigid transforms and cameras: round trips, inverses, half turns, near identity, batches, gradients."""

from __future__ import annotations

import math
import subprocess
import sys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from unish.geometry.camera import make_intrinsics, pixel_grid, project, resize_intrinsics, unproject
from unish.geometry.rigid import invert_rigid, make_rigid, transform_points
from unish.geometry.rotation import (
    axis_angle_to_matrix,
    inverse_right_jacobian,
    matrix_to_axis_angle,
    matrix_to_rot6d,
    rot6d_to_matrix,
    rotation_angle,
)

ANGLES = [0.0, 1e-12, 1e-8, 1e-4, 0.5, math.pi / 2, 3.0, math.pi - 1e-4, math.pi - 1e-9, math.pi]


def random(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000), angle=st.sampled_from(ANGLES))
def test_axis_angle_round_trip(seed: int, angle: float) -> None:
    axis = torch.nn.functional.normalize(random(seed, 3), dim=0)
    matrix = axis_angle_to_matrix(axis * angle)
    torch.testing.assert_close(matrix @ matrix.T, torch.eye(3).double(), atol=1e-12, rtol=0)
    torch.testing.assert_close(axis_angle_to_matrix(matrix_to_axis_angle(matrix)), matrix, atol=1e-7, rtol=0)
    assert abs(rotation_angle(matrix).item() - angle) < 1e-8


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_half_turns_about_the_axes(axis: int) -> None:
    aa = torch.zeros(3)
    aa[axis] = math.pi
    matrix = axis_angle_to_matrix(aa)
    expected = -torch.eye(3)
    expected[axis, axis] = 1
    torch.testing.assert_close(matrix, expected, atol=1e-6, rtol=0)
    assert abs(matrix_to_axis_angle(matrix).norm().item() - math.pi) < 1e-6  # measured: 2e-7
    assert abs(rotation_angle(matrix).item() - math.pi) < 1e-6  # measured: 2e-7


def test_zero_rotation_has_gradients() -> None:
    aa = torch.zeros(2, 3, requires_grad=True)
    axis_angle_to_matrix(aa).sum().backward()
    assert aa.grad is not None and aa.grad.isfinite().all()


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_rot6d_round_trip_and_any_six_numbers_are_a_rotation(seed: int) -> None:
    matrix = rot6d_to_matrix(random(seed, 4, 6) * 3)
    torch.testing.assert_close(matrix @ matrix.mT, torch.eye(3).double().expand(4, 3, 3), atol=1e-9, rtol=0)
    torch.testing.assert_close(torch.linalg.det(matrix), torch.ones(4).double())
    torch.testing.assert_close(rot6d_to_matrix(matrix_to_rot6d(matrix)), matrix)


@pytest.mark.parametrize("angle", [0.0, 1e-4, 0.099, 0.101, 1.0, 3.0])
def test_inverse_right_jacobian_is_the_derivative_of_the_logarithm(angle: float) -> None:
    axis = torch.nn.functional.normalize(torch.tensor([0.3, -0.5, 0.8], dtype=torch.float64), dim=0)
    step = 1e-5 * torch.eye(3, dtype=torch.float64)
    turned = axis_angle_to_matrix(angle * axis)
    sides = [matrix_to_axis_angle(turned @ axis_angle_to_matrix(sign * step)) for sign in (1, -1)]
    expected = ((sides[0] - sides[1]) / 2e-5).T
    torch.testing.assert_close(inverse_right_jacobian(angle * axis), expected, atol=1e-6, rtol=0)


def test_batches_equal_singles() -> None:
    aa, points = random(0, 2, 3, 3), random(1, 2, 3, 5, 3)
    rigid = make_rigid(axis_angle_to_matrix(aa), random(2, 2, 3, 3))
    whole = transform_points(rigid, points)
    one = transform_points(make_rigid(axis_angle_to_matrix(aa[1, 2]), rigid[1, 2, :3, 3]), points[1, 2])
    torch.testing.assert_close(whole[1, 2], one)


def test_gradients() -> None:
    aa = random(0, 3, 3).requires_grad_()
    assert torch.autograd.gradcheck(axis_angle_to_matrix, (aa,))
    assert torch.autograd.gradcheck(lambda x: matrix_to_axis_angle(axis_angle_to_matrix(x)), (aa,))
    assert torch.autograd.gradcheck(rot6d_to_matrix, (random(1, 3, 6).requires_grad_(),))
    intrinsics = make_intrinsics(torch.tensor(50.0).double(), 48, 64)
    points = (random(2, 5, 3) + torch.tensor([0, 0, 5])).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: project(x, intrinsics), (points,))


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_rigid_inverse(seed: int) -> None:
    rigid = make_rigid(axis_angle_to_matrix(random(seed, 3, 3) * 2), random(seed + 1, 3, 3))
    identity = torch.eye(4).double().expand(3, 4, 4)
    torch.testing.assert_close(invert_rigid(rigid) @ rigid, identity, atol=1e-12, rtol=0)
    torch.testing.assert_close(invert_rigid(rigid), torch.linalg.inv(rigid))
    points = random(seed + 2, 3, 6, 3)
    torch.testing.assert_close(transform_points(invert_rigid(rigid), transform_points(rigid, points)), points)


@settings(max_examples=30, deadline=None)
@given(height=st.integers(1, 40), width=st.integers(1, 40), focal=st.floats(5, 500))
def test_projection_inverts_unprojection_at_pixel_centres(height: int, width: int, focal: float) -> None:
    intrinsics = make_intrinsics(torch.tensor(focal, dtype=torch.float64), height, width)
    depth = random(0, height, width).abs() + 0.5
    pixels = project(unproject(depth, intrinsics).reshape(-1, 3), intrinsics)
    torch.testing.assert_close(pixels.reshape(height, width, 2), pixel_grid(height, width, like=depth))


def test_resized_intrinsics_see_the_same_ray() -> None:
    intrinsics = make_intrinsics(torch.tensor([50.0, 80.0]), 48, 64)
    points = torch.tensor([[0.3, -0.2, 2.0]]).expand(2, 1, 3)
    resized = resize_intrinsics(intrinsics, (48, 64), (24, 128))
    torch.testing.assert_close(project(points, resized), project(points, intrinsics) * torch.tensor([2.0, 0.5]))


def test_points_behind_the_camera_stay_finite() -> None:
    assert project(torch.tensor([[1.0, 1.0, -2.0], [0, 0, 0]]), torch.eye(3)).isfinite().all()


@pytest.mark.slow
def test_a_first_call_in_inference_mode_does_not_spoil_training() -> None:
    """As when a program reconstructs a video and trains afterwards; in a process in which nobody has called it yet."""
    script = (
        "import torch; from unish.geometry.rotation import nearest_rotation\n"
        "matrix = torch.eye(3) + 0.1 * torch.arange(9.0).reshape(3, 3)\n"
        "with torch.inference_mode(): nearest_rotation(matrix)\n"
        "nearest_rotation(matrix.requires_grad_()).square().sum().backward()\n"
        "assert torch.isfinite(matrix.grad).all()"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
