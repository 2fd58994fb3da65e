"""How a player shows the stored picture: mirrored or turned by the display matrix, with pixels that are not square."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from av.sidedata.sidedata import SideDataContainer
from av.video.frame import VideoFrame
from jaxtyping import UInt8
from numpy import ndarray

_WIDEST_PIXEL = 4.0
"""Anamorphic lenses and old broadcast formats stay within 0.5 to 2; more than this is a fault of the file."""
_MAX_TILT = 0.18
"""Tangent of the angle (10°) up to which a turn counts as a multiple of 90°."""


@dataclass(frozen=True, kw_only=True)
class Display:
    """One of the eight ways to lay a picture down: rows and columns swapped first, then each axis reversed or not.

    Attributes:
        transposed: whether rows become columns.
        flip_x, flip_y: whether the columns, and the rows, of the result run backwards.
        tilted: the file asks for an angle that is no multiple of 90°; this is the nearest one.
    """

    transposed: bool = False
    flip_x: bool = False
    flip_y: bool = False
    tilted: bool = False

    def size(self, height: int, width: int) -> tuple[int, int]:
        """(height, width) as shown."""
        return (width, height) if self.transposed else (height, width)

    def apply(self, image: UInt8[ndarray, "h w 3"]) -> UInt8[ndarray, "H W 3"]:
        shown = image.transpose(1, 0, 2) if self.transposed else image
        return shown[:: -1 if self.flip_y else 1, :: -1 if self.flip_x else 1]


def read_display(frame: VideoFrame) -> Display:
    """From the display matrix of a decoded frame; as stored where there is none or where it shows nothing.

    ISO/IEC 14496-12, 8.3.2: the matrix {a b u, c d v, x y w} takes the stored point (p, q) to (a·p + c·q, b·p + d·q).
    """
    # ``frame.side_data`` would stay with the frame and refer back to it: the picture would wait for the collector.
    beside = SideDataContainer(frame)  # type: ignore[abstract,call-arg]
    try:
        matrix = beside["DISPLAYMATRIX"]
    except KeyError:
        return Display()
    a, b, _, c, d, *_ = struct.unpack("=9i", bytes(matrix))
    return _nearest(a, b, c, d)


def _nearest(a: int, b: int, c: int, d: int) -> Display:
    if a * d == b * c:  # the picture would be a line or a point
        return Display()
    along, across = abs(a) + abs(d), abs(b) + abs(c)
    tilted = min(along, across) > _MAX_TILT * max(along, across)
    if along >= across:
        return Display(flip_x=a < 0, flip_y=d < 0, tilted=tilted)
    return Display(transposed=True, flip_x=c < 0, flip_y=b < 0, tilted=tilted)


def is_plausible_aspect(aspect: float) -> bool:
    """Whether pixels of this width over height exist."""
    return 1 / _WIDEST_PIXEL <= aspect <= _WIDEST_PIXEL


def square_pixels(size: tuple[int, int], aspect: float) -> tuple[int, int]:
    """(height, width) with square pixels that shows the same picture without losing detail."""
    height, width = size
    return (height, round(width * aspect)) if aspect >= 1 else (round(height / aspect), width)
