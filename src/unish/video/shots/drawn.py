"""Whether pictures between two views were drawn of these two by an editor: divided between them, or pushed on.

A wipe or a circle shows, at every point, the one view until it shows the other, and large pieces of each.
A slide shows the other view come in from a side, behind an edge. A camera that pans on shows what lies between.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float32, UInt8
from numpy import ndarray
from scipy.ndimage import uniform_filter

from unish.video.shots.passages import stands_out
from unish.video.shots.places import luma_of

_UNLIKE, _MOST = 0.05, 0.6
"""Difference of luma (0..1) of points that tell the views apart, and the share of the picture that does."""
_UNEXPLAINED = 0.1
"""What is like neither view, over the difference of the two, where the pictures are divided between them. Where the
light changes, pictures lie between the two at every point, and that is more."""
_UNEXPLAINED_SLIDE, _SEAM = 0.36, 2.0
"""The first for a view that comes in from a side, and how far the edge stands out from what is beside it."""
_NARROWEST = 3
"""Pixels of either view beside the edge of a slide."""


def is_drawn(thumbnails: list[UInt8[ndarray, "h w 3"]]) -> bool:
    """Whether an editor made the pictures between the first and the last of them, as a wipe, a circle or a slide."""
    first, *between, last = (luma_of(thumbnail) for thumbnail in thumbnails)
    apart = np.abs(first - last) > _UNLIKE
    if not between or apart.mean() < _MOST:
        return False
    return _are_divided(first, between, last, apart) or _are_pushed(first, between, last)


def _are_divided(
    first: Float32[ndarray, "h w"],
    between: list[Float32[ndarray, "h w"]],
    last: Float32[ndarray, "h w"],
    apart: Bool[ndarray, "h w"],
) -> bool:
    """Whether all pictures are made of pieces of the one view and the other; a filter mixes what is only points."""
    off = np.array([[uniform_filter(np.abs(picture - view), 3) for view in (first, last)] for picture in between])
    return bool(off.min(axis=1)[:, apart].mean() < _UNEXPLAINED * np.abs(first - last)[apart].mean())


def _are_pushed(
    first: Float32[ndarray, "h w"], between: list[Float32[ndarray, "h w"]], last: Float32[ndarray, "h w"]
) -> bool:
    """Whether the second view comes in from one of the four sides, over the first one or behind it."""
    difference = float(np.abs(first - last).mean())
    found = []
    for turned in (lambda view: view, np.fliplr, np.transpose, lambda view: np.fliplr(view.T)):
        one, other = turned(first), turned(last)
        shown = [turned(picture) for picture in between]
        fits = [_fit_edge(one, picture, other) for picture in shown]
        off = float(np.mean([off for off, _ in fits])) / difference
        contrasts = [np.abs(np.diff(picture, axis=1)).mean(axis=0) for picture in shown]
        clear = [
            stands_out(contrast, edge - 1)
            for contrast, (_, edge) in zip(contrasts, fits, strict=True)
            if 4 < edge < one.shape[1] - 4
        ]
        # In one picture alone nobody sees an edge move: a change of light looks like that, too.
        found.append((off, float(np.mean(clear)) if len(clear) > 1 else 0.0))
    off, seam = min(found)
    return off < _UNEXPLAINED_SLIDE and seam >= _SEAM


def _fit_edge(
    first: Float32[ndarray, "h w"], picture: Float32[ndarray, "h w"], last: Float32[ndarray, "h w"]
) -> tuple[float, int]:
    """Mean difference, and the column from which on the picture shows the left part of the last view."""
    width = picture.shape[1]
    best = (np.inf, 0)
    for edge in range(_NARROWEST, width - _NARROWEST):
        come = np.abs(picture[:, edge:] - last[:, : width - edge]).sum()
        stayed = np.abs(picture[:, :edge] - first[:, :edge]).sum()
        went = np.abs(picture[:, :edge] - first[:, width - edge :]).sum()
        best = min(best, (float(come + min(stayed, went)) / picture.size, edge))
    return best
