"""The command in surroundings of every kind: no user, no letters, no reader, no space, and signals at every stage."""

from __future__ import annotations

import json
import os
import resource
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from itertools import cycle
from pathlib import Path

import av
import pytest
from input_place import Place

import unish
from unish.cli import main, reconstruct, terminal
from unish.io import WORK_FOLDER, replaced_whole
from unish.passes import OBSERVATIONS, outputs
from unish.structs import Reconstruction

pytestmark = pytest.mark.skipif(os.name == "nt", reason="POSIX processes")

OUTPUTS = {"preview.mp4", "reconstruction.npz", "report.html", "report.json", "scene.glb"}
STAGES = (
    "read video",
    "load model",
    "find people",
    "network",
    "reconstruct",
    "measure",
    "preview",
    "export scene",
    "save",
)
# The package under test, which need not be the one that is installed.
PLAIN = {"PATH": os.environ["PATH"], "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(unish.__file__).parents[1])}


def start(
    arguments: list[str], shell: str = "", *, env: dict[str, str] | None = None, run: Sequence[str] = ("-m", "unish")
) -> subprocess.CompletedProcess[bytes]:
    """``unish`` as a process of its own, without the environment of the tests; ``shell`` redirects its streams."""
    command = " ".join(shlex.quote(word) for word in [sys.executable, *run, *arguments])
    return subprocess.run(["sh", "-c", f"{command} {shell}"], env=env or PLAIN, capture_output=True, check=False)


def assert_whole(out: Path) -> None:
    """All files are there, each can be read, and nothing else is."""
    assert {path.name for path in out.iterdir()} == OUTPUTS | {OBSERVATIONS}
    record = Reconstruction.load(out / "reconstruction.npz")
    with av.open(str(out / "preview.mp4")) as film:
        assert sum(1 for _ in film.decode(video=0)) > 0
    assert (out / "scene.glb").read_bytes()[:4] == b"glTF"
    assert json.loads((out / "report.json").read_text(encoding="utf-8"))["shots"] and record.num_frames == 3


@pytest.fixture
def old(place: Place) -> dict[str, bytes]:
    """An older result in the folder of the results: no file of it is like one of a new result."""
    out = place.folder / "out"
    out.mkdir()
    for name in OUTPUTS:
        (out / name).write_bytes(b"old " + name.encode())
    return read_all(out)


def read_all(folder: Path) -> dict[str, bytes]:
    """The files of a result; what an ended run keeps beside them does not count."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


# A user without a name


@pytest.mark.slow
def test_a_user_without_name_and_home(place: Place) -> None:
    """As in a container that was started with a number for the user: no entry in the list of users, no HOME."""
    nameless = (
        "import pwd, sys\n"
        "def nobody(number): raise KeyError(number)\n"
        "pwd.getpwuid = nobody\n"
        "from unish.cli import main\n"
        "sys.exit(main(sys.argv[1:]))"
    )
    done = start(place.command(), run=["-c", nameless])
    assert done.returncode == 0, done.stderr
    assert_whole(place.folder / "out")
    done = start(["doctor"], run=["-c", nameless])
    assert done.returncode == 0 and b"unish" in done.stdout, done.stderr


def test_a_home_that_cannot_be_written(place: Place) -> None:
    """What has to be fetched has no place: one line that says what to set."""
    home = place.folder / "home"
    home.touch()
    done = start(["assets", "fetch", "yolov4-tiny"], env=PLAIN | {"HOME": str(home)})
    assert done.returncode == 2 and done.stderr.count(b"\n") == 1 and b"UNISH_CACHE" in done.stderr, done.stderr


# Letters


@pytest.mark.slow
def test_a_terminal_that_knows_only_ascii(place: Place) -> None:
    """Paths hold letters that it cannot show: they are escaped there, and whole in the files."""
    ascii_only = PLAIN | {"LC_ALL": "POSIX", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii"}
    # The file system's own encoding stays UTF-8, as it is nearly everywhere.
    out, source = place.folder / "größe-人", place.folder / "tänzer-②.mp4"
    source.write_bytes(place.video.read_bytes())
    done = start(place.command(source, out=str(out)), env=ascii_only)
    assert done.returncode == 0 and done.stderr == b"", done.stderr
    assert_whole(out)
    assert done.stdout.isascii()
    done = start(place.command(place.folder / "fehlt-ß.mp4"), env=ascii_only)
    assert done.returncode == 2 and done.stderr.count(b"\n") == 1 and done.stderr.isascii()


@pytest.mark.slow
@pytest.mark.parametrize("locale", ["C", "C.UTF-8", "en_US.ISO-8859-1", "nonsense"])
def test_the_line_of_an_error_in_any_locale(place: Place, locale: str) -> None:
    done = start(place.command(place.folder / "fehlt-ß-人.mp4"), env=PLAIN | {"LC_ALL": locale, "LANG": locale})
    assert done.returncode == 2 and done.stderr.count(b"\n") == 1 and done.stdout == b""
    assert b"unish: error: " in done.stderr and b"no such file" in done.stderr, done.stderr


@pytest.mark.slow
def test_a_name_of_bytes_that_are_no_letters(place: Place) -> None:
    """As a camera's or an old archive's file system may give it."""
    source = os.fsencode(place.folder) + b"/film-\xff\xfe.mp4"
    try:
        Path(os.fsdecode(source)).write_bytes(place.video.read_bytes())
    except OSError:
        pytest.skip("this file system takes no such name")
    done = start(place.command(Path(os.fsdecode(source))))
    assert done.returncode == 0, done.stderr
    assert_whole(place.folder / "out")
    done = start(place.command(Path(os.fsdecode(source + b".missing"))))
    assert done.returncode == 2 and done.stderr.count(b"\n") == 1


# Streams


@pytest.mark.slow
@pytest.mark.parametrize("shell", [">&-", "2>&-", "<&-", ">&- 2>&- <&-"])
def test_closed_streams(place: Place, shell: str) -> None:
    """The next file that is opened would take the number of one, and what is printed would land in it."""
    done = start(place.command(), shell)
    assert done.returncode == 0, done.stderr
    assert_whole(place.folder / "out")


@pytest.mark.slow
@pytest.mark.parametrize("shell", [">&- 2>&-", "2>&-", "2>/dev/full"])
def test_errors_that_nobody_can_read(place: Place, shell: str) -> None:
    assert start(place.command(place.folder / "missing.mp4"), shell).returncode == 2


def test_a_full_disk_behind_the_output() -> None:
    done = start(["assets", "list"], ">/dev/full")
    assert done.returncode == 2 and done.stderr.count(b"\n") == 1 and b"no space" in done.stderr, done.stderr


def test_a_reader_that_goes_away() -> None:
    done = start(["assets", "list"], "| head -c 1; exit ${PIPESTATUS:-0}")
    assert done.stderr == b"" and done.stdout == b"n"


def test_no_place_for_temporary_files(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    def nowhere() -> None:
        raise FileNotFoundError(2, "No usable temporary directory found")

    monkeypatch.setattr(terminal.tempfile, "TemporaryFile", nowhere)
    assert main(place.command(place.folder / "missing.mp4")) == 2


# Signals


@pytest.fixture(autouse=True)
def usual_signals() -> Iterator[None]:
    """Of a program in the foreground; whoever runs the tests in the background may have them ignored."""
    usual = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL, signal.SIGHUP: signal.SIG_DFL}
    before = {number: signal.signal(number, handler) for number, handler in usual.items()}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def interrupt_at(stage: str, number: int, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Send a signal to this process when the stage begins; the stages that began are listed."""
    begun: list[str] = []

    class Interrupting:
        def __call__(self, name: str, done: int, total: int | None) -> None:
            begun.append(name)
            if name == stage:
                os.kill(os.getpid(), number)

        def close(self) -> None:
            begun.append("closed")

    monkeypatch.setattr(reconstruct, "make_progress", lambda quiet: Interrupting())
    return begun


# All signals have one handler, and stages differ: each stage has one of them, each of them three stages or more.
@pytest.mark.slow
@pytest.mark.parametrize(("stage", "number"), list(zip(STAGES, cycle((signal.SIGINT, signal.SIGTERM, signal.SIGHUP)))))
def test_a_signal_at_every_stage(
    stage: str,
    number: int,
    place: Place,
    old: dict[str, bytes],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    begun = interrupt_at(stage, number, monkeypatch)
    before = signal.getsignal(number)
    assert main(place.command()) == 128 + number
    assert stage in begun and begun[-1] == "closed" and signal.getsignal(number) is before
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1 and "nothing half-written was left" in lines[0]
    assert read_all(place.folder / "out") == old
    kept = stage not in STAGES[: STAGES.index("network") + 1]
    assert (place.folder / "out" / WORK_FOLDER / "kept").exists() == kept == ("up to frame 3 is kept" in lines[0])
    monkeypatch.undo()
    assert main(place.command()) == 0 and ("resuming at frame 3" in capsys.readouterr().out) == kept
    assert_whole(place.folder / "out")


def test_a_signal_leaves_no_folder_that_was_made_for_the_run(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    interrupt_at("network", signal.SIGTERM, monkeypatch)
    assert main(place.command(out=str(place.folder / "a" / "b"))) == 143
    assert not (place.folder / "a").exists()


def test_a_signal_that_is_ignored_stays_ignored(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """``nohup`` and background jobs of a shell ask for that."""
    begun = interrupt_at("read video", signal.SIGHUP, monkeypatch)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    assert main(place.command()) == 0 and "export scene" in begun


@pytest.mark.slow
def test_a_process_that_is_killed_and_the_run_after_it(place: Place, old: dict[str, bytes]) -> None:
    """No handler runs on SIGKILL: the old result stays as it was, and the next run goes on with what is left."""
    out = place.folder / "out"
    script = (
        "import os, sys; from unish import cli\nfrom unish.passes import outputs\n"
        "outputs.write_glb = lambda *args: os.kill(os.getpid(), 9)\n"
        f"cli.main({place.command()!r})"
    )
    killed = subprocess.run([sys.executable, "-c", script], env=os.environ | PLAIN, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert {name: content for name, content in read_all_files(out).items() if name in OUTPUTS} == old
    assert {path.name for path in out.iterdir()} == OUTPUTS | {WORK_FOLDER}
    assert main(place.command()) == 0
    assert_whole(out)


def read_all_files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


# One folder, one run


def test_a_folder_in_which_a_run_is_writing(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    """Refused before anything is read, and also through the Python API."""
    out, unreadable = place.folder / "out", place.folder / "words.mp4"
    out.mkdir()
    unreadable.write_text("no film")
    with replaced_whole(out):
        assert main(place.command(unreadable)) == 2
        assert "another run is writing there" in capsys.readouterr().err
    assert list(out.iterdir()) == []


# No space


@pytest.fixture
def written(place: Place) -> dict[str, int]:
    """Sizes of the files of a result."""
    assert main(place.command(out=str(place.folder / "first"))) == 0
    return {path.name: path.stat().st_size for path in (place.folder / "first").iterdir() if path.is_file()}


@pytest.mark.slow
def test_no_space_at_any_write(
    place: Place, old: dict[str, bytes], written: dict[str, int], capsys: pytest.CaptureFixture[str]
) -> None:
    """A limit on the size of files ends writing as a full disk does: at the first byte, amid a file, at the last byte
    of the largest one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    sizes = sorted(written.values())
    for limit in (0, 1, 300, *(size // 2 for size in sizes), *(size - 1 for size in sizes)):
        capsys.readouterr()
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
        try:
            code = main(place.command())
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        lines = capsys.readouterr().err.splitlines()
        assert code == 2 and len(lines) == 1 and "larger than allowed" in lines[0], (limit, lines)
        assert read_all(place.folder / "out") == old, limit
    assert main(place.command()) == 0
    assert_whole(place.folder / "out")


@pytest.mark.slow
@pytest.mark.parametrize("writer", ["write_preview", "write_glb", "write_json"])
@pytest.mark.parametrize(
    "trouble", [OSError(28, "No space left on device"), OSError(5, "Input/output error")], ids=["space", "disk"]
)
def test_trouble_of_each_writer(
    writer: str,
    trouble: OSError,
    place: Place,
    old: dict[str, bytes],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail(*args: object, **options: object) -> None:
        raise trouble

    monkeypatch.setattr(outputs, writer, fail)
    assert main(place.command()) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1 and read_all(place.folder / "out") == old
