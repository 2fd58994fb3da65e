"""Whether the camera moved from one picture to another that shares nothing with it, as in a whip pan or a fast zoom.

    consecutive thumbnails ──> chain of matches (shift and enlargement) ──> far enough away? ──> an edge that comes in?

A whip pan or a fast zoom leads away from the first picture. A dissolve, a wipe or a circle does not: the view stays
where it is while its content becomes another one. A slide moves, but brings an edge along a whole side with it.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from math import log

import numpy as np
from jaxtyping import Float32, Float64, UInt8
from numpy import ndarray

from unish.video.shots.places import Match, best_match, enlarge, luma_of

_LINKED, _CLEARLY = 0.25, 0.45
"""Share of the textured area (see ``best_match``) that two pictures of a chain have in common, and that which makes a
search for other sizes needless."""
_SIZES = (1.1, 1.25, 1.45)
"""Enlargements that are tried between two pictures of a chain."""
_FAR, _LARGER = 0.7, 2.0
"""A view is left when it has moved by this share of the picture's side, or is this many times as large or small."""
_FASTEST_SLIDE, _FASTEST_TURN = 6.0, 2.5
"""Picture sides per second: what moves faster from one picture to the next is no slide that an editor draws, and beside
what may be a transition no camera that follows somebody. So it is a whip pan."""
LONGEST_PASSAGE = 60
"""Pictures of a chain at most: a second at sixty per second. Whatever takes longer is no whip pan."""
_EDGE = 2.0
"""Contrast across a line, as a factor of the contrast two and three pixels beside it, of an edge that comes in."""
_OFF, _UNDER_WAY = 4, 0.4
"""Pixels by which the line may be off where the movement says that it is, and share of the picture's side by which it
may be inside at the first picture already."""
_NOISE = 0.005
"""Luma difference of neighbouring pixels, of 1, that is nothing."""
_STRIDE, _STRIDE_SIZE = 0.15, 1.08
"""Share of the picture's side, or enlargement, by which the camera moves at least, on average, until a picture has
nothing in common with an earlier one; less, and the content went without the camera."""


@dataclass(frozen=True, kw_only=True)
class _Move:
    """Where the content of a picture went: pixels down and right, and the logarithm of how much larger it became."""

    down: float = 0.0
    right: float = 0.0
    growth: float = 0.0

    def then(self, other: _Move) -> _Move:
        down, right = self.down + other.down, self.right + other.right
        return _Move(down=down, right=right, growth=self.growth + other.growth)

    def is_at_least(self, share: float, size: float, shape: tuple[int, ...], times: int = 1) -> bool:
        """Whether it is that share of the picture's height or width, or that enlargement, so many times over."""
        shift = max(abs(self.down) / shape[0], abs(self.right) / shape[1])
        return shift >= times * share or abs(self.growth) >= times * log(size)


def camera_leaves(thumbnails: list[UInt8[ndarray, "h w 3"]]) -> bool:
    """Whether the camera moved from the first picture to the last, so far that neither shows what the other does."""
    if len(thumbnails) > LONGEST_PASSAGE:
        return False
    pictures = [luma_of(thumbnail) for thumbnail in thumbnails]
    moves = _follow(pictures)
    if moves is None or not moves[-1].is_at_least(_FAR, _LARGER, pictures[0].shape):
        return False
    if abs(moves[-1].growth) >= log(_LARGER):
        return True
    height, width = pictures[0].shape
    shares = abs(moves[-1].down) / height, abs(moves[-1].right) / width
    if shares[0] > shares[1]:
        return not _brings_edge([picture.T for picture in pictures], [move.down for move in moves])
    return not _brings_edge(pictures, [move.right for move in moves])


def camera_whips(thumbnails: list[UInt8[ndarray, "h w 3"]], interval_s: float, *, beside: bool) -> bool:
    """Whether the camera turns, between two consecutive pictures, faster than for anything but a whip pan.

    That tells one where the pictures in its midst share nothing with one another.

    Args:
        interval_s: seconds from one picture to the next.
        beside: the pictures lie beside what may be a transition, so they show none that is drawn.
    """
    if not 2 <= len(thumbnails) <= LONGEST_PASSAGE:
        return False
    fastest = (_FASTEST_TURN if beside else _FASTEST_SLIDE) * interval_s
    pictures = [luma_of(thumbnail) for thumbnail in thumbnails]
    moves = (_register(*pair) for pair in pairwise(pictures))
    return any(move is not None and move.is_at_least(fastest, np.inf, pictures[0].shape) for move in moves)


def _follow(pictures: list[Float32[ndarray, "h w"]]) -> list[_Move] | None:
    """The movement from the first picture to each; ``None`` where the chain breaks, as at a cut.

    Each picture is compared with one as long before it as still shows the same: what becomes another picture little by
    little is like the one just before it, but not like an earlier one, although the camera has not moved on.
    """
    anchor, until_anchor, moves, num_strides = 0, _Move(), [_Move()], 0
    for index in range(1, len(pictures)):
        found = _register(pictures[anchor], pictures[index])
        if found is None and anchor < index - 1:
            anchor, until_anchor, num_strides = index - 1, moves[-1], num_strides + 1
            if not until_anchor.is_at_least(_STRIDE, _STRIDE_SIZE, pictures[0].shape, times=num_strides):
                return None
            found = _register(pictures[anchor], pictures[index])
        if found is None:
            return None
        moves.append(until_anchor.then(found))
    return moves


def _register(first: Float32[ndarray, "h w"], second: Float32[ndarray, "h w"]) -> _Move | None:
    best, growth = best_match(first, second), 0.0
    if best.share < _CLEARLY:
        sized: list[tuple[Match, float]] = [(best, growth)]
        for size in _SIZES:
            sized += [
                (best_match(enlarge(first, size), second), log(size)),
                (best_match(first, enlarge(second, size)), -log(size)),
            ]
        best, growth = max(sized, key=lambda one: one[0].share)
    if best.share < _LINKED:
        return None
    return _Move(down=best.down, right=best.right, growth=growth)


def _brings_edge(pictures: list[Float32[ndarray, "h w"]], right: list[float]) -> bool:
    """Whether a vertical line comes in from the side with the movement, as between two pictures that are pushed."""
    width = pictures[0].shape[1]
    entry, inwards = (0, 1) if right[-1] > 0 else (width, -1)
    contrasts = [np.abs(np.diff(picture, axis=1)).mean(axis=0) for picture in pictures]
    for off in range(-_OFF, round(_UNDER_WAY * width)):
        found = []
        for contrast, moved in zip(contrasts[1:-1], right[1:-1], strict=True):
            gap = round(entry + moved + inwards * off) - 1  # between this column and the next
            if 3 <= gap < width - 4:
                found.append(stands_out(contrast, gap))
        if len(found) >= 2 and np.mean(found) >= _EDGE:
            return True
    return False


def stands_out(contrast: Float64[ndarray, "w"] | Float32[ndarray, "w"], gap: int) -> float:
    """Contrast across the line in this gap between two columns, over that of the columns beside it."""
    beside = np.concatenate([contrast[gap - 3 : gap - 1], contrast[gap + 2 : gap + 4]])
    return float(contrast[gap - 1 : gap + 2].max() / (beside.mean() + _NOISE))
