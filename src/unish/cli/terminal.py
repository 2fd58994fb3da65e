"""Terminal output beside progress bars: tables and one-line errors; and the log file for everything else."""

from __future__ import annotations

import os
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, TextIO


class NativeStderrCapture:
    """Keeps what native libraries print on file descriptor 2 off the terminal, for the log of a failure.

    Python's own ``sys.stderr`` keeps writing to where it did. Where descriptor 2 is not Python's stderr (captured by a
    test, closed by a service), nothing is changed.
    """

    def __enter__(self) -> NativeStderrCapture:
        self._kept: IO[bytes] | None = None
        try:
            if sys.stderr.fileno() != 2:
                return self
        except (OSError, ValueError, AttributeError):
            return self
        try:
            kept = tempfile.TemporaryFile()
        except OSError:  # no place to keep it: better a line too many than no run
            return self
        self._python_stderr: TextIO = sys.stderr
        self._python_stderr.flush()
        self._terminal = os.dup(2)
        sys.stderr = os.fdopen(self._terminal, "w", buffering=1, errors="backslashreplace")
        self._kept = kept
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
        with suppress(OSError):  # what could not be printed before cannot be now
            sys.stderr.close()
        sys.stderr = self._python_stderr
        self._kept.close()


def print_error(message: str, code: int) -> int:
    """Print the one line of a failure and hand back its exit code."""
    with suppress(OSError):  # nobody reads it
        print(f"unish: error: {' '.join(message.split())}", file=sys.stderr, flush=True)
    return code


def write_log(error: BaseException, native_stderr: str) -> Path:
    """Keep the traceback, and what native libraries said, in a file of its own."""
    from unish.assets import cache_dir

    name = f"unish-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}.log"
    text = f"{' '.join(sys.argv)}\n\n{''.join(traceback.format_exception(error))}\n{native_stderr}"
    for find in (lambda: cache_dir() / "logs", lambda: Path(tempfile.gettempdir())):
        try:
            folder = find()
            folder.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text, encoding="utf-8", errors="backslashreplace")
            return folder / name
        except OSError:
            continue
    return Path(os.devnull)


def print_table(rows: Sequence[Sequence[str]], header: Sequence[str]) -> None:
    """Left-aligned columns with two spaces between them."""
    widths = [max(len(row[column]) for row in [header, *rows]) for column in range(len(header))]
    for row in [header, *rows]:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
