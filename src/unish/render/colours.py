"""Colours for depths and people."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, UInt8
from numpy import ndarray

from unish.structs import Frames

_NEAR_TO_FAR = np.array(
    [(122, 4, 3), (222, 61, 8), (253, 141, 39), (237, 208, 58), (164, 252, 60), (49, 242, 153), (41, 187, 236),
     (70, 107, 227), (48, 18, 59)],
    np.float64,
)  # fmt: skip
"""sRGB anchors from near (warm) to far (cool), equally spaced; each neighbour pair differs in hue and in lightness."""

_STEPS = 1024
_CHANNELS = [
    np.interp(np.linspace(0, len(_NEAR_TO_FAR) - 1, _STEPS), np.arange(len(_NEAR_TO_FAR)), channel)
    for channel in _NEAR_TO_FAR.T
]
_COLOURS = np.pad(np.stack(_CHANNELS, axis=-1), ((1, 0), (0, 0)), constant_values=32).round().astype(np.uint8)
"""What is unknown, then the steps from near to far: no neighbours differ by more than one and a half grey levels."""

_PEOPLE = np.array(
    [(236, 112, 99), (93, 173, 226), (88, 214, 141), (244, 208, 63), (175, 122, 197), (245, 176, 65), (72, 201, 176),
     (240, 98, 146)],
    np.uint8,
)  # fmt: skip


MAX_FRAMES, MAX_PIXELS = 100, 1_000_000


def sample_depth(depth: Float[Frames, "T H W"]) -> Float[ndarray, "N"]:
    """Depths of at most ``MAX_FRAMES`` frames, evenly spread, and of about ``MAX_PIXELS`` of their pixels at most."""
    some = np.unique(np.linspace(0, len(depth) - 1, min(len(depth), MAX_FRAMES)).round().astype(int))
    pixels = len(some) * depth.shape[1] * depth.shape[2]
    values = np.asarray(depth[some]).ravel()
    return values[:: max(1, pixels // MAX_PIXELS)]


def depth_range(depth: Float[Frames, "T H W"]) -> tuple[float, float]:
    """(near, far) in metres that hold the middle 96 % of all defined depths; (1, 10) where none is defined.

    Of many frames some are looked at, evenly spread, and of many pixels some.
    """
    sample = sample_depth(depth)
    sample = sample[np.isfinite(sample) & (sample > 0)]
    if not len(sample):
        return 1.0, 10.0
    near, far = np.quantile(sample, (0.02, 0.98))
    return float(near), float(max(far, 1.05 * near))


def depth_colours(depth: Float[ndarray, "*shape"], near: float, far: float) -> UInt8[ndarray, "*shape 3"]:
    """sRGB by the logarithm of depth, so that equal colour steps are equal ratios; dark grey where depth is 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.log(depth / near) / np.log(far / near)
    step = np.nan_to_num(share, nan=0.0, posinf=1.0, neginf=0.0).clip(0, 1) * (_STEPS - 1) + 1.5
    return _COLOURS[np.where(depth > 0, step, 0).astype(np.int16)]


def person_colour(person_id: int) -> UInt8[ndarray, "3"]:
    """The sRGB colour of an identity, the same in every file."""
    return _PEOPLE[person_id % len(_PEOPLE)]


def to_linear(colour: Float[ndarray, "*shape"]) -> Float[ndarray, "*shape"]:
    """sRGB in 0..1 to linear light, IEC 61966-2-1."""
    return np.where(colour <= 0.04045, colour / 12.92, ((colour + 0.055) / 1.055) ** 2.4)
