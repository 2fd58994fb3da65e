"""How long work reports where it is, without knowing who is listening."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol, runtime_checkable


@runtime_checkable
class Progress(Protocol):
    """A callable that stages call after each step. ``None`` in its place means that nobody is listening."""

    def __call__(self, stage: str, done: int, total: int | None) -> None:
        """``done`` of ``total`` steps of ``stage`` are finished; ``total`` is ``None`` when it is not known."""


@runtime_checkable
class SaysSentences(Protocol):
    """A ``Progress`` that also takes sentences, such as that a file of some size and licence is fetched."""

    def say(self, sentence: str) -> None:
        """Show it beside the stage that goes on."""


def announce_in(progress: Progress | None) -> Callable[[str], None]:
    """What takes sentences. For a ``progress`` that cannot ``say`` them, each is a stage of its own."""
    if isinstance(progress, SaysSentences):
        return progress.say

    def announce(sentence: str) -> None:
        if progress is not None:
            progress(sentence, 0, None)

    return announce


class StageClock:
    """Announces stages as they begin and end, and remembers how long each took."""

    def __init__(self, progress: Progress | None) -> None:
        self.progress = progress
        self.seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        start = time.perf_counter()
        if self.progress is not None:
            self.progress(name, 0, None)
        yield
        self.seconds[name] = round(time.perf_counter() - start, 3)
        if self.progress is not None:
            self.progress(name, 1, 1)
