"""The drawings of ``report.html`` as SVG text: curves over time, and ways over a map. No library, no script."""

from __future__ import annotations

import base64
import html
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, UInt8
from numpy import ndarray
from PIL import Image

from unish.export.plan_views import Projection

_WIDTH, _HEIGHT = 720, 190
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 12, 10, 26
_STEPS = (1.0, 2.0, 5.0)
_BAR_SHARE = 0.3
"""Longest scale bar, as a share of the width of the map."""


@dataclass(frozen=True, kw_only=True)
class Curve:
    """One line of a chart.

    Attributes:
        name: of what it shows.
        colour: CSS colour.
        values: (T,), NaN where the line is broken.
    """

    name: str
    colour: str
    values: Float[ndarray, "T"]


@dataclass(frozen=True, kw_only=True)
class Way:
    """Where something went, in the world of a shot, metres; NaN where it was not seen."""

    name: str
    colour: str
    places: Float[ndarray, "T 3"]


def draw_curves(times_s: Float[ndarray, "T"], curves: Sequence[Curve], *, label: str) -> str:
    """Curves over time, the vertical axis from 0 or below; a value between two unknown ones is a dot.

    Args:
        label: what a screen reader says of the chart.
    """
    known = np.concatenate([curve.values[np.isfinite(curve.values)] for curve in curves])
    low, high = min(0.0, float(known.min())), max(0.0, float(known.max()))
    high = high if high > low else low + 1.0
    start, end = float(times_s[0]), float(times_s[-1])
    end = end if end > start else start + 1.0
    step = _nice_step((high - low) / 4)
    low, high = math.floor(low / step) * step, math.ceil(high / step) * step

    def place(time: float, value: float) -> tuple[float, float]:
        x = _LEFT + (time - start) / (end - start) * (_WIDTH - _LEFT - _RIGHT)
        return x, _TOP + (high - value) / (high - low) * (_HEIGHT - _TOP - _BOTTOM)

    parts = []
    for value in np.arange(round(low / step), round(high / step) + 1) * step:
        _, y = place(start, value)
        parts.append(f"<line class='grid' x1='{_LEFT}' x2='{_WIDTH - _RIGHT}' y1='{y:.1f}' y2='{y:.1f}'/>")
        parts.append(f"<text x='{_LEFT - 6}' y='{y + 4:.1f}' text-anchor='end'>{value:g}</text>")
    every = _nice_step((end - start) / 6)
    for time in np.arange(math.ceil(start / every), math.floor(end / every) + 1) * every:
        x, _ = place(time, low)
        parts.append(f"<text x='{x:.1f}' y='{_HEIGHT - 8}' text-anchor='middle'>{time:g} s</text>")
    for curve in curves:
        for run in _known_runs(curve.values):
            dots = [place(float(times_s[at]), float(curve.values[at])) for at in run]
            parts.append(_line(dots, curve.colour))
    return _svg(_WIDTH, _HEIGHT, parts, label)


def draw_map(background: UInt8[ndarray, "h w 3"], view: Projection, ways: Sequence[Way], *, label: str) -> str:
    """Ways over a picture of the scene from above, a dot where each begins, and a scale bar."""
    height, width = background.shape[:2]
    parts = [f"<image width='{width}' height='{height}' href='{jpeg_url(background)}'/>"]
    for way in ways:
        known = np.isfinite(way.places).all(axis=-1)
        if not known.any():
            continue
        pixels = np.full((len(known), 2), np.nan)
        pixels[known] = view.pixels(way.places[known])
        parts += [_line([tuple(pixels[at]) for at in run], way.colour) for run in _known_runs(pixels[:, 0])]
        x, y = pixels[known][0]
        parts.append(f"<circle cx='{x:.1f}' cy='{y:.1f}' r='5' fill='{way.colour}' stroke='#fff'/>")
        parts.append(f"<text class='on' x='{x + 8:.1f}' y='{y + 4:.1f}'>{html.escape(way.name)}</text>")
    metres = _nice_step(_BAR_SHARE * width / view.px_per_m, below=True)
    length, bottom = metres * view.px_per_m, height - 16
    left = width - 16 - length  # at the left the picture says how wide its grid is
    parts.append(f"<rect x='{left:.1f}' y='{bottom - 4}' width='{length:.1f}' height='4' fill='#fff'/>")
    parts.append(f"<text class='on' x='{left:.1f}' y='{bottom - 10}'>{metres:g} m</text>")
    return _svg(width, height, parts, label)


def jpeg_url(picture: UInt8[ndarray, "h w 3"], *, quality: int = 82) -> str:
    """The picture itself as an address, so that a page needs no other file."""
    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(picture)).save(file, "JPEG", quality=quality)
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode("ascii")


def css_colour(rgb: UInt8[ndarray, "3"]) -> str:
    """``#rrggbb``."""
    return "#{:02x}{:02x}{:02x}".format(*rgb.tolist())


def _svg(width: int, height: int, parts: Sequence[str], label: str) -> str:
    name = html.escape(label, quote=True)
    return f"<svg viewBox='0 0 {width} {height}' role='img' aria-label='{name}'>{''.join(parts)}</svg>"


def _line(dots: Sequence[tuple[float, float]], colour: str) -> str:
    if len(dots) == 1:
        return f"<circle cx='{dots[0][0]:.1f}' cy='{dots[0][1]:.1f}' r='2' fill='{colour}'/>"
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in dots)
    return f"<polyline points='{points}' fill='none' stroke='{colour}' stroke-width='2' stroke-linejoin='round'/>"


def _known_runs(values: Float[ndarray, "T"]) -> list[ndarray]:
    """Indices of neighbouring values that are known, run by run."""
    known = np.flatnonzero(np.isfinite(values))
    return np.split(known, np.flatnonzero(np.diff(known) > 1) + 1) if len(known) else []


def _nice_step(about: float, *, below: bool = False) -> float:
    """1, 2 or 5 times a power of ten: the smallest that is not below ``about``, or the largest that is not above."""
    power = 10.0 ** math.floor(math.log10(about))
    candidates = [step * scale for scale in (power, 10 * power) for step in _STEPS]
    fitting = [step for step in candidates if (step <= about * (1 + 1e-9) if below else step >= about * (1 - 1e-9))]
    return max(fitting) if below else min(fitting)
