"""Predictions of windows, joined into a shot without a file between them."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from unish.reconstruction import Shot, Window, describe_window, stitch_windows
from unish.structs import Camera, Prediction


def join(pieces: list[Prediction], windows: list[range], valid: Tensor, camera: Camera, **options: Any) -> Shot:
    """``stitch_windows`` of predictions."""
    described: list[Window] = []
    for piece, frames in zip(pieces, windows, strict=True):
        described.append(describe_window(piece, frames, described[-1] if described else None))
    return stitch_windows(described, valid, camera, **options)


def own_depth(shot: Shot) -> Tensor:
    """(T, H, W) as it was predicted, in the unit of the first window: without the shift that fits it to the camera."""
    return shot.depth[:] - shot.shift
