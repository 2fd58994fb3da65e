"""Filters of pictures that keep everything where it is."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, Float32
from numpy import ndarray
from torch.nn import functional


def blur_images(images: Float32[ndarray, "T H W C"], sigma: float) -> Float32[ndarray, "T H W C"]:
    """Gaussian blur (pixels) with repeated edges; below 0.15 pixels nothing happens."""
    if sigma < 0.15:
        return images
    reach = max(1, int(np.ceil(2.5 * sigma)))
    weights = np.exp(-0.5 * (np.arange(reach + 1) / sigma) ** 2).astype(np.float32)
    weights /= weights[0] + 2 * weights[1:].sum()
    for axis in (1, 2):
        images = _blur_along(images, weights, axis)
    return images


def _blur_along(images: Float32[ndarray, "T H W C"], weights: Float32[ndarray, "R"], axis: int) -> ndarray:
    reach, length = len(weights) - 1, images.shape[axis]
    padding = [(reach, reach) if number == axis else (0, 0) for number in range(4)]
    padded = np.pad(images, padding, mode="edge")
    view = np.moveaxis(padded, axis, 0)
    total = np.moveaxis(images * weights[0], axis, 0)
    for step in range(1, reach + 1):
        total += weights[step] * (view[reach - step :][:length] + view[reach + step :][:length])
    return np.moveaxis(total, 0, axis)


def smear_images(
    images: Float32[ndarray, "T H W C"], motion: Float[ndarray, "T h w 2"], most_taps: int = 8
) -> Float32[ndarray, "T H W C"]:
    """Mean along each pixel's path of ``motion`` (pixels of the image, x and y), half before and half after.

    ``motion`` may come on a coarser grid. One tap per pixel of the longest path, 3 to ``most_taps``.
    """
    height, width = images.shape[1:3]
    longest = float(np.quantile(np.abs(motion), 0.98)) if motion.size else 0.0
    if longest < 0.5:
        return images
    taps = int(np.clip(np.ceil(longest) + 1, 3, most_taps))
    pictures = torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2)
    flow = torch.from_numpy(motion.astype(np.float32)).permute(0, 3, 1, 2)
    flow = functional.interpolate(flow, (height, width), mode="bilinear", align_corners=False).permute(0, 2, 3, 1)
    flow = flow * torch.tensor([2 / width, 2 / height])
    x = (torch.arange(width) * 2 + 1) / width - 1
    y = (torch.arange(height) * 2 + 1) / height - 1
    grid = torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1)
    total = torch.zeros_like(pictures)
    for share in np.linspace(-0.5, 0.5, taps):
        place = grid + float(share) * flow
        total += functional.grid_sample(pictures, place, padding_mode="border", align_corners=False)
    return (total / taps).permute(0, 2, 3, 1).numpy()


def defocus_images(
    images: Float32[ndarray, "T H W C"],
    depth: Float32[ndarray, "T H W"],
    focus_m: Float[ndarray, "T"],
    aperture_px_m: float,
) -> Float32[ndarray, "T H W C"]:
    """Blur by the thin lens: the circle of confusion is A · f · |1/z − 1/s| pixels wide for a lens whose aperture A is
    small beside the distances; ``aperture_px_m`` is A · f (metres times pixels), s the focus. Depth 0 is far away.

    Four layers of growing blur are mixed by each pixel's own circle; 7 pixels at most.
    """
    nearness = np.where(depth > 0, 1 / np.maximum(depth, 0.05), 0)
    circle = np.abs(nearness - 1 / focus_m[:, None, None]) * aperture_px_m
    # A disc of diameter c has the standard deviation c / 4 along each axis.
    sigma = np.minimum(blur_images(circle[..., None].astype(np.float32), 0.7), 7.0) / 4
    levels = np.array([0.0, 0.45, 0.9, 1.75], np.float32)
    result = np.zeros_like(images)
    place = np.interp(sigma, levels, np.arange(4)).astype(np.float32)
    for number, level in enumerate(levels):
        share = np.clip(1 - np.abs(place - number), 0, 1)
        if share.any():
            result += share * blur_images(images, float(level))
    return result
