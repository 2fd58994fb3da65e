"""How much the app accepts, and how long it keeps it."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from unish.errors import InputError


class TooLarge(InputError):
    """A video has more bytes than are accepted."""


class DiskFull(InputError):
    """Too little of the disk is free."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What is refused, in a sentence, before or while it comes.

    Attributes:
        max_bytes: of one uploaded video.
        max_minutes: of its length.
        max_waiting: jobs that wait at once.
        min_free_bytes: so much of the disk stays free: below it nothing is uploaded and no job begins.
        keep_days: after so many days without a change a finished job is deleted; 0 keeps all.
        idle_seconds: an upload of which nothing comes for so long is given up.
    """

    max_bytes: int = 2_000_000_000
    max_minutes: float = 30.0
    max_waiting: int = 50
    min_free_bytes: int = 1_000_000_000
    keep_days: float = 30.0
    idle_seconds: float = 60.0

    def check_size(self, num_bytes: int) -> None:
        """
        Raises:
            TooLarge: a video of this size is too large.
        """
        if num_bytes > self.max_bytes:
            raise TooLarge(
                f"the video is larger than {format_bytes(self.max_bytes)}; cut it or use a smaller picture, "
                "or start the app with a larger --max-gb"
            )

    def check_length(self, seconds: float) -> None:
        """
        Raises:
            InputError: a video of this length is too long.
        """
        if seconds > 60 * self.max_minutes:
            raise InputError(
                f"the video is {seconds / 60:.0f} minutes long and at most {self.max_minutes:g} are allowed; cut it, "
                "or start the app with a larger --max-minutes"
            )

    def check_disk(self, folder: Path, num_bytes: int = 0) -> None:
        """
        Raises:
            DiskFull: after ``num_bytes`` more, too little of the disk that ``folder`` is on would be free.
        """
        free = shutil.disk_usage(folder).free
        if free - num_bytes < self.min_free_bytes:
            raise DiskFull(
                f"the disk is nearly full ({format_bytes(free)} free, {format_bytes(self.min_free_bytes)} are kept "
                "free); delete old results or other files, then try again"
            )


def format_bytes(num_bytes: float) -> str:
    """Such as 1.5 GB or 12 MB, in decimal units."""
    return f"{num_bytes / 1e9:.3g} GB" if num_bytes >= 1e9 else f"{num_bytes / 1e6:.3g} MB"
