"""Simple solids in stage axes (y up, metres), each a mesh with texture coordinates in metres / tile size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from unish.render.scene import SCENE_ID, Mesh, join_meshes, vertex_normals

Vector = Sequence[float | int | np.floating] | ndarray
"""Three numbers along x, y, z."""


@dataclass(frozen=True, kw_only=True)
class Paint:
    """Looks of a surface: an sRGB tint, a texture layer (−1 = none), the size of one texture tile in metres.

    ``lit`` is false for what shines by itself (sky, window panes, screens).
    """

    colour: tuple[float, float, float] = (0.8, 0.8, 0.8)
    layer: int = -1
    tile: float = 1.0
    lit: bool = True
    identity: int = SCENE_ID


def make_mesh(
    vertices: ndarray, faces: ndarray, uv_metres: ndarray, paint: Paint, normals: ndarray | None = None
) -> Mesh:
    """Mesh from arrays; normals are smooth over shared vertices unless given."""
    vertices = np.asarray(vertices, np.float32)
    faces = np.asarray(faces, np.int32)
    num = len(vertices)
    if not paint.lit:
        normals = np.zeros_like(vertices)
    elif normals is None:
        normals = vertex_normals(vertices, faces)
    return Mesh(
        vertices=vertices,
        faces=faces,
        normals=normals.astype(np.float32),
        colours=np.broadcast_to(np.asarray(paint.colour, np.float32), (num, 3)).copy(),
        uv=(np.asarray(uv_metres) / paint.tile).astype(np.float32),
        layers=np.full(num, paint.layer, np.int16),
        ids=np.full(num, paint.identity, np.int16),
    )


@dataclass(frozen=True, kw_only=True)
class Template:
    """Topology that many solids share.

    Attributes:
        normals: (V, 3); axes: (V, 2) axes of the size along which u and v run; share: (V, 2) u and v as shares of them.
        faces: (F, 3).
    """

    normals: ndarray
    axes: ndarray
    share: ndarray
    faces: ndarray


def _unit_box() -> tuple[ndarray, ndarray, ndarray, ndarray, ndarray]:
    """Corners in ±1, normals; for the texture the axes (across, up) of each vertex and its share of them; faces."""
    corners, normals, axes, share = [], [], [], []
    for across, up, out in ((0, 1, 2), (0, 2, 1), (2, 1, 0)):
        for sign in (-1, 1):
            for a, b in ((-1, -1), (1, -1), (1, 1), (-1, 1)):
                corner, normal = np.zeros(3), np.zeros(3)
                corner[across], corner[up], corner[out], normal[out] = a, b, sign, sign
                corners.append(corner)
                normals.append(normal)
                axes.append((across, up))
                share.append(((1 + a) / 2, (1 - b) / 2))
    start = np.arange(0, 24, 4)[:, None]
    faces = np.concatenate([start + np.array([0, 1, 2]), start + np.array([0, 2, 3])]).astype(np.int32)
    return np.array(corners), np.array(normals, np.float32), np.array(axes), np.array(share), faces


_CORNERS, _NORMALS, _AXES, _SHARE, _FACES = _unit_box()
_BOX = Template(normals=_NORMALS, axes=_AXES, share=_SHARE, faces=_FACES)


def make_box(size: Vector, paint: Paint, centre: Vector = (0.0, 0.0, 0.0)) -> Mesh:
    """Axis-aligned box of ``size`` (x, y, z) around ``centre``, flat-shaded, texture upright on its sides."""
    lengths = np.asarray(size, np.float64)
    return make_mesh(_CORNERS * (lengths / 2) + np.asarray(centre), _FACES, _SHARE * lengths[_AXES], paint, _NORMALS)


def make_boxes(
    sizes: Float[ndarray, "N 3"],
    centres: Float[ndarray, "N 3"],
    paint: Paint,
    colours: Float[ndarray, "N 3"] | None = None,
    yaws: Float[ndarray, "N"] | None = None,
) -> Mesh:
    """Many flat-shaded boxes at once, each in a colour of its own and turned about its vertical if asked for."""
    return fill_template(_CORNERS[None] * (sizes / 2)[:, None], _BOX, sizes, centres, paint, colours, yaws)


def fill_template(
    corners: Float[ndarray, "N V 3"],
    template: Template,
    sizes: Float[ndarray, "N 3"],
    centres: Float[ndarray, "N 3"],
    paint: Paint,
    colours: Float[ndarray, "N 3"] | None,
    yaws: Float[ndarray, "N"] | None,
) -> Mesh:
    """Copies of one topology with the same normals, each with its own corners around its own centre."""
    num, each = corners.shape[:2]
    normals = np.broadcast_to(template.normals, corners.shape)
    if yaws is not None:
        c, s = np.cos(yaws)[:, None], np.sin(yaws)[:, None]
        corners, normals = (
            np.stack([c * a[..., 0] + s * a[..., 2], a[..., 1], c * a[..., 2] - s * a[..., 0]], axis=-1)
            for a in (corners, normals)
        )
    faces = (template.faces[None] + each * np.arange(num)[:, None, None]).reshape(-1, 3)
    uv = template.share * sizes[:, template.axes]
    mesh = make_mesh(
        (corners + centres[:, None]).reshape(-1, 3), faces, uv.reshape(-1, 2), paint, normals.reshape(-1, 3)
    )
    if colours is not None:
        mesh.colours[:] = np.repeat(colours, each, axis=0)
    return mesh


def make_quad(corner: Vector, across: Vector, up: Vector, paint: Paint) -> Mesh:
    """Parallelogram corner + a·across + b·up; texture v = 0 at the far end of ``up``."""
    start, first, second = (np.asarray(vector, np.float64)[None] for vector in (corner, across, up))
    return make_quads(start, first, second, paint)


def make_quads(
    corners: Float[ndarray, "N 3"], across: Float[ndarray, "N 3"], up: Float[ndarray, "N 3"], paint: Paint
) -> Mesh:
    """Many parallelograms at once."""
    num = len(corners)
    a, b = np.array([[0.0, 0], [0, 1], [1, 0], [1, 1]]).T[..., None]
    vertices = (corners[:, None] + a * across[:, None] + b * up[:, None]).astype(np.float32)
    lengths = np.sqrt((np.stack([across, up], axis=1) ** 2).sum(axis=2))
    uv = np.concatenate([a * lengths[:, None, :1], (1 - b) * lengths[:, None, 1:]], axis=2)
    normals = np.cross(vertices[:, 1] - vertices[:, 0], vertices[:, 3] - vertices[:, 0])
    normals /= np.maximum(np.sqrt((normals**2).sum(axis=1, keepdims=True)), np.float32(1e-12))
    faces = (grid_faces(2, 2) + 4 * np.arange(num)[:, None, None]).reshape(-1, 3)
    return make_mesh(vertices.reshape(-1, 3), faces, uv.reshape(-1, 2), paint, np.repeat(normals, 4, axis=0))


def make_turned(profile: Sequence[tuple[float, float]], paint: Paint, sides: int = 14) -> Mesh:
    """Solid of revolution about y through (radius, height) points; smooth around, creased between its rings."""
    rings = np.asarray(profile, np.float64)
    low, high = rings[:-1], rings[1:]
    angle = np.linspace(0, 2 * np.pi, sides + 1)
    circle = np.stack([np.cos(angle), np.zeros_like(angle), np.sin(angle)], axis=1)
    ends = np.stack([low, high], axis=1)[:, :, None]  # (bands, 2, 1, radius and height)
    vertices = ends[..., :1] * circle + ends[..., 1:] * np.array([0, 1.0, 0])
    around = np.maximum(low[:, 0], high[:, 0])[:, None, None] * angle
    uv = np.stack([np.broadcast_to(around, vertices.shape[:3]), -vertices[..., 1]], axis=-1)
    slope = (high - low)[:, None, None]
    normals = circle * slope[..., 1:] - slope[..., :1] * np.array([0, 1.0, 0])
    normals /= np.maximum(np.linalg.norm(normals, axis=-1, keepdims=True), 1e-9)
    normals = np.broadcast_to(normals, vertices.shape)
    starts = np.arange(len(low))[:, None, None] * 2 * (sides + 1)
    faces = (grid_faces(2, sides + 1) + starts).reshape(-1, 3)
    return make_mesh(vertices.reshape(-1, 3), faces, uv.reshape(-1, 2), paint, normals.reshape(-1, 3))


def make_cylinder(radius: float, height: float, paint: Paint, sides: int = 14) -> Mesh:
    """Closed cylinder standing on y = 0."""
    return make_turned([(0, 0), (radius, 0), (radius, height), (0, height)], paint, sides)


def make_blob(rng: np.random.Generator, radii: Vector, paint: Paint, roughness: float = 0.15) -> Mesh:
    """Ellipsoid around the origin with smooth random bumps (relative size ``roughness``): rocks, crowns, cushions."""
    rows, columns = 9, 14
    polar, azimuth = np.meshgrid(np.linspace(0, np.pi, rows), np.linspace(0, 2 * np.pi, columns), indexing="ij")
    unit = np.stack([np.sin(polar) * np.cos(azimuth), np.cos(polar), np.sin(polar) * np.sin(azimuth)], axis=-1)
    waves = rng.normal(size=(6, 3)) * 2.5
    bumps = np.sin(unit @ waves.T + rng.uniform(0, 2 * np.pi, 6)).sum(-1) / 6 * 2
    axes = np.asarray(radii, np.float64)
    vertices = unit * (1 + roughness * bumps)[..., None] * axes
    uv = np.stack([azimuth * axes[0], polar * axes[1]], axis=-1)
    faces = grid_faces(rows, columns)
    normals = unit / axes
    normals /= np.linalg.norm(normals, axis=-1, keepdims=True)
    return make_mesh(vertices.reshape(-1, 3), faces, uv.reshape(-1, 2), paint, normals.reshape(-1, 3))


def grid_faces(rows: int, columns: int) -> ndarray:
    """Two triangles per cell of a rows × columns grid of vertices."""
    corner = (np.arange(rows - 1)[:, None] * columns + np.arange(columns - 1)).reshape(-1, 1)
    return np.concatenate(
        [corner + np.array(part) for part in ((0, 1, columns + 1), (0, columns + 1, columns))]
    ).astype(np.int32)


def join(meshes: Sequence[Mesh]) -> Mesh:
    """One mesh of many."""
    return join_meshes(meshes)


def take(mesh: Mesh, **changed: ndarray) -> Mesh:
    """The mesh with some arrays changed and all others copied, so that nothing is shared with the original."""
    arrays = {f.name: getattr(mesh, f.name) for f in fields(mesh)}
    return replace(
        mesh,
        **{
            name: changed.get(name, value.copy() if isinstance(value, ndarray) else value)
            for name, value in arrays.items()
        },
    )


def transform(mesh: Mesh, matrix: Float[ndarray, "3 3"], offset: Vector = (0.0, 0.0, 0.0)) -> Mesh:
    """Rotate by an orthonormal matrix, then move."""
    turn = matrix.astype(np.float32).T
    return replace(mesh, vertices=mesh.vertices @ turn + np.asarray(offset, np.float32), normals=mesh.normals @ turn)


def tilt(mesh: Mesh, pitch: float = 0.0, roll: float = 0.0) -> Mesh:
    """Turn about +x by ``pitch`` (tips the top towards +z), then about +z by ``roll``."""
    c, s, d, t = np.cos(pitch), np.sin(pitch), np.cos(roll), np.sin(roll)
    about_x = np.array([[1, 0, 0], [0, c, -s], [0, s, c]])
    about_z = np.array([[d, -t, 0], [t, d, 0], [0, 0, 1]])
    return transform(mesh, about_z @ about_x)


def place(mesh: Mesh, position: Vector, yaw: float = 0.0) -> Mesh:
    """Turn about the vertical by ``yaw`` (radians), then move."""
    offset = np.asarray(position, np.float32)
    if yaw == 0.0:
        return replace(mesh, vertices=mesh.vertices + offset)
    turn = yaw_matrix(yaw).astype(np.float32).T
    return replace(mesh, vertices=mesh.vertices @ turn + offset, normals=mesh.normals @ turn)


def yaw_matrix(yaw: float) -> Float[ndarray, "3 3"]:
    """Rotation about +y; positive turns +z towards +x."""
    c, s = np.cos(yaw), np.sin(yaw)
    return np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])
