"""A picture of points and bodies from any camera, without a graphics card and without a browser."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32, Float64, Int, UInt8
from numpy import ndarray

from unish.render.plain import NEAR, render_mesh

_BACKGROUND = (22, 24, 30)
_MOST_PX = 24
"""Side of the largest square: points that are almost in the camera would cover everything."""
_AMBIENT = 0.35


@dataclass(frozen=True, kw_only=True)
class Splats:
    """N points in a world, metres: places, sRGB, and the side of the square that each of them covers."""

    xyz: Float32[ndarray, "N 3"]
    colours: UInt8[ndarray, "N 3"]
    side_m: Float32[ndarray, "N"]


@dataclass(frozen=True, kw_only=True)
class Solid:
    """A mesh of one colour in the same world."""

    vertices: Float32[ndarray, "V 3"]
    faces: Int[ndarray, "F 3"]
    colour: UInt8[ndarray, "3"]


def join_splats(parts: Sequence[Splats]) -> Splats:
    return Splats(
        xyz=np.concatenate([part.xyz for part in parts]),
        colours=np.concatenate([part.colours for part in parts]),
        side_m=np.concatenate([part.side_m for part in parts]),
    )


def draw_view(
    splats: Splats,
    solids: Sequence[Solid],
    c2w: Float64[ndarray, "4 4"],
    intrinsics: Float64[ndarray, "3 3"],
    size: tuple[int, int],
) -> UInt8[ndarray, "H W 3"]:
    """What a pinhole camera sees; the nearest surface wins at every pixel.

    Args:
        c2w: OpenCV axes, metres.
        intrinsics: pixels.
        size: (height, width).
    """
    rotation, position = c2w[:3, :3], c2w[:3, 3]
    picture, depth = _draw_points(splats, rotation, position, intrinsics, size)
    for solid in solids:
        camera = ((solid.vertices - position) @ rotation).astype(np.float32)
        if (camera[:, 2] < NEAR).all():
            continue
        found, normals = render_mesh(camera, solid.faces, intrinsics, size)
        nearer = (found > 0) & (found < depth)
        # Light comes from the camera: whatever turns away from it is darker, with some left in the shade.
        light = _AMBIENT + (1 - _AMBIENT) * np.abs(normals[nearer, 2])
        picture[nearer] = np.minimum(light[:, None] * solid.colour, 255).astype(np.uint8)
        depth[nearer] = found[nearer]
    return picture


def _draw_points(
    splats: Splats,
    rotation: Float64[ndarray, "3 3"],
    position: Float64[ndarray, "3"],
    intrinsics: Float64[ndarray, "3 3"],
    size: tuple[int, int],
) -> tuple[UInt8[ndarray, "H W 3"], Float32[ndarray, "H W"]]:
    """Squares of their points' colours, and z of what is nearest (infinite where nothing is)."""
    height, width = size
    camera = (splats.xyz - position.astype(np.float32)) @ rotation.astype(np.float32)
    z = camera[:, 2]
    ahead = np.flatnonzero(z > NEAR)
    focal = intrinsics[[0, 1], [0, 1]].astype(np.float32)
    pixels = camera[ahead, :2] / z[ahead, None] * focal + intrinsics[:2, 2].astype(np.float32)
    sides = np.clip(np.ceil(splats.side_m[ahead] * focal.mean() / z[ahead]), 1, _MOST_PX).astype(np.int32)
    seen = ((pixels + sides[:, None] > 0) & (pixels - sides[:, None] < (width, height))).all(axis=-1)
    ahead, pixels, sides = ahead[seen], pixels[seen], sides[seen]
    far_first = np.argsort(-z[ahead], kind="stable")
    winner = _nearest(ahead[far_first], pixels[far_first], sides[far_first], size)
    hit = winner >= 0
    picture = np.tile(np.array(_BACKGROUND, np.uint8), (height, width, 1))
    depth = np.full(size, np.inf, np.float32)
    picture[hit], depth[hit] = splats.colours[winner[hit]], z[winner[hit]]
    return picture, depth


def _nearest(
    points: Int[ndarray, "N"], pixels: Float[ndarray, "N 2"], sides: Int[ndarray, "N"], size: tuple[int, int]
) -> Int[ndarray, "H W"]:
    """At each pixel the last of the points whose square covers it, −1 without one."""
    height, width = size
    corner = np.round(pixels - sides[:, None] / 2).astype(np.int32)
    area = sides * sides
    which = np.repeat(np.arange(len(points)), area)
    within = np.arange(len(which)) - np.repeat(np.cumsum(area) - area, area)
    columns = corner[which, 0] + within % sides[which]
    rows = corner[which, 1] + within // sides[which]
    inside = (columns >= 0) & (columns < width) & (rows >= 0) & (rows < height)
    winner = np.full(height * width, -1, np.int64)
    winner[rows[inside] * width + columns[inside]] = points[which[inside]]  # the last one stays
    return winner.reshape(size)
