"""Seeing through the camera that filmed: the angle of view, and the picture behind it, in a window of any shape."""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float, UInt8
from numpy import ndarray
from PIL import Image


def vertical_fov(intrinsics: Float[ndarray, "3 3"], size: tuple[int, int]) -> tuple[float, float]:
    """Vertical angle of view (radians), and width over height of what is seen, of a camera with these intrinsics.

    Args:
        intrinsics: pixels.
        size: (height, width) in the same pixels.
    """
    height, width = size
    return 2 * math.atan(height / (2 * intrinsics[1, 1])), (width / intrinsics[0, 0]) / (height / intrinsics[1, 1])


def fit_window(
    intrinsics: Float[ndarray, "3 3"], size: tuple[int, int], aspect: float
) -> tuple[float, tuple[float, float, float, float]]:
    """The widest view a window needs to hold the whole picture, its principal point in the middle of the window.

    Viewers' cameras look along the middle of their window; a picture whose principal point lies elsewhere is moved.

    Args:
        size: (height, width) of the picture in pixels, which ``intrinsics`` are of.
        aspect: width over height of the window.

    Returns:
        Vertical angle of view (radians); and left, top, right, bottom of the picture in the window, as shares of it.
    """
    height, width = size
    (fx, cx), (fy, cy) = intrinsics[0, [0, 2]].tolist(), intrinsics[1, 1:].tolist()
    half = max(max(cy, height - cy) / fy, max(cx, width - cx) / fx / aspect)
    across = half * aspect
    edges = (-cx / fx / across, -cy / fy / half, (width - cx) / fx / across, (height - cy) / fy / half)
    left, top, right, bottom = (0.5 + edge / 2 for edge in edges)
    return 2 * math.atan(half), (left, top, right, bottom)


def fill_window(
    picture: UInt8[ndarray, "h w 3"], place: tuple[float, float, float, float], window: tuple[int, int]
) -> UInt8[ndarray, "H W 3"]:
    """The picture at its place in a black window.

    Args:
        place: left, top, right, bottom as shares of the window (``fit_window``).
        window: (height, width) of the result in pixels.
    """
    height, width = window
    rows, columns = picture.shape[:2]
    left, top, right, bottom = place
    # Pixel (x, y) of the window shows column (x / width − left) / (right − left) · columns; the centre is at +0.5.
    across, down = columns / (right - left) / width, rows / (bottom - top) / height
    coefficients = (across, 0, -left * width * across, 0, down, -top * height * down)
    image = Image.fromarray(np.ascontiguousarray(picture))
    filled = image.transform((width, height), Image.Transform.AFFINE, coefficients, Image.Resampling.BILINEAR)
    return np.asarray(filled)
