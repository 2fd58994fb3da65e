"""A report as one self-contained HTML file."""

from __future__ import annotations

import html
import itertools
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from unish.errors import InputError
from unish.io import written_beside
from unish.lab.evaluation.columns import Column, describe_column
from unish.lab.evaluation.frame_data import FrameData, frame_file
from unish.lab.evaluation.report.charts import (
    check_charts,
    draw_bars,
    draw_curves,
    draw_depth,
    draw_paths,
    pick_colours,
)
from unish.lab.evaluation.results import Results, is_number
from unish.lab.evaluation.tables import format_tables, load_published, make_tables, name_run

MAX_BAR_CHARTS = 8
SHOWN_SEQUENCES = 8
_FIRST = (
    "mpjpe_mm", "pa_mpjpe_mm", "wa_mpjpe_mm", "w_mpjpe_mm", "root_trajectory_percent", "depth_abs_rel",
    "depth_abs_rel_metric", "camera_ate_m", "camera_turn_error_deg", "world_size_ratio", "reprojection_percent",
    "body_to_points_cm", "pelvis_distance_error_percent",
)  # fmt: skip
"""Columns that get bars before others, if they are there."""

_CSS = """
body { font: 15px/1.5 system-ui, sans-serif; color: #22272c; background: #fff; max-width: 62rem; margin: 2rem auto;
  padding: 0 1rem; }
h1 { font-size: 1.6rem; margin-bottom: .2rem; }
h2 { margin-top: 2.6rem; border-top: 2px solid #22272c; padding-top: .6rem; }
h3 { margin: 1.6rem 0 .4rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: .86rem; }
th, td { padding: .25rem .6rem; border-bottom: 1px solid #d7dce0; text-align: left; }
th { font-weight: 600; }
td { white-space: nowrap; text-align: right; font-variant-numeric: tabular-nums; }
tr:first-child th { vertical-align: bottom; }
.facts td { white-space: normal; text-align: left; }
.absent { color: #8b949b; font-style: italic; }
small, .note, .legend { color: #6a737b; font-size: .82rem; }
.error { color: #a3261b; }
.key { display: inline-block; width: .8em; height: .8em; border-radius: 2px; margin: 0 .35em 0 1.1em; }
figure { margin: .8rem 0; }
svg { max-width: 100%; height: auto; }
details { margin: .5rem 0; }
summary { cursor: pointer; }
nav a { margin-right: 1rem; }
"""


def write_page(
    files: Sequence[Path],
    out: Path,
    *,
    columns: Sequence[str] | None = None,
    shown_sequences: int = SHOWN_SEQUENCES,
    published: bool = True,
) -> None:
    """Write a page about result files of any methods and benchmarks; methods on one benchmark share its charts.

    Args:
        columns: of the bars; otherwise the first eight that matter.
        shown_sequences: of each benchmark that left data by frame (``frame_file``), so many are drawn, spread over the
            ranking of the first method by the first column, the best and the worst among them.
        published: with rows from papers in the tables.

    Raises:
        InputError: matplotlib is missing, or a file is not a result file.
    """
    check_charts()
    results = [(path, Results.load(path)) for path in files]
    tables = make_tables([one for _, one in results], published=published)
    colours = pick_colours(list(dict.fromkeys(name_run(one) for _, one in results)))
    benchmarks: dict[str, dict[str, tuple[Path, Results]]] = {}
    for path, one in results:
        benchmarks.setdefault(str(one.header["benchmark"]), {})[name_run(one)] = (path, one)
    parts = ["<h1>Evaluation</h1>"]
    links = "".join(f"<a href='#{html.escape(name)}'>{html.escape(name)}</a>" for name in benchmarks)
    parts.append(f"<nav>{links}</nav>")
    for name, runs in benchmarks.items():
        own = [table for table in tables if table.title.split("/")[0] == name]
        parts.append(f"<h2 id='{html.escape(name)}'>{html.escape(name)}</h2>")
        parts += [format_tables(own, "html"), _failures(runs), _provenance(runs)]
        parts.append(_legend({method: colours[method] for method in runs}))
        chosen = _choose_columns(name, runs, columns)
        parts += [_figure(draw_bars(column, _values(runs, column), colours)) for column in chosen]
        parts += _sequences(runs, chosen, colours, shown_sequences)
    title = ", ".join(benchmarks)
    page = (
        f"<!doctype html>\n<html lang='en'><head><meta charset='utf-8'><title>Evaluation: {html.escape(title)}</title>"
        f"<meta name='viewport' content='width=device-width, initial-scale=1'><style>{_CSS}</style></head><body>\n"
        + _number_drawings("\n".join(parts))
        + "\n</body></html>\n"
    )
    with written_beside(out) as beside:
        beside.write_text(page, encoding="utf-8")


def _legend(colours: Mapping[str, str]) -> str:
    keys = [
        f"<span class='key' style='background:{colour}'></span>{html.escape(name)}" for name, colour in colours.items()
    ]
    return f"<p class='legend'>{''.join(keys)}</p>"


def _figure(svg: str) -> str:
    return f"<figure>{svg}</figure>"


def _number_drawings(text: str) -> str:
    """Ids within each drawing get its number: in one page no two elements may share one."""
    numbers = itertools.count(1)

    def mark(drawing: re.Match[str]) -> str:
        number = next(numbers)
        return re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>chart{number}-", drawing[0])

    return re.sub(r"<svg.*?</svg>", mark, text, flags=re.DOTALL)


def _failures(runs: Mapping[str, tuple[Path, Results]]) -> str:
    items = [
        f"<li>{html.escape(f'{method}, {name}')}: <span class='error'>{html.escape(str(row['error']))}</span></li>"
        for method, (_, one) in runs.items()
        for name, row in one.sequences.items()
        if "error" in row
    ]
    return f"<details open><summary>{len(items)} failed</summary><ul>{''.join(items)}</ul></details>" if items else ""


def _provenance(runs: Mapping[str, tuple[Path, Results]]) -> str:
    rows = []
    for method, (_, one) in runs.items():
        header = one.header
        versions = ", ".join(f"{key} {value}" for key, value in header.get("versions", {}).items())
        machine = ", ".join(f"{key} {value}" for key, value in header.get("machine", {}).items())
        facts = (header.get("fingerprint"), header.get("data"), versions, header.get("commit") or "–", machine)
        cells = "".join(
            f"<td style='text-align:left;white-space:normal'>{html.escape(str(fact))}</td>" for fact in facts
        )
        rows.append(f"<tr><th scope='row'>{html.escape(method)}</th>{cells}</tr>")
    head = "<tr><th>method</th><th>fingerprint</th><th>data</th><th>versions</th><th>commit</th><th>machine</th></tr>"
    return (
        "<details><summary>where these numbers come from</summary><div class='wide'><table class='facts'>"
        f"{head}{''.join(rows)}</table></div></details>"
    )


def _choose_columns(
    benchmark: str, runs: Mapping[str, tuple[Path, Results]], wanted: Sequence[str] | None
) -> list[Column]:
    found = dict.fromkeys(
        name
        for _, one in runs.values()
        for row in one.sequences.values()
        for name, value in row.items()
        if is_number(value)
    )
    if wanted is not None:
        missing = [name for name in wanted if name not in found]
        if missing and len(missing) == len(wanted):
            raise InputError(f"no sequence of {benchmark} has a column {', '.join(missing)}")
        return [describe_column(name) for name in wanted if name in found]
    papers = load_published()["benchmarks"].get(benchmark, {}).get("columns", [])
    order = [name for name in dict.fromkeys([*papers, *_FIRST, *found]) if name in found]
    columns = [describe_column(name) for name in order]
    return [column for column in columns if column.better != "neither"][:MAX_BAR_CHARTS]


def _values(runs: Mapping[str, tuple[Path, Results]], column: Column) -> dict[str, dict[str, float]]:
    values = {
        method: {name: row[column.name] for name, row in one.sequences.items() if is_number(row.get(column.name))}
        for method, (_, one) in runs.items()
    }
    return {method: found for method, found in values.items() if found}


def _sequences(
    runs: Mapping[str, tuple[Path, Results]], columns: Sequence[Column], colours: Mapping[str, str], shown: int
) -> list[str]:
    """Charts by frame of the chosen sequences."""
    data: dict[str, dict[str, FrameData]] = {}
    for method, (path, one) in runs.items():
        for name, row in one.sequences.items():
            file = frame_file(path, name)
            if "error" not in row and file.is_file():
                data.setdefault(name, {})[method] = FrameData.load(file)
    if not data:
        return []
    names = _spread(list(data), runs, columns, shown)
    parts = [f"<h3>{len(names)} of {len(data)} sequences, frame by frame</h3>"] if len(names) < len(data) else []
    for name in names:
        parts.append(f"<h3>{html.escape(name)}</h3>{_legend({method: colours[method] for method in data[name]})}")
        parts += [_figure(draw_paths(data[name], colours)), _figure(draw_curves(data[name], colours))]
        for method, frames in data[name].items():
            if frames.maps:
                parts.append(f"<p class='legend'>depth of {html.escape(method)}</p>{_figure(draw_depth(frames))}")
    return parts


def _spread(
    names: list[str], runs: Mapping[str, tuple[Path, Results]], columns: Sequence[Column], shown: int
) -> list[str]:
    """At most ``shown`` names, evenly along the ranking of the first method by the first column."""
    if len(names) <= shown:
        return names
    _, first = next(iter(runs.values()))
    key = columns[0].name if columns else ""
    ranked = sorted(names, key=lambda name: float(first.sequences.get(name, {}).get(key) or 0))
    steps = {round(number * (len(ranked) - 1) / max(shown - 1, 1)) for number in range(shown)}
    return [ranked[step] for step in sorted(steps)]
