"""Bars that show a blurred, enlarged copy of the picture between them."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32, UInt8
from numpy import ndarray
from scipy.ndimage import gaussian_filter, map_coordinates

from unish.video.luma import measure_luma

_NARROWEST, _WIDEST = 0.03, 0.45
"""Share of the side that one bar may take up."""
_NUM_BLOCKS = 12
"""Parts of the edge that are looked at one by one."""
_SMOOTHER, _MOST, _RICH = 0.5, 0.85, 0.75
"""Fine detail of a bar over that of the picture between the bars: of the first share of the rows of each bar, and of
the second share of the picture's. Plain walls and sky are as smooth as a bar."""
_STEP, _STANDS_OUT = 3.0, 4.0
"""Mean step of luma across an edge, in levels, and how far it exceeds those in the bar."""
_FAINT = 0.5
"""Levels. Coding makes steps as small as this."""
_EARLIER = 0.3
"""Strength, over that of an edge, of another shortly before it that takes its place."""
_AGREE, _AGREE_ALONE = 0.7, 0.5
"""Share of the parts that stand out: of both edges together, and of each. Night behind one of them hides it."""
_MIN_DETAIL = 0.8
"""Levels. A picture without detail is as smooth as a bar."""
_SURE = 12.0
"""``_STANDS_OUT`` of edges that need less to agree with them, because nothing in a scene is like that twice:"""
_SMOOTHER_IF_SURE, _MIN_DETAIL_IF_SURE, _ALIKE_IF_SURE = 0.8, 0.4, 0.8
_ASIDE = 2
"""Rows by which the two bars may differ."""
_ALIKE = 0.6
"""Correlation of the luma in the bars with that of the picture, enlarged until it fills the frame."""
_ENLARGED = (1.0, 1.1, 1.25, 1.5)
"""Factors by which copies are larger than that."""
_PLAIN = 1.5
"""Levels. Bars whose luma deviates less than this from its mean show nothing."""
_COARSE = 128
"""Rows at which bars and picture are compared."""
_NEAR = 12
"""Rows of the bar that an edge is compared with."""


def find_blurred_pair(frames: UInt8[ndarray, "N H W 3"]) -> tuple[int, int]:
    """Rows of the two bars above and below; (0, 0) where there are none."""
    detail, steps = _measure_rows(frames)
    height = len(detail)
    # The step into the last bar is the step out of it, seen from the other end.
    (above, seen_above), (below, seen_below) = _edges(steps), _edges(np.roll(steps[:, ::-1], 1, axis=1))
    best, found = 0.0, (0, 0)
    for first in range(max(_NEAR + 1, round(height * _NARROWEST)), int(height * _WIDEST)):
        for last in range(max(_NEAR + 1, first - _ASIDE), first + _ASIDE + 1):
            strength, agree = min(float(above[first]), float(below[last])), (seen_above[first] + seen_below[last]) / 2
            if (
                strength > best
                and agree >= _AGREE
                and _are_smooth(detail, first, height - last, sure=strength >= _SURE)
            ):
                best, found = strength, (first, last)
    if not best:
        return 0, 0
    needs_little = not _are_smooth(detail, found[0], height - found[1], sure=False)
    return found if _shows_copy(frames, *found, alike=_ALIKE_IF_SURE if needs_little else _ALIKE) else (0, 0)


def _measure_rows(
    frames: UInt8[ndarray, "N H W 3"],
) -> tuple[Float32[ndarray, "H"], Float32[ndarray, "B H"]]:
    """Fine detail along each row, and the mean step of luma from the row before, by parts of the row."""
    count, height, width = frames.shape[:3]
    detail = np.zeros((height, _NUM_BLOCKS), np.float32)
    steps = np.zeros((height, _NUM_BLOCKS), np.float32)
    columns = width // _NUM_BLOCKS * _NUM_BLOCKS
    for picture in frames:
        luma = measure_luma(picture[:, :columns])
        bend = np.zeros_like(luma)
        bend[:, 1:-1] = np.abs(luma[:, :-2] - 2 * luma[:, 1:-1] + luma[:, 2:])
        detail += bend.reshape(height, _NUM_BLOCKS, -1).mean(axis=-1) / count
        steps[1:] += np.abs(np.diff(luma, axis=0)).reshape(height - 1, _NUM_BLOCKS, -1).mean(axis=-1) / count
    # A caption in a bar fills some of the parts, so that the others speak for the row.
    return np.median(detail, axis=1), steps.T


def _edges(steps: Float32[ndarray, "B H"]) -> tuple[Float32[ndarray, "H"], Float32[ndarray, "H"]]:
    """How far the step into each row stands out from those before it, and in which share of the parts; 0 where it is
    no edge."""
    height = steps.shape[1]
    sharp, seen = np.zeros(height, np.float32), np.zeros(height, np.float32)
    mean = steps.mean(axis=0)
    for row in range(_NEAR + 1, height):
        bar = steps[:, row - _NEAR : row - 2]
        ratio = mean[row] / max(float(np.median(mean[row - _NEAR : row - 2])), _FAINT)
        if mean[row] < _STEP or ratio < _STANDS_OUT or mean[row] < mean[row - 2 : row].max():
            continue
        stands_out = steps[:, row] >= np.maximum(_STANDS_OUT * np.median(bar, axis=1), bar.max(axis=1))
        seen[row] = (stands_out & (steps[:, row] >= 2 * _FAINT)).mean()
        if seen[row] >= _AGREE_ALONE:
            # The first edge from the border ends the bar; the picture behind it may have stronger ones.
            sharp[row] = 0.0 if (sharp[row - 3 : row] > _EARLIER * ratio).any() else ratio
    return sharp, seen


def _are_smooth(detail: Float32[ndarray, "H"], first: int, last: int, *, sure: bool) -> bool:
    """Whether the rows outside of these two have little fine detail, and what is between them has more."""
    inside = float(np.quantile(detail[first + 2 : last - 2], _RICH))
    outside = [float(np.quantile(part, _MOST)) for part in (detail[: first - 3], detail[last + 3 :])]
    least, smoother = (_MIN_DETAIL_IF_SURE, _SMOOTHER_IF_SURE) if sure else (_MIN_DETAIL, _SMOOTHER)
    return inside >= least and max(outside) <= smoother * inside


def _shows_copy(frames: UInt8[ndarray, "N H W 3"], first: int, last: int, *, alike: float) -> bool:
    """Whether the bars look like the picture between them: that tells them from smooth walls at both sides."""
    stride = max(1, frames.shape[1] // _COARSE)
    luma = measure_luma(frames[:, ::stride, ::stride])
    height, width = luma.shape[1:]
    first, last = -(-first // stride), -(-last // stride)
    picture = np.stack([gaussian_filter(one, height / 50) for one in luma[:, first : height - last]])
    rows = np.r_[0 : first - 1, height - last + 1 : height].astype(np.float64)
    columns = np.arange(width, dtype=np.float64)
    bars = luma[:, rows.astype(int)]
    if min(float(part.std()) for part in np.split(bars, [first - 1], axis=1)) < _PLAIN:
        return False
    fill = height / (height - first - last)
    for factor in _ENLARGED:
        for along in (fill * factor, 1.0):
            there = np.stack(
                np.meshgrid(
                    (rows + 0.5 - height / 2) / (fill * factor) + height / 2 - 0.5 - first,
                    (columns + 0.5 - width / 2) / along + width / 2 - 0.5,
                    indexing="ij",
                )
            )
            copy = np.stack([map_coordinates(one, there, order=1, mode="nearest") for one in picture])
            if np.corrcoef(copy.ravel(), bars.ravel())[0, 1] >= alike:
                return True
    return False
