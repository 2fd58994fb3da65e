"""Lenses: one pinhole per clip."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from numpy import ndarray

Rng = np.random.Generator
LENSES = {
    "phone": (0.72, 50.0, 60.0, 74.0),
    "webcam": (0.1, 56.0, 72.0, 90.0),
    "action": (0.06, 85.0, 98.0, 110.0),
    "tele": (0.06, 30.0, 38.0, 46.0),
    "any": (0.06, 30.0, 60.0, 110.0),
}
"""Share of clips; least, most common and largest field of view of the long side in degrees."""


def sample_intrinsics(rng: Rng, size: tuple[int, int], names: tuple[str, ...] | None = None) -> Float[ndarray, "3 3"]:
    """Pinhole in pixels of ``size`` (height, width): field of view of the long side 30–110°, mostly a phone's; the
    principal point at times a little off the centre. ``names`` are the lenses to choose from."""
    height, width = size
    lenses = [LENSES[name] for name in names or LENSES]
    shares = np.array([lens[0] for lens in lenses])
    _, low, common, high = lenses[rng.choice(len(shares), p=shares / shares.sum())]
    focal = max(size) / 2 / np.tan(np.radians(rng.triangular(low, common, high)) / 2)
    shift = rng.normal(0, 0.015, 2) * (rng.random() < 0.3)
    return np.array([[focal, 0, width * (0.5 + shift[0])], [0, focal, height * (0.5 + shift[1])], [0, 0, 1]])
