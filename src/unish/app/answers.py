"""What handlers of requests give back, without a word of the web framework."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unish.app.guards import APP_POLICY
from unish.errors import InputError

_LONGEST_TEXT = 2**18


@dataclass(frozen=True, kw_only=True)
class Answer:
    """JSON values, a file, a picture, or a stream of events.

    Attributes:
        status: HTTP status.
        value: for JSON.
        file: is sent instead of ``value``; parts of it, too, when they are asked for.
        picture: a JPEG file, already read, is sent instead of ``value``: files of a job can be deleted at any moment.
        name: the file is to be saved under this name; empty for one that the browser shows.
        policy: Content Security Policy of the file.
        events: is sent instead of all of them.
    """

    status: int = 200
    value: Any = None
    file: Path | None = None
    picture: bytes | None = None
    name: str = ""
    policy: str = APP_POLICY
    events: AsyncIterator[str] | None = None


class Refused(InputError):
    """A request that cannot be done as things are: not found, not finished, or busy."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


async def read_text(request: Any) -> str:
    """The body of a request that is a short JSON text.

    Raises:
        InputError: it is too long, or no text.
    """
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > _LONGEST_TEXT:
            raise InputError("the request is too long")
    try:
        return body.decode()
    except UnicodeDecodeError:
        raise InputError("the request is no text") from None
