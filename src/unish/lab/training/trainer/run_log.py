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

from jaxtyping import UInt8
from numpy import ndarray
from PIL import Image

from unish.errors import DegradedResultWarning
from unish.io import to_json_values, write_json, written_beside
from unish.lab.training.trainer.config import FitConfig

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
        write_json(run_dir / "config.json", asdict(config))
        write_json(starts, [*earlier, environment])
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
        values = {name: to_json_values(value) for name, value in values.items()}
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
    with written_beside(path) as beside:
        beside.write_text("".join(line + "\n" for line in kept))


def _step_of(line: str) -> float:
    try:
        return json.loads(line)["step"]
    except ValueError:  # cut off when the process was killed
        return math.inf
