"""What a worker does with one video of a batch, and what it says of it."""

from __future__ import annotations

import time
import traceback
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from unish.errors import InputError
from unish.settings import Settings

if TYPE_CHECKING:
    from unish.passes import Models

LOGS = "logs"
"""In the folder of the batch: what the program said where it failed by a fault of its own."""


@dataclass(frozen=True, kw_only=True)
class Task:
    """One video, and where its result goes."""

    name: str
    input: Path
    settings: Settings
    out: Path


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of a task.

    Attributes:
        status: ``skipped`` where the result was there before.
        message: one line; what is wrong and what to do.
        attempts: how often it was begun: a second time where the worker was killed at the first.
        frames, people, warnings: how many the result has.
    """

    name: str
    input: str
    status: Literal["done", "failed", "skipped"]
    message: str = ""
    seconds: float = 0.0
    attempts: int = 1
    frames: int | None = None
    people: int | None = None
    warnings: int | None = None


def do_task(task: Task) -> Outcome:
    """Write the result of a task, or say why there is none. What is loaded for it stays for the next one."""
    begun = time.perf_counter()
    try:
        counted = _reconstruct(task)
    except Exception as error:
        return fail(task, _describe(error, task), seconds=time.perf_counter() - begun)
    finally:
        with suppress(OSError):
            task.out.rmdir()  # if nothing is in it
    return Outcome(
        name=task.name, input=str(task.input), status="done", seconds=round(time.perf_counter() - begun, 3), **counted
    )


def fail(task: Task, message: str, *, seconds: float = 0.0, attempts: int = 1) -> Outcome:
    return Outcome(
        name=task.name, input=str(task.input), status="failed", message=" ".join(message.split()),
        seconds=round(seconds, 3), attempts=attempts,
    )  # fmt: skip


def _reconstruct(task: Task) -> dict[str, Any]:
    from unish import into_folder

    result, _ = into_folder.reconstruct_into(task.input, task.out, settings=task.settings, models=_models())
    report = result.report
    return {
        "frames": result.reconstruction.num_frames,
        "people": len(report["people"]),
        "warnings": len(report["warnings"]),
    }


@cache
def _models() -> Models:
    """Of this process."""
    from unish.passes import Models

    return Models()


def _describe(error: Exception, task: Task) -> str:
    if isinstance(error, InputError):
        said = str(error)
    elif isinstance(error, MemoryError):
        said = "not enough memory; use fewer workers, a smaller size, or fewer frames"
    elif isinstance(error, OSError) and error.strerror:
        said = f"{error.filename or task.out}: {error.strerror}"
    else:
        log = task.out.parent / LOGS / f"{task.name}.log"
        with suppress(OSError):
            log.parent.mkdir(exist_ok=True)
            log.write_text("".join(traceback.format_exception(error)), encoding="utf-8", errors="backslashreplace")
        said = f"internal failure ({type(error).__name__}); please report it with {log}"
    return "; ".join([said, *getattr(error, "__notes__", [])])
