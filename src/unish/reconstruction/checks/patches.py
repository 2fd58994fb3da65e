"""Patches of the still scene that are looked for in another picture of the same shot."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Bool, Float, Integer
from numpy import ndarray
from scipy.ndimage import binary_dilation
from torch import nn

from unish.structs import Reconstruction

MATCH_LONG_SIDE = 256
PATCH, SEARCH = 4, 8
"""Half sides of a patch and of the window that it is looked for in, pixels of the matching size."""

MIN_CORRELATION = 0.85
MIN_CONTRAST = 4.0
MAX_PATCHES = 100
PERSON_MARGIN = 2


def matching_step(reconstruction: Reconstruction) -> int:
    """Pixels of the picture that make one of the matching size, along each side."""
    return max(1, -(-max(reconstruction.images.shape[1:3]) // MATCH_LONG_SIDE))


def average_blocks(image: ndarray, step: int) -> Float[ndarray, "h w"]:
    """Grey values of a picture averaged over blocks of ``step`` pixels."""
    height, width = (side // step * step for side in image.shape[:2])
    # Whole numbers are added exactly in any order; along an axis of three, numpy takes ten times as long.
    red, green, blue = (image[:height, :width, channel].astype(np.float32) for channel in range(3))
    total = red + green + blue
    if step > 1:
        total = total.reshape(height // step, step, width // step, step).sum(3).sum(1)
    return total / np.float32(3 * step * step)


def away_from_people(reconstruction: Reconstruction, frame: int, step: int) -> Bool[ndarray, "h w"]:
    """Blocks of ``step`` pixels that have no person in or beside them."""
    height, width = (side // step * step for side in reconstruction.depth.shape[1:])
    person = (reconstruction.person_masks[frame, :height, :width] >= 0).reshape(
        height // step, step, width // step, step
    )
    return ~binary_dilation(person.any((1, 3)), np.ones((3, 3), bool), iterations=PERSON_MARGIN)


def choose_patches(
    usable: Bool[ndarray, "h w"], grey: Float[ndarray, "h w"]
) -> tuple[Integer[ndarray, "N"], Integer[ndarray, "N"]]:
    """Rows and columns of the usable patch with most contrast in every cell of a grid."""
    height, width = grey.shape
    down, right = np.gradient(grey)
    # Corners have contrast in both directions: what is a line could be anywhere along it.
    corner = np.minimum(np.abs(down), np.abs(right))
    corner = np.where(usable & (corner > MIN_CONTRAST), corner, 0.0)
    corner[:PATCH], corner[-PATCH:], corner[:, :PATCH], corner[:, -PATCH:] = 0, 0, 0, 0
    cell = max(1, int(np.sqrt(height * width / MAX_PATCHES)))
    rows, columns = [], []
    for top in range(0, height, cell):
        for left in range(0, width, cell):
            block = corner[top : top + cell, left : left + cell]
            row, column = np.unravel_index(int(block.argmax()), block.shape)
            if block[row, column] > 0:
                rows.append(top + int(row))
                columns.append(left + int(column))
    return np.array(rows, int), np.array(columns, int)


def find_patches(
    grey: Float[ndarray, "h w"],
    patches: Float[ndarray, "N p p"],
    rows: Integer[ndarray, "N"],
    columns: Integer[ndarray, "N"],
    guess: Float[ndarray, "N 2"],
) -> tuple[Float[ndarray, "N"], Float[ndarray, "N 2"], Float[ndarray, "N 2"]]:
    """Best normalised correlation of each patch within ``SEARCH`` of its guessed displacement (x, y), and where.

    Where: to the whole pixel, and what a parabola through the correlations beside the best one adds to that.
    """
    reach = PATCH + SEARCH
    height, width = grey.shape
    start = np.rint(guess).astype(int).clip(-4 * width, 4 * width)
    top = (rows + start[:, 1]).clip(-reach, height - 1 + reach)
    left = (columns + start[:, 0]).clip(-reach, width - 1 + reach)
    # Beyond the picture there is no contrast, so nothing is found there.
    padded = np.pad(grey, 2 * reach)
    offsets = np.arange(reach, 3 * reach + 1)
    windows = torch.from_numpy(padded[top[:, None, None] + offsets[:, None], left[:, None, None] + offsets])
    wanted = torch.from_numpy(patches - patches.mean((1, 2), keepdims=True))
    side = 2 * PATCH + 1
    product = nn.functional.conv2d(windows[None], wanted[:, None], groups=len(windows))[0]
    mean = nn.functional.avg_pool2d(windows[None], side, stride=1)[0]
    square = nn.functional.avg_pool2d(windows[None].double() ** 2, side, stride=1)[0]
    variance = (square - mean.double() ** 2).clamp_min(0.0) * side**2
    score = product / (variance * wanted.square().sum((1, 2))[:, None, None]).sqrt().clamp_min(1.0)
    best, where = score.flatten(1).max(1)
    row, column = where // score.shape[2], where % score.shape[2]
    moved = np.stack([left - columns + column.numpy(), top - rows + row.numpy()], -1).astype(float) - SEARCH
    return best.numpy(), moved, _refine(score.numpy(), row.numpy(), column.numpy())


def _refine(
    score: Float[ndarray, "N s s"], row: Integer[ndarray, "N"], column: Integer[ndarray, "N"]
) -> Float[ndarray, "N 2"]:
    """(x, y) of the top of the parabolas through the scores beside the best one; 0 at the border of the window."""
    index, last = np.arange(len(score)), score.shape[1] - 1
    inside = (row > 0) & (row < last) & (column > 0) & (column < last)
    row, column = np.clip(row, 1, last - 1), np.clip(column, 1, last - 1)
    parts = []
    for down, right in ((0, 1), (1, 0)):
        before, here, after = (score[index, row + step * down, column + step * right] for step in (-1, 0, 1))
        bend = before - 2 * here + after
        parts.append(np.where(inside & (bend < 0), (before - after) / (2 * np.minimum(bend, -1e-9)), 0.0))
    return np.stack(parts, -1)
