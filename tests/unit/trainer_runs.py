"""A tiny run for the trainer's tests, and what several processes, or processes that get killed, do with it.

``python trainer_runs.py together FOLDER`` under torchrun; ``python trainer_runs.py killed FOLDER`` alone.
"""

from __future__ import annotations

import os
import random
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

from unish.errors import InputError
from unish.lab.training.trainer import FitConfig, end_processes, fit

STEPS = 20
CONFIG = FitConfig(
    steps=STEPS, micro_batches=4, warmup_steps=3, learning_rate=0.01, clip_norm=0.5, log_every=1, checkpoint_every=4
)
RUNS = ("ddp", "resumed")
KILLS = 3


class BrokenOff(Exception):
    """The end of a run that is to be resumed."""


class Block(nn.Module):
    """A block with dropout."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.linear = nn.Linear(dim, dim)
        self.dropout = nn.Dropout(0.2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.dropout(self.linear(x).tanh())


class Net(nn.Module):
    """Two blocks, a frozen layer, and a layer that some batches do not use."""

    def __init__(self) -> None:
        super().__init__()
        self.frozen = nn.Linear(3, 8)
        self.blocks = nn.Sequential(Block(8), Block(8))
        self.sometimes = nn.Linear(8, 8)
        self.last = nn.Linear(8, 1)
        self.frozen.requires_grad_(False)

    def forward(self, x: torch.Tensor, detour: bool) -> torch.Tensor:
        x = self.blocks(self.frozen(x))
        return self.last(self.sometimes(x) if detour else x)


def make_net(dtype: torch.dtype) -> Net:
    """The same weights every time."""
    torch.manual_seed(0)
    return Net().to(dtype)


def make_batch(number: int, dtype: torch.dtype) -> dict[str, torch.Tensor]:
    """Eight rows; the seventh batch cannot be made."""
    if number == 6:
        raise InputError("clip 6 is damaged")
    return {"x": torch.randn(8, 3, generator=torch.Generator().manual_seed(number)).to(dtype), "number": number}


def train(
    folder: Path, config: FitConfig, *, dtype: torch.dtype, resume: bool = False, breaks_at: int | None = None
) -> Net:
    """The run; with ``breaks_at`` it dies when that batch is asked for."""
    model = make_net(dtype)

    def compute_loss(_: nn.Module, batch: dict[str, torch.Tensor]) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        loss = (model(batch["x"], batch["number"] % 2 == 0)[:, 0] - batch["x"].sum(-1)).square().mean()
        return loss, {"squared": loss.detach()}

    def batches(number: int) -> dict[str, torch.Tensor]:
        if number == breaks_at:
            raise BrokenOff
        return make_batch(number, dtype)

    fit(model, compute_loss, batches, config=config, run_dir=folder, resume=resume, progress=False)
    return model


def train_together(folder: Path) -> None:
    """All runs, as a process among others."""
    for name in RUNS:
        train(folder / name, CONFIG, dtype=torch.float64, resume=True)
    end_processes()


def train_and_be_killed(folder: Path) -> None:
    """Go on until killed, three times: in a random step, while reading, between the two renames of a checkpoint."""
    steps = sorted(random.SystemRandom().sample(range(1, STEPS), KILLS))
    (folder / "kills.txt").write_text(str(steps))
    for step, arrange in zip(steps, (_die_in_step, _die_while_reading, _die_while_saving), strict=True):
        if (child := os.fork()) == 0:
            arrange(step)
            train(folder / "run", CONFIG, dtype=torch.float32, resume=True)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL, f"step {step}: not killed"
    train(folder / "run", CONFIG, dtype=torch.float32, resume=True)


def _die(*_: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _die_in_step(step: int) -> None:
    from unish.lab.training.trainer import loop

    def die_in_time(step_function: Callable) -> Callable:
        return lambda *args: _die() if args[3].counters.step == step else step_function(*args)

    loop.train_step = die_in_time(loop.train_step)


def _die_while_reading(step: int) -> None:
    global make_batch
    made = make_batch
    make_batch = lambda number, dtype: _die() if number == 4 * step else made(number, dtype)  # noqa: E731


def _die_while_saving(step: int) -> None:
    from unish.lab.training.trainer import loop

    def save_halfway(run_dir: Path, record: dict) -> None:
        if record["counters"]["step"] >= step:
            (run_dir / "checkpoint.pt").replace(run_dir / "checkpoint.previous.pt")
            _die()
        save(run_dir, record)

    save = loop.save_checkpoint
    loop.save_checkpoint = save_halfway


if __name__ == "__main__":
    torch.set_num_threads(1)
    {"together": train_together, "killed": train_and_be_killed}[sys.argv[1]](Path(sys.argv[2]))
