"""Files that appear whole or not at all."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_KEPT_OF_NAME = 48
"""Characters of the final name that the temporary one repeats; at four bytes each, they still leave room in 255."""


@contextmanager
def written_beside(path: Path) -> Iterator[Path]:
    """A path beside ``path`` to write to; it takes the final name when the block ends, and goes when the block fails.

    Every call has a name of its own, so that writers of one file, be they threads, processes or machines that share a
    disk, never write into one another's; the last to finish wins. The name begins with a dot and ends with ``.part``.

    Args:
        path: the final name; its folder exists. A file of that name stays as it is until the block ends.

    Raises:
        OSError: the file cannot take its final name; the temporary one is gone then, too.
    """
    beside = path.with_name(f".{path.name[:_KEPT_OF_NAME]}.{os.getpid()}-{secrets.token_hex(4)}.part")
    try:
        yield beside
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
