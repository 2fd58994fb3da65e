"""What workers of a batch do in tests instead of reconstructing: told by the name of the task."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from unish.batch import Outcome, Task
from unish.settings import Settings


def make_tasks(out: Path, names: list[str]) -> list[Task]:
    return [Task(name=name, input=Path(f"{name}.mp4"), settings=Settings(), out=out / name) for name in names]


def work(task: Task) -> Outcome:
    """``killed…`` loses its worker at the first attempt, ``deadly…`` at each, ``slow…`` takes half a second."""
    marks = task.out.parent
    if task.name.startswith("deadly") or (task.name.startswith("killed") and not (marks / task.name).exists()):
        (marks / task.name).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    if task.name.startswith("slow"):
        (marks / f"{task.name}-begun").touch()
        time.sleep(0.5)
        (marks / task.name).touch()
    print("what is printed is no answer")
    said = f"{os.getpid()} {os.environ.get('OMP_NUM_THREADS')} {os.environ.get('CUDA_VISIBLE_DEVICES')}"
    return Outcome(name=task.name, input=str(task.input), status="done", message=said)
