"""Sizes and antialiased resizing of 8-bit images."""

from __future__ import annotations

import torch
from jaxtyping import UInt8
from torch import Tensor

from unish.errors import InputError


def fit_long_side(size: tuple[int, int], long_side: int) -> tuple[int, int]:
    """(height, width) shrunk in proportion until the long side is at most ``long_side``; never enlarged."""
    factor = min(1.0, long_side / max(size))
    return max(1, round(size[0] * factor)), max(1, round(size[1] * factor))


def processed_size(source_size: tuple[int, int], long_side: int, multiple: int = 14) -> tuple[int, int]:
    """(height, width) in multiples of ``multiple`` that is closest to the source's shape at the given long side.

    The long side becomes the multiple nearest to ``long_side``, the short side the multiple nearest to its share, and
    neither falls below one ``multiple``. Small sources are enlarged to that size: networks want a fixed token budget.

    Raises:
        InputError: ``long_side`` is below ``multiple``.
    """
    if long_side < multiple:
        raise InputError(f"size {long_side} is too small; give at least {multiple} pixels for the long side")
    factor = max(1, round(long_side / multiple)) * multiple / max(source_size)
    height, width = (max(1, round(side * factor / multiple)) * multiple for side in source_size)
    return height, width


def resize_images(images: UInt8[Tensor, "T H W 3"], size: tuple[int, int]) -> UInt8[Tensor, "T h w 3"]:
    """Antialiased bilinear resize to (height, width) ``size``, frame by frame so that memory stays bounded."""
    if tuple(images.shape[1:3]) == tuple(size):
        return images
    resized = images.new_empty((images.shape[0], *size, 3))
    for target, image in zip(resized, images, strict=True):
        planes = image.permute(2, 0, 1)[None].float()
        smooth = torch.nn.functional.interpolate(planes, size=size, mode="bilinear", antialias=True)
        target.copy_(smooth[0].round().clamp(0, 255).permute(1, 2, 0))
    return resized
