"""The files of an export as one file to download."""

from __future__ import annotations

import secrets
import zipfile
from pathlib import Path

from unish.io import written_beside

_SIDECAR = "export.json"


def pack_export(folder: Path, target: Path) -> str:
    """Move the only file of an export to ``target``, or pack several into a zip there; its name.

    ``export.json``, which says what axes, units and times the files have, goes into the zip and does not count.

    Raises:
        OSError: it cannot be written.
    """
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    wanted = [path for path in files if path.name != _SIDECAR]
    number = secrets.token_hex(4)
    if len(wanted) == 1:
        name = f"{number}{wanted[0].suffix}"
        wanted[0].rename(target / name)
        return name
    name = f"{number}.zip"
    with written_beside(target / name) as beside, zipfile.ZipFile(beside, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in files:
            archive.write(path, path.relative_to(folder).as_posix())
    return name
