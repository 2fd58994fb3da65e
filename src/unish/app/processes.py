"""Commands in processes of their own, with all that they start in one group that can be ended at once."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_ERROR = "unish: error: "
_LONGEST_LINE = 2**20
_GRACE_S = 0.8
"""A command that is cancelled has so long to end by itself."""


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How a command ended.

    Attributes:
        code: its exit code; negative after a signal.
        error: the sentence that it ended in, empty if it ended well.
    """

    code: int
    error: str = ""


async def run_command(
    words: Sequence[str],
    log: Path,
    *,
    started: Callable[[int], None] = lambda process: None,
    tell: Callable[[dict[str, Any]], None] = lambda line: None,
) -> Ended:
    """Run a command until it ends. Its standard output and what it says on standard error are added to a log.

    Args:
        words: program and arguments; no shell reads them.
        started: told the number of the process, which is that of its group.
        tell: given each JSON line of standard error (see ``unish.cli.progress_lines``).

    Raises:
        asyncio.CancelledError: the group was ended before.
    """
    with log.open("ab") as output:
        process = await asyncio.create_subprocess_exec(
            *words, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.PIPE, limit=_LONGEST_LINE,
            start_new_session=True, env=os.environ | {"PYTHONUNBUFFERED": "1"},
        )  # fmt: skip
        started(process.pid)
        try:
            error = await _read_lines(process, output, tell)
            code = await process.wait()
        finally:
            await stop(process)
    if code == 0:
        return Ended(code=0)
    return Ended(code=code, error=error or _describe_end(code, log))


async def _read_lines(process: asyncio.subprocess.Process, output: Any, tell: Callable[[dict[str, Any]], None]) -> str:
    """Tell progress, keep the rest; the sentence of the error if one was said."""
    assert process.stderr is not None
    error = ""
    while True:
        try:
            line = await process.stderr.readline()
        except ValueError:  # longer than any line of ours
            continue
        if not line:
            return error
        text = line.decode(errors="replace").rstrip()
        progress = _read_progress(text)
        if progress is not None:
            tell(progress)
            continue
        output.write(line)
        output.flush()
        if text.startswith(_ERROR):
            error = text.removeprefix(_ERROR)


def _read_progress(text: str) -> dict[str, Any] | None:
    if not text.startswith("{"):
        return None
    try:
        value = json.loads(text)
    except ValueError:
        return None
    return value if isinstance(value, dict) and value.get("event") == "progress" else None


def _describe_end(code: int, log: Path) -> str:
    if code == -signal.SIGKILL:
        return (
            "the system ended the work, as it does when the memory is used up; use fewer frames (a lower fps, or "
            "start and end)"
        )
    if code < 0:
        return f"the work was ended by {signal.Signals(-code).name}; please report it with {log}"
    return f"the work ended with exit code {code}; please report it with {log}"


async def stop(process: asyncio.subprocess.Process) -> None:
    """End a process and all that it started: asked to first, so that it can remove its temporary files, then killed."""
    if process.returncode is None:
        with suppress(ProcessLookupError):
            process.terminate()
        with suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), _GRACE_S)
    end_group(process.pid)
    await process.wait()


def end_group(process: int) -> None:
    """Kill a process and all that it started; nothing where they have ended."""
    if hasattr(os, "killpg"):
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process, signal.SIGKILL)
    else:
        with suppress(OSError):
            os.kill(process, signal.SIGTERM)


def end_leftover(process: int, folder: Path) -> None:
    """Kill what an earlier run of the app has left, which was killed itself, if the process still works in ``folder``.

    The number may be another process's by now: its command line tells. Where the system does not show it, nothing is
    done, and the next run says that another one is writing there.
    """
    try:
        words = Path(f"/proc/{process}/cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return
    if any(word.startswith(str(folder)) for word in words):
        end_group(process)


def unish_command() -> tuple[str, ...]:
    """How a process of this installation is started, up to the name of the command."""
    return sys.executable, "-m", "unish"
