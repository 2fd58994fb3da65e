"""The numpy rasteriser against closed forms."""

import numpy as np
import pytest

from unish.lab.synthetic.shapes import Paint, grid_faces, make_box
from unish.render.plain import draw_depth, rasterize, render_mesh

SIZE = (48, 64)
INTRINSICS = np.array([[50.0, 0, 31.3], [0, 55.0, 24.9], [0, 0, 1]])


def pixel_rays() -> np.ndarray:
    v, u = np.meshgrid(np.arange(SIZE[0]) + 0.5, np.arange(SIZE[1]) + 0.5, indexing="ij")
    return np.stack([u, v, np.ones_like(u)], -1) @ np.linalg.inv(INTRINSICS).T


def plane_quad(normal: np.ndarray, distance: float) -> tuple[np.ndarray, np.ndarray]:
    """A large square on n·x = distance."""
    normal = normal / np.linalg.norm(normal)
    across = np.cross(normal, [0, 1.0, 0.1])
    across /= np.linalg.norm(across)
    up = np.cross(normal, across)
    corners = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]) * 40.0
    return normal * distance + corners[:, :1] * across + corners[:, 1:] * up, np.array([[0, 1, 2], [0, 2, 3]])


@pytest.mark.parametrize("normal", [(0, 0, 1.0), (0.5, 0.2, 1.0), (-0.7, 0.3, 0.9)])
def test_a_tilted_plane_has_its_analytic_depth(normal: tuple[float, float, float]) -> None:
    unit = np.array(normal) / np.linalg.norm(normal)
    vertices, faces = plane_quad(unit, 3.0)
    found = rasterize(vertices, faces, INTRINSICS, SIZE)
    expected = 3.0 / (pixel_rays() @ unit)
    assert (found.face >= 0).all()
    np.testing.assert_allclose(found.depth, expected, rtol=1e-6)


def test_a_floor_that_passes_under_the_camera_is_cut_at_the_near_plane() -> None:
    """Half of its corners lie behind the camera; every ray below the horizon must still hit it where it should."""
    vertices = np.array([[-9, 1.2, -9], [9, 1.2, -9], [9, 1.2, 90], [-9, 1.2, 90.0]])
    found = rasterize(vertices, np.array([[0, 1, 2], [0, 2, 3]]), INTRINSICS, SIZE)
    rays = pixel_rays()
    depth = 1.2 / rays[..., 1]
    hits = (rays[..., 1] > 0) & (depth < 90) & (np.abs(rays[..., 0] * depth) < 9)
    np.testing.assert_array_equal(found.face >= 0, hits)
    np.testing.assert_allclose(found.depth[hits], depth[hits], rtol=1e-5)


@pytest.mark.parametrize("num_behind", [1, 2])
def test_barycentrics_of_a_cut_face_give_back_its_points(num_behind: int) -> None:
    triangle = np.array([[-1.0, -1, 3], [1.5, 0.2, 4], [0, 1.0, 2]])
    triangle[:num_behind, 2] = -1.0
    found = rasterize(triangle, np.array([[0, 1, 2]]), INTRINSICS, SIZE)
    hit = found.face == 0
    assert hit.sum() > 20
    np.testing.assert_allclose(found.barycentrics[hit].sum(-1), 1, atol=1e-5)
    points = found.barycentrics[hit] @ triangle
    np.testing.assert_allclose(points, (pixel_rays() * found.depth[..., None])[hit], atol=1e-4)


def test_what_lies_behind_is_not_drawn() -> None:
    triangle = np.array([[-1.0, -1, -3], [1, 0, -2], [0, 1, -4.0]])
    found = rasterize(triangle, np.array([[0, 1, 2]]), INTRINSICS, SIZE)
    assert (found.face == -1).all() and (found.depth == 0).all() and (found.barycentrics == 0).all()


def test_no_faces_give_an_empty_picture() -> None:
    found = rasterize(np.zeros((0, 3)), np.zeros((0, 3), int), INTRINSICS, SIZE)
    assert (found.face == -1).all()


def test_a_fine_sphere_has_its_analytic_depth_and_normals() -> None:
    rows, columns = 121, 241
    polar, azimuth = np.meshgrid(np.linspace(0, np.pi, rows), np.linspace(0, 2 * np.pi, columns), indexing="ij")
    unit = np.stack([np.sin(polar) * np.cos(azimuth), np.cos(polar), np.sin(polar) * np.sin(azimuth)], -1).reshape(
        -1, 3
    )
    centre = np.array([0.2, -0.1, 3.0])
    depth, normals = render_mesh(unit * 0.8 + centre, grid_faces(rows, columns), INTRINSICS, SIZE)
    rays = pixel_rays()
    a, b, c = (rays**2).sum(-1), rays @ centre, centre @ centre - 0.64
    root = b**2 - a * c
    inside = root > 0.05  # away from the outline, where depth changes fast
    expected = (b[inside] - np.sqrt(root[inside])) / a[inside]
    np.testing.assert_allclose(depth[inside], expected, rtol=2e-3)
    outward = (rays[inside] * expected[:, None] - centre) / 0.8
    assert (normals[inside] * outward).sum(-1).min() > 0.99


def test_pixel_centres_lie_at_one_half() -> None:
    """A rectangle that covers the centres of exactly 2 rows × 3 columns."""
    vertices = np.array([[10.4, 5.4, 1], [12.6, 5.4, 1], [12.6, 6.6, 1], [10.4, 6.6, 1.0]])
    found = rasterize(vertices, np.array([[0, 1, 2], [0, 2, 3]]), np.eye(3), (12, 20), near=0.1)
    expected = np.zeros((12, 20), bool)
    expected[5:7, 10:13] = True
    np.testing.assert_array_equal(found.face >= 0, expected)


def test_neighbouring_faces_leave_no_gap_and_the_nearer_one_wins() -> None:
    near = make_box((1, 1, 1), Paint(), (0, 0, 3))
    far = make_box((30, 30, 1), Paint(), (0, 0, 6))
    vertices = np.concatenate([far.vertices, near.vertices])
    faces = np.concatenate([far.faces, near.faces + len(far.vertices)])
    found = rasterize(vertices, faces, INTRINSICS, SIZE)
    assert (found.face >= 0).all()
    front = found.face >= len(far.faces)
    np.testing.assert_allclose(found.depth[front & (found.depth < 2.51)], 2.5, rtol=1e-6)
    assert front.sum() == pytest.approx(50 / 2.5 * 55 / 2.5, rel=0.12)


@pytest.mark.parametrize("away", [0.3, 2.4, 6.0])
def test_depth_alone_is_the_same_to_the_bit(away: float) -> None:
    """Across the near plane, in front of it, and small."""
    box = make_box((1.0, 1.4, 0.8), Paint())
    turned = box.vertices @ np.array([[0.8, 0, 0.6], [0, 1, 0], [-0.6, 0, 0.8]]) + np.array([0.1, -0.2, away])
    found = rasterize(turned, box.faces, INTRINSICS, SIZE)
    assert (found.depth > 0).sum() > 20
    np.testing.assert_array_equal(draw_depth(turned, box.faces, INTRINSICS, SIZE), found.depth)


def test_a_mesh_before_the_plane_is_drawn_as_beside_one_that_is_cut() -> None:
    """What is not cut is projected vertex by vertex, else corner by corner."""
    whole = make_box((1.0, 1.4, 0.8), Paint(), (0.1, -0.2, 2.4))
    vertices = np.concatenate([whole.vertices, [[-9, 9, -1.0], [-9, 8, -1.0], [-8, 9, 0.5]]])
    faces = np.concatenate([whole.faces, [np.arange(3) + len(whole.vertices)]])
    alone, beside = (
        rasterize(whole.vertices, whole.faces, INTRINSICS, SIZE),
        rasterize(vertices, faces, INTRINSICS, SIZE),
    )
    for name in ("depth", "face", "barycentrics"):
        np.testing.assert_array_equal(getattr(alone, name), getattr(beside, name))


def test_blocks_do_not_change_the_result(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    vertices = rng.normal(0, 1, (60, 3)) + np.array([0, 0, 3])
    faces = rng.integers(0, 60, (80, 3))
    whole = rasterize(vertices, faces, INTRINSICS, SIZE)
    monkeypatch.setattr("unish.render.plain.CANDIDATES_AT_ONCE", 500)
    parts = rasterize(vertices, faces, INTRINSICS, SIZE)
    np.testing.assert_array_equal(whole.face, parts.face)
    np.testing.assert_array_equal(whole.depth, parts.depth)


def test_of_faces_at_one_depth_the_first_is_seen() -> None:
    """In every pixel, so that a picture does not depend on the order in which faces are drawn."""
    corners = np.array([(-1, -1, 4), (1, -1, 4), (0, 1, 4)], np.float32)
    intrinsics = np.array([[20, 0, 16], [0, 20, 16], [0, 0, 1]], np.float32)
    seen = rasterize(np.tile(corners, (3, 1)), np.arange(9).reshape(3, 3), intrinsics, (32, 32)).face
    assert set(np.unique(seen)) == {-1, 0}
