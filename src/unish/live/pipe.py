"""A video that comes through a pipe."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import av
from av.container import InputContainer

from unish.errors import InputError
from unish.io import WorkFolder
from unish.live.follow import Follower, Tell
from unish.live.windows import WindowFeed
from unish.passes import Models
from unish.settings import Settings
from unish.video.sources.files import FileSource

_PIECE = 1 << 20


@runtime_checkable
class Readable(Protocol):
    """A stream of bytes, such as ``sys.stdin.buffer``."""

    def read(self, size: int, /) -> bytes:
        """At most ``size`` bytes; none at the end."""
        ...


@dataclass
class PipeSource:
    """Standard input, or any other stream of bytes. What comes is kept in a file until the run has ended.

    The result is that of the same bytes in a file. While they come, ``tell`` gets results of the windows; the pipe is
    held back when more than two wait. Formats that are no stream (mp4 with its index at the end) are followed once all
    has come.

    Attributes:
        stream: of which bytes are read to the end.
        tell: takes what is known of each window; ``None`` waits for the end. See ``unish.live.follow``.
        announce: told in a sentence why nothing is followed yet.
    """

    stream: Readable
    tell: Tell | None = None
    announce: Callable[[str], None] = lambda sentence: None
    name: str = "-"
    notes: list[str] = field(default_factory=list)

    def receive(self, out: Path, work: WorkFolder, settings: Settings, models: Models) -> Path:
        """See ``unish.into_folder.LiveSource``.

        Raises:
            InputError: nothing came.
        """
        path = work.scratch / "pipe"
        with path.open("wb") as file:
            tee = _Tee(self.stream, file)
            followed = self.tell is None or self._follow(_StreamSource(path=path, tee=tee), settings, models)
            while tee.read(_PIECE):
                pass
        if path.stat().st_size == 0:
            raise InputError("nothing came through the pipe; see what the program before it says")
        if not followed:
            self.announce("this format cannot be followed while it comes: its windows are shown now that it is whole")
            self._follow(FileSource(path=path), settings, models)
        return path

    def _follow(self, source: FileSource, settings: Settings, models: Models) -> bool:
        """Show the windows of a source; whether there was any."""
        assert self.tell is not None
        feed = WindowFeed(settings, waits=True, name=self.name)
        reading = threading.Thread(target=_feed, args=(source, feed), daemon=True)
        follower, shown = Follower(settings, models), False
        reading.start()
        try:
            for window in feed:
                self.tell(follower.follow(window))
                shown = True
        finally:
            feed.close()
        reading.join()
        return shown


def _feed(source: FileSource, feed: WindowFeed) -> None:
    """Read all frames that are wanted. What is wrong with the video is said when all of it is there."""
    try:
        with suppress(InputError), closing(iter(source)) as frames:  # type: ignore[type-var]
            for frame in frames:
                if not feed.push(frame):
                    break
    finally:
        feed.finish()


class _Tee:
    """What is read from a stream also goes into a file. It cannot be sought in, as FFmpeg sees by what it has."""

    def __init__(self, stream: Readable, file: Any) -> None:
        # As much as has come, instead of waiting for as much as was asked for.
        self._read: Callable[[int], bytes] = getattr(stream, "read1", stream.read)
        self._file = file

    def read(self, size: int) -> bytes:
        data = self._read(size)
        self._file.write(data)
        return data


@dataclass
class _StreamSource(FileSource):
    """The frames of a stream, which can be read once."""

    tee: _Tee | None = None

    def _open(self) -> InputContainer:
        try:
            return av.open(self.tee, "r", options={"protocol_whitelist": "file"})
        except (av.FFmpegError, OSError, ValueError) as error:
            raise InputError(f"this stream cannot be read as it comes ({error})") from None
