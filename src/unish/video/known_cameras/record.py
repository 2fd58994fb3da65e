"""What every kind of camera file holds, and checks that all of them share."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Float64
from numpy import ndarray
from scipy.spatial.transform import Rotation

from unish.errors import InputError

_ROUNDED = 1e-3  # by which rows of a rotation may miss being orthonormal: files are written with six digits and fewer


@dataclass(frozen=True, kw_only=True)
class Lenses:
    """Pinholes of N pictures.

    Attributes:
        matrices: (N, 4) fx, fy, cx, cy in pixels; the centre of the top-left pixel is (0.5, 0.5).
        sizes: (N, 2) height and width of the pictures that they are stated for; 0 where the file does not say.
        distorted: the file states a distortion, which nobody undoes here.
    """

    matrices: Float64[ndarray, "N 4"]
    sizes: Float64[ndarray, "N 2"]
    distorted: bool


@dataclass(frozen=True, kw_only=True)
class CameraFile:
    """N poses of one file.

    Attributes:
        c2w: OpenCV axes, in the world and unit of the file.
        names: of the pictures, without folders; ``None`` where the file names none.
        times_s: of the poses; ``None`` where the file states none.
        lenses: ``None`` where the file states none.
        in_metres: what such files usually are.
    """

    path: Path
    c2w: Float64[ndarray, "N 4 4"]
    names: tuple[str, ...] | None = None
    times_s: Float64[ndarray, "N"] | None = None
    lenses: Lenses | None = None
    in_metres: bool = False

    def __post_init__(self) -> None:
        if not len(self.c2w):
            raise InputError(f"{self.path}: no pose of a camera is in it; give another file")
        rotation = self.c2w[:, :3, :3]
        square = rotation @ rotation.transpose(0, 2, 1)
        sound = np.isfinite(self.c2w).all((1, 2)) & (np.abs(square - np.eye(3)).max((1, 2)) < _ROUNDED)
        sound &= np.linalg.det(np.where(np.isfinite(rotation), rotation, 0.0)) > 0
        if not sound.all():
            raise InputError(f"{self.path}: pose {int(np.argmin(sound))} is no rotation and place; correct the file")


def pose_from_quaternions(
    xyzw: Float[ndarray, "N 4"], places: Float[ndarray, "N 3"], path: Path
) -> Float64[ndarray, "N 4 4"]:
    """[[R, t], [0, 1]] of rotations as quaternions of any length.

    Raises:
        InputError: a quaternion is zero or not finite.
    """
    length = np.linalg.norm(xyzw, axis=1)
    if not (np.isfinite(length) & (length > 0)).all():
        raise InputError(f"{path}: a rotation in it is no quaternion; correct the file")
    poses = np.tile(np.eye(4), (len(xyzw), 1, 1))
    poses[:, :3, :3] = Rotation.from_quat(xyzw).as_matrix()
    poses[:, :3, 3] = places
    return poses
