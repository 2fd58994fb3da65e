"""Where the seconds of a step go."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch

PHASES = ("data", "forward", "backward", "optimizer")


class Stopwatch:
    """Seconds by phase since the last ``read``; work queued on a GPU counts where it was queued."""

    def __init__(self, device: torch.device) -> None:
        self._synchronizes = device.type == "cuda"
        self._restart()

    def _restart(self) -> None:
        self._seconds = dict.fromkeys(PHASES, 0.0)
        self._making = 0.0
        self._steps = 0

    @contextmanager
    def measure(self, phase: str) -> Iterator[None]:
        """Count the block to a phase. ``data`` is the time that training waits for a batch."""
        start = time.perf_counter()
        yield
        if self._synchronizes:
            torch.cuda.synchronize()
        self._seconds[phase] += time.perf_counter() - start

    def add_making(self, seconds: float) -> None:
        """Count time in which batches were made beside the training."""
        self._making += seconds

    def end_step(self) -> None:
        """A step is over."""
        self._steps += 1

    def read(self) -> dict[str, float]:
        """Mean seconds of a step by phase (``data_s``, …), and of making its batches (``making_s``); starts anew."""
        steps = max(self._steps, 1)
        means = {f"{phase}_s": seconds / steps for phase, seconds in self._seconds.items()}
        means["making_s"] = self._making / steps
        self._restart()
        return {name: round(value, 5) for name, value in means.items()}
