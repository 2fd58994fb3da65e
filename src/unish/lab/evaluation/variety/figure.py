"""One picture of all differences: a small panel with two histograms for each quantity."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from PIL import Image, ImageDraw, ImageFont

from unish.lab.evaluation.variety.comparison import BINS, Difference, axis_position
from unish.lab.evaluation.variety.quantities import QUANTITIES, Quantity

_PAPER, _INK, _FAINT, _RULE = (255, 255, 255), (30, 30, 30), (110, 110, 110), (205, 205, 205)
_SYNTHETIC, _REAL = (150, 185, 225), (205, 80, 20)
_COLUMNS, _WIDTH, _HEIGHT, _PLOT, _MARGIN, _HEADER = 6, 240, 132, 72, 26, 58
_BARS = 30
_SCALE = 2
"""Drawn this many times larger and shrunk at the end, for smooth lines."""


def draw_figure(differences: Sequence[Difference], *, num_synthetic: int, num_real: int) -> Image.Image:
    """Panels in the order of ``QUANTITIES``: synthetic filled, real as a line, every histogram with the same area."""
    order = [quantity.name for quantity in QUANTITIES]
    panels = sorted(differences, key=lambda difference: order.index(difference.quantity.name))
    down = math.ceil(len(panels) / _COLUMNS)
    size = (_COLUMNS * _WIDTH + _MARGIN, _HEADER + down * _HEIGHT + _MARGIN // 2)
    picture = Image.new("RGB", (size[0] * _SCALE, size[1] * _SCALE), _PAPER)
    pen = _Pen(ImageDraw.Draw(picture))
    _draw_header(pen, num_synthetic, num_real)
    for number, difference in enumerate(panels):
        left, top = _MARGIN + number % _COLUMNS * _WIDTH, _HEADER + number // _COLUMNS * _HEIGHT
        _draw_panel(pen, difference, left, top, _WIDTH - _MARGIN)
    return picture.resize(size, Image.Resampling.LANCZOS)


class _Pen:
    """Draws in final pixels on the larger canvas."""

    def __init__(self, draw: ImageDraw.ImageDraw) -> None:
        self._draw = draw
        self._fonts: dict[int, ImageFont.FreeTypeFont | ImageFont.ImageFont] = {}

    def text(self, x: float, y: float, text: str, size: int, colour: tuple[int, int, int], anchor: str = "la") -> None:
        font = self._fonts.setdefault(size, ImageFont.load_default(size=size * _SCALE))
        self._draw.text((x * _SCALE, y * _SCALE), text, fill=colour, font=font, anchor=anchor)

    def line(self, points: Sequence[tuple[float, float]], colour: tuple[int, int, int], width: float) -> None:
        self._draw.line([(x * _SCALE, y * _SCALE) for x, y in points], fill=colour, width=round(width * _SCALE))

    def area(self, points: Sequence[tuple[float, float]], colour: tuple[int, int, int]) -> None:
        self._draw.polygon([(x * _SCALE, y * _SCALE) for x, y in points], fill=colour)


def _draw_header(pen: _Pen, num_synthetic: int, num_real: int) -> None:
    pen.area([(_MARGIN, 12), (_MARGIN + 22, 12), (_MARGIN + 22, 24), (_MARGIN, 24)], _SYNTHETIC)
    pen.text(_MARGIN + 30, 18, f"synthetic: {num_synthetic} clips, exact", 14, _INK, "lm")
    pen.line([(_MARGIN + 270, 18), (_MARGIN + 292, 18)], _REAL, 2)
    pen.text(_MARGIN + 300, 18, f"real: {num_real} clips", 14, _INK, "lm")
    note = (
        "Of the real clips, what bears a * is the small model's own estimate, not truth.  All clips weigh the same; "
        "sd: Wasserstein distance in pooled standard deviations, grey where it may be chance."
    )
    pen.text(_MARGIN, 40, note, 12, _FAINT, "lm")


def _draw_panel(pen: _Pen, difference: Difference, left: float, top: float, width: float) -> None:
    quantity = difference.quantity
    name = f"{quantity.name} ({quantity.unit})" if quantity.unit else quantity.name
    pen.text(left, top + 10, name + ("*" if quantity.estimated else ""), 13, _INK, "lm")
    far = difference.distance > difference.chance
    pen.text(left + width, top + 10, f"{difference.distance:.2f} sd", 12, _INK if far else _FAINT, "rm")
    bottom = top + 22 + _PLOT
    bars = [_bars(shares) for shares in (difference.synthetic, difference.real)]
    # The end bars hold all that lies outside; they may be cut off rather than flatten the rest.
    highest = max(1.2 * max(float(np.sort(bar)[-2]) for bar in bars), 0.6 * max(float(bar.max()) for bar in bars))
    filled, outline = (_outline(np.minimum(bar / highest, 1), left, bottom, width) for bar in bars)
    pen.area([(left, bottom), *filled, (left + width, bottom)], _SYNTHETIC)
    pen.line(outline, _REAL, 1.6)
    pen.line([(left, bottom), (left + width, bottom)], _FAINT, 1)
    ticks = _ticks(quantity)
    for value, position in zip(ticks, axis_position(quantity, np.array(ticks)).tolist(), strict=True):
        x = left + position * width
        pen.line([(x, bottom), (x, bottom + 3)], _FAINT, 1)
        pen.text(x, bottom + 5, f"{value:g}", 11, _FAINT, "ma")


def _bars(shares: Float[ndarray, "bins"]) -> Float[ndarray, "bars"]:
    return shares.reshape(_BARS, BINS // _BARS).sum(1)


def _outline(heights: Float[ndarray, "bars"], left: float, bottom: float, width: float) -> list[tuple[float, float]]:
    """The steps of a histogram from left to right."""
    edges = left + np.arange(_BARS + 1) / _BARS * width
    return [(float(edges[i + side]), float(bottom - h * _PLOT)) for i, h in enumerate(heights) for side in (0, 1)]


def _ticks(quantity: Quantity) -> list[float]:
    """Round values along the axis: powers of ten, or three to six even steps."""
    if quantity.log:
        powers = range(math.ceil(math.log10(quantity.low) - 1e-9), math.floor(math.log10(quantity.high) + 1e-9) + 1)
        return [10.0**power for power in powers]
    span = quantity.high - quantity.low
    step = next(s for s in (0.1, 0.2, 0.25, 0.5, 1, 2, 5, 10, 20, 25, 30, 50) if span / s <= 6)
    first = math.ceil(quantity.low / step - 1e-9)
    return [float(round(number * step, 6)) for number in range(first, math.floor(quantity.high / step + 1e-9) + 1)]
