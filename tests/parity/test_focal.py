"""Focal and shift recovery and the basic geometry against what the published network computes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from unish.geometry.camera import unproject
from unish.geometry.focal import PUBLISHED_FTOL, _nearest_indices, recover_focal_and_shift, view_plane_grid
from unish.geometry.rigid import invert_rigid
from unish.geometry.rotation import axis_angle_to_matrix, matrix_to_axis_angle


@pytest.fixture(scope="module")
def focal_fixture(parity_dir: Path) -> dict[str, np.ndarray]:
    return dict(np.load(parity_dir / "fixtures" / "mod_focal_shift.npz"))


@pytest.fixture(scope="module")
def functions(parity_dir: Path) -> dict[str, torch.Tensor]:
    with np.load(parity_dir / "fixtures" / "mod_functions.npz") as file:
        return {key: torch.from_numpy(file[key]) for key in file.files}


@pytest.mark.parametrize("case", ["a", "b", "c"])
def test_fully_converged_optimum(focal_fixture: dict[str, np.ndarray], case: str) -> None:
    points = torch.from_numpy(focal_fixture[f"{case}_points"])
    mask = torch.from_numpy(focal_fixture[f"{case}_mask"])
    focal, shift = recover_focal_and_shift(points, mask)
    optimum = focal_fixture[f"{case}_exact_optimum_focal_shift"]
    np.testing.assert_allclose([focal.item(), shift.item()], optimum, rtol=2e-7, atol=2e-7)


@pytest.mark.parametrize("case", ["a", "b", "c"])
def test_published_stop(focal_fixture: dict[str, np.ndarray], case: str) -> None:
    """Stopping at the published tolerance gives the published numbers, short of the optimum or not."""
    points = torch.from_numpy(focal_fixture[f"{case}_points"])
    mask = torch.from_numpy(focal_fixture[f"{case}_mask"])
    focal, shift = recover_focal_and_shift(points, mask, ftol=PUBLISHED_FTOL)
    published = [focal_fixture[f"{case}_{name}"].item() for name in ("focal", "shift")]
    np.testing.assert_allclose([focal.item(), shift.item()], published, rtol=2e-7, atol=2e-7)


def test_everything_masked(focal_fixture: dict[str, np.ndarray]) -> None:
    points = torch.from_numpy(focal_fixture["a_points"])
    focal, shift = recover_focal_and_shift(points, torch.zeros(points.shape[:-1], dtype=torch.bool))
    assert focal.item() == focal_fixture["allmasked_focal"].item()
    assert shift.item() == focal_fixture["allmasked_shift"].item()


def test_nearest_samples(focal_fixture: dict[str, np.ndarray]) -> None:
    for size in focal_fixture["nearest_idx_for_size"]:
        indices = _nearest_indices(int(size), torch.device("cpu"))
        np.testing.assert_array_equal(indices, focal_fixture[f"nearest64_{size}"])


def test_view_plane(functions: dict[str, torch.Tensor]) -> None:
    grid = view_plane_grid(6, 8, like=functions["view_plane_uv_6x8"])
    torch.testing.assert_close(grid, functions["view_plane_uv_6x8"], atol=1e-6, rtol=1e-6)


def test_axis_angle_to_matrix(functions: dict[str, torch.Tensor]) -> None:
    torch.testing.assert_close(axis_angle_to_matrix(functions["aa"]), functions["aa_to_rotmat"], atol=1e-6, rtol=1e-5)


def test_matrix_to_axis_angle_is_the_same_rotation(functions: dict[str, torch.Tensor]) -> None:
    """The published angles lie in (−π, π], ours in [0, π]; the rotations must agree, also of the 1e-8 in theirs."""
    for source, published in [
        ("rot6d_to_rotmat", "rotmat_to_aa_of_rot6d"),
        ("aa_to_rotmat", "rotmat_to_aa_of_aa"),
    ]:
        ours = axis_angle_to_matrix(matrix_to_axis_angle(functions[source]))
        theirs = axis_angle_to_matrix(functions[published])
        torch.testing.assert_close(ours, theirs, atol=2e-6, rtol=1e-5)


def test_inverse_of_poses(functions: dict[str, torch.Tensor]) -> None:
    torch.testing.assert_close(invert_rigid(functions["c2w"]), functions["w2c"], atol=1e-5, rtol=1e-5)


def test_unprojection(functions: dict[str, torch.Tensor]) -> None:
    """The published intrinsics are divided by width and height; ours are pixels."""
    depth = functions["d2p_depth"]
    height, width = depth.shape[-2:]
    intrinsics = functions["d2p_Knorm"] * torch.tensor([width, height, 1.0])[:, None]
    torch.testing.assert_close(unproject(depth, intrinsics), functions["d2p_points"], atol=1e-5, rtol=1e-5)
