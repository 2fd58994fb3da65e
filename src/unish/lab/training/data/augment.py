"""What is done to a clip on its way into a batch: mirrored truth, and pictures degraded like cameras and codecs do."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional

from unish.lab.synthetic.sensor import compress_images

_TABLE = np.arange(256, dtype=np.float32) / 255
_GREY = np.full((3, 3), 1 / 3, np.float32)
"""Colour to grey, three times."""


def mirror_clip(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Left and right exchanged: pixels, principal point, and the camera's x axis."""
    width = arrays["depth"].shape[2]
    intrinsics = arrays["intrinsics"].copy()
    intrinsics[:, 0, 2] = width - intrinsics[:, 0, 2]
    flip = np.diag([-1.0, 1.0, 1.0, 1.0]).astype(np.float32)
    flipped = {name: arrays[name][:, :, ::-1] for name in ("images", "depth", "ids")}
    return {**arrays, **flipped, "intrinsics": intrinsics, "c2w": flip @ arrays["c2w"] @ flip}


def degrade_images(images: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Exposure, colours, contrast, textures, blur, noise and JPEG blocks, mostly the same for all frames of a clip.

    Args:
        images: (N, H, W, 3) u1.
    """
    # Numbers of NumPy are doubles and would make doubles of the pictures, which take twice the time.
    exposure = _TABLE ** np.float32(np.exp(generator.normal(0, 0.25)))
    x = exposure.take(images)
    gain = np.exp(generator.normal(0, 0.15)) * np.exp(generator.normal(0, 0.06, size=3))
    grey = x @ _GREY
    x = grey + (x - grey) * np.float32(np.clip(generator.normal(1.0, 0.3), 0.0, 1.6))
    contrast = np.exp(generator.normal(0, 0.2))
    flicker = gain * np.exp(generator.normal(0, 0.03, size=(len(x), 1, 1, 1)))
    x = x * (contrast * flicker).astype(np.float32) + (0.5 * (1 - contrast) * flicker).astype(np.float32)
    if generator.random() < 0.4:
        x = filter_randomly(x, generator)
    if generator.random() < 0.4:
        x = _blur(x, generator.uniform(0.3, 1.2))
    noise = generator.normal(0, 1, size=x.shape).astype(np.float32)
    x = x + noise * np.float32(generator.uniform(0, 0.04))
    out = (np.clip(x, 0, 1) * 255).astype(np.uint8)
    if generator.random() < 0.5:
        quality = int(generator.integers(25, 90))
        out = compress_images(out, quality)
    return out


def filter_randomly(images: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Blend with a random convolution of the pictures (RandConv, Xu et al. 2021): other textures on the same shapes.

    Args:
        images: (N, H, W, 3) in [0, 1]; all get the same filter, and keep their mean and spread of colours.
    """
    size = int(generator.choice([1, 3, 5]))
    kernel = torch.from_numpy(generator.normal(0, 1, size=(3, 3, size, size)).astype(np.float32))
    x = torch.from_numpy(images).float().permute(0, 3, 1, 2)
    filtered = functional.conv2d(functional.pad(x, (size // 2,) * 4, mode="replicate"), kernel)
    over = (0, 2, 3)
    spread = x.std(over, keepdim=True) / filtered.std(over, keepdim=True).clamp_min(1e-4)
    filtered = (filtered - filtered.mean(over, keepdim=True)) * spread + x.mean(over, keepdim=True)
    return torch.lerp(x, filtered, float(generator.random())).permute(0, 2, 3, 1).numpy()


def _blur(images: np.ndarray, sigma: float) -> np.ndarray:
    taps = np.exp(-0.5 * (np.arange(-3, 4) / sigma) ** 2)
    kernel = torch.from_numpy((taps / taps.sum()).astype(np.float32))
    x = torch.from_numpy(images).float().permute(0, 3, 1, 2).flatten(0, 1)[:, None]
    x = functional.pad(x, (3, 3, 3, 3), mode="replicate")
    x = functional.conv2d(functional.conv2d(x, kernel[None, None, None]), kernel[None, None, :, None])
    return x[:, 0].unflatten(0, (-1, 3)).permute(0, 2, 3, 1).numpy()
