"""What was laid over the pictures of a film: logos, captions and timestamps, and the black that a stabiliser leaves.

A logo keeps its place while everything around it moves. Where the camera stands still, the scene keeps its place, too,
and nothing can be told.
"""

from __future__ import annotations

from functools import partial

import numpy as np
from jaxtyping import Bool, Float32, UInt8
from numpy import ndarray
from scipy import ndimage

from unish.structs import FrameArray, Frames, cut_frames, join_frames
from unish.video.borders.black_borders import FEWEST_FRAMES, find_black_borders
from unish.video.luma import measure_luma

_NUM_FRAMES = 24
"""Of a shot, evenly spread, that are looked at."""
_GRADIENT, _FAINT = 10.0, 4.0
"""Levels per pixel, of 255, of an edge of an overlay, and of an edge that may show that the camera moves."""
_STAYS, _MOVES = 0.95, 0.7
"""|Mean| of the gradient over its mean length: from which on an edge stays in its place, up to which it moves."""
_MOVING_SHARE = 0.7
"""Least share of the edges of a shot that move when the camera does."""
_DEVIATION = 10.0
"""Levels by which the luma of an overlay deviates over time."""
_CORNER = 0.08
"""Least ratio of the eigenvalues of the gradient tensor: a line that slides along itself stays, too."""
_WINDOW, _REACH = 9, 3
"""Pixels: side of the square in which directions are compared; how far parts of one overlay are apart."""
_FEWEST_PIXELS, _DENSE = 20, 0.1
"""Of one overlay: edges that stay, and their share of its area."""
_RING = 6
"""Pixels around an overlay in which edges must move."""
_LARGEST = 0.15
"""Share of the picture that overlays cover at most; more of it is a part of the scene that goes with the camera."""


def find_overlaid(
    images: UInt8[Frames, "T H W 3"], people: Bool[Frames, "T H W"], shots: list[slice]
) -> tuple[Bool[FrameArray, "T H W"], list[str]]:
    """Pixels of the frames that show an overlay or the black beside a stabilised picture, and a sentence for each shot.

    Args:
        people: where people are. They may keep their place in the picture and be no overlay.
        shots: frames of each, one after the other.
    """
    found, notes = list[FrameArray](), list[str]()
    for shot in shots:
        pictures = cut_frames(images, shot)
        overlay = find_static_overlay(pictures, cut_frames(people, shot))
        borders = find_black_borders(pictures)
        found.append(FrameArray(pictures.shape[:3], np.dtype(np.bool_), partial(_either, overlay, borders)))
        where = f"in frames {shot.start} to {shot.stop - 1}"
        if overlay.any():
            covered = f"{100 * overlay.mean():.1f} % of the picture is an overlay that keeps its place: no scene"
            notes.append(f"{where}, {covered}")
        share = 0.0 if borders is None else float(np.mean([border.mean() for border in borders]))
        if share:
            notes.append(f"{where}, black borders that move cover {100 * share:.1f} % of the picture: no scene")
    return join_frames(found), notes


def _either(overlay: Bool[ndarray, "H W"], borders: FrameArray | None, frame: int) -> Bool[ndarray, "H W"]:
    return overlay if borders is None else overlay | borders[frame]


def find_static_overlay(images: UInt8[Frames, "N H W 3"], people: Bool[Frames, "N H W"]) -> Bool[ndarray, "H W"]:
    """Of one shot: parts with corners that stay the same while the edges around them, and most others, move."""
    nothing = np.zeros(images.shape[1:3], bool)
    if len(images) < FEWEST_FRAMES:
        return nothing
    chosen = np.linspace(0, len(images) - 1, min(len(images), _NUM_FRAMES)).round().astype(int)
    luma = measure_luma(np.asarray(images[chosen]))
    dy, dx = np.gradient(luma, axis=(1, 2))
    strength = np.hypot(dx, dy).mean(axis=0)
    mean_x, mean_y = dx.mean(axis=0), dy.mean(axis=0)
    stays = np.hypot(mean_x, mean_y) / np.maximum(strength, 1e-6)
    scene = ~people[chosen].any(axis=0)
    edges = (strength >= _GRADIENT) & scene
    visible = (strength >= _FAINT) & scene
    if not edges.any() or (stays[visible] <= _MOVES).mean() < _MOVING_SHARE:
        return nothing
    static = edges & (stays >= _STAYS) & (luma.std(axis=0) <= _DEVIATION) & _is_corner(mean_x, mean_y, edges)
    joined = ndimage.binary_dilation(static, iterations=_REACH)
    parts = ndimage.label(joined)[0]
    overlay = nothing.copy()
    for number, place in enumerate(ndimage.find_objects(parts), start=1):
        part = parts == number
        num_static = int((part & static).sum())
        ring = ndimage.binary_dilation(part, iterations=_RING) & ~part & visible
        moving = not ring.any() or (stays[ring] <= _MOVES).mean() >= 0.5
        if num_static >= _FEWEST_PIXELS and num_static >= _DENSE * part.sum() and moving:
            overlay[place] |= ndimage.binary_fill_holes(part[place])
    return overlay if overlay.mean() <= _LARGEST else nothing


def _is_corner(
    dx: Float32[ndarray, "H W"], dy: Float32[ndarray, "H W"], edges: Bool[ndarray, "H W"]
) -> Bool[ndarray, "H W"]:
    """Whether edges of several directions are near."""
    xx, yy, xy = (ndimage.uniform_filter(part * edges, _WINDOW) for part in (dx * dx, dy * dy, dx * dy))
    root = np.hypot((xx - yy) / 2, xy)
    return (xx + yy) / 2 - root >= _CORNER * ((xx + yy) / 2 + root)
