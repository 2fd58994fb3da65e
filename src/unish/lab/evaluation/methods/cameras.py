"""Cameras that a method leaves open: a focal length it does not name, frames it has no camera for."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy import ndarray
from torch import Tensor

from unish.errors import InputError
from unish.geometry.camera import resize_intrinsics
from unish.structs import Clip

FocalLengths = tuple[float, float, float, float]
"""fx, fy, cx, cy in pixels of the source."""


def scale_intrinsics(known: FocalLengths, clip: Clip, size: tuple[int, int]) -> Float[Tensor, "3 3"]:
    """From pixels of the source to those of a picture of (height, width) ``size``."""
    fx, fy, cx, cy = known
    return resize_intrinsics(torch.tensor([[fx, 0, cx], [0, fy, cy], [0, 0, 1.0]]), clip.source_size, size)


def hold_cameras(
    frames: Int[ndarray, "F"], c2w: Float[ndarray, "F 4 4"], wanted: Int[ndarray, "T"]
) -> Float[ndarray, "T 4 4"]:
    """The camera of each wanted frame, that of the nearest known frame where it has none of its own.

    Raises:
        InputError: no camera is finite.
    """
    known = np.isfinite(c2w).all((1, 2))
    if not known.any():
        raise InputError("no frame has a camera")
    nearest = np.abs(frames[known][None] - wanted[:, None]).argmin(1)
    return c2w[known][nearest]
