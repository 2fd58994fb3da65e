"""Maps of floats as bytes that compress well, without loss.

Neighbouring pixels have nearly the same bit patterns, read as integers. What is left of each after its prediction from
the neighbours above and to the left (the Lorenzo predictor; Ibarria et al., "Out-of-core compression and decompression
of large n-dimensional scalar fields", 2003) is small, and its bytes are laid out plane by plane, as TIFF's predictor
for floats does: the high ones are nearly all zero.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32, UInt8
from numpy import ndarray


def split_bytes(values: Float32[ndarray, "H W"]) -> UInt8[ndarray, "4 H W"]:
    """Byte planes of the differences, the lowest byte first."""
    bits = np.ascontiguousarray(values, "<f4").view("<u4")
    # Differences wrap around, and so do the sums that undo them.
    left = np.diff(bits, axis=1, prepend=np.uint32(0))
    both = np.diff(left, axis=0, prepend=np.uint32(0))
    # Small negative numbers become small positive ones: twice the amount, and the sign in the lowest bit.
    folded = (both << np.uint32(1)) ^ (np.uint32(0) - (both >> np.uint32(31)))
    return np.ascontiguousarray(np.moveaxis(folded.astype("<u4")[..., None].view(np.uint8), -1, 0))


def join_bytes(planes: UInt8[ndarray, "4 H W"]) -> Float32[ndarray, "H W"]:
    """Inverse of ``split_bytes``, to the bit."""
    folded = np.ascontiguousarray(np.moveaxis(planes, 0, -1)).view("<u4")[..., 0]
    both = (folded >> np.uint32(1)) ^ (np.uint32(0) - (folded & np.uint32(1)))
    left = np.cumsum(both, axis=0, dtype=np.uint32)
    return np.cumsum(left, axis=1, dtype=np.uint32).view(np.float32)
