"""Set-up of the process of a command: standard streams that take every text, and termination by signals."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from types import FrameType


class TerminationRequested(BaseException):
    """SIGTERM or SIGHUP has come: what is open is closed and half-written files go, as on Ctrl-C."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


@contextmanager
def graceful_termination() -> Iterator[None]:
    """Within the block, the signals that end a process raise ``TerminationRequested``; ignored ones stay ignored."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may set handlers
        return

    def end(number: int, frame: FrameType | None) -> None:
        raise TerminationRequested(number)

    numbers = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    ours = [number for number in numbers if signal.getsignal(number) == signal.SIG_DFL]
    for number in ours:
        signal.signal(number, end)
    try:
        yield
    finally:
        for number in ours:
            signal.signal(number, signal.SIG_DFL)


def open_standard_streams() -> None:
    """Make printing safe whatever the shell has set up.

    A closed descriptor (``>&-``) would be given to the next file that is opened, and what is printed would land in it.
    A path may hold letters that the terminal's encoding lacks, or bytes that are no letters at all: they are escaped.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free, which is this one
    # Python has no stream where the descriptor was closed; the null device lives as long as the process.
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: PTH123, SIM115
        stream = getattr(sys, name)
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def silence_stdout() -> None:
    """Its reader has gone, or its disk is full: nothing more is printed there, also not at shutdown."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
