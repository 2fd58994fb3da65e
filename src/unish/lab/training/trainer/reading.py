"""Batches read ahead of the training, each by the process that it belongs to; those that cannot be made are told of."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import torch

from unish.errors import InputError
from unish.lab.training.trainer.objective import Batch

Batches = Callable[[int], Batch]
"""Number → batch. Batch i depends on i alone; that is what makes a resumed run equal to an uninterrupted one.

It is called from a thread of its own, ahead of the training: no use of PyTorch's global random numbers. An
``InputError`` says that this batch cannot be made; it is left out.
"""


@dataclass(frozen=True, kw_only=True)
class BatchShare:
    """Which batches are whose: step s has the numbers s·``per_step`` …, dealt to the processes in turn.

    So the batches of a step are the same whatever the number of processes.
    """

    per_step: int
    rank: int
    num_ranks: int

    def __post_init__(self) -> None:
        if self.per_step % self.num_ranks:
            raise InputError(
                f"{self.per_step} micro_batches cannot be shared evenly by {self.num_ranks} processes; "
                f"give a multiple of {self.num_ranks}"
            )

    def numbers(self, step: int) -> range:
        """Numbers of this process's batches of a step."""
        return range(step * self.per_step + self.rank, (step + 1) * self.per_step, self.num_ranks)


@dataclass(frozen=True, kw_only=True)
class Reading:
    """A batch, or why there is none, and the seconds that it took."""

    number: int
    batch: Batch | None
    trouble: str | None
    seconds: float


def read_ahead(batches: Batches, share: BatchShare, *, first: int, last: int) -> Generator[list[Reading], None, None]:
    """For every step ``first`` … ``last`` − 1 this process's batches; those of the next step are made meanwhile."""
    # Each thread that calls PyTorch has a team of threads of its own: two full teams would wait for each other's cores.
    own = torch.get_num_threads()
    team = (max(1, own // 2),)
    with ThreadPoolExecutor(1, "batches", initializer=torch.set_num_threads, initargs=team) as reader:

        def start(step: int) -> list:
            return [reader.submit(_read, batches, number) for number in share.numbers(step)] if step < last else []

        ahead = start(first)
        try:
            for step in range(first, last):
                readings = [waiting.result() for waiting in ahead]
                ahead = start(step + 1)
                yield readings
        finally:
            for waiting in ahead:
                waiting.cancel()
            torch.set_num_threads(own)  # for threads to come, which take over the latest number


def _read(batches: Batches, number: int) -> Reading:
    start = time.perf_counter()
    try:
        batch, trouble = batches(number), None
    except InputError as error:
        batch, trouble = None, str(error)
    return Reading(number=number, batch=batch, trouble=trouble, seconds=time.perf_counter() - start)
