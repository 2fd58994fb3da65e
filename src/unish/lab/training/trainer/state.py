"""What changes from step to step: optimiser, averaged weights, counters; and its form in a checkpoint."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from unish.errors import InputError
from unish.lab.training.trainer.config import FitConfig

FORMAT = 2
"""Of a checkpoint; raised when an old one can no longer be resumed."""


@dataclass
class Counters:
    """Numbers of a run, the same in all processes.

    Attributes:
        step: steps that are over.
        seconds: time that they took, summed over resumes.
        skipped: steps without an update, since loss or gradient was not finite or a process had no batch.
        skipped_in_a_row: up to now, of those that were not finite.
        read, bad: batches asked for, and those of them that could not be made.
        micro_batches: batches of a step; 0 before the first.
    """

    step: int = 0
    seconds: float = 0.0
    skipped: int = 0
    skipped_in_a_row: int = 0
    read: int = 0
    bad: int = 0
    micro_batches: int = 0


@dataclass
class TrainState:
    """Everything that a run needs to go on, besides the weights and the buffers of the model."""

    optimizer: torch.optim.Optimizer
    scaler: torch.amp.GradScaler
    average: dict[str, Tensor]
    counters: Counters = field(default_factory=Counters)

    @classmethod
    def begin(cls, model: nn.Module, config: FitConfig, device: torch.device) -> TrainState:
        """Before the first step. The model is where it will be trained."""
        scaler = torch.amp.GradScaler(device.type, enabled=config.precision == "float16")
        return cls(optimizer=_make_optimizer(model, config), scaler=scaler, average=copy_trained(model))

    def to_record(self, model: nn.Module) -> dict[str, Any]:
        """Names and tensors, the same in all processes and whatever their number."""
        optimizer = {
            name: dict(self.optimizer.state[parameter]) for name, parameter in trained_parameters(model).items()
        }
        return {
            "format": FORMAT,
            "model": model.state_dict(),
            "optimizer": optimizer,
            "average": self.average,
            "scaler": self.scaler.state_dict(),
            "counters": asdict(self.counters),
        }

    def restore(self, model: nn.Module, record: dict[str, Any]) -> None:
        """Put a record into state and model.

        Raises:
            InputError: it is of another version or another model.
        """
        if record.get("format") != FORMAT:
            raise InputError("the checkpoint is of another version of this package: start a new run from its weights")
        parameters = trained_parameters(model)
        if record["optimizer"].keys() != parameters.keys() or record["model"].keys() != model.state_dict().keys():
            raise InputError("the checkpoint is of another model, or other parts of it were trained: start a new run")
        model.load_state_dict(record["model"])
        for name, parameter in parameters.items():
            self.average[name].copy_(record["average"][name])
            self.optimizer.state[parameter] = {
                key: value if key == "step" else value.to(parameter.device)
                for key, value in record["optimizer"][name].items()
            }
        if record["scaler"]:  # empty, if the precision was another one
            self.scaler.load_state_dict(record["scaler"])
        self.counters = Counters(**record["counters"])

    @torch.no_grad()
    def update_average(self, model: nn.Module, config: FitConfig) -> None:
        """Move the averaged weights towards those of now."""
        # A young average follows quickly (1+t)/(10+t), or the random start would stay in it for long.
        decay = min(config.ema_decay, (1 + self.counters.step) / (10 + self.counters.step))
        for name, parameter in trained_parameters(model).items():
            self.average[name].lerp_(parameter, 1.0 - decay)

    @contextmanager
    def averaged(self, model: nn.Module) -> Iterator[None]:
        """While the block runs, the model has the averaged weights."""
        raw = copy_trained(model)
        model.load_state_dict(self.average, strict=False)
        try:
            yield
        finally:
            model.load_state_dict(raw, strict=False)


def trained_parameters(model: nn.Module) -> dict[str, nn.Parameter]:
    """Parameters with a gradient, by name."""
    return {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}


def copy_trained(model: nn.Module) -> dict[str, Tensor]:
    """Values of the parameters that have a gradient."""
    return {name: parameter.detach().clone() for name, parameter in trained_parameters(model).items()}


def _make_optimizer(model: nn.Module, config: FitConfig) -> torch.optim.Optimizer:
    trained = list(trained_parameters(model).values())
    groups = [
        {"params": [p for p in trained if p.dim() >= 2], "weight_decay": config.weight_decay},
        {"params": [p for p in trained if p.dim() < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW([g for g in groups if g["params"]], lr=config.learning_rate, betas=(0.9, 0.98))
