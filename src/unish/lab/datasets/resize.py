"""Clips in another size, with their truth."""

from __future__ import annotations

import numpy as np
from numpy import ndarray
from PIL import Image

from unish.lab.datasets.source import ClipArrays

MAX_ZOOM = 1.6
MAX_STRETCH = 1.15
"""Up to this ratio of aspects a clip is stretched to the asked shape (its intrinsics say so); beyond it is cropped.
Sides in multiples of 16 need as much at the smallest working sizes."""


def resize_clip(arrays: ClipArrays, size: tuple[int, int], *, zoom: float = 1.0) -> ClipArrays:
    """Resize to (height, width) ``size`` after cutting out the central 1/zoom; colours are averaged, truth is picked.

    Depth and ids take the nearest pixel, ``intrinsics``, ``landmarks_px`` and ``boxes_xyxy`` follow (points outside the
    new picture stay where they are, with a visibility of 0). A picture of quite another shape loses its margins.
    """
    height, width = arrays["images"].shape[1:3]
    zoom = min(zoom, MAX_ZOOM)
    crop = height / zoom, width / zoom
    wider = (crop[1] / crop[0]) / (size[1] / size[0])
    if wider > MAX_STRETCH:
        crop = crop[0], crop[1] / wider
    elif wider < 1 / MAX_STRETCH:
        crop = crop[0] * wider, crop[1]
    top, left = (height - crop[0]) / 2, (width - crop[1]) / 2
    box = (left, top, left + crop[1], top + crop[0])
    images = [
        np.asarray(Image.fromarray(image).resize((size[1], size[0]), Image.Resampling.BOX, box=box))
        for image in arrays["images"]
    ]
    rows = np.clip((top + (np.arange(size[0]) + 0.5) * crop[0] / size[0]).astype(int), 0, height - 1)
    columns = np.clip((left + (np.arange(size[1]) + 0.5) * crop[1] / size[1]).astype(int), 0, width - 1)
    move = np.array(
        [[size[1] / crop[1], 0, -left * size[1] / crop[1]], [0, size[0] / crop[0], -top * size[0] / crop[0]], [0, 0, 1]]
    )
    moved: ClipArrays = {name: arrays[name][:, rows[:, None], columns] for name in ("depth", "ids") if name in arrays}
    if "intrinsics" in arrays:
        moved["intrinsics"] = (move @ arrays["intrinsics"]).astype(np.float32)
    if "landmarks_px" in arrays:
        moved["landmarks_px"] = _move_landmarks(arrays["landmarks_px"], move, size)
    if "boxes_xyxy" in arrays:
        scale, shift = np.tile(move[[0, 1], [0, 1]], 2), np.tile(move[:2, 2], 2)
        moved["boxes_xyxy"] = (arrays["boxes_xyxy"] * scale + shift).astype(np.float32)
    return {**arrays, "images": np.stack(images), **moved}


def _move_landmarks(landmarks: ndarray, move: ndarray, size: tuple[int, int]) -> ndarray:
    pixels = landmarks[..., :2] * move[[0, 1], [0, 1]] + move[:2, 2]
    inside = ((pixels >= 0) & (pixels < [size[1], size[0]])).all(-1, keepdims=True)
    return np.concatenate([pixels, landmarks[..., 2:] * inside], axis=-1).astype(np.float32)
