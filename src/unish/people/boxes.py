"""Overlap of boxes and of poses."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray

# Spread of each landmark relative to body size, after the COCO key point sigmas (https://cocodataset.org/#keypoints-eval)
# on the BlazePose order: face 0–10, shoulders, elbows, wrists, six hand points, hips, knees, ankles, heels, toes.
_SPREAD = 2 * np.array([0.026] * 11 + [0.079] * 2 + [0.072] * 2 + [0.062] * 8 + [0.107] * 2 + [0.087] * 2 + [0.089] * 6)


def box_iou(first: Float[ndarray, "N 4"], second: Float[ndarray, "M 4"]) -> Float[ndarray, "N M"]:
    """Intersection over union of every pair of x0, y0, x1, y1 boxes; 0 for empty ones."""
    overlap = _intersection(first, second)
    union = box_area(first)[:, None] + box_area(second)[None] - overlap
    return overlap / np.maximum(union, 1e-9)


def box_containment(first: Float[ndarray, "N 4"], second: Float[ndarray, "M 4"]) -> Float[ndarray, "N M"]:
    """Share of each first box that lies inside each second box."""
    return _intersection(first, second) / np.maximum(box_area(first)[:, None], 1e-9)


def box_area(boxes: Float[ndarray, "*batch 4"]) -> Float[ndarray, "*batch"]:
    """Square pixels."""
    return np.asarray(np.prod(np.maximum(boxes[..., 2:] - boxes[..., :2], 0), axis=-1))


def clip_box(box: Float[ndarray, "4"], size: tuple[int, int]) -> Float[ndarray, "4"]:
    """The part of a box inside a picture of ``size`` = (height, width)."""
    height, width = size
    return np.clip(box, 0, [width, height, width, height])


def suppress(boxes: Float[ndarray, "N 4"], scores: Float[ndarray, "N"], *, max_iou: float) -> list[int]:
    """Greedy non-maximum suppression: indices of the boxes kept, best first."""
    kept: list[int] = []
    overlap = box_iou(boxes, boxes)
    for index in np.argsort(-scores, kind="stable"):
        if all(overlap[index, other] <= max_iou for other in kept):
            kept.append(int(index))
    return kept


def pose_similarity(
    first: Float[ndarray, "33 2"], second: Float[ndarray, "33 2"], shared: Bool[ndarray, "33"], area: float
) -> float:
    """Object key point similarity (COCO) over the landmarks in ``shared``; 0 when there are none.

    ``area`` is that of the person in square pixels. 1 = same pose in the same place.
    """
    if not shared.any():
        return 0.0
    squared = ((first - second) ** 2).sum(-1)[shared]
    return float(np.exp(-squared / (2 * max(area, 1.0) * _SPREAD[shared] ** 2)).mean())


def _intersection(first: Float[ndarray, "N 4"], second: Float[ndarray, "M 4"]) -> Float[ndarray, "N M"]:
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum(first[:, None, 2:], second[None, :, 2:])
    return np.prod(np.maximum(high - low, 0), axis=-1)
