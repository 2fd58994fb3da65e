"""What a benchmark is: a folder of sequences, a score for each, and a summary."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol, runtime_checkable

from unish.lab.evaluation.predictor import Predictor
from unish.lab.evaluation.results import Row


@runtime_checkable
class Benchmark(Protocol):
    """The runner's view of a benchmark."""

    @property
    def needs(self) -> str:
        """What the data folder must hold, for the message when it does not."""

    def sequences(self, data: Path) -> list[str]:
        """Names of the sequences under ``data``, sorted."""

    def score(self, data: Path, sequence: str, predictor: Predictor) -> Row:
        """Run the method on one sequence and measure it."""

    def summarise(self, rows: Mapping[str, Row]) -> Row:
        """One row over all sequences."""
