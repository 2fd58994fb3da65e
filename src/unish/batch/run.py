"""A batch: what is finished is skipped, the rest is done, and files in its folder say what became of each video."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol, TypeVar, runtime_checkable

from unish.batch.tasks import Outcome, Task
from unish.errors import InputError
from unish.io import write_json

Video = TypeVar("Video")

FORMAT = "unish-batch/1"
_SECONDS_BETWEEN = 5.0
"""Between two versions of ``batch.json``, which is written as a whole."""


@runtime_checkable
class Engine(Protocol):
    """What works on tasks."""

    def run(self, tasks: Sequence[Task]) -> Generator[Outcome]:
        """What became of each task, in the order in which they end; closing it ends what runs."""
        ...


@dataclass(frozen=True, kw_only=True)
class Summary:
    """What became of all tasks of a batch, or of its shard."""

    outcomes: list[Outcome]

    def count(self, status: str) -> int:
        return sum(outcome.status == status for outcome in self.outcomes)


def choose_shard(videos: Sequence[Video], shard: tuple[int, int] | None) -> list[Video]:
    """Every n-th video from the i-th on, for i of n machines, counted from 1; all without a shard.

    Raises:
        InputError: none is left.
    """
    if shard is None:
        return list(videos)
    index, count = shard
    chosen = list(videos[index - 1 :: count])
    if not chosen:
        raise InputError(f"shard {index}/{count} has nothing to do: there are {len(videos)} videos; use fewer shards")
    return chosen


def run_batch(
    tasks: Sequence[Task],
    out: Path,
    engine: Engine,
    *,
    refused: Sequence[Outcome] = (),
    shard: tuple[int, int] | None = None,
    tell: Callable[[Outcome], None] = lambda outcome: None,
) -> Summary:
    """Do all tasks whose results are not there.

    A result is there when ``report.json`` says that it was made from the same input with the same settings
    (``unish.passes.identify_task``). ``batch.jsonl`` in ``out`` gets a line for each task that ends, ``batch.json``
    says how things stand; with a shard, their names say which. Whatever ends the batch, results that are finished stay,
    and the next one goes on from there.

    Args:
        tasks: those of the shard.
        out: folder of the batch.
        refused: what could not even be begun; it failed.
        shard: (i, n), for the names of the two files alone.
        tell: is told of each outcome.
    """
    status = _Status(out, shard, num_tasks=len(tasks) + len(refused))
    outcomes: list[Outcome] = []

    def note(outcome: Outcome) -> None:
        outcomes.append(outcome)
        status.note(outcome)
        tell(outcome)

    try:
        for outcome in refused:
            note(outcome)
        open_tasks = []
        for task in tasks:
            if is_finished(task):
                note(Outcome(name=task.name, input=str(task.input), status="skipped"))
            else:
                open_tasks.append(task)
        if open_tasks:
            with closing(engine.run(open_tasks)) as running:
                for outcome in running:
                    note(outcome)
    finally:
        status.write(finished=len(outcomes) == len(tasks) + len(refused))
    return Summary(outcomes=outcomes)


def is_finished(task: Task) -> bool:
    """Whether the result is there, of the same input and settings."""
    from unish.passes import FILE, identify_task

    try:
        report = json.loads((task.out / "report.json").read_text(encoding="utf-8"))
        made_from = report.get("task") if isinstance(report, dict) else None
        return (task.out / FILE).is_file() and made_from == identify_task(task.input, task.settings)
    except (OSError, ValueError):
        return False


class _Status:
    """The two files that say how things stand."""

    def __init__(self, out: Path, shard: tuple[int, int] | None, *, num_tasks: int) -> None:
        stem = "batch" if shard is None else f"batch-{shard[0]}-of-{shard[1]}"
        self._log, self._whole = out / f"{stem}.jsonl", out / f"{stem}.json"
        self._num_tasks, self._rows, self._written_at = num_tasks, list[dict[str, object]](), -_SECONDS_BETWEEN

    def note(self, outcome: Outcome) -> None:
        row = asdict(outcome)
        self._rows.append(row)
        if outcome.status != "skipped":
            with self._log.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"time": time.strftime("%Y-%m-%dT%H:%M:%S%z"), **row}) + "\n")
        if time.monotonic() - self._written_at > _SECONDS_BETWEEN:
            self.write(finished=False)

    def write(self, *, finished: bool) -> None:
        counts = {name: sum(row["status"] == name for row in self._rows) for name in ("done", "skipped", "failed")}
        waiting = self._num_tasks - len(self._rows)
        write_json(
            self._whole,
            {"format": FORMAT, "finished": finished, **counts, "waiting": waiting, "items": self._rows},
        )
        self._written_at = time.monotonic()
