"""Names that cannot lead to a video, refused before anything is opened."""

from __future__ import annotations

import re
from pathlib import Path

from unish.errors import InputError

_ADDRESS = re.compile(r"([a-z][a-z0-9+.-]+):/", re.IGNORECASE)
"""What stands before a path in an address. ``Path`` makes one slash of two; a drive of Windows has one letter only."""


def check_place(path: Path) -> None:
    """See that there is a file or a folder.

    Raises:
        InputError: an address, a missing file, a pipe or a device, a name that the system does not take.
    """
    try:
        is_folder, exists, is_file = path.is_dir(), path.exists(), path.is_file()
    except OSError as error:
        place = str(path) if len(str(path)) <= 200 else f"{str(path)[:100]}…{path.name[-40:]}"
        raise InputError(f"{place}: cannot be reached ({error.strerror}); check the path and its permissions") from None
    if exists and not (is_folder or is_file):  # opening a pipe or a device could wait for ever
        raise InputError(f"{path}: this is neither a file nor a folder; save the video to a file first")
    if exists:
        return
    address = _ADDRESS.match(str(path))
    if address and address[1].lower() == "file":
        raise InputError(f"{path}: no such file or folder; give the path without {address[1]}://")
    if address:
        raise InputError(f"{path}: this is an address; download the video first and give the file")
    raise InputError(f"{path}: no such file or folder; check the path")
