"""Depth that was measured by one camera, seen by another one beside it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy import ndarray

Camera = tuple[float, float, float, float]
"""fx, fy, cx, cy in pixels, the corner of the picture being (0, 0)."""


@dataclass(frozen=True, kw_only=True)
class ColourCamera:
    """The camera whose pictures are given, beside a parallel one that measured depth and poses.

    Attributes:
        camera: in pixels of a picture of ``size``; pictures of another size are taken as shrunk ones.
        depth_camera: likewise.
        offset_m: the centre of the colour camera in the axes of the depth camera.
        size: (height, width).
    """

    camera: Camera
    depth_camera: Camera
    offset_m: tuple[float, float, float]
    size: tuple[int, int]

    def of(self, size: tuple[int, int]) -> tuple[Camera, Camera]:
        """Colour and depth camera in pixels of a picture of ``size``."""
        scale = np.array([size[1] / self.size[1], size[0] / self.size[0]] * 2)
        colour, depth = (scale * camera for camera in (self.camera, self.depth_camera))
        return tuple(map(float, colour)), tuple(map(float, depth))  # type: ignore[return-value]

    def register(self, depth: Float[ndarray, "N H W"]) -> Float[ndarray, "N H W"]:
        """Depth in the pixels of the colour camera, metres; 0 where the depth camera saw nothing.

        Every depth pixel goes where the colour camera sees it; of several in one pixel the nearest stays.
        """
        colour, own = self.of((depth.shape[1], depth.shape[2]))
        return np.stack([_register(frame, own, colour, self.offset_m) for frame in depth])

    def move(self, c2w: Float[ndarray, "N 4 4"]) -> Float[ndarray, "N 4 4"]:
        """Poses of the colour camera from those of the depth camera, in the same world."""
        beside = np.eye(4)
        beside[:3, 3] = self.offset_m
        return c2w @ beside


def _register(
    depth: Float[ndarray, "H W"], own: Camera, colour: Camera, offset_m: tuple[float, float, float]
) -> Float[ndarray, "H W"]:
    rows, columns = np.nonzero(depth > 0)
    z = depth[rows, columns].astype(np.float64)
    x = (columns + 0.5 - own[2]) / own[0] * z - offset_m[0]
    y = (rows + 0.5 - own[3]) / own[1] * z - offset_m[1]
    z = z - offset_m[2]
    u, v = (
        np.floor(f * side / z + c).astype(int) for f, side, c in ((colour[0], x, colour[2]), (colour[1], y, colour[3]))
    )
    inside = (u >= 0) & (u < depth.shape[1]) & (v >= 0) & (v < depth.shape[0]) & (z > 0)
    seen = np.full(depth.shape, np.inf)
    np.minimum.at(seen, (v[inside], u[inside]), z[inside])
    return np.where(np.isfinite(seen), seen, 0).astype(depth.dtype)
