"""The dashboard as text: what belongs together stands in one row, the two folds beside one another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import zip_longest
from typing import Any

from unish.lab.evaluation.benchmarks.clips import TRAINING, VERDICTS
from unish.lab.evaluation.quality_lines import CLIPS, LINES, Line
from unish.lab.evaluation.results import is_number

_FOLDS = ("fold A: to choose on", "fold B: to report")


def make_dashboard_table(lines: Mapping[str, float], beside: Mapping[str, float]) -> str:
    """Markdown, two tables: the lines with a fold, A and B in columns; the clips, those that may train in a column.

    Args:
        lines: value by name of a line; lines that are not in it are left out.
        beside: what stands beside a line, by the line's name.
    """
    shown = [line for line in LINES if line.name in lines]

    def write(line: Line | None) -> str:
        return "" if line is None else _write(line, lines[line.name], beside.get(line.name))

    rows = []
    for column in dict.fromkeys(line.column for line in shown if line.fold):
        of_folds = ([line for line in shown if line.column == column and line.fold == fold] for fold in ("A", "B"))
        for left, right in zip_longest(*of_folds):
            rows.append([column, _name(left), write(left), _name(right), write(right)])
    tables = [_align(["line", _FOLDS[0], "", _FOLDS[1], ""], rows)] if rows else []
    clips = {line.column: line for line in shown if line.part == CLIPS}
    columns = dict.fromkeys(column.removeprefix(TRAINING) for column in clips)
    rows = [[column, write(clips.get(column)), write(clips.get(f"{TRAINING}{column}"))] for column in columns]
    tables += [_align(["clips (no truth)", "value", "the clips that may train"], rows)] if rows else []
    return "\n\n".join(tables)


def make_places_table(each: Mapping[str, Mapping[str, float]]) -> str:
    """Markdown: of every line that is a median over the places of a fold, the places.

    Args:
        each: by name of such a line, value by part; other names are left out.
    """
    rows = []
    for column in dict.fromkeys(line.column for line in LINES if line.part in ("A", "B")):
        sides = (list(each.get(f"{fold}/{column}", {}).items()) for fold in ("A", "B"))
        for left, right in zip_longest(*sides, fillvalue=("", None)):
            cells = [("" if value is None else f"{value:.3g}") for _, value in (left, right)]
            rows.append([column, left[0], cells[0], right[0], cells[1]])
    return _align(["line", _FOLDS[0], "", _FOLDS[1], ""], rows)


def make_clips_table(rows: Mapping[str, Mapping[str, Any]]) -> str:
    """Markdown: the clips one by one, with what says most about each.

    Args:
        rows: by name of a clip, its row of ``ClipsBenchmark``; a column that is missing is shown as a dash.
    """
    head = [
        "clip", "frames", "people", "seen in (share of frames)", "reprojection %", "body to points cm (before)",
        "foot to floor cm", "heights m", "static disagreement %", "ray jitter cm", "camera extent m",
        "people good, doubtful, bad",
    ]  # fmt: skip
    written = []
    for clip, row in rows.items():
        after, before = (_round(row.get(f"body_to_points{when}_cm"), 1) for when in ("", "_before"))
        written.append([
            clip, _round(row.get("frames"), 0), _round(row.get("people"), 0), _write_range(row.get("seen_share", ())),
            _round(row.get("reprojection_percent"), 1), f"{after} ({before})", _round(row.get("foot_to_floor_cm"), 1),
            _write_range(row.get("heights_m", ())), _round(row.get("static_disagreement_percent"), 1),
            _round(row.get("ray_jitter_cm"), 1), _round(row.get("camera_extent_m"), 2),
            ", ".join(_round(row.get(f"people_{verdict}"), 0) for verdict in VERDICTS),
        ])  # fmt: skip
    return _align(head, written)


def _round(value: object, digits: int) -> str:
    return f"{value:.{digits}f}" if is_number(value) else "–"


def _write_range(values: Sequence[float]) -> str:
    """One or two values, or the range of more; a dash without any."""
    if not values:
        return "–"
    ends = (min(values), max(values))
    return ", ".join(f"{value:.2f}" for value in values) if len(values) < 3 else f"{ends[0]:.2f}–{ends[1]:.2f}"


def _name(line: Line | None) -> str:
    return "" if line is None else "median of places" if line.part in ("A", "B") else line.part


def _write(line: Line, value: float, other: float | None) -> str:
    return f"{value:.3g}" + ("" if other is None else f" ({line.beside} {other:.3g})")


def _align(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns as wide as their widest cell, so that the text reads well unrendered, too."""
    widths = [max(len(row[column]) for row in [head, *rows]) for column in range(len(head))]
    written = [" | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in [head, *rows]]
    rule = "|".join("-" * (width + 2) for width in widths)
    return "\n".join([f"| {written[0]} |", f"|{rule}|", *(f"| {row} |" for row in written[1:])])
