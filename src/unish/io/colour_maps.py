"""Pictures as bytes that compress well, without loss.

Red and blue are told from green, for the three rise and fall together, and each pixel from its neighbours above and to
the left, as ``float_maps`` does. The colours are laid out plane by plane.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import UInt8
from numpy import ndarray

_GREEN = 1
_OTHERS = [0, 2]


def split_colours(pictures: UInt8[ndarray, "K H W 3"]) -> UInt8[ndarray, "3 K H W"]:
    """Planes of the differences of red − green, green and blue − green."""
    planes = np.moveaxis(pictures, -1, 0).copy()
    # Differences wrap around, and so do the sums that undo them.
    planes[_OTHERS] -= planes[_GREEN]
    left = np.diff(planes, axis=-1, prepend=np.uint8(0))
    return np.diff(left, axis=-2, prepend=np.uint8(0))


def join_colours(planes: UInt8[ndarray, "3 K H W"]) -> UInt8[ndarray, "K H W 3"]:
    """Inverse of ``split_colours``, to the bit."""
    left = np.cumsum(planes, axis=-2, dtype=np.uint8)
    colours = np.cumsum(left, axis=-1, dtype=np.uint8)
    colours[_OTHERS] += colours[_GREEN]
    return np.ascontiguousarray(np.moveaxis(colours, 0, -1))
