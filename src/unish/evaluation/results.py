"""Result files: what was measured, with which versions, and how far it got."""

from __future__ import annotations

import json
import math
import os
import platform
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

import unish

FORMAT = "unish-evaluation/1"
Row = dict[str, Any]


@dataclass(kw_only=True)
class Results:
    """Scores by sequence. Grows while a benchmark runs; ``save`` is called after every sequence.

    Attributes:
        header: benchmark, method, fingerprint and versions: rows of different headers are never mixed.
        sequences: one row of scores per sequence, or ``{"error": message}``.
        summary: over all sequences, once they are done.
    """

    header: dict[str, Any]
    sequences: dict[str, Row] = field(default_factory=dict)
    summary: Row = field(default_factory=dict)

    @classmethod
    def start(cls, path: Path, *, benchmark: str, data: Path, method: str, fingerprint: str) -> Results:
        """Empty results, or those of an earlier run with the same header that was cut short or finished."""
        header = {
            "format": FORMAT,
            "benchmark": benchmark,
            "data": data.name,
            "method": method,
            "fingerprint": fingerprint,
            "versions": {
                "unish": unish.__version__,
                "torch": torch.__version__,
                "python": platform.python_version(),
            },
        }
        try:
            before = json.loads(path.read_text())
        except (OSError, ValueError):
            return cls(header=header)
        same = isinstance(before, dict) and all(before.get(key) == value for key, value in header.items())
        return cls(header=header, sequences=before["sequences"]) if same else cls(header=header)

    def save(self, path: Path) -> None:
        """Write beside the final name, then rename. NaN and infinity become null."""
        beside = path.with_name(f".{path.name}.{os.getpid()}.part")
        try:
            text = json.dumps(_plain(self.header | {"summary": self.summary, "sequences": self.sequences}), indent=1)
            beside.write_text(text + "\n")
            beside.replace(path)
        finally:
            beside.unlink(missing_ok=True)

    def table(self) -> str:
        """Markdown: one line per sequence, then the summary."""
        rows = {**self.sequences, **({"**all**": self.summary} if self.summary else {})}
        columns = list(dict.fromkeys(key for row in rows.values() for key in row))
        lines = ["| sequence | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
        for name, row in rows.items():
            lines.append(f"| {name} | " + " | ".join(_cell(row.get(column)) for column in columns) + " |")
        return "\n".join(lines)


def mean_of_rows(rows: list[Row]) -> Row:
    """Mean of every numeric column over the rows that have a finite value there, and the number of rows that failed."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    means: Row = {}
    for column in columns:
        values = [row[column] for row in rows if _is_number(row.get(column))]
        if values:
            means[column] = sum(values) / len(values)
    failed = sum("error" in row for row in rows)
    return means | ({"failed": failed} if failed else {})


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _cell(value: object) -> str:
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return ""
    if isinstance(value, float):
        return f"{value:.3g}" if abs(value) < 100 else f"{value:.0f}"
    if isinstance(value, list | tuple):
        return ", ".join(_cell(item) for item in value)
    return str(value).replace("|", "/").replace("\n", " ")
