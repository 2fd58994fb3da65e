"""The small scene branch whose matches and depth are the truth: its cameras must be, in the unit of its points."""

from __future__ import annotations

import pytest
import torch
from test_small_scene import TINY, make_images
from torch import Tensor, nn

from unish.geometry.camera import pixel_grid, project, resize_intrinsics
from unish.geometry.rigid import invert_rigid, make_rigid, transform_points
from unish.geometry.rotation import axis_angle_to_matrix, rotation_angle
from unish.network import small_scene
from unish.network.correspondence import QUERY_STRIDE, Matches
from unish.network.dense_layers import DenseMaps
from unish.network.small_scene import SmallScene, working_size

SIZE, NUM_FRAMES = (90, 120), 5
WORKING = working_size(*SIZE, TINY.long_side)
INTRINSICS = torch.tensor([[110.0, 0.0, 68.0], [0.0, 95.0, 40.0], [0.0, 0.0, 1.0]])
"""Pixels that are not square, the principal point a tenth of the picture off the middle."""

PLANE = torch.tensor([0.3, -0.25, -0.92, 3.5])
"""n·x + d = 0 in the first camera: a slanted wall, so that depth differs from one end of a query cell to the other."""


def walk() -> Tensor:
    """c2w of a camera that moves half a metre and turns by twenty degrees."""
    time = torch.linspace(0, 1, NUM_FRAMES)[:, None]
    turn = axis_angle_to_matrix(time * torch.tensor([0.1, -0.3, 0.08]))
    return make_rigid(turn, time * torch.tensor([0.4, -0.1, 0.3]))


def intersect(rays: Tensor, c2w: Tensor) -> Tensor:
    """Depth of the wall on rays (..., K, 3) with z = 1 of cameras (..., 4, 4)."""
    ahead = (rays @ c2w[..., :3, :3].mT) @ PLANE[:3]
    return -(c2w[..., None, :3, 3] @ PLANE[:3] + PLANE[3]) / ahead


def rays_of(pixels: Tensor, intrinsics: Tensor) -> Tensor:
    return torch.cat([pixels, torch.ones_like(pixels[..., :1])], -1) @ torch.linalg.inv(intrinsics).T


class KnowsMatches(nn.Module):
    """Where each query point of the wall is seen by the second camera of a pair, ``shift_px`` to the right."""

    def __init__(self, c2w: Tensor) -> None:
        super().__init__()
        self.c2w = c2w

    def forward(self, features: Tensor, context: Tensor, pairs: list[tuple[int, int]], **_: object) -> Matches:
        rows, columns = WORKING[0] // QUERY_STRIDE, WORKING[1] // QUERY_STRIDE
        camera = resize_intrinsics(INTRINSICS, SIZE, WORKING)
        pixels = (pixel_grid(rows, columns, like=features) * QUERY_STRIDE).flatten(0, 1)
        rays = rays_of(pixels, camera)
        targets = []
        for first, second in pairs:
            points = rays * intersect(rays, self.c2w[first])[:, None]
            moved = transform_points(invert_rigid(self.c2w[second]) @ self.c2w[first], points)
            targets.append(project(moved, camera))
        found = torch.stack(targets).unflatten(1, (rows, columns))
        logits = torch.full((1, len(pairs), rows, columns), 5.0)
        return Matches(targets_px=found[None, None], weight_logits=logits)


@pytest.fixture
def scene() -> SmallScene:
    torch.manual_seed(0)
    return SmallScene(TINY).eval()


def reconstruct(scene: SmallScene, c2w: Tensor, monkeypatch: pytest.MonkeyPatch, *, unit: float) -> Tensor:
    pixels = pixel_grid(*WORKING, like=c2w).flatten(0, 1)
    rays = rays_of(pixels, resize_intrinsics(INTRINSICS, SIZE, WORKING))
    log_depth = (intersect(rays.expand(NUM_FRAMES, -1, -1), c2w) / unit).log().unflatten(1, WORKING)
    conf = torch.full_like(log_depth, 4.0)
    monkeypatch.setattr(small_scene, "_PRIOR_PRECISION", 1e-9)  # "no motion", which 48 matches do not quite outvote
    monkeypatch.setattr(scene, "matcher", KnowsMatches(c2w))
    monkeypatch.setattr(scene, "predict_dense", lambda seen: DenseMaps(log_depth=log_depth, conf_logits=conf))
    with torch.no_grad():
        out = scene(make_images(1, NUM_FRAMES, SIZE), INTRINSICS.expand(1, NUM_FRAMES, 3, 3))
    return out.c2w[0]


@pytest.mark.parametrize("unit", [1.0, 4.0])
def test_exact_matches_and_depth_give_the_cameras_in_the_unit_of_the_points(
    scene: SmallScene, monkeypatch: pytest.MonkeyPatch, unit: float
) -> None:
    """Rounding alone is left: 2e-6 of half a metre, and 4e-7 radians."""
    c2w = walk()
    found = reconstruct(scene, c2w, monkeypatch, unit=unit)
    assert (unit * found[:, :3, 3] - c2w[:, :3, 3]).norm(dim=-1).max() < 2e-5
    assert rotation_angle(found[:, :3, :3].mT @ c2w[:, :3, :3]).max() < 5e-6


def test_a_camera_that_stays_stays_exactly(scene: SmallScene, monkeypatch: pytest.MonkeyPatch) -> None:
    still = torch.eye(4).repeat(NUM_FRAMES, 1, 1)
    found = reconstruct(scene, still, monkeypatch, unit=1.0)
    torch.testing.assert_close(found, still, atol=1e-6, rtol=0)
