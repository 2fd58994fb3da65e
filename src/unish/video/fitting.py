"""Pictures of another size among the frames of a clip."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import UInt8
from numpy import ndarray

from unish.video.resize import resize_images

_SAME_SHAPE = 0.02
"""Relative difference of width over height below which pictures show the same view."""


def is_same_shape(first: tuple[int, int], second: tuple[int, int]) -> bool:
    """Whether two (height, width) agree in height over width, but for rounding."""
    ratio = first[0] * second[1] / (first[1] * second[0])
    return max(ratio, 1 / ratio) <= 1 + _SAME_SHAPE


def place_picture(
    image: UInt8[ndarray, "h w 3"], size: tuple[int, int]
) -> tuple[UInt8[ndarray, "H W 3"], tuple[int, int, int, int]]:
    """``fit_into``, of an image that has the size already itself."""
    return (image, (0, 0, *size)) if image.shape[:2] == size else fit_into(size, image)


def fit_into(
    size: tuple[int, int], image: UInt8[ndarray, "h w 3"]
) -> tuple[UInt8[ndarray, "H W 3"], tuple[int, int, int, int]]:
    """The image in a frame of (height, width) ``size``, and where it lies: (top, left, bottom, right).

    The same shape is resized. A camera held upright among pictures that lie, or the other way round, keeps its focal
    length: long side to long side, in the middle, cut where it sticks out. Any other shape is shown whole. What is left
    is black.
    """
    shape = (int(image.shape[0]), int(image.shape[1]))
    if is_same_shape(shape, size):
        return _resize(image, size), (0, 0, *size)
    turned = is_same_shape(shape, size[::-1])
    factor = max(size) / max(shape) if turned else min(size[0] / shape[0], size[1] / shape[1])
    fitted = _resize(image, (max(1, round(shape[0] * factor)), max(1, round(shape[1] * factor))))
    height, width = min(size[0], fitted.shape[0]), min(size[1], fitted.shape[1])
    fitted = fitted[(fitted.shape[0] - height) // 2 :, (fitted.shape[1] - width) // 2 :][:height, :width]
    top, left = (size[0] - height) // 2, (size[1] - width) // 2
    frame = np.zeros((*size, 3), np.uint8)
    frame[top : top + height, left : left + width] = fitted
    return frame, (top, left, top + height, left + width)


def _resize(image: UInt8[ndarray, "h w 3"], size: tuple[int, int]) -> UInt8[ndarray, "H W 3"]:
    return resize_images(torch.from_numpy(np.ascontiguousarray(image))[None], size)[0].numpy()
