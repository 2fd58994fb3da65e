"""Whole files, JSON without NaN, memory on every system."""

from __future__ import annotations

import ctypes
import json
import math
import sys
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from unish.io import peak_memory_mb, release_memory, to_json_values, write_json, written_beside


def test_a_file_appears_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "result.txt"
    path.write_text("old")
    with written_beside(path) as beside:
        beside.write_text("new")
        assert beside.parent == tmp_path and path.read_text() == "old"
        assert beside.name.startswith(".result.txt.") and beside.suffix == ".part"
    assert path.read_text() == "new" and list(tmp_path.iterdir()) == [path]


def test_temporary_names_are_made_in_one_place(repository: Path) -> None:
    """The two exceptions: an empty file that tries a folder, and the report, which is written last."""
    source = repository / "src" / "unish"
    makers = {
        path.relative_to(source).as_posix()
        for path in source.rglob("*.py")
        if any(ending in path.read_text(encoding="utf-8") for ending in ('.part"', '.partial"', '.tmp"'))
    }
    assert "io/atomic.py" in makers and makers <= {"io/atomic.py", "cli/arguments.py"}


def test_a_failure_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "result.txt"
    path.write_text("old")
    with pytest.raises(RuntimeError), written_beside(path) as beside:
        beside.write_text("half")
        raise RuntimeError
    with pytest.raises(FileNotFoundError), written_beside(path):
        pass  # nothing was written, so there is nothing to take the name
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_writers_of_one_file_do_not_disturb_one_another(tmp_path: Path) -> None:
    """Within a process, too: two threads that write the same file at the same time both finish, one of them wins."""
    path = tmp_path / "result.txt"
    both_wrote = threading.Barrier(2)
    failures: list[BaseException] = []

    def write(text: str) -> None:
        try:
            with written_beside(path) as beside:
                beside.write_text(text)
                both_wrote.wait(timeout=240)
                assert beside.read_text() == text
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=write, args=(text,)) for text in ("a" * 1000, "b" * 1000)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures and path.read_text() in ("a" * 1000, "b" * 1000)
    assert list(tmp_path.iterdir()) == [path]


def test_long_names_fit(tmp_path: Path) -> None:
    """The longest name that the file system takes, in letters of one and of four bytes."""
    for name in ("n" * 251 + ".txt", "𝄞" * 62 + ".txt"):
        with written_beside(tmp_path / name) as beside:
            beside.write_text("x")
        assert (tmp_path / name).read_text() == "x"


def test_json_knows_no_nan(tmp_path: Path) -> None:
    value = {
        "nan": math.nan,
        "inf": [1.5, -math.inf],
        "numpy": (np.float32(0.5), np.int64(3), np.bool_(True), np.float64(math.nan)),
        "array": np.array([[1.0, np.nan]]),
        7: {"text": "Füße", "none": None, "no": False},
    }
    write_json(tmp_path / "value.json", value, indent=1)
    text = (tmp_path / "value.json").read_text(encoding="utf-8")
    assert text.endswith("}\n") and text.splitlines()[1].startswith(' "nan"')
    assert json.loads(text, parse_constant=pytest.fail) == {
        "nan": None,
        "inf": [1.5, None],
        "numpy": [0.5, 3, True, None],
        "array": [[1.0, None]],
        "7": {"text": "Füße", "none": None, "no": False},
    }
    assert to_json_values(np.float32(2.0)) == 2.0


def test_json_that_cannot_be_written_leaves_what_was_there(tmp_path: Path) -> None:
    write_json(tmp_path / "value.json", [1])
    with pytest.raises(TypeError):
        write_json(tmp_path / "value.json", {"a": object()})
    assert json.loads((tmp_path / "value.json").read_text()) == [1] and len(list(tmp_path.iterdir())) == 1


def test_peak_memory_of_this_machine() -> None:
    """At least what a large array takes, and less than a terabyte."""
    before = peak_memory_mb()
    held = np.ones(2**24)  # 128 MiB
    assert held.nbytes / 2**20 - 1 < peak_memory_mb() < 2**20 and peak_memory_mb() >= before > 0


@pytest.mark.parametrize(("system", "megabytes"), [("linux", 2048.0), ("darwin", 2.0), ("freebsd14", 2048.0)])
def test_peak_memory_in_the_unit_of_the_system(monkeypatch: pytest.MonkeyPatch, system: str, megabytes: float) -> None:
    usage = SimpleNamespace(getrusage=lambda who: SimpleNamespace(ru_maxrss=2 * 2**20 + who), RUSAGE_SELF=0)
    monkeypatch.setitem(sys.modules, "resource", usage)  # type: ignore[arg-type]
    monkeypatch.setattr(sys, "platform", system)
    assert peak_memory_mb() == megabytes


def test_peak_memory_where_the_system_does_not_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "resource", None)
    assert math.isnan(peak_memory_mb())
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.delattr(ctypes, "windll", raising=False)
    assert math.isnan(peak_memory_mb())


@pytest.mark.parametrize("answers", [True, False])
def test_peak_memory_on_windows(monkeypatch: pytest.MonkeyPatch, answers: bool) -> None:
    """The structure is filled as Windows documents it: two 32-bit numbers, then sizes of the pointer's width."""

    class Call:
        def __init__(self, does: Any) -> None:
            self.does = does

        def __call__(self, *arguments: Any) -> Any:
            return self.does(*arguments)

    def fill(handle: int, counters: Any, size: int) -> bool:
        assert handle == 2**64 - 1 and size == ctypes.sizeof(counters._obj) == 8 + 8 * ctypes.sizeof(ctypes.c_size_t)
        ctypes.c_size_t.from_buffer(counters._obj, 8).value = 3 * 2**20
        return answers

    kernel = SimpleNamespace(GetCurrentProcess=Call(lambda: 2**64 - 1), K32GetProcessMemoryInfo=Call(fill))
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr(ctypes, "windll", SimpleNamespace(kernel32=kernel), raising=False)
    assert peak_memory_mb() == 3.0 if answers else math.isnan(peak_memory_mb())


def test_memory_is_given_back_where_the_allocator_can_be_told(monkeypatch: pytest.MonkeyPatch) -> None:
    release_memory()
    calls: list[int] = []
    libraries = iter([SimpleNamespace(malloc_trim=calls.append), SimpleNamespace()])
    monkeypatch.setattr(ctypes, "CDLL", lambda name: next(libraries))
    monkeypatch.setattr(sys, "platform", "linux")
    release_memory()
    release_memory()  # another C library, which has no such function
    assert calls == [0]
    monkeypatch.setattr(sys, "platform", "win32")
    release_memory()
