"""Frames in files: plain ones while a run works with them, compressed ones that stay."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy import ndarray

from unish.io.atomic import written_beside
from unish.io.zip_members import OldMembers

FRAMES_PER_FILE = 24
COMPRESSION = 1
"""Level of deflate. Pictures and depth hardly shrink: level 6 saves 2 % of a result's size, for half as long again."""


class FramePile:
    """One array as plain files of a few frames each, in the order of time; a file is there whole or not at all.

    Args:
        folder: where the files lie, named by their first frames; it is made if need be.
        num_frames: of the whole array.
    """

    def __init__(self, folder: Path, num_frames: int) -> None:
        self.folder, self.num_frames = folder, num_frames
        folder.mkdir(parents=True, exist_ok=True)
        self._waiting: list[ndarray] = []
        self._next = self.num_stored

    @property
    def num_stored(self) -> int:
        """Frames that are on the disk; one more than the last whole file holds is the next to be added."""
        stored = 0
        while stored < self.num_frames and self._path(stored).exists():
            stored = min(stored + FRAMES_PER_FILE, self.num_frames)
        return stored

    @property
    def next_frame(self) -> int:
        """The frame that ``add`` takes next."""
        return self._next

    def add(self, frame: ndarray) -> None:
        """The next frame. It is on the disk when its file is complete."""
        self._waiting.append(np.asarray(frame))
        self._next += 1
        if len(self._waiting) == FRAMES_PER_FILE or self._next == self.num_frames:
            with written_beside(self._path(self._next - len(self._waiting))) as beside, beside.open("wb") as file:
                _write_npy(file, np.stack(self._waiting))
            self._waiting = []

    def read(self, frame: int) -> ndarray:
        """One frame, from the disk or from what waits to go there."""
        first = self._next - len(self._waiting)
        if frame >= first:
            return self._waiting[frame - first]
        start = frame - frame % FRAMES_PER_FILE
        return read_part(self._path(start), frame - start)

    def _path(self, first: int) -> Path:
        return self.folder / f"{first - first % FRAMES_PER_FILE:08d}.npy"


def write_array(path: Path, array: ndarray) -> None:
    """A plain file of numpy, whole or not at all."""
    with written_beside(path) as beside, beside.open("wb") as file:
        _write_npy(file, array)


def read_part(path: Path, index: int | slice) -> ndarray:
    """A part of a plain file along its first axis; nothing else of it is read."""
    return np.array(np.load(path, mmap_mode="r", allow_pickle=False)[index])


def write_npz(path: Path, arrays: Mapping[str, Any], *, like: Path | None = None) -> None:
    """What ``numpy.savez_compressed`` writes, whole or not at all; of frames, one is in memory at a time.

    Args:
        arrays: arrays, or what has ``shape``, ``dtype`` and frames to iterate over.
        like: an older file, if it is there and can be read; arrays that it holds, too, are copied from it, and what is
            written is the same to the byte.
    """
    with ExitStack() as opened:
        beside = opened.enter_context(written_beside(path))
        old: OldMembers | None = None
        if like is not None:
            with suppress(zipfile.BadZipFile, OSError):
                old = opened.enter_context(OldMembers(like))
        archive = opened.enter_context(zipfile.ZipFile(beside, "w", zipfile.ZIP_DEFLATED, compresslevel=COMPRESSION))
        for key, array in arrays.items():
            name = f"{key}.npy"
            in_memory = not hasattr(array, "shape") or isinstance(array, ndarray)
            if old is not None and in_memory and old.take_over(archive, name, _npy_parts(array)):
                continue
            with archive.open(name, "w", force_zip64=True) as file:
                _write_npy(file, array)


def _write_npy(file: Any, array: Any) -> None:
    """A plain array file. ``numpy.save`` would say no reason when the disk is full."""
    for part in _npy_parts(array):
        file.write(part)


def _npy_parts(array: Any) -> Iterator[bytes | memoryview]:
    """The bytes of a plain array file, piece by piece."""
    whole = array if hasattr(array, "shape") else np.asanyarray(array)
    header = io.BytesIO()
    described = {"descr": np.lib.format.dtype_to_descr(whole.dtype), "fortran_order": False, "shape": whole.shape}
    np.lib.format.write_array_header_1_0(header, described)
    yield header.getvalue()
    parts: Iterable[ndarray] = [whole] if isinstance(whole, ndarray) else whole
    for part in parts:
        values = np.ascontiguousarray(part)
        yield values.reshape(-1).view(np.uint8).data if values.dtype.kind in "biuf" else values.tobytes()


def write_frame(folder: Path, frame: int, arrays: Mapping[str, ndarray], *, like: Path | None = None) -> None:
    """All arrays of one frame as a compressed npz of the folder, which is made if need be; one that is there stays.

    Args:
        like: a folder with the same frame of an older result, see ``write_npz``.
    """
    path = _frame_path(folder, frame)
    if not path.exists():
        folder.mkdir(exist_ok=True)
        write_npz(path, arrays, like=None if like is None else _frame_path(like, frame))


def has_frame(folder: Path, frame: int) -> bool:
    """Whether ``write_frame`` has written it; its file is there whole or not at all."""
    return _frame_path(folder, frame).exists()


def read_frame(folder: Path, frame: int, names: Iterable[str] | None = None) -> dict[str, ndarray]:
    """The arrays of one frame, or those of these names alone."""
    with np.load(_frame_path(folder, frame), allow_pickle=False) as file:
        return {name: file[name] for name in (file.files if names is None else names)}


def _frame_path(folder: Path, frame: int) -> Path:
    return folder / f"{frame:08d}.npz"
