"""The camera of a shot: decided once, and carried unchanged from the prediction to the file."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, Float64
from torch import Tensor

FocalSource = Literal["given", "metadata", "solved", "guessed"]
"""Where a focal length comes from: the user, the file, the geometry of the scene, or a network that looked at it."""

FOCAL_SIGMA: dict[FocalSource, float] = {"given": 0.01, "metadata": 0.05, "solved": 0.08, "guessed": 0.15}
"""1σ of the logarithm of a focal length by its source, where nothing more is known of it."""

INTERVAL_SIGMAS = 1.645
"""An interval of so many σ on either side holds 90 % of a normal distribution."""


@dataclass(frozen=True, kw_only=True)
class Lens:
    """A focal length that is known before anybody looks at the pictures.

    Attributes:
        focal: focal length over the diagonal of the source's whole picture (with square pixels).
        log_sigma: 1σ of its logarithm.
        source: who says so.
        told_by: name of the option or tag.
    """

    focal: float
    log_sigma: float
    source: FocalSource
    told_by: str


@dataclass(frozen=True, kw_only=True)
class KnownCameras:
    """Where the camera was in each of T frames, as somebody else has found it.

    Attributes:
        c2w: OpenCV axes, in any world.
        intrinsics: (fx, fy, cx, cy) in pixels of the source, if they came along.
        in_metres: places are in metres; else in any unit.
        refine: they are where the solver starts, and not what it keeps.
        notes: what is to be said of them, one sentence each.
    """

    c2w: Float64[Tensor, "T 4 4"]
    intrinsics: tuple[float, float, float, float] | None
    in_metres: bool
    refine: bool
    notes: tuple[str, ...] = ()

    def from_first(self, frames: slice | list[int]) -> Float[Tensor, "N 4 4"]:
        """Cameras of some frames in the world of the first of them, float32, computed in float64."""
        c2w = self.c2w[frames]
        back = torch.eye(4, dtype=torch.float64)
        back[:3, :3] = c2w[0, :3, :3].T
        # Differences of places, not products of matrices: the first camera comes out as the identity to the bit.
        moved = (c2w[:, :3, 3] - c2w[0, :3, 3]) @ c2w[0, :3, :3]
        turned = back[:3, :3] @ c2w[:, :3, :3]
        turned[0] = torch.eye(3, dtype=torch.float64)
        out = back.repeat(len(c2w), 1, 1)
        out[:, :3, :3], out[:, :3, 3] = turned, moved
        return out.float()


@dataclass(frozen=True, kw_only=True)
class Camera:
    """One pinhole for all frames of a shot.

    Attributes:
        matrix: (3, 3) intrinsics in pixels of a picture of ``size``; see ``geometry.camera.resize_intrinsics`` for
            those of another size.
        size: (height, width).
        focal_source: who says what the focal length is.
        focal_sigma: 1σ of its logarithm; that of ``FOCAL_SIGMA`` if not given.
    """

    matrix: Float[Tensor, "3 3"]
    size: tuple[int, int]
    focal_source: FocalSource
    focal_sigma: float = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        if self.focal_sigma is None:
            object.__setattr__(self, "focal_sigma", FOCAL_SIGMA[self.focal_source])

    @property
    def field_of_view_deg(self) -> float:
        """Angle between the middles of the two short sides of the picture."""
        return self._field_of_view(1.0)

    @property
    def field_of_view_interval_deg(self) -> tuple[float, float]:
        """Least and largest field of view (as ``field_of_view_deg``) between which the true one lies with 90 %."""
        factor = math.exp(INTERVAL_SIGMAS * self.focal_sigma)
        return self._field_of_view(factor), self._field_of_view(1.0 / factor)

    def _field_of_view(self, focal_factor: float) -> float:
        side = 1 if self.size[0] > self.size[1] else 0
        focal, centre = float(self.matrix[side, side]) * focal_factor, float(self.matrix[side, 2])
        return math.degrees(math.atan(centre / focal) + math.atan((max(self.size) - centre) / focal))
