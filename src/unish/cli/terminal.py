"""What the user sees: progress bars, tables, one-line errors; and the log file for everything else."""

from __future__ import annotations

import os
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, TextIO

from tqdm import tqdm


class Bars:
    """One progress bar per stage, on a terminal only. Fits ``unish.structs.progress.Progress``."""

    def __init__(self, *, quiet: bool) -> None:
        self._shown = not quiet and sys.stderr.isatty()
        self._bar: tqdm | None = None
        self._stage = ""

    def __call__(self, stage: str, done: int, total: int | None) -> None:
        if not self._shown:
            return
        if stage != self._stage or self._bar is None:
            self.close()
            self._stage = stage
            self._bar = tqdm(desc=f"{stage:16s}", total=total, file=sys.stderr, leave=True, dynamic_ncols=True)
        if total is not None and self._bar.total != total and not (done == total == 1):
            self._bar.total = total
        if self._bar.total is not None and done == total == 1:
            done = self._bar.total  # the end of a stage, announced as 1 of 1
        self._bar.update(max(0, done - self._bar.n))
        self._bar.refresh()

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None


class NativeChatter:
    """Keeps what native libraries print on file descriptor 2 off the terminal, for the log of a failure.

    Python's own ``sys.stderr`` keeps writing to where it did. Where descriptor 2 is not Python's stderr (captured by a
    test, closed by a service), nothing is changed.
    """

    def __enter__(self) -> NativeChatter:
        self._kept: IO[bytes] | None = None
        try:
            if sys.stderr.fileno() != 2:
                return self
        except (OSError, ValueError, AttributeError):
            return self
        self._python_stderr: TextIO = sys.stderr
        self._python_stderr.flush()
        self._terminal = os.dup(2)
        sys.stderr = os.fdopen(self._terminal, "w", buffering=1, errors="backslashreplace")
        self._kept = tempfile.TemporaryFile()
        os.dup2(self._kept.fileno(), 2)
        return self

    def read(self) -> str:
        if self._kept is None:
            return ""
        self._kept.seek(0)
        return self._kept.read().decode(errors="replace")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._kept is None:
            return
        os.dup2(self._terminal, 2)
        sys.stderr.close()
        sys.stderr = self._python_stderr
        self._kept.close()


def say_error(message: str, code: int) -> int:
    """Print the one line of a failure and hand back its exit code."""
    print(f"unish: error: {' '.join(message.split())}", file=sys.stderr)
    return code


def write_log(error: BaseException, chatter: str) -> Path:
    """Keep the traceback, and what native libraries said, in a file of its own."""
    from unish.assets import cache_dir

    name = f"unish-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}.log"
    text = f"{' '.join(sys.argv)}\n\n{''.join(traceback.format_exception(error))}\n{chatter}"
    for folder in (cache_dir() / "logs", Path(tempfile.gettempdir())):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text)
            return folder / name
        except OSError:
            continue
    return Path(os.devnull)


def print_table(rows: Sequence[Sequence[str]], header: Sequence[str]) -> None:
    """Left-aligned columns with two spaces between them."""
    widths = [max(len(row[column]) for row in [header, *rows]) for column in range(len(header))]
    for row in [header, *rows]:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
