"""The camera of a shot: decided once, and carried unchanged from the prediction to the file."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from jaxtyping import Float
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
