"""Input and output of a renderer: meshes, lights, scenes, frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Int16, Int32, UInt8
from numpy import ndarray
from scipy.sparse import csr_matrix

SCENE_ID = -1
"""Identity of everything that is neither a person nor the sky."""
SKY_ID = -2
"""Identity of the sky: it is drawn, but it has no depth."""
MAX_LAMPS = 4
"""Most lamps that a scene may have."""


@dataclass(frozen=True, kw_only=True)
class Mesh:
    """Triangles with vertex attributes. Lengths in metres, colours as sRGB in 0..1.

    Attributes:
        vertices: (V, 3).
        faces: (F, 3) indices of vertices; both sides are drawn.
        normals: (V, 3) unit; zero marks a vertex that is drawn unlit (sky, window panes, screens).
        colours: (V, 3) albedo, multiplied with the texture.
        uv: (V, 2) texture coordinates; the texture repeats every 1.
        layers: (V,) layer of the texture array, −1 = no texture.
        ids: (V,) 0 to 127 for people (who makes the mesh says what it means), ``SCENE_ID`` or ``SKY_ID``; equal on
            the three vertices of a face.
        gloss: (V,) 0 = matt to 1 = polished: lights gleam on it, and it mirrors the ambient light at grazing angles.
            None means matt. The plain renderer draws everything matt.
    """

    vertices: Float32[ndarray, "V 3"]
    faces: Int32[ndarray, "F 3"]
    normals: Float32[ndarray, "V 3"]
    colours: Float32[ndarray, "V 3"]
    uv: Float32[ndarray, "V 2"]
    layers: Int16[ndarray, "V"]
    ids: Int16[ndarray, "V"]
    gloss: Float32[ndarray, "V"] | None = None


def empty_mesh() -> Mesh:
    """A mesh of no triangles."""
    return Mesh(
        vertices=np.zeros((0, 3), np.float32),
        faces=np.zeros((0, 3), np.int32),
        normals=np.zeros((0, 3), np.float32),
        colours=np.zeros((0, 3), np.float32),
        uv=np.zeros((0, 2), np.float32),
        layers=np.zeros(0, np.int16),
        ids=np.zeros(0, np.int16),
    )


def join_meshes(meshes: Sequence[Mesh]) -> Mesh:
    """One mesh with all triangles, in the order given."""
    meshes = [empty_mesh(), *meshes]
    offsets = np.cumsum([0] + [len(mesh.vertices) for mesh in meshes[:-1]])
    return Mesh(
        vertices=np.concatenate([mesh.vertices for mesh in meshes]),
        faces=np.concatenate([mesh.faces + np.int32(start) for mesh, start in zip(meshes, offsets, strict=True)]),
        normals=np.concatenate([mesh.normals for mesh in meshes]),
        colours=np.concatenate([mesh.colours for mesh in meshes]),
        uv=np.concatenate([mesh.uv for mesh in meshes]),
        layers=np.concatenate([mesh.layers for mesh in meshes]),
        ids=np.concatenate([mesh.ids for mesh in meshes]),
        gloss=_join_gloss(meshes),
    )


def _join_gloss(meshes: Sequence[Mesh]) -> Float32[ndarray, "V"] | None:
    if all(mesh.gloss is None for mesh in meshes):
        return None
    parts = [np.zeros(len(mesh.vertices), np.float32) if mesh.gloss is None else mesh.gloss for mesh in meshes]
    return np.concatenate(parts)


@dataclass(frozen=True, kw_only=True)
class Lighting:
    """Linear RGB intensities: 1 lights a white surface that faces the light to full white.

    Attributes:
        sun_direction: (3,) unit vector towards the sun.
        sun_colour: (3,); its shadows fall within ``shadow_radius`` of ``shadow_centre``.
        sky_colour, ground_colour: (3,) ambient light from above and from below.
        lamp_positions, lamp_colours: (L, 3) point lights, intensity at 1 m; at most ``MAX_LAMPS``.
        fog_colour: (3,); fog_density: (per metre) share that replaces the colour is 1 − exp(−density · z).
        shadow_centre: (3,) metres; shadow_radius: metres, 0 = no shadows.
        up: (3,) unit vector.
    """

    sun_direction: Float32[ndarray, "3"]
    sun_colour: Float32[ndarray, "3"]
    sky_colour: Float32[ndarray, "3"]
    ground_colour: Float32[ndarray, "3"]
    lamp_positions: Float32[ndarray, "L 3"]
    lamp_colours: Float32[ndarray, "L 3"]
    fog_colour: Float32[ndarray, "3"]
    fog_density: float
    shadow_centre: Float32[ndarray, "3"]
    shadow_radius: float
    up: Float32[ndarray, "3"]

    def __post_init__(self) -> None:
        if len(self.lamp_positions) > MAX_LAMPS:
            raise ValueError(f"{len(self.lamp_positions)} lamps; a scene may have at most {MAX_LAMPS}")


@dataclass(frozen=True, kw_only=True)
class Scene:
    """One clip's geometry. ``people`` keeps topology and appearance; its vertices and normals are given per frame.

    ``shell`` (walls, ground, sky) casts no shadow; ``objects`` and ``people`` do.
    """

    shell: Mesh
    objects: Mesh
    people: Mesh
    lighting: Lighting
    textures: UInt8[ndarray, "L S S 3"]


@dataclass(frozen=True, kw_only=True)
class Frame:
    """One rendered picture.

    Attributes:
        colour: (H, W, 3) sRGB.
        depth: (H, W) z in metres at the pixel centre; 0 where nothing or only sky was hit.
        ids: (H, W) of the people's mesh, ``SCENE_ID`` (also where nothing was hit) or ``SKY_ID``.
        normals: (H, W, 3) unit, camera axes, turned towards the camera; 0 where nothing or something unlit was hit.
    """

    colour: UInt8[ndarray, "H W 3"]
    depth: Float32[ndarray, "H W"]
    ids: Int16[ndarray, "H W"]
    normals: Float32[ndarray, "H W 3"]


class SmoothNormals:
    """Vertex normals of a mesh that changes its shape and keeps its faces.

    Args:
        faces: vertex indices.
        num_vertices: V.
    """

    def __init__(self, faces: Int32[ndarray, "F 3"], num_vertices: int) -> None:
        self._faces = faces
        corners = np.arange(0, 3 * len(faces) + 1, 3)
        ones = np.ones(3 * len(faces), np.float32)
        # One row per vertex, with a one for every face that it belongs to.
        self._gather = csr_matrix((ones, faces.ravel(), corners), shape=(len(faces), num_vertices)).T.tocsr()

    def __call__(self, vertices: Float32[ndarray, "V 3"]) -> Float32[ndarray, "V 3"]:
        """Unit normals, the mean of the adjacent faces weighted by area; zero at vertices without a face."""
        first, second, third = (vertices.take(self._faces[:, corner], axis=0) for corner in range(3))
        (ax, ay, az), (bx, by, bz) = (second - first).T, (third - first).T
        areas = np.stack([ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx], axis=1)
        sums = self._gather @ areas
        return sums / np.maximum(np.sqrt(np.einsum("vc,vc->v", sums, sums)), np.float32(1e-12))[:, None]


def vertex_normals(vertices: Float32[ndarray, "V 3"], faces: Int32[ndarray, "F 3"]) -> Float32[ndarray, "V 3"]:
    """Unit normals as of ``SmoothNormals``, for a single mesh."""
    return SmoothNormals(faces, len(vertices))(vertices)
