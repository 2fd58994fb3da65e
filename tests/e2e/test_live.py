"""A pipe gives the file's result, and so does a camera that of its recording; both tell of windows while they come."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from input_place import Place

from unish import into_folder
from unish.cli import main
from unish.cli.reconstruct import JsonLines
from unish.errors import InputError
from unish.live import CameraSource, PipeSource, camera
from unish.live.camera import RECORDING
from unish.refinement import refine
from unish.settings import Settings
from unish.structs import Reconstruction
from written_videos import numbered_pictures, read_number, write_video

pytestmark = pytest.mark.slow

FILES = ("reconstruction.npz", "scene.glb", "preview.mp4")


def settings(place: Place, **more: Any) -> Settings:
    return Settings(model=str(place.model), people=0, window=4, overlap=1, **more)


class Trickle(io.BytesIO):
    """A pipe: it gives what there is, and cannot be sought in."""

    def read1(self, size: int | None = -1) -> bytes:
        return super().read(min(size or 1, 700) if size != -1 else 700)

    def seekable(self) -> bool:
        return False


def run(place: Place, source: Any, name: str, **more: Any) -> Path:
    into_folder.reconstruct_into(source, place.folder / name, settings=settings(place, **more))
    return place.folder / name


def assert_same_files(one: Path, other: Path) -> None:
    assert [name for name in FILES if (one / name).read_bytes() != (other / name).read_bytes()] == []


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("videos")
    for name in ("film.mkv", "film.mp4"):
        write_video(folder / name, numbered_pictures(12))
    return folder


@pytest.mark.parametrize("name", ["film.mkv", "film.mp4"])
def test_a_pipe_gives_the_result_of_the_file(place: Place, videos: Path, name: str) -> None:
    told: list[dict[str, Any]] = []
    said: list[str] = []
    source = PipeSource(stream=Trickle((videos / name).read_bytes()), tell=told.append, announce=said.append)
    out = run(place, source, "pipe")
    assert_same_files(out, run(place, videos / name, "file"))
    assert (len(said) == 1) == (name == "film.mp4"), "its index stands at the end"
    used = Reconstruction.load(out).frame_indices.tolist()
    assert [index for event in told for index in event["frame_indices"]] == used and len(told) == 2
    assert all(np.shape(event["c2w"]) == (len(event["frame_indices"]), 4, 4) for event in told)
    report = json.loads((out / "report.json").read_text())
    assert report["input"] == "-" and report["task"] is None
    assert not (out / ".unish-run").exists()


def test_nothing_comes(place: Place) -> None:
    for source in (PipeSource(stream=Trickle()), PipeSource(stream=Trickle(), tell=lambda event: None)):
        with pytest.raises(InputError, match="nothing came"):
            run(place, source, "out")
    with pytest.raises(InputError, match="not a video"):
        run(place, PipeSource(stream=Trickle(b"no video" * 400), tell=lambda event: None), "out")


def test_what_comes_is_told_before_all_has_come(place: Place, videos: Path) -> None:
    """The first window is told while the rest of the bytes is still held back."""
    data, first = (videos / "film.mkv").read_bytes(), threading.Event()

    class Waiting(Trickle):
        def read1(self, size: int | None = -1) -> bytes:
            if self.tell() > 0.8 * len(data):
                assert first.wait(60), "no window was told of"
            return super().read1(size)

    run(place, PipeSource(stream=Waiting(data), tell=lambda event: first.set()), "out")


def pictures_of(count: int, *, pause_s: float = 0.0) -> Any:
    def show(number: int) -> Iterator[tuple[float, np.ndarray]]:
        for index, picture in enumerate(numbered_pictures(count)):
            time.sleep(pause_s)
            yield 50.0 + index / 10, picture

    return show


def test_a_camera_gives_the_result_of_its_recording(place: Place) -> None:
    told: list[dict[str, Any]] = []
    out = run(place, CameraSource(number=3, pictures=pictures_of(20), tell=told.append), "out", end=1.05)
    assert_same_files(out, run(place, out / RECORDING, "file", end=1.05))
    assert [read_number(frame) for frame in recorded(out)] == list(range(11)), "up to the end that was asked for"
    assert told and json.loads((out / "report.json").read_text())["input"] == "camera 3"


def recorded(out: Path) -> list[np.ndarray]:
    with av.open(str(out / RECORDING)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def test_pictures_that_come_too_fast_are_left_out_whole(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(camera, "_MAX_WAITING", 2)
    slow = camera._add_stream
    monkeypatch.setattr(camera, "_add_stream", lambda *args: time.sleep(0.3) or slow(*args))
    source = CameraSource(number=0, pictures=pictures_of(30, pause_s=0.01))
    out = run(place, source, "out")
    kept = [read_number(frame) for frame in recorded(out)]
    assert 0 < len(kept) < 30 and kept == sorted(set(kept))
    note = f"{30 - len(kept)} of 30 pictures"
    assert any(note in warning for warning in json.loads((out / "report.json").read_text())["warnings"])
    assert_same_files(out, run(place, out / RECORDING, "file"))
    refine(out, [])
    told = json.loads((out / "report.json").read_text())["warnings"]
    assert any(note in warning for warning in told), "what is settled again was filmed as badly"


def test_ctrl_c_ends_the_recording_and_not_the_run(place: Place) -> None:
    def interrupt(event: dict[str, Any]) -> None:
        raise KeyboardInterrupt

    said: list[str] = []
    source = CameraSource(number=0, pictures=pictures_of(200, pause_s=0.02), tell=interrupt, announce=said.append)
    out = run(place, source, "out")
    assert 0 < len(recorded(out)) < 200 and any("has ended" in sentence for sentence in said)


def test_a_number_of_frames_ends_the_recording(place: Place) -> None:
    out = run(place, CameraSource(number=0, pictures=pictures_of(200, pause_s=0.005)), "out", max_frames=5)
    assert Reconstruction.load(out).num_frames == 5 and len(recorded(out)) < 200


def test_cameras_that_give_nothing(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="no picture came from camera 0"):
        run(place, CameraSource(number=0, pictures=lambda number: iter(())), "out")
    pytest.importorskip("cv2")
    with pytest.raises(InputError, match="camera 99 cannot be opened"):
        run(place, CameraSource(number=99), "out")
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(InputError, match=r"pip install 'unish\[camera\]'"):
        run(place, CameraSource(number=0), "out")
    assert not (place.folder / "out" / ".unish-run").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--out", "o"], "give one INPUT"),
        (["a.mp4", "--camera", "0", "--out", "o"], "give one INPUT"),
        (["a.mp4", "--follow", "--out", "o"], "--follow is for a pipe"),
    ],
)
def test_usage(
    arguments: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["reconstruct", *arguments]) == 2
    assert said in capsys.readouterr().err and list(tmp_path.iterdir()) == []


def test_the_command_with_a_pipe(place: Place, videos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Standard output holds lines for programs alone."""
    (place.folder / "file").touch()
    monkeypatch.setenv("UNISH_CACHE", str(place.folder / "file" / "cache"))
    code = "import sys; from unish.cli import main; sys.exit(main())"
    options = place.options(**{"max-frames": "12"})
    with (videos / "film.mkv").open("rb") as stream:
        found = subprocess.run(
            [sys.executable, "-c", code, "reconstruct", "-", *options, "--follow", "--window=4", "--overlap=1"],
            stdin=stream, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        )  # fmt: skip
    assert found.returncode == 0, found.stderr
    lines = [json.loads(line) for line in found.stdout.splitlines()]
    assert [line["event"] for line in lines] == ["window"] * 2 + ["result"]
    assert all(Path(path).exists() for path in lines[-1]["files"])


def test_lines_that_nobody_reads_any_more(monkeypatch: pytest.MonkeyPatch) -> None:
    class Gone:
        def write(self, text: str) -> int:
            raise BrokenPipeError

        def flush(self) -> None: ...

    silenced: list[int] = []
    monkeypatch.setattr("unish.cli.reconstruct.silence_stdout", lambda: silenced.append(1))
    monkeypatch.setattr(sys, "stdout", Gone())
    lines = JsonLines()
    lines.write({"event": "window"})
    lines.write({"event": "window"})
    assert silenced == [1]
