"""Windows and cameras as the small arrays that files hold of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy import ndarray
from torch import Tensor

from unish.reconstruction import Link, Loop, Window
from unish.structs import Camera, FrameArray

SMALL = ("c2w", "zoom", "unplaced", "doubtful", "rotations", "betas", "transl")
"""What a window has beside its dense maps and its numbers."""


def pack_window(window: Window) -> dict[str, Any]:
    """All of a window but its dense maps and the number of its frames."""
    small = {name: getattr(window, name) for name in SMALL if getattr(window, name) is not None}
    arrays: dict[str, Any] = {name: value.numpy() for name, value in small.items()}
    scale = np.nan if window.scale is None else window.scale
    arrays["numbers"] = np.array([scale, window.mean_distance, window.in_given_unit, window.given_error_px])
    arrays["start"] = window.frames.start
    if window.link is not None:
        arrays["link"] = np.array([window.link.log_scale, window.link.depth])
        arrays["levels"] = window.link.levels.numpy()
    return arrays


def unpack_window(arrays: Mapping[str, ndarray], num_frames: int, dense: Mapping[str, FrameArray]) -> Window:
    """Inverse of ``pack_window``.

    Args:
        dense: the maps of the window by name.
    """
    small: dict[str, Tensor | None] = {
        name: torch.from_numpy(arrays[name]) if name in arrays else None for name in SMALL
    }
    scale, mean_distance, in_given_unit, given_error_px = arrays["numbers"].tolist()
    start = int(arrays["start"])
    link = None
    if "link" in arrays:
        log_scale, depth = arrays["link"].tolist()
        link = Link(log_scale=log_scale, depth=depth, levels=torch.from_numpy(arrays["levels"]))
    return Window(
        frames=range(start, start + num_frames), **dense, **small,  # type: ignore[arg-type]
        scale=None if np.isnan(scale) else scale, mean_distance=mean_distance, link=link,
        in_given_unit=bool(in_given_unit), given_error_px=given_error_px,
    )  # fmt: skip


def pack_loops(loops: Sequence[Loop]) -> dict[str, Any]:
    return {
        "frames": np.array([(loop.first, loop.second) for loop in loops], np.int64).reshape(-1, 2),
        "relative": np.array([loop.relative.numpy() for loop in loops], np.float32).reshape(-1, 4, 4),
        "numbers": np.array([(loop.log_ratio, loop.distance) for loop in loops], np.float64).reshape(-1, 2),
    }


def unpack_loops(arrays: Mapping[str, ndarray]) -> list[Loop]:
    """Inverse of ``pack_loops``."""
    parts = zip(arrays["frames"].tolist(), arrays["relative"], arrays["numbers"].tolist(), strict=True)
    return [
        Loop(first=frames[0], second=frames[1], relative=torch.from_numpy(c2c), log_ratio=told[0], distance=told[1])
        for frames, c2c, told in parts
    ]


def pack_camera(camera: Camera) -> dict[str, Any]:
    return {
        "matrix": camera.matrix.numpy(),
        "size": np.array(camera.size),
        "source": camera.focal_source,
        "sigma": np.array(camera.focal_sigma),
    }


def unpack_camera(arrays: Mapping[str, ndarray]) -> Camera:
    """Inverse of ``pack_camera``."""
    height, width = arrays["size"].tolist()
    return Camera(
        matrix=torch.from_numpy(arrays["matrix"]),
        size=(height, width),
        focal_source=str(arrays["source"]),  # type: ignore[arg-type]
        focal_sigma=float(arrays["sigma"]),
    )
