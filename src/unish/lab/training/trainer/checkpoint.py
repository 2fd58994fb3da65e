"""Checkpoints of a run: written whole or not at all, and the one before is kept."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from unish.errors import DegradedResultWarning, InputError
from unish.io import written_beside

NAME = "checkpoint.pt"
PREVIOUS = "checkpoint.previous.pt"


def holds_run(run_dir: Path) -> bool:
    """Whether there is something to resume."""
    return any((run_dir / name).exists() for name in (NAME, PREVIOUS))


def save_checkpoint(run_dir: Path, record: dict[str, Any]) -> None:
    """Write ``checkpoint.pt``; what had that name becomes ``checkpoint.previous.pt``.

    Raises:
        OSError: it cannot be written (no space, …); what was there is untouched.
    """
    newest = run_dir / NAME
    with written_beside(newest) as beside:
        try:
            with beside.open("wb") as file:
                torch.save(record, file)
                file.flush()
                os.fsync(file.fileno())
        except (OSError, RuntimeError) as error:  # PyTorch's writer turns some of the first into the second
            raise OSError(getattr(error, "errno", None) or 0, str(error), str(beside)) from error
        if newest.exists():
            newest.replace(run_dir / PREVIOUS)


def load_checkpoint(run_dir: Path) -> dict[str, Any]:
    """The newest checkpoint that can be read; with a warning, if that is the one before the newest.

    Raises:
        InputError: there is none, or none that can be read.
    """
    troubles = []
    for path in (run_dir / NAME, run_dir / PREVIOUS):
        if not path.exists():
            continue
        try:
            record = torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:  # what a damaged file raises depends on where it is damaged
            troubles.append(f"{path.name} cannot be read ({type(error).__name__})")
            continue
        if troubles:
            warnings.warn(f"{run_dir}: {troubles[0]}; going on from {path.name}", DegradedResultWarning, stacklevel=2)
        return record
    if troubles:
        raise InputError(f"{run_dir}: {' and '.join(troubles)}; delete the folder and start anew")
    raise InputError(f"{run_dir} holds no {NAME}: give the folder of a training run")


def read_progress(run_dir: Path) -> tuple[int, float]:
    """Steps and seconds of training up to the last checkpoint of a run; zeros where there is none.

    Raises:
        InputError: there is one, and it cannot be read.
    """
    if not holds_run(run_dir):
        return 0, 0.0
    counters = load_checkpoint(run_dir)["counters"]
    return counters["step"], counters["seconds"]


def load_run_weights(run_dir: Path, *, averaged: bool = True) -> dict[str, Tensor]:
    """Weights of a run, finished or not: all of the model, with the averaged values where there are any.

    Raises:
        InputError: there is no checkpoint, or none that can be read.
    """
    checkpoint = load_checkpoint(run_dir)
    return {**checkpoint["model"], **(checkpoint["average"] if averaged else {})}
