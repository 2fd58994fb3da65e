"""Many small labelled samples as one benchmark: a table per sample, one run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from unish.errors import InputError
from unish.lab.evaluation.benchmarks.benchmark import Benchmark
from unish.lab.evaluation.predictor import Answer, Predictor, Request
from unish.lab.evaluation.results import Row

Fold = Literal["A", "B"]
"""A: what choices may be made on. B: what is reported beside it, and never chosen on. A place is in one of them."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """One sample.

    Attributes:
        name: what its sequences begin with.
        folder: under the labelled folder.
        fold: every row of its sequences carries it.
    """

    name: str
    folder: str
    fold: Fold
    benchmark: Benchmark


@dataclass(frozen=True, kw_only=True)
class _RenamingPredictor:
    """Asks for ``part/sequence``, so that finished files of two samples never meet."""

    predictor: Predictor
    part: str

    @property
    def fingerprint(self) -> str:
        return self.predictor.fingerprint

    def predict(self, request: Request) -> Answer:
        return self.predictor.predict(replace(request, name=f"{self.part}/{request.name}"))


@dataclass(frozen=True, kw_only=True)
class LabelledBenchmark:
    """A folder of samples, each in a sub-folder in the layout in which its authors publish it.

    A sequence is called ``part/sequence``. A sample whose folder is missing or holds nothing is left out, and the
    summary names it under ``not_measured``. Columns of the summary are called ``part/column``.
    """

    parts: tuple[Part, ...]

    @property
    def needs(self) -> str:
        return "one or more of the folders " + ", ".join(dict.fromkeys(part.folder for part in self.parts))

    def sequences(self, data: Path) -> list[str]:
        return [
            f"{part.name}/{name}"
            for part in self.parts
            if (data / part.folder).is_dir()
            for name in part.benchmark.sequences(data / part.folder)
        ]

    def score(self, data: Path, sequence: str, predictor: Predictor) -> Row:
        name, _, rest = sequence.partition("/")
        part = next((part for part in self.parts if part.name == name), None)
        if part is None:
            raise InputError(f"{sequence}: there is no labelled sample {name!r}")
        asking = _RenamingPredictor(predictor=predictor, part=name)
        return part.benchmark.score(data / part.folder, rest, asking) | {"fold": part.fold}

    def summarise(self, rows: Mapping[str, Row]) -> Row:
        """The summary of each sample, and which samples had nothing to summarise."""
        summary: Row = {}
        for part in self.parts:
            own = {name: row for name, row in rows.items() if name.startswith(f"{part.name}/")}
            if own:
                summary |= {f"{part.name}/{column}": value for column, value in part.benchmark.summarise(own).items()}
        missing = [part.name for part in self.parts if not any(name.startswith(f"{part.name}/") for name in rows)]
        return summary | ({"not_measured": missing} if missing else {})
