"""A result of several files is shown whole or not at all, and two runs do not write into one folder."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from unish.errors import InputError
from unish.io import WORK_FOLDER, replaced_whole
from unish.io import work_folder as module

NAMES = ("a.bin", "b.bin", "c.bin", "d.bin")


def write(folder: Path, mark: str) -> None:
    for name in NAMES:
        (folder / name).write_text(f"{mark} {name}")


def marks(folder: Path) -> set[str]:
    """Which result each file is of; a missing one counts as none."""
    return {(folder / name).read_text().split()[0] if (folder / name).exists() else "none" for name in NAMES}


def test_files_appear_together(tmp_path: Path) -> None:
    with replaced_whole(tmp_path) as work:
        write(work.making, "first")
        assert marks(tmp_path) == {"none"} and work.making.parent == tmp_path / WORK_FOLDER
    assert marks(tmp_path) == {"first"} and sorted(path.name for path in tmp_path.iterdir()) == list(NAMES)


def test_an_older_result_gives_way_and_other_files_stay(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    write(tmp_path, "old")
    with replaced_whole(tmp_path) as work:
        write(work.making, "new")
        assert marks(tmp_path) == {"old"}
    assert marks(tmp_path) == {"new"} and (tmp_path / "notes.txt").read_text() == "mine"
    assert not (tmp_path / WORK_FOLDER).exists()


def test_what_has_nothing_in_its_place_goes_with_the_old_result(tmp_path: Path) -> None:
    write(tmp_path, "old")
    with replaced_whole(tmp_path) as work:
        (work.making / "a.bin").write_text("new a.bin")
        (work.going / "b.bin").touch()
        (work.going / "never.bin").touch()
        assert marks(tmp_path) == {"old"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.bin", "c.bin", "d.bin"]
    with pytest.raises(RuntimeError), replaced_whole(tmp_path) as work:
        (work.going / "c.bin").touch()
        raise RuntimeError
    assert (tmp_path / "c.bin").exists()
    with replaced_whole(tmp_path):
        pass
    assert (tmp_path / "c.bin").exists(), "what a run that failed wanted is forgotten"


def test_what_goes_is_known_when_a_run_is_killed_while_it_is_shown(tmp_path: Path) -> None:
    for name in ("whole", "going"):
        (tmp_path / WORK_FOLDER / name).mkdir(parents=True)
    write(tmp_path, "old")
    (tmp_path / WORK_FOLDER / "whole" / "a.bin").write_text("new a.bin")
    (tmp_path / WORK_FOLDER / "going" / "b.bin").touch()
    with pytest.raises(RuntimeError), replaced_whole(tmp_path):
        raise RuntimeError
    assert marks(tmp_path) == {"new", "old", "none"} and not (tmp_path / "b.bin").exists()


@pytest.mark.parametrize("trouble", [RuntimeError(), KeyboardInterrupt(), OSError(28, "No space left on device")])
def test_a_failure_leaves_the_older_result(tmp_path: Path, trouble: BaseException) -> None:
    write(tmp_path, "old")
    with pytest.raises(type(trouble)), replaced_whole(tmp_path) as work:
        write(work.making, "new")
        raise trouble
    assert marks(tmp_path) == {"old"} and sorted(path.name for path in tmp_path.iterdir()) == list(NAMES)


def test_no_space_that_is_noticed_only_when_the_file_is_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    write(tmp_path, "old")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"), replaced_whole(tmp_path) as work:
        write(work.making, "new")
    assert marks(tmp_path) == {"old"} and not (tmp_path / WORK_FOLDER).exists()


def test_a_second_run_is_refused(tmp_path: Path) -> None:
    with replaced_whole(tmp_path) as work:
        write(work.making, "first")
        with pytest.raises(InputError, match="another run is writing there"), replaced_whole(tmp_path):
            pass
        script = f"import pathlib, unish.io as io\nwith io.replaced_whole(pathlib.Path({str(tmp_path)!r})): pass"
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
        assert done.returncode == 1 and "another run is writing there" in done.stderr
        assert work.making.is_dir()  # the refused ones touched nothing
    assert marks(tmp_path) == {"first"}
    with replaced_whole(tmp_path):
        pass


@pytest.mark.skipif(os.name == "nt", reason="Windows removes no file that another process has open")
def test_who_waits_at_the_door_while_it_is_removed_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between opening the lock file and locking it, the run before may end and take the file away."""
    import fcntl

    entered: list[int] = []
    lock_file = fcntl.flock

    def slow(descriptor: int, operation: int) -> None:
        if operation & fcntl.LOCK_EX and len(entered) == 0:
            entered.append(descriptor)
            (tmp_path / WORK_FOLDER / "lock").unlink()
        lock_file(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", slow)
    with pytest.raises(InputError, match="another run"), replaced_whole(tmp_path):
        pass


def test_the_name_of_the_work_folder_may_be_taken(tmp_path: Path) -> None:
    (tmp_path / WORK_FOLDER).write_text("a file")
    with pytest.raises(InputError, match=WORK_FOLDER), replaced_whole(tmp_path):
        pass
    assert (tmp_path / WORK_FOLDER).read_text() == "a file"


def test_what_a_killed_run_left_unfinished_is_removed(tmp_path: Path) -> None:
    write(tmp_path, "old")
    for name in ("making", "replaced"):
        (tmp_path / WORK_FOLDER / name).mkdir(parents=True)
        write(tmp_path / WORK_FOLDER / name, "half")
    with replaced_whole(tmp_path) as work:
        assert list(work.making.iterdir()) == [] and marks(tmp_path) == {"old"}
        write(work.making, "new")
    assert marks(tmp_path) == {"new"} and not (tmp_path / WORK_FOLDER).exists()


def test_what_a_run_keeps_is_there_for_the_next_one_until_one_ends_well(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), replaced_whole(tmp_path) as work:
        write(work.making, "half")
        (work.kept / "windows").mkdir()
        raise KeyboardInterrupt
    assert sorted(path.name for path in (tmp_path / WORK_FOLDER).iterdir()) == ["kept", "lock"]
    with replaced_whole(tmp_path) as work:
        assert (work.kept / "windows").is_dir() and list(work.making.iterdir()) == []
        write(work.making, "new")
    assert marks(tmp_path) == {"new"} and not (tmp_path / WORK_FOLDER).exists()


def test_a_folder_of_frames_is_part_of_the_result(tmp_path: Path) -> None:
    for mark in ("old", "new"):
        with replaced_whole(tmp_path) as work:
            write(work.making, mark)
            (work.making / "frames").mkdir()
            write(work.making / "frames", mark)
        assert marks(tmp_path) == marks(tmp_path / "frames") == {mark}
    assert sorted(path.name for path in tmp_path.iterdir()) == [*NAMES, "frames"]


@pytest.mark.parametrize("moved_away", range(5))
@pytest.mark.parametrize("moved_in", range(4))
def test_what_a_killed_run_had_finished_is_shown_by_the_next_one(
    tmp_path: Path, moved_away: int, moved_in: int
) -> None:
    """Killed after any number of moves; also when the next run then fails itself."""
    whole, replaced = tmp_path / WORK_FOLDER / "whole", tmp_path / WORK_FOLDER / "replaced"
    for folder in (whole, replaced):
        folder.mkdir(parents=True)
    write(tmp_path, "old")
    write(whole, "new")
    for name in NAMES[:moved_away]:
        (tmp_path / name).rename(replaced / name)
    if moved_away == len(NAMES):
        for name in NAMES[:moved_in]:
            (whole / name).rename(tmp_path / name)
    with pytest.raises(RuntimeError), replaced_whole(tmp_path) as work:
        assert marks(tmp_path) == {"new"} and list(work.making.iterdir()) == []
        raise RuntimeError
    assert marks(tmp_path) == {"new"} and not (tmp_path / WORK_FOLDER).exists()


@pytest.mark.parametrize("name", NAMES)
def test_an_old_file_that_cannot_be_moved_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """As on Windows while a player has the film open; here a folder of that name stands in the way."""
    write(tmp_path, "old")
    (tmp_path / name).unlink()
    (tmp_path / name).mkdir()
    (tmp_path / name / "mine").touch()
    with pytest.raises(InputError, match=f"{name}: cannot be replaced"), replaced_whole(tmp_path) as work:
        write(work.making, "new")
    kept = tmp_path / WORK_FOLDER / "whole"
    assert marks(kept) == {"new"} and (tmp_path / name / "mine").exists()
    assert {(tmp_path / other).read_text().split()[0] for other in NAMES if other != name} == {"old"}
    (tmp_path / name / "mine").unlink()
    (tmp_path / name).rmdir()
    with pytest.raises(RuntimeError), replaced_whole(tmp_path):
        raise RuntimeError
    assert marks(tmp_path) == {"new"} and not (tmp_path / WORK_FOLDER).exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_wait_while_files_are_moved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def ended(got: int, frame: object) -> None:
        raise InterruptedError(got)

    show, seen = module._show, list[set[str]]()

    def disturbed(out: Path, work: Path) -> None:
        signal.raise_signal(number)
        show(out, work)
        seen.append(marks(out))

    before = signal.signal(number, ended)
    try:
        write(tmp_path, "old")
        monkeypatch.setattr(module, "_show", disturbed)
        with pytest.raises(InterruptedError), replaced_whole(tmp_path) as work:
            write(work.making, "new")
        assert seen == [{"new"}] and marks(tmp_path) == {"new"} and not (tmp_path / WORK_FOLDER).exists()
        assert signal.getsignal(number) is ended
    finally:
        signal.signal(number, before)


def test_from_another_thread(tmp_path: Path) -> None:
    """Only the main thread may set handlers of signals."""
    troubles: list[BaseException] = []

    def work() -> None:
        try:
            with replaced_whole(tmp_path) as work:
                write(work.making, "new")
        except BaseException as error:
            troubles.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert not troubles and marks(tmp_path) == {"new"}


_WRITER = """
import pathlib, signal, sys
from unish.io import replaced_whole
signal.signal(signal.SIGINT, signal.default_int_handler)  # a background process may have been told to ignore it
out = pathlib.Path(sys.argv[1])
print("ready", flush=True)
for round in range(10**6):
    with replaced_whole(out) as work:
        for name in ("a.bin", "b.bin", "c.bin", "d.bin"):
            (work.making / name).write_text(f"{sys.argv[2]}{round} {name}" + "." * 20000)
"""


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
def test_killed_at_thirty_random_moments(tmp_path: Path) -> None:
    """What is seen is the files of one result, whatever the moment, and one work folder at most stays."""
    draw, ends = random.Random(5), [signal.SIGKILL, signal.SIGTERM, signal.SIGINT]
    write(tmp_path, "old")
    for attempt in range(30):
        process = subprocess.Popen(
            [sys.executable, "-c", _WRITER, str(tmp_path), f"run{attempt}-"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        assert process.stdout is not None and process.stdout.readline() == b"ready\n"
        time.sleep(draw.uniform(0.0, 0.05))
        process.send_signal(ends[attempt % 3])
        process.wait(timeout=240)
        process.stdout.close()
        left = {path.name for path in tmp_path.iterdir()} - set(NAMES)
        # Killed in the instant of the change, the folder shows nothing; the next run shows what is whole.
        shown, whole = marks(tmp_path) - {"none"}, (tmp_path / WORK_FOLDER / "whole").exists()
        assert len(shown) == 1 or (whole and not shown), (attempt, marks(tmp_path), left)
        assert left <= {WORK_FOLDER}
    with replaced_whole(tmp_path) as work:
        assert len(marks(tmp_path)) == 1 and "none" not in marks(tmp_path)
        write(work.making, "last")
    assert marks(tmp_path) == {"last"} and sorted(path.name for path in tmp_path.iterdir()) == list(NAMES)
