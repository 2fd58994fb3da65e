"""Results of several files: made out of sight by one run at a time, and shown all at once."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from filelock import FileLock, Timeout

from unish.errors import InputError

WORK_FOLDER = ".unish-run"
"""In the folder of the result, while a run writes there."""

# Inside it: what is being written; the same when it is whole, under the name that says so; what it takes the place of;
# what goes without anything in its place; what a run needs to go on where it was ended; and what is only needed while
# it works.
_MAKING, _WHOLE, _REPLACED, _GOING, _KEPT, _SCRATCH, _LOCK = (
    "making", "whole", "replaced", "going", "kept", "scratch", "lock",
)  # fmt: skip
_OF_ONE_RUN = (_MAKING, _REPLACED, _GOING, _SCRATCH)


@dataclass(frozen=True, kw_only=True)
class WorkFolder:
    """Folders of a run that writes a result.

    Attributes:
        making: empty at first; its files become those of the result.
        going: empty at first; where it holds anything, what has the same name in the result goes from there.
        kept: what an earlier run that was ended has left, or empty; it stays if this run is ended, too.
        scratch: empty at first; it goes however the run ends.
    """

    making: Path
    going: Path
    kept: Path
    scratch: Path


@contextmanager
def replaced_whole(out: Path, *, ends_run: bool = True) -> Iterator[WorkFolder]:
    """An empty folder to write files into, which become files of ``out`` when the block ends, all of them or none.

    They lie in ``out/.unish-run`` until they are whole and on the disk; then files of the same names in ``out`` are
    moved away and the new ones moved in, Ctrl-C and SIGTERM held back for that instant. So ``out`` shows the files of
    one result, the old one or the new one. When the block fails, the old one stays. A process that is killed leaves
    its work folder behind: the next one to come shows what was whole, and removes the rest. What lies in the folder
    ``kept`` goes when the block has ended well, unless it does not end a run, and stays for the next one otherwise.

    Args:
        out: an existing folder.
        ends_run: whether what is in ``kept`` is needed no longer when the block has ended well.

    Raises:
        InputError: another run is writing there; or an old file cannot be moved away, as one that is open cannot on
            Windows: then the old result stays and the new one is kept in the work folder for the next run.
    """
    work = out / WORK_FOLDER
    with _locked(work):
        if (work / _WHOLE).exists():
            _show(out, work)
        for name in _OF_ONE_RUN:
            shutil.rmtree(work / name, ignore_errors=True)
        making, going, kept, scratch = (work / name for name in (_MAKING, _GOING, _KEPT, _SCRATCH))
        for folder in (making, going, kept, scratch):
            folder.mkdir(exist_ok=True)
        yield WorkFolder(making=making, going=going, kept=kept, scratch=scratch)
        for path in making.rglob("*"):
            if path.is_file():
                _flush(path)
        with _undisturbed():
            making.rename(work / _WHOLE)
            _show(out, work)
        for folder in (kept, scratch) if ends_run else (scratch,):
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _locked(work: Path) -> Iterator[None]:
    """The work folder, made if need be, for this process alone; it goes at the end unless it holds a whole result."""
    lock = FileLock(work / _LOCK)
    try:
        work.mkdir(exist_ok=True)
        lock.acquire(blocking=False)
    except Timeout:
        raise InputError(f"{work.parent}: another run is writing there; wait, or choose another folder") from None
    except FileExistsError:
        raise InputError(f"{work}: this is a file; remove it, for runs keep their unfinished files there") from None
    try:
        yield
    finally:
        with _undisturbed():
            _leave(work, lock)
            # Its finaliser runs here: Python swallows a Ctrl-C that comes while an object is finalised.
            del lock


def _leave(work: Path, lock: FileLock) -> None:
    shutil.rmtree(work / _SCRATCH, ignore_errors=True)
    if (work / _WHOLE).exists():
        return lock.release()
    for name in _OF_ONE_RUN:
        shutil.rmtree(work / name, ignore_errors=True)
    with suppress(OSError):
        (work / _KEPT).rmdir()  # if it is empty
    if (work / _KEPT).exists():
        return lock.release()
    # A lock file may go only while nobody else can hold it: on POSIX it is removed first (who has it open already is
    # refused, for its file is no longer there); Windows removes no file that is open, and refuses while others have it.
    if os.name == "nt":
        lock.release()
    with suppress(OSError):
        (work / _LOCK).unlink(missing_ok=True)
        work.rmdir()
    lock.release()


def _show(out: Path, work: Path) -> None:
    """Move the whole result in; on trouble, all is as before."""
    whole, replaced, going = work / _WHOLE, work / _REPLACED, work / _GOING
    for folder in (replaced, going):
        folder.mkdir(exist_ok=True)
    names = sorted(path.name for path in whole.iterdir())
    old = sorted({*names, *(path.name for path in going.iterdir())})
    old = [name for name in old if os.path.lexists(out / name)]
    moves = [(out / name, replaced / name) for name in old] + [(whole / name, out / name) for name in names]
    done: list[tuple[Path, Path]] = []
    try:
        for source, target in moves:
            if target.parent == replaced and source.is_dir() and not (whole / source.name).is_dir():
                raise IsADirectoryError(errno.EISDIR, "this is a folder", str(source))
            source.replace(target)
            done.append((source, target))
    except OSError as error:
        for source, target in reversed(done):
            target.replace(source)
        raise InputError(
            f"{error.filename}: cannot be replaced ({error.strerror}); the old result stays, the new one is in {whole} "
            f"and takes its place at the next run into {out}"
        ) from None
    whole.rmdir()


def _flush(path: Path) -> None:
    """Wait until the file is on the disk: some file systems say only then that there is no space."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Holds back Ctrl-C and SIGTERM until the block has ended.

    A signal without a handler in Python ends the process at once, as SIGKILL does: the next run then cleans up.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    waiting: list[int] = []

    def hold_back(number: int, frame: FrameType | None) -> None:
        waiting.append(number)

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    ours = [number for number, handler in before.items() if callable(handler)]
    for number in ours:
        signal.signal(number, hold_back)
    try:
        yield
    finally:
        for number in ours:
            signal.signal(number, before[number])
    for held_back in waiting:
        signal.raise_signal(held_back)
