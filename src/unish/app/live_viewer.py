"""``unish view`` beside the app, for one result at a time."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from unish.app.processes import stop, unish_command
from unish.errors import InputError

_START_S = 120.0
_ADDRESS = re.compile(r"http://127\.0\.0\.1:\d+")


@dataclass
class LiveViewer:
    """Starts and ends the live viewer. It answers on this machine alone, and leaves corrections to the app's own page.

    Attributes:
        program: the words before the name of a ``unish`` command.
        job_id: whose result is shown; empty for none.
    """

    program: Sequence[str] = field(default_factory=unish_command)
    job_id: str = ""
    _address: str = ""
    _process: asyncio.subprocess.Process | None = None
    _one: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def open(self, job_id: str, result: Path, title: str, log: Path) -> str:
        """The address at which a result is shown. Another result that was shown is not any more.

        Raises:
            InputError: it did not start; the message is what it said.
        """
        async with self._one:
            if self.job_id == job_id and self._process is not None and self._process.returncode is None:
                return self._address
            await self._end()
            words = [*self.program, "view", str(result), "--no-browser", "--no-edits", f"--title={title}"]
            with log.open("ab") as output:
                self._process = await asyncio.create_subprocess_exec(
                    *words, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=output,
                    start_new_session=True, env=os.environ | {"PYTHONUNBUFFERED": "1"},
                )  # fmt: skip
            self.job_id = job_id
            self._address = await self._read_address(log)
            return self._address

    async def close(self, job_id: str = "") -> None:
        """End it; if an id is given, only if it shows that job."""
        async with self._one:
            if job_id in ("", self.job_id):
                await self._end()

    async def _read_address(self, log: Path) -> str:
        assert self._process is not None and self._process.stdout is not None
        try:
            line = await asyncio.wait_for(self._process.stdout.readline(), _START_S)
        except TimeoutError:
            line = b""
        found = _ADDRESS.search(line.decode(errors="replace"))
        if found is None:
            await self._end()
            raise InputError(f"the live viewer did not start; {log} says why")
        return found.group()

    async def _end(self) -> None:
        if self._process is not None:
            await stop(self._process)
        self._process, self.job_id, self._address = None, "", ""
