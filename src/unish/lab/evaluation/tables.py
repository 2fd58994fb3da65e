"""Tables of methods by benchmark, measured and published rows together, in Markdown, HTML and LaTeX."""

from __future__ import annotations

import html
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from unish.errors import InputError
from unish.lab.evaluation.columns import Column, describe_column
from unish.lab.evaluation.results import Results, is_number

PUBLISHED = Path(__file__).with_name("published.json")
NOT_RUN, NOT_REPORTED, NOT_MEASURED, FAILED = "not run", "not reported", "not measured", "failed"
"""In place of a number: the method was not run on this benchmark; its paper has no such number; the benchmark could not
measure it on any sequence; no sequence gave a result."""


@dataclass(frozen=True, kw_only=True)
class Line:
    """One method in one table.

    Attributes:
        cells: numbers by column, or one of the words that stand in place of a number.
        source: of a published row, the paper of the method; empty for a measured one.
        note: what keeps a measured row from being the whole benchmark.
    """

    method: str
    cells: dict[str, float | str]
    source: str = ""
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Table:
    """One benchmark, or one part of it.

    Attributes:
        quoted_from: where the published rows were read.
    """

    title: str
    columns: tuple[Column, ...]
    lines: tuple[Line, ...]
    quoted_from: str = ""


def make_tables(
    results: Sequence[Results], *, columns: Sequence[str] | None = None, published: bool = True
) -> list[Table]:
    """A table for each benchmark in the results: every method that was measured anywhere, then the published rows.

    Args:
        columns: these alone, in this order; otherwise the published columns first, then all numbers of the summaries.
        published: with rows from papers, where there are any for the benchmark.

    Raises:
        InputError: two files hold the same method on the same benchmark, or no file has one of ``columns``.
    """
    by_place: dict[tuple[str, str], Results] = {}
    for one in results:
        place = (str(one.header["benchmark"]), name_run(one))
        if place in by_place:
            raise InputError(f"two files hold {place[1]} on {place[0]}; give one of them")
        by_place[place] = one
    methods = list(dict.fromkeys(method for _, method in by_place))
    tables = []
    for benchmark in dict.fromkeys(benchmark for benchmark, _ in by_place):
        measured = {method: by_place.get((benchmark, method)) for method in methods}
        papers = load_published()["benchmarks"].get(benchmark) if published else None
        known = [
            name for one in measured.values() if one for name, value in one.summary.items() if _counts(name, value)
        ]
        known = list(dict.fromkeys([*(papers["columns"] if papers else ()), *known]))
        for part in list(dict.fromkeys(name.rpartition("/")[0] for name in known)) or [""]:
            names = [name for name in known if name.rpartition("/")[0] == part]
            if columns is not None:
                names = [f"{part}/{name}" if part else name for name in columns]
                names = [name for name in names if name in known]
            if names:
                tables.append(_make_table(f"{benchmark}/{part}" if part else benchmark, names, measured, papers))
    missing = set(columns or ()) - {column.name.rpartition("/")[2] for table in tables for column in table.columns}
    if missing:
        raise InputError(f"no file has a column {', '.join(sorted(missing))}")
    return tables


def format_tables(tables: Sequence[Table], to: str) -> str:
    """The text of the tables as ``markdown``, ``html`` (a fragment) or ``latex`` (needs the package booktabs)."""
    return "\n\n".join(FORMATS[to](table) for table in tables) + "\n"


@lru_cache(maxsize=1)
def load_published() -> dict[str, Any]:
    """``papers`` by method; ``benchmarks`` with ``columns``, ``rows`` by method and where they were ``quoted_from``."""
    return json.loads(PUBLISHED.read_text(encoding="utf-8"))


def name_run(results: Results) -> str:
    """The method, with what keeps it from being run as the benchmark has it."""
    frames = results.header.get("settings", {}).get("max_frames")
    return str(results.header["method"]) + (f", first {frames} frames" if frames else "")


def _counts(name: str, value: object) -> bool:
    """Whether a column of a summary belongs into a table of methods."""
    return name.rpartition("/")[2] != "failed" and (is_number(value) or value is None)


def _make_table(
    title: str, names: Sequence[str], measured: dict[str, Results | None], papers: dict[str, Any] | None
) -> Table:
    lines = [_measured_line(method, names, found) for method, found in measured.items()]
    for method, values in (papers["rows"] if papers else {}).items():
        reported = dict(zip(papers["columns"], values, strict=True)) if papers else {}
        cells = {name: reported.get(name, NOT_REPORTED) for name in names}
        lines.append(Line(method=method, cells=cells, source=load_published()["papers"][method]))
    return Table(
        title=title,
        columns=tuple(describe_column(name) for name in names),
        lines=tuple(lines),
        quoted_from=papers["quoted_from"] if papers else "",
    )


def _measured_line(method: str, names: Sequence[str], found: Results | None) -> Line:
    if found is None:
        return Line(method=method, cells=dict.fromkeys(names, NOT_RUN))
    failed = sum("error" in row for row in found.sequences.values())
    total = len(found.sequences)
    if total and failed == total:
        return Line(method=method, cells=dict.fromkeys(names, FAILED), note=f"all {total} sequences failed")
    cells = {name: found.summary[name] if is_number(found.summary.get(name)) else NOT_MEASURED for name in names}
    return Line(method=method, cells=cells, note=f"{failed} of {total} sequences failed" if failed else "")


def _notes(table: Table) -> list[str]:
    """Sentences below a table."""
    notes = [f"{line.method}: {line.note}." for line in table.lines if line.note]
    if any(line.source for line in table.lines):
        sources = "; ".join(f"{line.method}: {line.source}" for line in table.lines if line.source)
        notes.append(f"Published rows are quoted from {table.quoted_from}, not run here. {sources}.")
    return notes


def _write_cell(line: Line, column: Column) -> str:
    value = line.cells[column.name]
    return value if isinstance(value, str) else column.write(value)


def _to_markdown(table: Table) -> str:
    head = [f"### {table.title}", "", "| method | " + " | ".join(column.heading for column in table.columns) + " |"]
    head.append("|---" + "|---:" * len(table.columns) + "|")
    for line in table.lines:
        name = f"{line.method} (published)" if line.source else f"`{line.method}`"
        cells = " | ".join(_write_cell(line, column) for column in table.columns)
        head.append(f"| {name} | {cells} |")
    return "\n".join([*head, *(f"\n{note}" for note in _notes(table))])


def _to_html(table: Table) -> str:
    rows = ["".join(["<th>method</th>", *(f"<th>{html.escape(column.heading)}</th>" for column in table.columns)])]
    for line in table.lines:
        name = f"{html.escape(line.method)} <small>published</small>" if line.source else html.escape(line.method)
        cells = [f"<th scope='row'>{name}</th>"]
        for column in table.columns:
            kind = " class='absent'" if isinstance(line.cells[column.name], str) else ""
            cells.append(f"<td{kind}>{_write_cell(line, column)}</td>")
        rows.append("".join(cells))
    body = "\n".join(f"<tr>{row}</tr>" for row in rows)
    notes = "".join(f"\n<p class='note'>{html.escape(note)}</p>" for note in _notes(table))
    return f"<h3>{html.escape(table.title)}</h3>\n<div class='wide'><table>\n{body}\n</table></div>{notes}"


_LATEX = {
    "\\": r"\textbackslash{}", "_": r"\_", "%": r"\%", "&": r"\&", "#": r"\#", "$": r"\$", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "↓": r"$\downarrow$", "↑": r"$\uparrow$",
    "→": r"$\rightarrow$", "δ": r"$\delta$", "<": r"$<$", "π": r"$\pi$", "³": "$^3$", "²": "$^2$", "°": r"$^\circ$",
}  # fmt: skip


def _escape_latex(text: str) -> str:
    return "".join(_LATEX.get(letter, letter) for letter in text)


def _to_latex(table: Table) -> str:
    lines = [r"\begin{tabular}{l" + "r" * len(table.columns) + "}", r"\toprule"]
    lines.append(" & ".join(["method", *(_escape_latex(column.heading) for column in table.columns)]) + r" \\")
    lines.append(r"\midrule")
    for number, line in enumerate(table.lines):
        if line.source and not (number and table.lines[number - 1].source):
            lines.append(r"\midrule")
        absent = {name for name, value in line.cells.items() if isinstance(value, str)}
        written = [
            rf"\textit{{{_write_cell(line, column)}}}" if column.name in absent else _write_cell(line, column)
            for column in table.columns
        ]
        lines.append(" & ".join([_escape_latex(line.method), *written]) + r" \\")
    lines += [r"\bottomrule", r"\end{tabular}"]
    comments = [f"% {note}" for note in [f"benchmark: {table.title}", *_notes(table)]]
    return "\n".join([*comments, *lines])


FORMATS: dict[str, Callable[[Table], str]] = {"markdown": _to_markdown, "html": _to_html, "latex": _to_latex}
