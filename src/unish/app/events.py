"""What changes, told to every open page as server-sent events."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

_PAUSE_S = 0.25
"""Between two messages to one page; what changes meanwhile is told at once."""
_ALIVE_S = 15.0
"""After so long without news a comment is sent, so that a connection that has gone is noticed."""


@dataclass
class Broadcast:
    """Tells pages which jobs have changed.

    Attributes:
        describe_all: all jobs, for a page that opens.
        describe: one job as JSON values; ``None`` for one that is gone.
    """

    describe_all: Callable[[], list[dict[str, Any]]]
    describe: Callable[[str], dict[str, Any] | None]
    _pages: list[_Page] = field(default_factory=list)
    _ended: bool = False

    def publish(self, job_id: str) -> None:
        for page in self._pages:
            page.changed[job_id] = None
            page.news.set()

    def end(self) -> None:
        """Let every page's stream end."""
        self._ended = True
        for page in self._pages:
            page.news.set()

    async def listen(self) -> AsyncIterator[str]:
        """``jobs`` with everything at first, then ``job`` or ``gone`` for what changes."""
        page = _Page()
        self._pages.append(page)
        try:
            yield _write_event("jobs", self.describe_all())
            while not self._ended:
                try:
                    await asyncio.wait_for(page.news.wait(), _ALIVE_S)
                except TimeoutError:
                    yield ": still here\n\n"
                    continue
                page.news.clear()
                changed, page.changed = list(page.changed), {}
                for job_id in changed:
                    told = self.describe(job_id)
                    yield _write_event("gone", {"id": job_id}) if told is None else _write_event("job", told)
                await asyncio.sleep(_PAUSE_S)
        finally:
            self._pages.remove(page)


@dataclass(eq=False)
class _Page:
    """One open page, and what it has not been told yet."""

    changed: dict[str, None] = field(default_factory=dict)
    news: asyncio.Event = field(default_factory=asyncio.Event)


def _write_event(kind: str, value: Any) -> str:
    return f"event: {kind}\ndata: {json.dumps(value, allow_nan=False)}\n\n"
