"""Brightness of pixels."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32, UInt8
from numpy import ndarray

_WEIGHTS = np.array([0.299, 0.587, 0.114], np.float32)


def measure_luma(pictures: UInt8[ndarray, "*shape 3"]) -> Float32[ndarray, "*shape"]:
    """Rec. 601 luma of RGB pictures, 0 to 255."""
    return pictures.astype(np.float32) @ _WEIGHTS
