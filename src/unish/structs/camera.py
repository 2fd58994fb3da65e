"""The camera of a shot: decided once, and carried unchanged from the prediction to the file."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from jaxtyping import Float
from torch import Tensor

FocalSource = Literal["given", "metadata", "solved", "guessed"]
"""Where a focal length comes from: the user, the file, the geometry of the scene, or a network that looked at it."""


@dataclass(frozen=True, kw_only=True)
class Camera:
    """One pinhole for all frames of a shot.

    Attributes:
        matrix: (3, 3) intrinsics in pixels of a picture of ``size``; see ``geometry.camera.resize_intrinsics`` for
            those of another size.
        size: (height, width).
        focal_source: how far the focal length can be trusted.
    """

    matrix: Float[Tensor, "3 3"]
    size: tuple[int, int]
    focal_source: FocalSource

    @property
    def field_of_view_deg(self) -> float:
        """Angle between the middles of the two short sides of the picture."""
        side = 1 if self.size[0] > self.size[1] else 0
        focal, centre = float(self.matrix[side, side]), float(self.matrix[side, 2])
        return math.degrees(math.atan(centre / focal) + math.atan((max(self.size) - centre) / focal))
