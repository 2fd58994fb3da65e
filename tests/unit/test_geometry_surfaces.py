"""Normals, edges, masks, visibility, floors and mesh distances on scenes whose answer is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import trimesh

from unish.geometry import mesh_distance
from unish.geometry.camera import make_intrinsics, unproject
from unish.geometry.mesh_distance import distance_to_mesh, point_triangle_distance
from unish.geometry.plane import fit_floor, median_direction
from unish.geometry.surfaces import (
    depth_edges,
    dilate,
    erode,
    link_neighbours,
    normals_from_points,
    rasterize_depth,
    visible_points,
)
from unish.render.plain import rasterize

INTRINSICS = make_intrinsics(torch.tensor(60.0), 48, 64)


def depth_of_plane(normal: torch.Tensor, distance: float) -> torch.Tensor:
    """z-depth of the plane normal·x = −distance in the 48×64 test camera."""
    rays = torch.linalg.inv(INTRINSICS)
    y, x = torch.meshgrid(torch.arange(48) + 0.5, torch.arange(64) + 0.5, indexing="ij")
    directions = torch.stack([x, y, torch.ones_like(x)], -1) @ rays.T
    return -distance / (directions @ normal)


def test_normals_of_a_plane_face_the_camera() -> None:
    normal = torch.nn.functional.normalize(torch.tensor([0.2, -0.4, -0.9]), dim=0)
    depth = depth_of_plane(normal, 3.0)
    found, exists = normals_from_points(unproject(depth, INTRINSICS), depth > 0)
    assert exists.all()
    torch.testing.assert_close(found, normal.expand(48, 64, 3), atol=1e-4, rtol=0)  # rounding; measured: 1.3e-5


def test_normals_do_not_exist_where_depth_does_not() -> None:
    depth = depth_of_plane(torch.tensor([0.0, 0.0, -1.0]), 2.0).expand(2, 48, 64).clone()
    depth[1, 10:20, 10:20] = 0
    found, exists = normals_from_points(unproject(depth, INTRINSICS.expand(2, 3, 3)), depth > 0)
    assert exists[0].all()
    assert torch.equal(exists[1], depth[1] > 0)
    assert (found[~exists] == 0).all()


def test_depth_edges_are_steps_and_not_slopes() -> None:
    depth = depth_of_plane(torch.nn.functional.normalize(torch.tensor([0.0, -1.0, -1.0]), dim=0), 2.0).clone()
    valid = torch.ones(48, 64, dtype=torch.bool)
    assert not depth_edges(depth, valid, relative_step=0.15).any()
    depth[:, 32:] += 3.0
    edges = depth_edges(depth, valid, relative_step=0.15)
    assert edges[:, 31:33].all() and not edges[:, :31].any() and not edges[:, 33:].any()


def test_masks_grow_and_shrink() -> None:
    mask = torch.zeros(2, 20, 20, dtype=torch.bool)
    mask[0, 5:10, 5:10] = True
    mask[1, :5] = True
    assert dilate(mask, 2)[0].sum() == 81
    assert torch.equal(erode(dilate(mask, 2), 2), mask)
    assert erode(mask, 2)[0].sum() == 1
    assert erode(mask, 1)[1].sum() == 4 * 20
    assert torch.equal(dilate(mask, 0), mask)


def test_visibility_against_a_wall() -> None:
    depth = torch.full((48, 64), 2.0)
    depth[:, :32] = 0.0
    points = torch.tensor([[0.5, 0.0, 1.9], [0.5, 0.0, 2.04], [0.5, 0.0, 2.2], [-0.5, 0, 9.0], [0, 0, -1], [9, 0, 2.0]])
    seen = visible_points(points, depth, INTRINSICS, tolerance=0.05)
    assert seen.tolist() == [True, True, False, True, False, False]
    near = visible_points(points[:3] / 4, depth / 4, INTRINSICS, tolerance=0.0125)
    assert near.tolist() == [True, True, False], "also where the wall is nearer than one unit"


def test_floor_under_a_table_with_a_wall_and_nonsense() -> None:
    generator = torch.Generator().manual_seed(0)
    flat = torch.rand(3000, 3, generator=generator) * 4 - 2
    floor, table, wall = flat[:1000].clone(), flat[1000:2200].clone(), flat[2200:].clone()
    floor[:, 1] = 1.5 + 0.1 * floor[:, 0]
    table[:, 1] = 0.6 + 0.1 * table[:, 0]
    wall[:, 2] = 2.0
    points = torch.cat([floor, table, wall]) + 0.004 * torch.randn(3000, 3, generator=generator)
    found = fit_floor(points, torch.ones(3000), torch.tensor([0.0, -1.0, 0.0]), tolerance=0.02)
    assert found is not None
    normal = torch.nn.functional.normalize(torch.tensor([0.1, -1.0, 0.0]), dim=0)
    assert math.degrees(torch.linalg.cross(found.plane[:3], normal).norm().item()) < 0.019  # twice the measured 0.0094
    assert abs(found.plane[3].item() - 1.5 / math.sqrt(1.01)) < 1e-4
    assert found.inliers[:1000].float().mean() > 0.99
    broken = torch.cat([points, torch.tensor([[0.0, torch.nan, 1.0], [torch.inf, 1.5, 0.0]])])
    beside = fit_floor(broken, torch.ones(3002), torch.tensor([0.0, -1.0, 0.0]), tolerance=0.02)
    assert beside is not None and beside.plane.isfinite().all() and not beside.inliers[3000:].any()
    again = fit_floor(points, torch.ones(3000), torch.tensor([0.0, -1.0, 0.0]), tolerance=0.02)
    assert again is not None and torch.equal(again.plane, found.plane)


def test_no_floor_in_a_wall_or_in_nothing() -> None:
    wall = torch.rand(100, 3, generator=torch.Generator().manual_seed(0))
    wall[:, 2] = 2.0
    assert fit_floor(wall, torch.ones(100), torch.tensor([0.0, -1.0, 0.0]), tolerance=0.02) is None
    assert fit_floor(wall, torch.zeros(100), torch.tensor([0.0, -1.0, 0.0]), tolerance=0.02) is None


def test_direction_survives_two_fifths_of_people_lying_down() -> None:
    up = torch.tensor([0.0, -1.0, 0.0]).repeat(10, 1) + 0.02 * torch.randn(
        10, 3, generator=torch.Generator().manual_seed(1)
    )
    up[:4] = torch.tensor([1.0, 0.0, 0.0])
    found = median_direction(up, torch.ones(10))
    assert math.degrees(torch.acos(-found[1]).item()) < 0.6  # twice the measured 0.28; the mean of all is 34 off
    assert median_direction(up, torch.zeros(10)).isnan().all()


def mix_sizes() -> trimesh.Trimesh:
    """Small triangles, and one whose centre is far from where it is near."""
    large = trimesh.Trimesh([[-9, -9, 1.3], [9, -9, 1.3], [0, 30, 1.3]], [[0, 1, 2]])
    return trimesh.util.concatenate([trimesh.creation.icosphere(subdivisions=3), large])


@pytest.mark.parametrize("shape", ["sphere", "box", "one", "sizes"])
def test_mesh_distance_equals_the_slow_twin_and_trimesh(shape: str) -> None:
    mesh = {
        "sphere": lambda: trimesh.creation.icosphere(subdivisions=3),
        "box": lambda: trimesh.creation.box((1, 2, 0.1)),
        "one": lambda: trimesh.Trimesh([[0, 0, 0], [1, 0, 0], [0, 1, 0]], [[0, 1, 2]], process=False),
        "sizes": mix_sizes,
    }[shape]()
    points = np.random.default_rng(0).normal(size=(200, 3)) * 1.2
    fast = distance_to_mesh(points, np.asarray(mesh.vertices), np.asarray(mesh.faces))
    slow = point_triangle_distance(points[:, None], np.asarray(mesh.vertices)[mesh.faces][None]).min(1)
    np.testing.assert_allclose(fast, slow, atol=1e-12)
    every = np.repeat(mesh.triangles[None], len(points), 0).reshape(-1, 3, 3)
    nearest = trimesh.triangles.closest_point(every, np.repeat(points, len(mesh.faces), 0))
    independent = np.linalg.norm(nearest.reshape(len(points), -1, 3) - points[:, None], axis=-1).min(1)
    np.testing.assert_allclose(fast, independent, atol=1e-9)


def test_mesh_distance_is_the_same_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many points are queried, and many pairs measured, some at a time."""
    mesh = mix_sizes()
    points = np.random.default_rng(0).normal(size=(50, 3)) * 1.2
    whole = distance_to_mesh(points, np.asarray(mesh.vertices), np.asarray(mesh.faces))
    monkeypatch.setattr(mesh_distance, "_MOST_QUERIED", 100)
    monkeypatch.setattr(mesh_distance, "_MOST_MEASURED", 7)
    pieces = distance_to_mesh(points, np.asarray(mesh.vertices), np.asarray(mesh.faces))
    np.testing.assert_array_equal(pieces, whole)


def test_degenerate_triangles_count_as_segments() -> None:
    triangle = np.array([[0.0, 0, 0], [1, 0, 0], [2, 0, 0]])
    points = np.array([[1.5, 1.0, 0.0], [3.0, 0.0, 0.0], [-2.0, 0.0, 0.0]])
    np.testing.assert_allclose(point_triangle_distance(points, triangle[None]), [1.0, 1.0, 2.0])


def test_an_empty_mesh_is_infinitely_far() -> None:
    assert np.isinf(distance_to_mesh(np.zeros((2, 3)), np.zeros((0, 3)), np.zeros((0, 3), int))).all()


def test_neighbours_are_linked_within_a_surface_only() -> None:
    depth = torch.full((4, 5), 2.0)
    depth[:, 3:] = 2.5
    valid = torch.ones(4, 5, dtype=torch.bool)
    valid[0, 0] = False
    links = link_neighbours(depth, valid, relative_step=0.2)
    up, right, down, left = links
    assert up[2:].all() and not up[0].any()
    assert right[:, [1, 3]].all() and not right[:, [2, 4]].any()
    assert not left[0, 1] and not down[0, 0] and left[1, 1]
    assert link_neighbours(depth, valid, relative_step=0.26)[1, :, 2].all()
    assert not link_neighbours(depth * torch.nan, ~valid, relative_step=0.2).any()
    several = torch.stack([depth, depth.flip(-1)])[:, None], torch.stack([valid, valid.flip(-1)])[:, None]
    batch = link_neighbours(*several, relative_step=0.2)
    assert batch.shape == (2, 1, 4, 4, 5) and torch.equal(batch[0, 0], links)
    assert torch.equal(batch[1, 0, [0, 3, 2, 1]].flip(-1), links), "left and right change places"


@pytest.mark.parametrize("seed", range(3))
def test_the_z_buffer_equals_the_exact_rasteriser(seed: int) -> None:
    mesh = trimesh.creation.icosphere(subdivisions=2)
    generator = np.random.default_rng(seed)
    vertices = np.concatenate([mesh.vertices * 0.7, generator.normal(size=(30, 3))])
    vertices += np.array([0.2, -0.1, 3.0])
    faces = np.concatenate([mesh.faces, len(mesh.vertices) + np.arange(30).reshape(10, 3)])
    twin = rasterize(vertices, faces, INTRINSICS.numpy(), (48, 64)).depth
    camera = INTRINSICS.double().expand(2, 3, 3)
    found = rasterize_depth(torch.tensor(np.stack([vertices, vertices * 2])), torch.tensor(faces), camera, (48, 64))
    np.testing.assert_allclose(found[0], twin, rtol=1e-6)
    torch.testing.assert_close(found[1], 2 * found[0])  # twice as large, twice as far: the same picture
    assert 300 < (twin > 0).sum() < 48 * 64


def test_the_z_buffer_leaves_out_what_is_behind_the_camera_or_nowhere() -> None:
    triangle = torch.tensor([[-1.0, -1, 2], [1, -1, 2], [0, 1, 2]])
    faces = torch.tensor([[0, 1, 2]])
    behind, nowhere = triangle * torch.tensor([1, 1, -1]), triangle * torch.nan
    beside = triangle + torch.tensor([50.0, 0, 0])
    depth = rasterize_depth(
        torch.stack([triangle, behind, nowhere, beside]), faces, INTRINSICS.expand(4, 3, 3), (48, 64)
    )
    assert (depth[0] == 2).sum() > 500
    assert (depth[1:] == 0).all()
    assert rasterize_depth(torch.zeros(0, 3, 3), faces, torch.zeros(0, 3, 3), (4, 5)).shape == (0, 4, 5)
