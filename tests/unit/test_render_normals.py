"""Vertex normals of meshes that move."""

import numpy as np
import pytest

from unish.lab.synthetic.shapes import grid_faces
from unish.render.scene import SmoothNormals, vertex_normals


@pytest.fixture
def sheet() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.normal(size=(20, 3)).astype(np.float32), grid_faces(4, 5)


def test_normals_are_sums_of_face_areas(sheet: tuple[np.ndarray, np.ndarray]) -> None:
    vertices, faces = sheet
    expected = np.zeros((20, 3))
    for face in faces:
        a, b, c = vertices[face].astype(float)
        expected[face] += np.cross(b - a, c - a)
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    found = SmoothNormals(faces, 20)(vertices)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-5)  # float32 sums: 4e-7 found


def test_normals_turn_with_the_mesh_and_do_not_feel_its_size(sheet: tuple[np.ndarray, np.ndarray]) -> None:
    vertices, faces = sheet
    smooth = SmoothNormals(faces, 20)
    rotation = np.linalg.qr(np.random.default_rng(1).normal(size=(3, 3)))[0]
    rotation = (rotation * np.sign(np.linalg.det(rotation))).astype(np.float32)
    np.testing.assert_allclose(smooth(vertices @ rotation.T * 0.01), smooth(vertices) @ rotation.T, atol=1e-4)


def test_vertices_without_a_face_and_meshes_without_any_have_no_normal(sheet: tuple[np.ndarray, np.ndarray]) -> None:
    vertices, faces = sheet
    lonely = np.concatenate([vertices, np.ones((2, 3), np.float32)])
    found = vertex_normals(lonely, faces)
    assert (found[20:] == 0).all()
    np.testing.assert_array_equal(found[:20], vertex_normals(vertices, faces))
    assert (vertex_normals(vertices, np.zeros((0, 3), np.int32)) == 0).all()
    assert vertex_normals(np.zeros((0, 3), np.float32), np.zeros((0, 3), np.int32)).shape == (0, 3)
