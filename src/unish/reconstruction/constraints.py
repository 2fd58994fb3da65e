"""What a user knows of a shot: feet that touch, its floor, and that its camera ends where it began."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from unish.errors import InputError
from unish.geometry.rigid import transform_points
from unish.reconstruction.ground import Ground
from unish.reconstruction.known_distances import locate_pixels
from unish.reconstruction.shot import MetricShot

MIN_WIDTH = 0.05
"""Points that lie on the floor must not lie on a line: their spread across it over that along it."""


@dataclass(frozen=True, kw_only=True)
class ShotConstraints:
    """Of one shot with T frames.

    Attributes:
        contacts: 1 where a heel or toe (``contacts.REGIONS``) touches the ground, 0 where it does not, NaN where the
            user says nothing; ``None`` where they say nothing at all.
        floor: (4,) n·x + d = 0 in the finished world of the shot, metres.
        floor_points: (row of the frame with depth, (x, y) of the processed picture) of what lies on the floor.
        closed: the camera ends where it began.
    """

    contacts: Float[Tensor, "P T 4"] | None = None
    floor: Float[Tensor, "4"] | None = None
    floor_points: tuple[tuple[int, tuple[float, float]], ...] = ()
    closed: bool = False

    @property
    def gives_floor(self) -> bool:
        return self.floor is not None or bool(self.floor_points)


def apply_floor(shot: MetricShot, ground: Ground, known: ShotConstraints) -> Ground:
    """The ground of a shot, by what the user says of it; unchanged where they say nothing.

    Raises:
        InputError: no depth is known where the floor is said to be, or it is no floor for this camera.
    """
    if known.floor is not None:
        return _as_ground(known.floor)
    if not known.floor_points:
        return ground
    places = []
    for row, pixel in known.floor_points:
        inside = locate_pixels(shot, row, torch.tensor([pixel]))
        places.append(transform_points(shot.c2w[shot.dense[row]], inside)[0])
    points = torch.stack(places)
    if not torch.isfinite(points).all():
        raise InputError("floor: no depth is known at one of its points; give points that are near and clearly seen")
    return _as_ground(fit_floor_points(points))


def fit_floor_points(points: Float[Tensor, "K 3"]) -> Float[Tensor, "4"]:
    """The plane of least squared distances to three or more points; its normal points to the first camera.

    Raises:
        InputError: they lie on a line.
    """
    centre = points.double().mean(0)
    _, spread, axes = torch.linalg.svd(points.double() - centre, full_matrices=True)
    if not spread[1] > MIN_WIDTH * spread[0]:
        raise InputError("floor: its points lie on a line; give points that lie around an area")
    normal = axes[2]
    offset = -(normal @ centre)
    return (torch.cat([normal, offset[None]]) * torch.where(offset < 0, -1.0, 1.0)).to(points.dtype)


def _as_ground(plane: Float[Tensor, "4"]) -> Ground:
    """Of a plane whose normal may have any length."""
    plane = plane / plane[:3].norm()
    # The first camera is the origin of the world, and d its height.
    if not plane[3] > 0:
        raise InputError("floor: the camera would be under it; give [nx, ny, nz, d] with n up, in metres of the shot")
    return Ground(gravity=-plane[:3], floor=plane, source="given")
