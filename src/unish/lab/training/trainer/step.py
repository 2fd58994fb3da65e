"""One update of the weights."""

from __future__ import annotations

import math
from contextlib import nullcontext
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from unish.lab.training.trainer.config import FitConfig
from unish.lab.training.trainer.processes import Processes, move_batch
from unish.lab.training.trainer.reading import Reading
from unish.lab.training.trainer.schedule import progress_of, rate_fraction
from unish.lab.training.trainer.state import TrainState, trained_parameters
from unish.lab.training.trainer.stopwatch import Stopwatch


@dataclass(kw_only=True)
class StepReport:
    """What happened in a step.

    Attributes:
        loss: mean over the batches of all processes; NaN if there were none.
        scalars: what the loss reported, by batch of this process.
        updated: whether the weights were changed.
        num_read, num_bad: batches asked for and not made, of all processes.
        troubles: of this process, in words.
    """

    rate: float
    loss: float = math.nan
    gradient_norm: float = math.nan
    scalars: list[dict[str, Tensor]] = field(default_factory=list)
    updated: bool = False
    num_read: int = 0
    num_bad: int = 0
    troubles: list[str] = field(default_factory=list)


def train_step(
    model: nn.Module,
    objective: nn.Module,
    readings: list[Reading],
    state: TrainState,
    config: FitConfig,
    processes: Processes,
    watch: Stopwatch,
) -> StepReport:
    """One update with the mean gradient over the batches that there are, of all processes.

    Nothing changes (weights, optimiser, average) when the loss or the gradient is not finite, or when a process has no
    batch at all: it could not take part in the exchange of gradients.
    """
    counters = state.counters
    good = [reading for reading in readings if reading.trouble is None]
    num_read, num_good, num_idle = processes.sum(len(readings), len(good), not good)
    progress = progress_of(counters.step, counters.seconds, config)
    report = StepReport(
        rate=config.learning_rate * rate_fraction(progress, counters.step, config),
        num_read=round(num_read),
        num_bad=round(num_read - num_good),
        troubles=[f"batch {reading.number} is left out: {reading.trouble}" for reading in readings if reading.trouble],
    )
    if num_idle:
        return report
    state.optimizer.zero_grad(set_to_none=True)
    objective.train()
    total = torch.zeros((), device=processes.device)
    for reading in good:
        with nullcontext() if reading is good[-1] else processes.hold_gradients(objective):
            factor = processes.number / num_good
            loss, scalars = _add_gradient(objective, reading, state, config, processes, watch, factor=factor)
        total = total + loss
        report.scalars.append(scalars)
    with watch.measure("optimizer"):
        state.scaler.unscale_(state.optimizer)
        parameters = list(trained_parameters(model).values())
        report.gradient_norm = float(nn.utils.clip_grad_norm_(parameters, config.clip_norm))
        report.loss = processes.sum(float(total))[0] / num_good
        report.updated = math.isfinite(report.gradient_norm) and math.isfinite(report.loss)
        _update(model, state, config, report)
    return report


def _add_gradient(
    objective: nn.Module,
    reading: Reading,
    state: TrainState,
    config: FitConfig,
    processes: Processes,
    watch: Stopwatch,
    *,
    factor: float,
) -> tuple[Tensor, dict[str, Tensor]]:
    """Forward and backward of a batch; ``factor`` makes the sum over batches and mean over processes what is wanted."""
    torch.manual_seed(config.seed * 1_000_003 + reading.number)
    with watch.measure("forward"):
        loss, scalars = objective(move_batch(reading.batch, processes.device))
    with watch.measure("backward"):
        state.scaler.scale(loss * factor).backward()
    return loss.detach(), scalars


def _update(model: nn.Module, state: TrainState, config: FitConfig, report: StepReport) -> None:
    if report.updated:
        for group in state.optimizer.param_groups:
            group["lr"] = report.rate
        state.scaler.step(state.optimizer)
        state.scaler.update()
        state.update_average(model, config)
    elif state.scaler.is_enabled():
        # Not left to the scaler, which looks at the gradient alone.
        state.scaler.update(0.5 * state.scaler.get_scale())
