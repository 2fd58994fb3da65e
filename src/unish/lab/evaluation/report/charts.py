"""The charts of a report, drawn with matplotlib and handed over as SVG text."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from unish.errors import InputError
from unish.lab.evaluation.columns import Column, describe_column
from unish.lab.evaluation.frame_data import FrameData

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = ("#1f6fb4", "#d9691e", "#2c9461", "#8d57b0", "#b8922b", "#c2447a", "#5b6770")
"""Of methods, in the order in which they are given; more methods begin anew."""
_INK, _FAINT, _RULE = "#22272c", "#6a737b", "#d7dce0"
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 9,
    "text.color": _INK,
    "axes.labelcolor": _INK,
    "axes.edgecolor": _RULE,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": _RULE,
    "grid.linewidth": 0.6,
    "xtick.color": _FAINT,
    "ytick.color": _FAINT,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
}
_MAX_BARS = 40
_WIDTH = 7.2
"""Inches; a page shows 96 pixels for each."""


def check_charts() -> None:
    """Raises:
    InputError: matplotlib is missing.
    """
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        raise InputError(
            "a report needs matplotlib; pip install 'unish[report]' (tables are made without it)"
        ) from None


def draw_bars(column: Column, values: Mapping[str, Mapping[str, float]], colours: Mapping[str, str]) -> str:
    """One group of bars for each sequence, one bar for each method; ``values`` by method and sequence.

    With more than 40 sequences, those with the highest values.
    """
    names = list(dict.fromkeys(name for by_sequence in values.values() for name in by_sequence))
    highest = {name: max(found[name] for found in values.values() if name in found) for name in names}
    if len(names) > _MAX_BARS:
        kept = set(sorted(names, key=lambda name: highest[name], reverse=True)[:_MAX_BARS])
        names = [name for name in names if name in kept]
    thick = 0.8 / len(values)
    figure, (axes,) = _start(1, height=0.75 + len(names) * (0.1 + 0.13 * len(values)))
    for number, (method, found) in enumerate(values.items()):
        for row, name in enumerate(names):
            if name in found:
                place = row - 0.4 + (number + 0.5) * thick
                axes.barh(place, found[name], thick * 0.92, color=colours[method])
                axes.text(found[name], place, f" {column.write(found[name])}", va="center", fontsize=7, color=_FAINT)
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.grid(axis="y", visible=False)
    axes.margins(x=0.1)
    _write_title(axes, column.heading)
    if column.better == "one":
        axes.axvline(1, color=_INK, linewidth=0.9, linestyle=(0, (4, 3)))
    return _to_svg(figure)


def draw_paths(data: Mapping[str, FrameData], colours: Mapping[str, str]) -> str:
    """Cameras (triangles at the start) and people (dots) from above; the truth dashed. By method."""
    figure, (axes,) = _start(1, height=4.6)
    first = next(iter(data.values()))
    for name, path in first.true_paths.items():
        _draw_path(axes, path, _INK, name, dashed=True)
    for method, frames in data.items():
        for name, path in frames.paths.items():
            _draw_path(axes, path, colours[method], name, dashed=False)
    axes.set_aspect("equal", adjustable="datalim")
    axes.set_xlabel("metres to the right of the first camera")
    axes.set_ylabel("metres ahead")
    _write_title(axes, "paths from above: ▲ camera, ● people; dashed: truth")
    axes.margins(0.12)
    return _to_svg(figure)


def draw_curves(data: Mapping[str, FrameData], colours: Mapping[str, str]) -> str:
    """Every error over time, one panel for each, by method."""
    names = list(dict.fromkeys(name for frames in data.values() for name in frames.curves))
    names = [name for name in names if any(np.isfinite(_curve(frames, name)).any() for frames in data.values())]
    figure, panels = _start(len(names), height=0.4 + 1.05 * len(names))
    for axes, name in zip(panels, names, strict=True):
        for method, frames in data.items():
            axes.plot(frames.times_s, _curve(frames, name), color=colours[method], linewidth=1.4, **_dot(frames))
        _write_title(axes, describe_column(name).label)
        axes.set_ylim(bottom=0)
    panels[-1].set_xlabel("seconds")
    return _to_svg(figure)


def draw_depth(frames: FrameData) -> str:
    """Picture, truth, prediction after one scale, and relative error, for each kept frame."""
    shown = frames.maps
    height, width = shown[0].true_m.shape
    figure, panels = _start(4 * len(shown), height=0.5 + len(shown) * _WIDTH / 4 * height / width, columns=4)
    far = float(np.percentile(np.concatenate([one.true_m[one.true_m > 0] for one in shown]), 98))
    for row, one in enumerate(shown):
        known = (one.true_m > 0) & (one.predicted_m > 0)
        relative = np.where(known, np.abs(one.predicted_m / np.where(known, one.true_m, 1) - 1), np.nan)
        pictures = (one.image, _blank(one.true_m), _blank(one.predicted_m), relative)
        titles = (f"{one.time_s:.2f} s", "true depth", "predicted, scaled", "relative error")
        for axes, picture, title in zip(panels[4 * row : 4 * row + 4], pictures, titles, strict=True):
            is_error = picture is relative
            image = axes.imshow(
                picture,
                cmap="magma" if is_error else "viridis_r",
                vmin=0,
                vmax=0.5 if is_error else far,
                interpolation="nearest",
            )
            axes.set_axis_off()
            _write_title(axes, title if row == 0 or title.endswith(" s") else "")
            if title in ("predicted, scaled", "relative error"):
                bar = figure.colorbar(image, ax=axes, fraction=0.045, pad=0.02)
                bar.outline.set_visible(False)
                bar.ax.tick_params(labelsize=6.5, length=0)
                bar.ax.set_title("" if is_error else "m", fontsize=6.5, color=_FAINT)
    return _to_svg(figure)


def _start(panels: int, *, height: float, columns: int = 1) -> tuple[Figure, list[Axes]]:
    """A figure with panels from left to right and top to bottom, which share the horizontal axis in one column."""
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(_WIDTH, height), layout="constrained")
        made = figure.subplots(math.ceil(panels / columns), columns, sharex=columns == 1, squeeze=False)
    return figure, list(made.flat)


def _write_title(axes: Axes, text: str) -> None:
    axes.set_title(text, loc="left", fontsize=9)


def _to_svg(figure: Figure) -> str:
    """SVG text to stand in a page; the same figure gives the same text."""
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    text = io.StringIO()
    with matplotlib.rc_context(_STYLE | {"svg.hashsalt": "unish"}):
        FigureCanvasSVG(figure).print_svg(text, metadata={"Date": None, "Creator": None})
    drawn = text.getvalue()
    return drawn[drawn.index("<svg") :]


def _draw_path(axes: Axes, path: Float[ndarray, "T 2"], colour: str, name: str, *, dashed: bool) -> None:
    seen = np.flatnonzero(np.isfinite(path).all(1))
    if len(seen) == 0:
        return
    style = (0, (3, 2)) if dashed else "solid"
    axes.plot(path[:, 0], path[:, 1], color=colour, linewidth=1.2 if dashed else 1.6, linestyle=style)
    x, y = path[seen[0]]
    axes.plot([x], [y], marker="^" if name == "camera" else "o", color=colour, markersize=5)


def _curve(frames: FrameData, name: str) -> Float[ndarray, "T"]:
    return frames.curves.get(name, np.full(len(frames.times_s), np.nan))


def _dot(frames: FrameData) -> dict[str, Any]:
    """Markers on short clips, where single frames matter."""
    return {"marker": "o", "markersize": 2.5} if len(frames.times_s) <= 40 else {}


def _blank(depth: Float[ndarray, "h w"]) -> Float[ndarray, "h w"]:
    return np.where(depth > 0, depth, np.nan)


def pick_colours(methods: Sequence[str]) -> dict[str, str]:
    """A colour for each method."""
    return {method: COLOURS[number % len(COLOURS)] for number, method in enumerate(methods)}
