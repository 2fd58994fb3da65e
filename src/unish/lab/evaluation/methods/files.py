"""Finished files on disk: which one belongs to a sequence, and what tells two folders of them apart."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

from unish.body import load_body
from unish.errors import InputError
from unish.lab.evaluation.predictor import Answer, Request
from unish.structs import Reconstruction

FILES_PREFIX = "files:"


class FilesPredictor:
    """Finished reconstructions, of any method: ``FOLDER/NAME.npz`` or ``FOLDER/NAME/reconstruction.npz``."""

    def __init__(self, folder: Path, *, body: str = "free") -> None:
        self.folder = check_folder(folder, "give files:DIR with finished reconstructions")
        self.body = body
        load_body(body)

    @property
    def fingerprint(self) -> str:
        return f"{FILES_PREFIX}{hash_folder(self.folder)}"

    def predict(self, request: Request) -> Answer:
        path = find_file(self.folder, request.name, [("reconstruction.npz", ".npz")])
        report = path.with_name("report.json")
        return Answer(
            reconstruction=Reconstruction.load(path).in_memory(),
            report=json.loads(report.read_text()) if report.is_file() else {},
            body=load_body(request.settings.get("body", self.body)),
        )


def check_folder(folder: Path, remedy: str) -> Path:
    """The folder itself.

    Raises:
        InputError: it is not there; the message ends with ``remedy``.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; {remedy}")
    return folder


def hash_folder(folder: Path) -> str:
    """``NAME@HASH``: path, size and time of every file below the folder, hashed."""
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        stat = path.stat()
        digest.update(f"{path.relative_to(folder)} {stat.st_size} {stat.st_mtime_ns}\n".encode())
    return f"{folder.name}@{digest.hexdigest()[:16]}"


def find_file(folder: Path, sequence: str, names: Sequence[tuple[str, str]]) -> Path:
    """The first that is there of ``FOLDER/SEQUENCE/<name>`` and ``FOLDER/SEQUENCE<suffix>``, for each (name, suffix).

    A sequence that is a video may be named with or without the video's suffix.

    Raises:
        InputError: there is none; the message says where it was looked for.
    """
    for stem in dict.fromkeys((sequence, Path(sequence).with_suffix("").as_posix())):
        for name, suffix in names:
            for path in (folder / stem / name, folder / f"{stem}{suffix}"):
                if path.is_file():
                    return path
    name, suffix = names[0]
    raise InputError(
        f"no such file: neither {folder / sequence / name} nor {folder / f'{sequence}{suffix}'}; "
        "write this sequence's result there"
    )
