"""How far a job is: its stages, how long each took, and how long the present one will."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

_MEASURABLE_S = 1.0
"""From this time on the speed of a stage says how long it will take."""


@dataclass
class Stage:
    """One stage; ``total`` is ``None`` while nobody knows it."""

    name: str
    began_s: float
    done: int = 0
    total: int | None = None
    seconds: float = 0.0


@dataclass
class StageTimes:
    """The stages of a job in their order; the last one is going on."""

    stages: list[Stage] = field(default_factory=list)

    def add(self, line: dict[str, Any], now_s: float) -> None:
        """Take in one line of progress, see ``unish.cli.progress_lines``.

        Args:
            now_s: seconds, from any beginning.
        """
        name, done, total = str(line.get("stage", "")), line.get("done"), line.get("total")
        if not isinstance(done, int) or not isinstance(total, int | None):
            return
        if not self.stages or self.stages[-1].name != name:
            self.stages.append(Stage(name=name, began_s=now_s))
        stage = self.stages[-1]
        stage.seconds = now_s - stage.began_s
        if done == total == 1 and stage.total is not None:
            done = total = stage.total  # the end of a stage, announced as 1 of 1
        stage.done, stage.total = done, stage.total if total is None else total

    def describe(self) -> list[dict[str, Any]]:
        """Name, done, total, seconds and seconds left (``None`` when unknown) of each stage."""
        return [
            {
                "name": stage.name,
                "done": stage.done,
                "total": stage.total,
                "seconds": round(stage.seconds, 1),
                "left_s": _estimate_rest(stage),
            }
            for stage in self.stages
        ]


def _estimate_rest(stage: Stage) -> float | None:
    """At the mean speed so far."""
    if not stage.total or not stage.done or stage.seconds < _MEASURABLE_S:
        return None
    return round(stage.seconds * (stage.total - stage.done) / stage.done, 1)
