"""Progress as JSON lines on standard error, for programs that start a command and show how far it is."""

from __future__ import annotations

import argparse
import json
import sys
import time
from contextlib import suppress

BAR, JSON = "bar", "json"
_PAUSE_S = 0.1
"""Between two lines of one stage; the first and the last line of a stage are always written."""


def add_progress(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--progress",
        choices=(BAR, JSON),
        default=BAR,
        help="a bar on a terminal, or JSON lines on standard error for another program (default bar)",
    )


class ProgressLines:
    """One line for each step that is told, at most ten a second. Fits ``unish.structs.progress.Progress``.

    A line is ``{"event": "progress", "stage": "network", "done": 12, "total": 48}``. ``total`` is null while nobody
    knows it. A stage begins with ``done`` 0 or with its first step, and ends with ``done`` equal to ``total``, which
    is 1 of 1 where a stage has no steps. The last line of a run that fails is ``unish: error: …`` as ever, no JSON.
    """

    def __init__(self) -> None:
        self._stage = ""
        self._told_s = 0.0
        self._read = True

    def __call__(self, stage: str, done: int, total: int | None) -> None:
        now = time.monotonic()
        is_due = stage != self._stage or done == total or now - self._told_s >= _PAUSE_S
        if not is_due or not self._read:
            return
        self._stage, self._told_s = stage, now
        line = json.dumps({"event": "progress", "stage": stage, "done": done, "total": total})
        try:
            print(line, file=sys.stderr, flush=True)
        except BrokenPipeError:  # nobody reads any more: the run goes on without
            self._read = False

    def close(self) -> None:
        with suppress(BrokenPipeError):
            sys.stderr.flush()
