"""The loop: read, step, log, validate, keep.

Step i depends on the weights, on its batches and on the seed alone, so a run that was killed and resumed ends with the
weights of one that was not (unless a wall-clock budget steers the schedule).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import NoReturn

import numpy as np
import torch
from torch import nn
from tqdm import tqdm

from unish.errors import InputError
from unish.lab.training.trainer.checkpoint import holds_run, load_checkpoint, save_checkpoint
from unish.lab.training.trainer.config import FitConfig
from unish.lab.training.trainer.environment import describe_environment
from unish.lab.training.trainer.objective import ComputeLoss
from unish.lab.training.trainer.processes import Processes
from unish.lab.training.trainer.reading import Batches, BatchShare, Reading, read_ahead
from unish.lab.training.trainer.run_log import RunLog
from unish.lab.training.trainer.schedule import is_due, is_over, pauses, remaining_seconds
from unish.lab.training.trainer.state import TrainState
from unish.lab.training.trainer.step import StepReport, train_step
from unish.lab.training.trainer.stopwatch import Stopwatch

Validate = Callable[[nn.Module], Mapping[str, float | np.ndarray]]
"""Model with averaged weights → scores, and pictures to look at (H, W, 3) u1, by name."""

_BAD_IS_A_HABIT = 10
_BAR = "{l_bar}{bar}| {n_fmt}/{total_fmt} [{elapsed}, {rate_fmt}{postfix}]"
"""Without tqdm's own guess of the time left, which knows of no budget."""


def fit(
    model: nn.Module,
    compute_loss: ComputeLoss,
    batches: Batches,
    *,
    config: FitConfig,
    run_dir: Path,
    resume: bool = False,
    validate: Validate | None = None,
    progress: bool = True,
) -> nn.Module:
    """Train ``model`` in place and leave the averaged (EMA) weights in it.

    Only parameters with ``requires_grad`` are trained, averaged and clipped; the rest stays as it came. Under torchrun
    all processes call it with the same arguments and see the same ``run_dir``; each asks for its share of the batches.
    ``validate`` runs in the first.

    Raises:
        InputError: the folder holds a run and ``resume`` is false; the run is of another model; too many batches
            cannot be made; the last checkpoint cannot be written; accelerate is not installed.
        FloatingPointError: too many non-finite steps in a row.
    """
    if holds_run(run_dir) and not resume:
        raise InputError(f"{run_dir} already holds a run: resume it or choose another folder")
    device = config.device or next(model.parameters()).device
    processes = Processes(device=device)
    processes.wait()  # nobody looks into the folder any more
    objective = processes.prepare(model, compute_loss, precision=config.precision)
    state = _begin_or_resume(model, config, run_dir, processes)
    counters = state.counters
    counters.micro_batches = config.micro_batches or counters.micro_batches or processes.number
    share = BatchShare(per_step=counters.micro_batches, rank=processes.rank, num_ranks=processes.number)
    environment = describe_environment(num_processes=processes.number, device=str(processes.device))
    with RunLog(
        run_dir, config, first_step=counters.step, environment=environment, silent=not processes.is_first
    ) as log:
        run = _Run(model, objective, state, processes, config, run_dir, log, Stopwatch(processes.device))
        run.train(batches, share, validate, progress=progress and processes.is_first)
    model.load_state_dict(state.average, strict=False)
    return model


def _begin_or_resume(model: nn.Module, config: FitConfig, run_dir: Path, processes: Processes) -> TrainState:
    state = TrainState.begin(model, config, processes.device)
    if processes.is_first:
        run_dir.mkdir(parents=True, exist_ok=True)
    processes.wait()
    if holds_run(run_dir):
        state.restore(model, load_checkpoint(run_dir))
    processes.wait()
    return state


@dataclass
class _Run:
    """A run that goes on."""

    model: nn.Module
    objective: nn.Module
    state: TrainState
    processes: Processes
    config: FitConfig
    run_dir: Path
    log: RunLog
    watch: Stopwatch
    saved_step: int = -1
    """Of the last checkpoint."""
    unsaved: str = ""
    """Why there is no later one, if it could not be written."""
    last_trouble: str = ""
    """Of this process with a batch."""

    def train(self, batches: Batches, share: BatchShare, validate: Validate | None, *, progress: bool) -> None:
        """From where the run stands to its end, or to the end of a piece."""
        counters, config = self.state.counters, self.config
        bar = tqdm(
            total=config.steps, initial=counters.step, disable=None if progress else True, desc=self.run_dir.name,
            bar_format=_BAR,
        )  # fmt: skip
        clock, before = time.monotonic(), counters.seconds
        with bar, closing(read_ahead(batches, share, first=counters.step, last=config.steps)) as stream:
            ends = is_over(counters.step, counters.seconds, config)
            while not ends:
                with self.watch.measure("data"):
                    readings = next(stream)
                report = self._step(readings)
                now = time.monotonic()
                # The clock of the first process decides for all, or their learning rates would differ.
                (passed,) = self.processes.sum(now - clock if self.processes.is_first else 0.0)
                counters.seconds, clock = counters.seconds + passed, now
                bar.update()
                ends = is_over(counters.step, counters.seconds, config) or pauses(counters.seconds - before, config)
                if is_due(counters.step, config.log_every, ends=ends):
                    bar.set_postfix_str(self._log(report))
                if validate is not None and is_due(counters.step, config.validate_every, ends=ends):
                    self._validate(validate)
                if is_due(counters.step, config.checkpoint_every, ends=ends):
                    self._save()
        self._finish()

    def _step(self, readings: list[Reading]) -> StepReport:
        counters, config = self.state.counters, self.config
        for reading in readings:
            self.watch.add_making(reading.seconds)
        report = train_step(self.model, self.objective, readings, self.state, config, self.processes, self.watch)
        counters.step += 1
        self.watch.end_step()
        counters.read += report.num_read
        counters.bad += report.num_bad
        if report.updated:
            counters.skipped_in_a_row = 0
        else:
            counters.skipped += 1
            if report.scalars:  # there were batches
                counters.skipped_in_a_row += 1
                self._tell_of_skipping(report)
        for trouble in report.troubles:
            self.last_trouble = trouble
            self.log.tell(counters.step, trouble)
        if counters.bad >= _BAD_IS_A_HABIT and counters.bad > config.max_bad_share * counters.read:
            self._refuse_bad_data()
        if counters.skipped_in_a_row > config.max_bad_steps:
            raise FloatingPointError(
                f"{counters.skipped_in_a_row} steps in a row had a non-finite loss or gradient; see {self.run_dir}"
            )
        return report

    def _tell_of_skipping(self, report: StepReport) -> None:
        if self.state.scaler.is_enabled() and math.isfinite(report.loss):
            return  # that is how the scale of the loss is found
        step = self.state.counters.step
        self.log.tell(step, f"step {step} is skipped: loss {report.loss}, gradient norm {report.gradient_norm}")

    def _refuse_bad_data(self) -> NoReturn:
        counters = self.state.counters
        raise InputError(
            f"{counters.bad} of {counters.read} batches could not be made: repair or remove the data "
            f"({self.last_trouble or 'another process knows why'})"
        )

    def _log(self, report: StepReport) -> str:
        counters = self.state.counters
        rows = [{name: float(value) for name, value in scalars.items()} for scalars in report.scalars]
        values = self.processes.mean_by_name(rows)
        left = remaining_seconds(counters.step, counters.seconds, self.config)
        self.log.write(
            counters.step,
            {
                "seconds": round(counters.seconds, 1),
                "eta_s": round(left),
                "loss": report.loss,
                "gradient_norm": report.gradient_norm,
                "rate": report.rate,
                "finite": report.updated,
                "skipped": counters.skipped,
                "bad_batches": counters.bad,
                **{name: round(value, 6) for name, value in values.items()},
                **self.watch.read(),
            },
        )
        return f"loss {report.loss:.4f}, {timedelta(seconds=round(left))} left"

    def _validate(self, validate: Validate) -> None:
        """Score the averaged weights, then put the raw ones back."""
        step = self.state.counters.step
        if self.processes.is_first:
            self.model.eval()
            with self.state.averaged(self.model), torch.no_grad():
                found = validate(self.model)
            pictures = {name: value for name, value in found.items() if isinstance(value, np.ndarray) and value.ndim}
            scores = {name: round(float(value), 5) for name, value in found.items() if name not in pictures}
            self.log.write(step, scores, group="validation")
            self.log.show(step, pictures)
        self.processes.wait()

    def _save(self) -> None:
        """Write a checkpoint; if that fails, keep the last one and go on."""
        if self.processes.is_first:
            try:
                save_checkpoint(self.run_dir, self.state.to_record(self.model))
                self.saved_step, self.unsaved = self.state.counters.step, ""
            except OSError as error:
                self.unsaved = error.strerror or str(error)
                message = f"{self.run_dir}: no checkpoint could be written ({self.unsaved}); the one before is kept"
                self.log.tell(self.state.counters.step, message)

    def _finish(self) -> None:
        counters = self.state.counters
        if counters.bad and counters.skipped == counters.step:
            self._refuse_bad_data()
        if self.saved_step != counters.step:
            self._save()
        if self.unsaved:
            raise InputError(
                f"{self.run_dir}: the last checkpoint (step {counters.step}) could not be written ({self.unsaved}); "
                f"make room and resume"
            )
        self.processes.wait()
