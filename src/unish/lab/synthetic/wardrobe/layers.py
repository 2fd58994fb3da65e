"""The three kinds of things that people wear: cloth on the skin, solids on joints, and cloth that hangs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntEnum

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray
from scipy import sparse

from unish.render.scene import Mesh


class Part(IntEnum):
    """What a pixel of a person shows; ids of a renderer are person + ``PART_STEP`` · part."""

    SCENE = 0
    SKIN = 1
    CLOTHES = 2
    HAIR = 3
    SHOES = 4
    CARRIED = 5


PART_STEP = 16
"""More people than this do not fit into the ids of one clip, which renderers keep in a signed byte."""


@dataclass(frozen=True, kw_only=True)
class Looks:
    """Colours (W, 3) in sRGB, texture coordinates (W, 2), one texture layer (−1 = none) and the part of a piece."""

    colours: Float[ndarray, "W 3"]
    uv: Float[ndarray, "W 2"]
    layer: int = -1
    part: Part = Part.CLOTHES


@dataclass(frozen=True, kw_only=True)
class ClothLayer:
    """Cloth that follows the skin: a point of the body's surface, lifted along the surface's normal.

    Attributes:
        points: (W, V) means of body vertices; faces: (F, 3).
        thickness: (W,) lift in metres.
        slack: (W,) further lift in metres where the surface faces down, taken away where it faces up.
        folds: (11, W) metres, see ``sample_folds``.
    """

    points: sparse.csr_array
    faces: Int[ndarray, "F 3"]
    thickness: Float[ndarray, "W"]
    slack: Float[ndarray, "W"]
    folds: Float[ndarray, "11 W"]
    looks: Looks


@dataclass(frozen=True, kw_only=True)
class Solid:
    """Something skinned to joints by its own weights.

    Attributes:
        rest: (W, 3) metres, in the person's rest pose; weights: (W, 24), rows sum to 1; faces: (F, 3).
        hanging: it keeps upright under its one joint and only turns about the vertical with the pelvis.
    """

    rest: Float[ndarray, "W 3"]
    weights: Float[ndarray, "W 24"]
    faces: Int[ndarray, "F 3"]
    looks: Looks
    hanging: bool = False


@dataclass(frozen=True, kw_only=True)
class Drape:
    """Cloth that hangs around the legs: rows (from the top) of points around; legs push it outwards.

    Attributes:
        rest: (R, S, 3) metres, in the person's rest pose; weights: (R, S, 24), rows sum to 1.
        closed: the last point of a row is joined to the first.
        radii: (4,) metres, of hip, thigh above the knee, shin below the knee and ankle, cloth included.
    """

    rest: Float[ndarray, "R S 3"]
    weights: Float[ndarray, "R S 24"]
    closed: bool
    radii: Float[ndarray, "4"]
    looks: Looks


def grid_faces(rows: int, columns: int, closed: bool) -> Int[ndarray, "F 3"]:
    """Two triangles for every cell of a grid of points, row by row."""
    number = np.arange(rows * columns).reshape(rows, columns)
    if closed:
        number = np.concatenate([number, number[:, :1]], axis=1)
    a, b, c, d = number[:-1, :-1], number[:-1, 1:], number[1:, 1:], number[1:, :-1]
    return np.concatenate([np.stack([a, d, c], -1).reshape(-1, 3), np.stack([a, c, b], -1).reshape(-1, 3)])


def bind(num: int, joint: int) -> Float[ndarray, "W 24"]:
    """Weights of points that one joint carries."""
    weights = np.zeros((num, 24), np.float32)
    weights[:, joint] = 1
    return weights


def make_mesh(looks: Looks, faces: ndarray, person: int) -> Mesh:
    """The mesh of one piece; vertices and normals are filled in for every frame."""
    num = len(looks.colours)
    return Mesh(
        vertices=np.zeros((num, 3), np.float32),
        faces=faces.astype(np.int32),
        normals=np.ones((num, 3), np.float32),
        colours=np.clip(looks.colours, 0, 1).astype(np.float32),
        uv=looks.uv.astype(np.float32),
        layers=np.full(num, looks.layer, np.int16),
        ids=np.full(num, person + PART_STEP * looks.part, np.int16),
    )


def with_border(layer: ClothLayer, borders: Int[ndarray, "E 2"]) -> ClothLayer:
    """The layer with its border folded in towards the skin, so that the edge has the thickness of the cloth."""
    if not len(borders):
        return layer
    used, ends = np.unique(borders, return_inverse=True)
    ends = ends.reshape(-1, 2) + len(layer.thickness)
    quads = np.concatenate(
        [np.stack([borders[:, 0], ends[:, 0], ends[:, 1]], 1), np.stack([borders[:, 0], ends[:, 1], borders[:, 1]], 1)]
    )
    looks = layer.looks
    return replace(
        layer,
        points=sparse.csr_array(sparse.vstack([layer.points, layer.points[used]], format="csr")),
        faces=np.concatenate([layer.faces, quads]),
        thickness=np.append(layer.thickness, np.minimum(layer.thickness[used], 0.002)),
        slack=np.append(layer.slack, 0 * layer.slack[used]),
        folds=np.concatenate([layer.folds, 0 * layer.folds[:, used]], axis=1),
        looks=replace(
            looks,
            colours=np.concatenate([looks.colours, 0.6 * looks.colours[used]]),
            uv=np.concatenate([looks.uv, looks.uv[used]]),
        ),
    )
