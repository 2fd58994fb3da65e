"""Batches made by other processes, ahead of the training: rendered live, decoded from video, read from a slow disk."""

from __future__ import annotations

import multiprocessing
import os
import queue
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from multiprocessing.synchronize import Event
from types import TracebackType
from typing import Any

import torch

from unish.errors import InputError
from unish.lab.datasets.shards import ShardClips
from unish.lab.datasets.source import ClipArrays
from unish.lab.synthetic.shards import use_one_thread
from unish.lab.training.data.batches import SceneBatch, SceneBatches, to_batch

_POLL_S = 0.5
"""How often who waits looks whether the other side is still there."""


@dataclass(frozen=True, kw_only=True)
class _Turns:
    """Which worker makes which batch: ``span`` successive numbers, of which every ``stride``-th is used, go to one."""

    workers: int
    stride: int
    span: int

    def worker_of(self, step: int) -> int:
        return step // self.span % self.workers

    def steps_of(self, worker: int, first: int) -> Iterator[int]:
        return (step for step in count(first, self.stride) if self.worker_of(step) == worker)


class BatchWorkers:
    """``BatchWorkers(batches, workers=n)(step)`` is ``batches(step)``, made by one of n processes while others train.

    Batch i is the same as without workers. Steps that share a window of a stream go to one process, so that its clips
    are rendered once. Steps are expected in order, ``stride`` apart; another one starts the processes anew from there.
    Each process keeps at most ``ahead`` finished batches waiting; with the default it can work on its next window while
    its last one is used. ``close`` (or leaving the ``with`` block) ends them; they also end when this process dies, and
    leave Ctrl-C to it.

    Args:
        stride: every so many batches are asked for. By default as many as torchrun has started processes, which share
            the batches.

    Raises:
        InputError: what the source raised for this batch, as without workers; the next one can be asked for.
        RuntimeError: a process ended without a word (killed, out of memory).
    """

    def __init__(
        self, batches: SceneBatches, *, workers: int, ahead: int | None = None, stride: int | None = None
    ) -> None:
        if workers < 1:
            raise InputError(f"{workers} worker processes; give 1 or more")
        self.batches = batches
        self.workers = workers
        stride = stride or int(os.environ.get("WORLD_SIZE", "1"))
        self.turns = _Turns(workers=workers, stride=stride, span=max(batches.steps_per_window, stride))
        self.ahead = ahead or max(4, 2 * batches.steps_per_window)
        self._next: int | None = None
        self._processes: list[Any] = []
        self._queues: list[Any] = []
        self._stop: Event | None = None

    def __enter__(self) -> BatchWorkers:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __call__(self, step: int) -> SceneBatch:
        if step != self._next:
            self._start(step)
        self._next = step + self.turns.stride
        return to_batch(self._receive(self.turns.worker_of(step), step))

    def close(self) -> None:
        """End the processes; batches can be asked for again, which starts new ones."""
        if self._stop is not None:
            self._stop.set()
        deadline = time.monotonic() + 10 * _POLL_S
        for process in self._processes:
            process.join(max(0.0, deadline - time.monotonic()))
            if process.is_alive():  # in the middle of a long clip
                process.terminate()
                process.join()
        for waiting in self._queues:
            waiting.close()
            waiting.cancel_join_thread()
        self._processes, self._queues, self._stop, self._next = [], [], None, None

    def _start(self, step: int) -> None:
        self.close()
        # Forked processes would share the state of OpenGL and of thread pools.
        context = multiprocessing.get_context("spawn")
        self._stop = context.Event()
        for worker in range(self.workers):
            waiting = context.Queue(self.ahead)
            process = context.Process(
                target=_make_batches,
                args=(self.batches, self.turns, worker, step, waiting, self._stop),
                daemon=True,
                name=f"batches-{worker}",
            )
            process.start()
            self._queues.append(waiting)
            self._processes.append(process)

    def _receive(self, worker: int, step: int) -> ClipArrays:
        while True:
            try:
                made, answer = self._queues[worker].get(timeout=_POLL_S)
            except queue.Empty:
                process = self._processes[worker]
                if not process.is_alive() and self._queues[worker].empty():
                    raise RuntimeError(
                        f"process {process.name} ended with code {process.exitcode} before batch {step}"
                    ) from None
                continue
            if isinstance(answer, BaseException):
                raise answer
            assert made == step, f"batch {made} came in place of {step}"
            return answer


@contextmanager
def run_ahead(batches: SceneBatches, *, workers: int | None = None) -> Iterator[Callable[[int], SceneBatch]]:
    """The same batches: as they are where all come from shards, else from processes that end with the block.

    Where there is a GPU, it takes batches faster than the trainer's one thread makes them, also from shards.

    Args:
        workers: number of processes; half of the cores by default, since training needs some, too.
    """
    if all(isinstance(part, ShardClips) for part in batches.parts) and not torch.cuda.is_available():
        yield batches
        return
    with BatchWorkers(batches, workers=workers or max(1, (os.cpu_count() or 1) // 2)) as made:
        yield made


def _make_batches(batches: SceneBatches, turns: _Turns, worker: int, first: int, waiting: Any, stop: Event) -> None:
    """What a process does: its share of the batches from ``first`` on, until told to stop or left alone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    use_one_thread()
    for step in turns.steps_of(worker, first):
        answer: ClipArrays | Exception
        try:
            answer = batches.arrays(step)
        except Exception as error:
            answer = error
        is_fault = isinstance(answer, Exception) and not isinstance(answer, InputError)
        if not _hand_over((step, answer), waiting, stop) or is_fault:
            break
    if stop.is_set():
        waiting.cancel_join_thread()


def _hand_over(item: Any, waiting: Any, stop: Event) -> bool:
    """Wait for room in the queue; ``False`` when nobody will make any."""
    parent = multiprocessing.parent_process()
    while not stop.is_set() and (parent is None or parent.is_alive()):
        try:
            waiting.put(item, timeout=_POLL_S)
            return True
        except queue.Full:
            continue
    waiting.cancel_join_thread()
    return False
