"""From a clean render to what a camera records: exposure, white balance, vignette, blur and noise."""

from __future__ import annotations

import numpy as np
from jaxtyping import UInt8
from numpy import ndarray
from scipy.ndimage import gaussian_filter

Rng = np.random.Generator


def record_images(rng: Rng, images: UInt8[ndarray, "T H W 3"]) -> UInt8[ndarray, "T H W 3"]:
    """Auto-exposed to a random aim, with one camera's faults through the clip."""
    picture = images.astype(np.float32) / 255
    aim = rng.uniform(0.33, 0.6)
    gain = np.clip(aim / max(float(np.median(picture[:, ::4, ::4])), 1e-3), 0.6, 2.2)
    balance = 1 + rng.normal(0, 0.04, 3).astype(np.float32)
    picture = picture * (gain * balance)
    picture = np.where(picture > 0.8, 0.8 + 0.2 * np.tanh((picture - 0.8) / 0.2), picture)  # soft shoulder
    height, width = picture.shape[1:3]
    y, x = np.meshgrid(np.linspace(-1, 1, height), np.linspace(-1, 1, width), indexing="ij")
    picture *= (1 - rng.uniform(0, 0.15) * (x**2 + y**2) / 2)[..., None].astype(np.float32)
    sigma = rng.uniform(0.3, 0.5) if rng.random() < 0.7 else rng.uniform(0.5, 0.9)
    picture = gaussian_filter(picture, (0, sigma, sigma, 0), truncate=2.5)
    strength = rng.uniform(0, 0.025)
    noise = rng.standard_normal(picture.shape, np.float32) * strength
    return (np.clip(picture + noise, 0, 1) * 255 + 0.5).astype(np.uint8)
