"""A checkpoint as files of limited size, for places that take no large ones."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

from unish.errors import InputError

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
    making = folder.with_name(folder.name + ".partial")
    shutil.rmtree(making, ignore_errors=True)
    making.mkdir(parents=True)
    index: list[dict[str, str | int]] = []
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
    partial = checkpoint.with_name(checkpoint.name + ".partial")
    with partial.open("wb") as file:
        for row in json.loads((folder / _INDEX).read_text()):
            path = folder / row["name"]
            piece = path.read_bytes() if path.exists() else b""
            if hashlib.sha256(piece).hexdigest() != row["sha256"]:
                partial.unlink()
                raise InputError(f"{path} is missing or damaged; copy the folder of shards again")
            file.write(piece)
    partial.replace(checkpoint)


def is_split(folder: Path) -> bool:
    """Whether the folder holds a whole set of pieces."""
    return (folder / _INDEX).is_file()
