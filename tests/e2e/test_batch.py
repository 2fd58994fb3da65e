"""``unish batch`` on real files: what fails, fails alone; what is there is not made again; codes say how it went."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Generator, Sequence
from pathlib import Path

import numpy as np
import pytest
from input_place import Place

from unish.batch import Outcome, Task, do_task, run_batch
from unish.batch.run import is_finished
from unish.cli import main
from unish.settings import Settings
from written_videos import numbered_pictures, write_video

pytestmark = pytest.mark.slow


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    folder = tmp_path / "videos"
    folder.mkdir()
    pictures = numbered_pictures(30)
    for first in (0, 10, 20):
        write_video(folder / f"good{first}.mp4", pictures[first : first + 6])
    (folder / "empty.mp4").touch()
    (folder / "noise.mp4").write_bytes(np.random.default_rng(0).bytes(999))
    return folder


class InThisProcess:
    """Spares most tests the start of a worker."""

    def run(self, tasks: Sequence[Task]) -> Generator[Outcome]:
        yield from map(do_task, tasks)


@pytest.fixture(autouse=True)
def _no_workers(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if "workers" not in request.fixturenames:
        monkeypatch.setattr("unish.cli.batch._make_engine", lambda *args: InThisProcess())


@pytest.fixture
def workers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What asks for it runs in worker processes, as users do; they have no cache to fetch the model of changes into."""
    (tmp_path / "file").touch()
    monkeypatch.setenv("UNISH_CACHE", str(tmp_path / "file" / "cache"))


def command(place: Place, source: Path, *more: str) -> list[str]:
    return ["batch", str(source), *place.options(), "--workers=1", *more]


def changed_at(folder: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in folder.rglob("reconstruction.npz")}


def status(folder: Path, name: str = "batch.json") -> dict[str, object]:
    return json.loads((folder / name).read_text())


def test_a_batch_with_poison(place: Place, videos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = place.folder / "out"
    assert main(command(place, videos)) == 3
    shown = capsys.readouterr()
    assert sorted(line.split(": ")[1] for line in shown.err.splitlines()) == [
        "empty failed", "noise failed",
    ]  # fmt: skip
    assert shown.out.splitlines()[-1] == "3 done, 0 were there before, 2 failed"
    made = {path.name: sorted(one.name for one in path.iterdir()) for path in out.iterdir() if path.is_dir()}
    assert set(made) == {"good0", "good10", "good20"}
    assert all(
        {"reconstruction.npz", "report.json", "preview.mp4", "scene.glb"} <= set(names) for names in made.values()
    )
    assert all(".unish-run" not in names for names in made.values())
    found = status(out)
    assert (found["done"], found["failed"], found["waiting"], found["finished"]) == (3, 2, 0, True)
    assert len((out / "batch.jsonl").read_text().splitlines()) == 5

    before = changed_at(out)
    assert main(command(place, videos)) == 3
    assert capsys.readouterr().out.splitlines() == ["0 done, 3 were there before, 2 failed"]
    assert changed_at(out) == before

    for name in ("empty", "noise"):
        (videos / f"{name}.mp4").unlink()
    assert main(command(place, videos)) == 0
    assert changed_at(out) == before


def test_the_same_as_single_runs(place: Place, videos: Path, workers: None) -> None:
    main(command(place, videos / "good10.mp4"))
    assert main([*place.command(videos / "good10.mp4", out=str(place.folder / "alone")), "--quiet"]) == 0
    files = [place.folder / name / "reconstruction.npz" for name in ("out/good10", "alone")]
    assert files[0].read_bytes() == files[1].read_bytes()
    assert main([*command(place, videos / "good10.mp4"), "--seed=1"]) == 0
    task = Task(
        name="a", input=videos / "good10.mp4", out=place.folder / "alone",
        settings=Settings(model=str(place.model), people=0, max_frames=3),
    )  # fmt: skip
    assert is_finished(task), "results of single runs count, too"


def test_what_was_changed_is_made_again(place: Place, videos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = videos / "good0.mp4"

    def done(*more: str) -> int:
        assert main(command(place, source, *more)) == 0
        return int(capsys.readouterr().out.splitlines()[-1].split()[0])

    assert [done(), done(), done("--settle=off"), done("--settle=off")] == [1, 0, 1, 0]
    write_video(source, numbered_pictures(7))
    assert [done("--settle=off"), done("--settle=off")] == [1, 0]
    (place.folder / "out" / "good0" / "reconstruction.npz").unlink()
    assert done("--settle=off") == 1


def test_settings_of_a_row(place: Place, videos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [
        {"input": "good0.mp4", "name": "two", "max_frames": 2, "sky": False, "settle": False},
        {"input": "good0.mp4", "name": "known", "intrinsics": [100, 100, 64, 48]},
        {"input": "good0.mp4", "name": "wrong", "fps": -1},
        {"input": "good0.mp4", "name": "unknown", "colour": "red"},
        {"input": "good0.mp4", "name": "neither", "sky": "perhaps"},
    ]
    table = videos / "list.jsonl"
    table.write_text("\n".join(json.dumps(row) for row in rows))
    assert main(command(place, table)) == 3
    told = capsys.readouterr().err
    assert "wrong failed: argument --fps: -1" in told and "unknown failed: 'colour' is no setting" in told
    assert "neither failed: sky is 'perhaps'" in told
    settings = {name: status(place.folder / "out" / name, "report.json")["settings"] for name in ("two", "known")}
    assert settings["two"]["max_frames"] == 2 and settings["two"]["settle"] is False  # type: ignore[index]
    assert settings["known"]["max_frames"] == 3 and settings["known"]["intrinsics"] == [100, 100, 64, 48]  # type: ignore[index]


def test_no_result_is_no_success(place: Place, videos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(command(place, videos / "empty.mp4")) == 4
    (place.folder / "none").mkdir()
    assert main(command(place, place.folder / "none")) == 2
    assert main(command(place, videos, "--shard=6/6")) == 2
    assert main(command(place, videos, "--shard=0/6")) == 2
    assert capsys.readouterr().err.count("unish: error: ") == 3


def test_shards(place: Place, videos: Path) -> None:
    (videos / "empty.mp4").unlink(), (videos / "noise.mp4").unlink()
    for index in (1, 2):
        assert main(command(place, videos, f"--shard={index}/2")) == 0
    assert [status(place.folder / "out", f"batch-{index}-of-2.json")["done"] for index in (1, 2)] == [2, 1]


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_what_is_done_stays_when_the_batch_is_ended(place: Place, videos: Path, workers: None) -> None:
    for more in range(20):
        shutil.copy(videos / "good0.mp4", videos / f"more{more}.mp4")
    # Where the tests run in the background, their shell lets processes ignore Ctrl-C.
    code = (
        "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler);"
        "from unish.cli import main; sys.exit(main())"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, *command(place, videos)], stderr=subprocess.PIPE, text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    out = place.folder / "out"
    # Enough of them that it cannot be through before the signal comes.
    while not list(out.glob("*/reconstruction.npz")):
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    told = process.communicate(timeout=240)[1]
    assert process.returncode == 130 and len(told.splitlines()) >= 1
    before = changed_at(out)
    assert before and not status(out)["finished"]
    for more in range(20):
        (videos / f"more{more}.mp4").unlink()
    assert main(command(place, videos)) == 3
    assert {path: changed for path, changed in changed_at(out).items() if path in before} == before


def test_an_internal_failure_has_a_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from unish import into_folder

    def fail(*args: object, **options: object) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(into_folder, "reconstruct_into", fail)
    found = do_task(Task(name="a", input=Path("a.mp4"), settings=Settings(), out=tmp_path / "a"))
    log = tmp_path / "logs" / "a.log"
    assert found.status == "failed" and str(log) in found.message and "a bug" in log.read_text()


def test_what_could_not_be_begun_and_what_is_told(tmp_path: Path) -> None:
    class Nothing:
        def run(self, tasks: object) -> object:
            raise AssertionError("there is nothing to do")

    refused = [Outcome(name="a", input="a.mp4", status="failed", message="wrong")]
    told: list[str] = []
    summary = run_batch([], tmp_path, Nothing(), refused=refused, tell=lambda one: told.append(one.name))  # type: ignore[arg-type]
    assert summary.count("failed") == 1 and told == ["a"] and status(tmp_path)["failed"] == 1
