"""A checkpoint as files of limited size, for places that take no large ones."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from pathlib import Path

from unish.errors import InputError
from unish.io import written_beside

SHARD_FOLDER = "shards"
_INDEX = "index.json"


def split_checkpoint(checkpoint: Path, folder: Path, *, max_mib: float) -> list[Path]:
    """Copy a file into ``folder`` as pieces of at most ``max_mib`` MiB with an index (sizes, SHA-256).

    The folder is replaced at once, when all pieces are there.

    Raises:
        InputError: the limit is below 0.01 MiB.
    """
    size = int(max_mib * 2**20)
    if max_mib < 0.01:
        raise InputError(f"shards of {max_mib} MiB are too small; give 0.01 or more")
    index: list[dict[str, str | int]] = []
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as beside:
        making = Path(beside, folder.name)
        making.mkdir()
        with checkpoint.open("rb") as file:
            while piece := file.read(size):
                name = f"{checkpoint.name}.{len(index):05d}"
                (making / name).write_bytes(piece)
                index.append({"name": name, "bytes": len(piece), "sha256": hashlib.sha256(piece).hexdigest()})
        (making / _INDEX).write_text(json.dumps(index, indent=1))
        shutil.rmtree(folder, ignore_errors=True)
        making.replace(folder)
    return [folder / str(row["name"]) for row in index]


def join_checkpoint(folder: Path, checkpoint: Path) -> None:
    """Put the pieces of ``split_checkpoint`` together again.

    Raises:
        InputError: one is missing or is not what it was.
    """
    with written_beside(checkpoint) as beside, beside.open("wb") as file:
        for row in json.loads((folder / _INDEX).read_text()):
            path = folder / row["name"]
            piece = path.read_bytes() if path.exists() else b""
            if hashlib.sha256(piece).hexdigest() != row["sha256"]:
                raise InputError(f"{path} is missing or damaged; copy the folder of shards again")
            file.write(piece)


def is_split(folder: Path) -> bool:
    """Whether the folder holds a whole set of pieces."""
    return (folder / _INDEX).is_file()
