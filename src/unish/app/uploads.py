"""Videos on their way in: counted while they come, recognised by decoding them, kept under names of our own."""

from __future__ import annotations

import asyncio
import json
import secrets
import sys
import unicodedata
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from unish.app.jobs import Job, JobStore
from unish.app.limits import Limits
from unish.app.processes import stop
from unish.errors import InputError

_BLOCK = 2**20
_PROBE_S = 60.0
_LONGEST_NAME = 120


@dataclass
class Uploads:
    """Takes videos in.

    Attributes:
        probe_program: the words before the files that ``unish.app.probe`` takes.
        reserved: bytes of videos that are coming and not yet on the disk.
    """

    store: JobStore
    limits: Limits
    probe_program: Sequence[str] = (sys.executable, "-m", "unish.app.probe")
    reserved: int = 0
    _coming: int = 0
    _one_probe: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def receive(
        self, body: AsyncIterator[bytes], *, stated_bytes: int | None, name: str, options: dict[str, Any]
    ) -> Job:
        """A waiting job for the video in ``body``. Whatever goes wrong, nothing of it stays.

        Args:
            stated_bytes: what the sender says that will come; it may send less or more.
            name: what the user calls the file; shown, and used for nothing else.

        Raises:
            TooLarge: it is larger than allowed.
            DiskFull: the disk would be too full.
            InputError: it is no video, too long, or too many jobs wait.
        """
        waiting = len(self.store.waiting()) + self._coming
        if waiting >= self.limits.max_waiting:
            raise InputError(f"{waiting} videos wait already; wait until some are done, or cancel them")
        self._check(stated_bytes or 0, coming=stated_bytes or 0)
        upload = self.store.uploads / secrets.token_hex(16)
        poster = upload.with_suffix(".jpg")
        self._coming += 1
        try:
            with self._reserve(stated_bytes or 0) as arrived:
                await self._write(upload, body, arrived)
            facts = await self._probe(upload, poster)
            self.limits.check_length(facts["seconds"])
            job = self.store.add(upload, name=clean_name(name), options=options, **facts)
            poster.rename(self.store.folder(job) / "poster.jpg")
            return job
        finally:
            self._coming -= 1
            for path in (upload, poster):
                path.unlink(missing_ok=True)

    def _check(self, num_bytes: int, coming: int = 0) -> None:
        self.limits.check_size(num_bytes)
        self.limits.check_disk(self.store.work, self.reserved + coming)

    @contextmanager
    def _reserve(self, num_bytes: int) -> Iterator[Callable[[int], None]]:
        """Room on the disk for bytes that will come; the function is told how many of them have."""
        left = num_bytes
        self.reserved += left

        def note(count: int) -> None:
            nonlocal left
            self.reserved -= min(count, left)
            left -= min(count, left)

        try:
            yield note
        finally:
            self.reserved -= left

    async def _write(self, path: Path, body: AsyncIterator[bytes], arrived: Callable[[int], None]) -> None:
        """Everything that comes, into a file that nobody else may read."""
        num_bytes, block, chunks = 0, bytearray(), aiter(body)
        with path.open("xb") as file:
            path.chmod(0o600)
            while True:
                try:
                    chunk = await asyncio.wait_for(anext(chunks), self.limits.idle_seconds)
                except StopAsyncIteration:
                    break
                except TimeoutError:
                    raise InputError("the upload stood still for too long and was given up; try again") from None
                num_bytes += len(chunk)
                block += chunk
                if len(block) >= _BLOCK:
                    self._check(num_bytes)
                    await asyncio.to_thread(file.write, block)
                    arrived(len(block))
                    block = bytearray()
            self._check(num_bytes)
            await asyncio.to_thread(file.write, block)
        if num_bytes == 0:
            raise InputError("the file is empty; choose another one")

    async def _probe(self, upload: Path, poster: Path) -> dict[str, Any]:
        """What the file is, told by a process of its own; one at a time, for many files may come at once."""
        async with self._one_probe:
            process = await asyncio.create_subprocess_exec(
                *self.probe_program, str(upload), str(poster),
                stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
                start_new_session=True,
            )  # fmt: skip
            try:
                told, _ = await asyncio.wait_for(process.communicate(), _PROBE_S)
            except TimeoutError:
                raise InputError("it takes too long to find out whether this is a video; convert it to mp4") from None
            finally:
                await stop(process)
        try:
            facts: dict[str, Any] = json.loads(told)
        except ValueError:
            raise InputError("the decoder failed on this file; convert it to mp4, or choose another one") from None
        if "error" in facts:
            raise InputError(facts["error"])
        return facts


def clean_name(name: str) -> str:
    """A name to show: its last part, one line, printable, not too long."""
    last = name.replace("\\", "/").rsplit("/", 1)[-1]
    shown = "".join(letter for letter in last if unicodedata.category(letter)[0] != "C").strip()
    return shown[-_LONGEST_NAME:] or "video"
