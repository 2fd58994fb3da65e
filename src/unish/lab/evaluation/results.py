"""Result files: what was measured, with which versions, and how far it got."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from unish.errors import InputError
from unish.io import write_json
from unish.lab.evaluation.provenance import describe_machine, find_commit, name_versions

FORMAT = "unish-evaluation/1"
Row = dict[str, Any]

_IDENTITY = ("format", "benchmark", "data", "method", "fingerprint", "settings", "versions")


@dataclass(kw_only=True)
class Results:
    """Scores by sequence. Grows while a benchmark runs; ``save`` is called after every sequence.

    Attributes:
        header: benchmark, method, fingerprint, settings and versions: rows of different ones are never mixed. Besides
            these, commit and machine of the latest run, which may differ between rows.
        sequences: one row of scores per sequence, or ``{"error": message}``.
        summary: over all sequences, once they are done.
    """

    header: dict[str, Any]
    sequences: dict[str, Row] = field(default_factory=dict)
    summary: Row = field(default_factory=dict)

    @classmethod
    def start(
        cls,
        path: Path,
        *,
        benchmark: str,
        data: Path,
        method: str,
        fingerprint: str,
        settings: dict[str, Any] | None = None,
        workers: int = 1,
    ) -> Results:
        """Empty results, or those of an earlier run of the same that was cut short or finished.

        Args:
            settings: what the user chose that changes numbers.
        """
        header = {
            "format": FORMAT,
            "benchmark": benchmark,
            "data": data.resolve().name,
            "method": method,
            "fingerprint": fingerprint,
            "settings": settings or {},
            "versions": name_versions(),
            "commit": find_commit(),
            "machine": describe_machine(workers),
        }
        try:
            before = json.loads(path.read_text())
        except (OSError, ValueError):
            return cls(header=header)
        same = isinstance(before, dict) and all(before.get(key) == header[key] for key in _IDENTITY)
        return cls(header=header, sequences=before["sequences"]) if same else cls(header=header)

    @classmethod
    def load(cls, path: Path) -> Results:
        """Read a result file.

        Raises:
            InputError: it is missing, or not a result file of this format.
        """
        try:
            content = json.loads(path.read_text())
        except FileNotFoundError:
            raise InputError(f"{path}: no such file; give the JSON that `unish evaluate` wrote") from None
        except (OSError, ValueError) as error:
            raise InputError(f"{path}: not readable as JSON ({error}); give what `unish evaluate` wrote") from None
        found = content.get("format") if isinstance(content, dict) else None
        if found != FORMAT:
            raise InputError(f"{path}: format is {found!r}, this version reads {FORMAT!r}; run `unish evaluate` again")
        body = {"sequences": content.pop("sequences", {}), "summary": content.pop("summary", {})}
        return cls(header=content, **body)

    def save(self, path: Path) -> None:
        """Write beside the final name, then rename. NaN and infinity become null."""
        write_json(path, self.header | {"summary": self.summary, "sequences": self.sequences}, indent=1)

    def table(self) -> str:
        """Markdown: one line per sequence, then the summary.

        Where the summary has columns called ``part/column``, sequences called ``part/name`` get a table per part.
        """
        parts = list(dict.fromkeys(column.split("/")[0] for column in self.summary if "/" in column))
        tables = [_tabulate(_take_part(self.sequences, part), _take_part(self.summary, part), part) for part in parts]
        apart = tuple(f"{part}/" for part in parts)
        rows, summary = (
            {name: value for name, value in values.items() if not name.startswith(apart)}
            for values in (self.sequences, self.summary)
        )
        return "\n\n".join(tables + ([_tabulate(rows, summary, "sequence")] if rows or summary else []))


def _take_part(values: dict[str, Any], part: str) -> dict[str, Any]:
    """Those whose name begins with ``part/``, without it."""
    return {name.removeprefix(f"{part}/"): value for name, value in values.items() if name.startswith(f"{part}/")}


def _tabulate(sequences: dict[str, Row], summary: Row, heading: str) -> str:
    rows = {**sequences, **({"**all**": summary} if summary else {})}
    columns = list(dict.fromkeys(key for row in rows.values() for key in row))
    lines = [f"| {heading} | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
    for name, row in rows.items():
        lines.append(f"| {name} | " + " | ".join(format_cell(row.get(column)) for column in columns) + " |")
    return "\n".join(lines)


def mean_of_rows(rows: list[Row]) -> Row:
    """Mean of every numeric column over the rows that have a finite value there, and the number of rows that failed."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    means: Row = {}
    for column in columns:
        values = [row[column] for row in rows if is_number(row.get(column))]
        if values:
            means[column] = sum(values) / len(values)
    failed = sum("error" in row for row in rows)
    return means | ({"failed": failed} if failed else {})


def is_number(value: object) -> bool:
    """A finite number, not a truth value."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def format_cell(value: object) -> str:
    """Three significant digits; nothing for what is missing or not finite; no character that would break a table."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return ""
    if isinstance(value, float):
        return f"{value:.3g}" if abs(value) < 100 else f"{value:.0f}"
    if isinstance(value, list | tuple):
        return ", ".join(format_cell(item) for item in value)
    return str(value).replace("|", "/").replace("\n", " ")
