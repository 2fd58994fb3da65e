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
