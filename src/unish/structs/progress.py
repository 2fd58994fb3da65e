"""How long work reports where it is, without knowing who is listening."""

from __future__ import annotations

from typing import Protocol, runtime_checkable


@runtime_checkable
class Progress(Protocol):
    """A callable that stages call after each step. ``None`` in its place means that nobody is listening."""

    def __call__(self, stage: str, done: int, total: int | None) -> None:
        """``done`` of ``total`` steps of ``stage`` are finished; ``total`` is ``None`` when it is not known."""
