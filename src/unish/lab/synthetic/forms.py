"""Rounded, bent and lofted shapes with smooth normals, in stage axes (y up, metres)."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from unish.lab.synthetic.shapes import Paint, Template, Vector, fill_template, grid_faces, make_mesh
from unish.render.scene import Mesh

Rng = np.random.Generator


def _unit_rounded() -> tuple[ndarray, Template]:
    """Signs of the corners and the template of a box with rounded edges: on each side a grid of 4 × 4 vertices."""
    line = np.array([-1.0, -1, 1, 1])
    out_of = np.array([1.0, 0, 0, 1])
    signs: list[ndarray] = []
    normals, axes, share, faces = [], [], [], []
    for across, up, out in ((0, 1, 2), (0, 2, 1), (2, 1, 0)):
        for sign in (-1, 1):
            a, b = np.meshgrid(np.arange(4), np.arange(4), indexing="ij")
            corner, normal = np.zeros((16, 3)), np.zeros((16, 3))
            corner[:, across], corner[:, up], corner[:, out] = line[a.ravel()], line[b.ravel()], sign
            normal[:, across] = (line * out_of)[a.ravel()]
            normal[:, up] = (line * out_of)[b.ravel()]
            normal[:, out] = sign
            faces.append(grid_faces(4, 4) + 16 * len(signs))
            signs.append(corner)
            normals.append(normal / np.linalg.norm(normal, axis=1, keepdims=True))
            axes.append(np.broadcast_to([across, up], (16, 2)))
            share.append(np.stack([(1 + corner[:, across]) / 2, (1 - corner[:, up]) / 2], axis=1))
    return np.concatenate(signs), Template(
        normals=np.concatenate(normals),
        axes=np.concatenate(axes),
        share=np.concatenate(share),
        faces=np.concatenate(faces),
    )


_SIGNS, _ROUNDED = _unit_rounded()


def make_rounded_box(size: Vector, radius: float, paint: Paint, centre: Vector = (0.0, 0.0, 0.0)) -> Mesh:
    """Axis-aligned box whose edges have about the given radius; its faces stay flat."""
    lengths = np.asarray(size, np.float64)[None]
    return make_rounded_boxes(lengths, radius, np.asarray(centre, np.float64)[None], paint)


def make_rounded_boxes(
    sizes: Float[ndarray, "N 3"],
    radius: float,
    centres: Float[ndarray, "N 3"],
    paint: Paint,
    colours: Float[ndarray, "N 3"] | None = None,
    yaws: Float[ndarray, "N"] | None = None,
) -> Mesh:
    """Many boxes with rounded edges."""
    edge = np.minimum(radius, 0.49 * sizes.min(axis=1))[:, None, None]
    corners = _SIGNS * (sizes[:, None] / 2 - edge) + edge * _ROUNDED.normals
    return fill_template(corners, _ROUNDED, sizes, centres, paint, colours, yaws)


@lru_cache(maxsize=8)
def _angles(rows: int, columns: int) -> tuple[ndarray, ndarray, ndarray]:
    polar, azimuth = np.meshgrid(
        np.linspace(-np.pi / 2, np.pi / 2, rows), np.linspace(-np.pi, np.pi, columns), indexing="ij"
    )
    return polar.ravel(), azimuth.ravel(), grid_faces(rows, columns)


def make_cushion(
    radii: Vector, paint: Paint, upright: float = 0.5, around: float = 0.5, rows: int = 9, columns: int = 17
) -> Mesh:
    """Superellipsoid around the origin (Barr 1981): exponents 1 give an ellipsoid, small ones a box with soft edges."""
    axes = np.asarray(radii, np.float64)
    polar, azimuth, faces = _angles(rows, columns)

    def power(value: ndarray, exponent: float) -> ndarray:
        return np.sign(value) * np.abs(value) ** exponent

    def surface(first: float, second: float) -> ndarray:
        flat = power(np.cos(polar), first)
        return np.stack(
            [flat * power(np.cos(azimuth), second), power(np.sin(polar), first), flat * power(np.sin(azimuth), second)],
            1,
        )

    normals = surface(2 - upright, 2 - around) / axes
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-9)
    vertices = surface(upright, around) * axes
    # Seen from above the texture lies flat; on the rim it is squeezed, as cloth is.
    return make_mesh(vertices, faces, vertices[:, [0, 2]] + vertices[:, 1:2] * [0.5, 0.5], paint, normals)


def make_tube(path: Float[ndarray, "N 3"], radius: float | Float[ndarray, "N"], paint: Paint, sides: int = 6) -> Mesh:
    """Round tube along a polyline, its radius constant or given at every point; open at its ends."""
    points = np.asarray(path, np.float64)
    tangent = np.gradient(points, axis=0)
    tangent /= np.maximum(np.linalg.norm(tangent, axis=1, keepdims=True), 1e-9)
    reference = np.eye(3)[int(np.abs(tangent).sum(0).argmin())]
    first = np.cross(tangent, reference)
    first /= np.maximum(np.linalg.norm(first, axis=1, keepdims=True), 1e-9)
    second = np.cross(tangent, first)
    angle = np.linspace(0, 2 * np.pi, sides + 1)[:, None]
    normals = np.cos(angle) * first[:, None] + np.sin(angle) * second[:, None]
    wide = np.broadcast_to(np.asarray(radius, np.float64), (len(points),))[:, None, None]
    vertices = points[:, None] + wide * normals
    along = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))])
    uv = np.stack(np.broadcast_arrays(wide[..., 0] * angle[:, 0], along[:, None]), axis=-1)
    return make_mesh(
        vertices.reshape(-1, 3), grid_faces(len(points), sides + 1), uv.reshape(-1, 2), paint, normals.reshape(-1, 3)
    )


def make_rods(
    starts: Float[ndarray, "N 3"], ends: Float[ndarray, "N 3"], radius: float, paint: Paint, sides: int = 5
) -> Mesh:
    """Many straight round bars at once: railings, spokes, grids, legs."""
    axis = ends - starts
    length = np.linalg.norm(axis, axis=1, keepdims=True)
    axis = axis / np.maximum(length, 1e-9)
    reference = np.where(np.abs(axis[:, :1]) < 0.8, [[1.0, 0, 0]], [[0, 0, 1.0]])
    first = np.cross(axis, reference)
    first /= np.linalg.norm(first, axis=1, keepdims=True)
    second = np.cross(axis, first)
    angle = np.linspace(0, 2 * np.pi, sides + 1)[:, None]
    ring = np.cos(angle) * first[:, None] + np.sin(angle) * second[:, None]
    normals = np.stack([ring, ring], axis=1)
    vertices = np.stack([starts, ends], axis=1)[:, :, None] + radius * normals
    zero = np.zeros_like(length)
    uv = np.stack(np.broadcast_arrays(radius * angle[:, 0], np.stack([zero, length], axis=1)), axis=-1)
    each = 2 * (sides + 1)
    faces = (grid_faces(2, sides + 1)[None] + each * np.arange(len(starts))[:, None, None]).reshape(-1, 3)
    return make_mesh(vertices.reshape(-1, 3), faces, uv.reshape(-1, 2), paint, normals.reshape(-1, 3))


def make_sheet(points: Float[ndarray, "R C 3"], paint: Paint) -> Mesh:
    """Smooth surface through a grid of points (cloth, curtains, bent boards); the texture follows its lengths."""
    rows, columns = points.shape[:2]
    down = np.concatenate([np.zeros((1, columns)), np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=2), axis=0)])
    across = np.concatenate(
        [np.zeros((rows, 1)), np.cumsum(np.linalg.norm(np.diff(points, axis=1), axis=2), axis=1)], axis=1
    )
    uv = np.stack([across, down], axis=-1).reshape(-1, 2)
    return make_mesh(points.reshape(-1, 3), grid_faces(rows, columns), uv, paint)


def make_curtain(rng: Rng, width: float, height: float, paint: Paint) -> Mesh:
    """Hanging cloth with folds, its top edge at ``height``, in the plane z = 0."""
    columns = max(int(width / 0.025), 12)
    x, down = np.meshgrid(np.linspace(-0.5, 0.5, columns), np.linspace(0, 1, 7))
    waves = rng.uniform(5, 11) * width * 2 * np.pi
    fold = np.sin(x * waves + rng.uniform(0, 6)) + 0.5 * np.sin(x * waves * 0.43 + rng.uniform(0, 6))
    z = rng.uniform(0.015, 0.04) * fold * (0.5 + 0.5 * down) + 0.01 * np.sin(5 * down + x * 7)
    gather = 1 - rng.uniform(0, 0.25) * np.sin(np.pi * down)
    return make_sheet(np.stack([x * width * gather, height * (1 - down), z], axis=-1), paint)


def make_cloth_heap(rng: Rng, radii: Vector, paint: Paint) -> Mesh:
    """Crumpled cloth on y = 0."""
    side = 13
    a, b = np.meshgrid(np.linspace(-1, 1, side), np.linspace(-1, 1, side), indexing="ij")
    waves = rng.normal(size=(5, 2)) * 4
    crumple = np.sin(np.stack([a, b], -1) @ waves.T + rng.uniform(0, 6, 5)).sum(-1) / 5
    height = radii[1] * np.clip(1 - (a**2 + b**2) * 0.7, 0, 1) * (0.7 + 0.5 * crumple) + 0.004
    shift = 0.12 * np.sin(3 * b + rng.uniform(0, 6)), 0.12 * np.sin(3 * a + rng.uniform(0, 6))
    points = np.stack([(a + shift[0]) * radii[0], np.maximum(height, 0.004), (b + shift[1]) * radii[2]], axis=-1)
    return make_sheet(points, paint)


def make_leaves(
    rng: Rng,
    roots: Float[ndarray, "N 3"],
    directions: Float[ndarray, "N 3"],
    length: float,
    width: float,
    paint: Paint,
    droop: float = 0.5,
) -> Mesh:
    """Bent pointed strips: leaves of pot plants, palms, reeds. ``droop``: how far tips sink, relative to the length."""
    num, rows = len(roots), 5
    share = np.linspace(0, 1, rows)
    size = length * rng.uniform(0.6, 1.2, (num, 1, 1))
    ahead = directions / np.maximum(np.linalg.norm(directions, axis=1, keepdims=True), 1e-9)
    aside = np.cross(ahead, [0.0, 1.0, 0.0]) + rng.normal(0, 0.2, (num, 3))
    aside /= np.maximum(np.linalg.norm(aside, axis=1, keepdims=True), 1e-9)
    spine = roots[:, None] + ahead[:, None] * share[:, None] * size
    spine[..., 1] -= droop * size[..., 0] * share**2
    half = (width * np.sin(np.pi * (0.08 + 0.9 * share)) / 2)[:, None] * aside[:, None]
    vertices = np.stack([spine - half, spine + half], axis=2)
    uv = np.broadcast_to(np.stack(np.meshgrid(share * length, [0, width], indexing="ij"), -1), (num, rows, 2, 2))
    faces = (grid_faces(rows, 2)[None] + 2 * rows * np.arange(num)[:, None, None]).reshape(-1, 3)
    mesh = make_mesh(vertices.reshape(-1, 3), faces, uv.reshape(-1, 2), paint)
    mesh.colours[:] = np.clip(mesh.colours * np.repeat(rng.uniform(0.7, 1.2, num), 2 * rows)[:, None], 0, 1)
    return mesh


def make_leaf_cards(
    rng: Rng, centres: Float[ndarray, "N 3"], outward: Float[ndarray, "N 3"], size: float, paint: Paint
) -> Mesh:
    """Small four-sided leaves in all directions, shaded like the round crown that they form together."""
    num = len(centres)
    first = rng.normal(size=(num, 3))
    first /= np.linalg.norm(first, axis=1, keepdims=True)
    second = np.cross(first, rng.normal(size=(num, 3)))
    second /= np.maximum(np.linalg.norm(second, axis=1, keepdims=True), 1e-9)
    scale = size * rng.uniform(0.5, 1.2, (num, 1))
    tips = np.stack([-first * scale, second * scale * 0.5, first * scale, -second * scale * 0.5], axis=1)
    faces = (np.array([[0, 1, 2], [0, 2, 3]])[None] + 4 * np.arange(num)[:, None, None]).reshape(-1, 3)
    normals = outward + 0.5 * np.cross(first, second)
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-9)
    uv = np.array([[0, 0.5], [0.5, 0], [1, 0.5], [0.5, 1]]) * size + rng.random((num, 1, 2))
    mesh = make_mesh(
        (centres[:, None] + tips).reshape(-1, 3), faces, uv.reshape(-1, 2), paint, np.repeat(normals, 4, axis=0)
    )
    mesh.colours[:] = np.clip(mesh.colours * np.repeat(rng.uniform(0.6, 1.25, num), 4)[:, None], 0, 1)
    return mesh
