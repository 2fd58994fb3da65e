"""The folder of a run: settings, where it ran, metrics, pictures. A full disk spoils the log, never the run."""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from jaxtyping import UInt8
from numpy import ndarray
from PIL import Image

from unish.errors import DegradedResultWarning
from unish.training.trainer.config import FitConfig

METRICS = "metrics.jsonl"


class RunLog:
    """Writes ``config.json``, ``environment.json`` (an entry per start), ``metrics.jsonl``, previews, TensorBoard.

    Every step has at most one line of each kind in ``metrics.jsonl``: lines of steps that a killed run made after its
    last checkpoint are dropped when it goes on.

    Args:
        run_dir: exists.
        first_step: where the run begins or goes on.
        environment: see ``describe_environment``.
        silent: write nothing at all (the other processes of a run).
    """

    def __init__(
        self, run_dir: Path, config: FitConfig, *, first_step: int, environment: Mapping[str, Any], silent: bool
    ) -> None:
        self.run_dir = run_dir
        self._silent = silent
        self._board: Any = None
        self._trouble_is_told = False
        if silent:
            return
        starts = run_dir / "environment.json"
        earlier = json.loads(starts.read_text()) if starts.exists() and first_step else []
        _replace(run_dir / "config.json", json.dumps(asdict(config), indent=2))
        _replace(starts, json.dumps([*earlier, environment], indent=2))
        _forget_lines_after(run_dir / METRICS, first_step)
        self._board = _open_board(run_dir, first_step)

    def __enter__(self) -> RunLog:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._board is not None:
            self._board.close()

    def write(self, step: int, values: Mapping[str, Any], *, group: str | None = None) -> None:
        """A line ``{"step": …, …}``; with a group ``{"step": …, group: {…}}``."""
        if self._silent:
            return
        values = {name: _to_json(value) for name, value in values.items()}
        line = json.dumps({"step": step, **(values if group is None else {group: values})})
        try:
            with (self.run_dir / METRICS).open("a") as file:
                file.write(line + "\n")
            if self._board is not None:
                prefix = group or "training"
                for name, value in values.items():
                    if isinstance(value, (int, float)):
                        self._board.add_scalar(f"{prefix}/{name}", value, step)
        except OSError as error:
            self._tell_of(error)

    def tell(self, step: int, message: str) -> None:
        """Something went wrong that does not end the run: a warning, and a line of its own."""
        if self._silent:
            return
        warnings.warn(message, DegradedResultWarning, stacklevel=3)
        self.write(step, {"warning": message})

    def show(self, step: int, pictures: Mapping[str, UInt8[ndarray, "_ _ 3"]]) -> None:
        """Pictures (H, W, 3) by name: ``previews/NAME-STEP.png``."""
        if self._silent or not pictures:
            return
        folder = self.run_dir / "previews"
        try:
            folder.mkdir(exist_ok=True)
            for name, picture in pictures.items():
                Image.fromarray(picture).save(folder / f"{name}-{step:07d}.png")
                if self._board is not None:
                    self._board.add_image(name, picture, step, dataformats="HWC")
        except OSError as error:
            self._tell_of(error)

    def _tell_of(self, error: OSError) -> None:
        if not self._trouble_is_told:
            self._trouble_is_told = True
            message = f"{self.run_dir}: the log cannot be written ({error.strerror or error}); training goes on"
            warnings.warn(message, DegradedResultWarning, stacklevel=3)


def _open_board(run_dir: Path, first_step: int) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:  # metrics.jsonl has the same numbers
        return None
    return SummaryWriter(str(run_dir / "tensorboard"), purge_step=first_step + 1 if first_step else None)


def _forget_lines_after(path: Path, step: int) -> None:
    if not path.exists():
        return
    kept = [line for line in path.read_text().splitlines() if _step_of(line) <= step]
    _replace(path, "".join(line + "\n" for line in kept))


def _step_of(line: str) -> float:
    try:
        return json.loads(line)["step"]
    except ValueError:  # cut off when the process was killed
        return math.inf


def _to_json(value: Any) -> Any:
    """A number that JSON knows; what is not finite becomes null."""
    if isinstance(value, (np.floating, np.integer)):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _replace(path: Path, text: str) -> None:
    partial = path.with_name(path.name + ".partial")
    partial.write_text(text)
    partial.replace(path)
