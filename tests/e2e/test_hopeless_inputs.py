"""What users may throw at the command line that cannot give a result.

It ends with exit code 2 and one line on stderr that says what to do, and leaves nothing behind.
"""

from __future__ import annotations

import os
import pickle
import re
import resource
import struct
import subprocess
import sys
import wave
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from input_place import Place

from unish.assets import ASSETS
from unish.cli import main
from unish.errors import InputError
from unish.network import UniSH
from written_videos import numbered_pictures, write_images, write_video

Broken = Callable[[Place], list[str]]


def in_file(name: str, content: bytes) -> Broken:
    def make(place: Place) -> list[str]:
        (place.folder / name).write_bytes(content)
        return place.command(place.folder / name)

    return make


def with_option(**changes: str) -> Broken:
    return lambda place: place.command(None, **{name.replace("_", "-"): value for name, value in changes.items()})


def header_only(place: Place) -> list[str]:
    path = write_video(place.folder / "header.mkv", numbered_pictures(4))
    path.write_bytes(path.read_bytes()[:400])
    return place.command(path)


def without_index(place: Place) -> list[str]:
    path = place.folder / "cut.mp4"
    data = place.video.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    return place.command(path)


def without_frames(place: Place) -> list[str]:
    path = place.folder / "frameless.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=10)
        stream.height, stream.width, stream.pix_fmt = 64, 64, "yuv420p"
        container.start_encoding()
    return place.command(path)


def one_pixel(place: Place) -> list[str]:
    pictures = np.zeros((3, 1, 1, 3), np.uint8)
    return place.command(write_video(place.folder / "dot.mkv", pictures, codec="ffv1", pixel_format="bgr0"))


def sound_only(place: Place) -> list[str]:
    path = place.folder / "sound.wav"
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(struct.pack("<800h", *range(800)))
    return place.command(path)


def empty_folder(place: Place) -> list[str]:
    (place.folder / "images").mkdir()
    return place.command(place.folder / "images")


def folder_of_texts(place: Place) -> list[str]:
    (place.folder / "images").mkdir()
    (place.folder / "images" / "notes.txt").write_text("no image")
    return place.command(place.folder / "images")


def folder_of_broken_images(place: Place) -> list[str]:
    (place.folder / "images").mkdir()
    (place.folder / "images" / "1.jpg").write_text("no image")
    return place.command(place.folder / "images")


def folder_of_tiny_images(place: Place) -> list[str]:
    return place.command(write_images(place.folder / "images", numbered_pictures(2, 16, 16)))


def named_pipe(place: Place) -> list[str]:
    os.mkfifo(place.folder / "pipe.mp4")
    return place.command(place.folder / "pipe.mp4")


def tracks(**changes: np.ndarray | None) -> Broken:
    def make(place: Place) -> list[str]:
        arrays: dict[str, np.ndarray | None] = {
            "frame_indices": np.arange(12),
            "person_ids": np.array([1]),
            "boxes_xyxy": np.tile(np.array([10.0, 10.0, 60.0, 90.0]), (1, 12, 1)),
        }
        arrays = {name: value for name, value in (arrays | changes).items() if value is not None}
        np.savez(place.folder / "tracks.npz", **arrays)  # type: ignore[arg-type]
        return place.command(None, tracks=str(place.folder / "tracks.npz"), people="all")

    return make


def tracks_of_text(place: Place) -> list[str]:
    (place.folder / "tracks.npz").write_text("1,2,3,4")
    return place.command(None, tracks=str(place.folder / "tracks.npz"), people="all")


class RunsCode:
    """An object whose pickle makes a file when it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.path),)


def body_that_runs_code(place: Place) -> list[str]:
    path = place.folder / "SMPL_NEUTRAL.pkl"
    path.write_bytes(pickle.dumps({"v_template": RunsCode(place.folder / "out")}))
    return place.command(None, body=str(path))


def tracks_that_run_code(place: Place) -> list[str]:
    return tracks(person_ids=np.array([RunsCode(place.folder / "out")], dtype=object))(place)


def body_of_text(place: Place) -> list[str]:
    (place.folder / "body.npz").write_text("no body")
    return place.command(None, body=str(place.folder / "body.npz"))


def corrupted_weights(place: Place) -> list[str]:
    return place.command(None, model=str(_copy_model(place, "model.safetensors", lambda data: data[: len(data) // 2])))


def broken_config(place: Place) -> list[str]:
    return place.command(None, model=str(_copy_model(place, "config.json", lambda data: data[:-20])))


def unknown_key_in_config(place: Place) -> list[str]:
    change = lambda data: data.replace(b'"name"', b'"nome"', 1)  # noqa: E731
    return place.command(None, model=str(_copy_model(place, "config.json", change)))


def _copy_model(place: Place, name: str, change: Callable[[bytes], bytes]) -> Path:
    folder = place.folder / "model"
    folder.mkdir()
    for path in place.model.iterdir():
        data = path.read_bytes()
        (folder / path.name).write_bytes(change(data) if path.name == name else data)
    return folder


def empty_model_folder(place: Place) -> list[str]:
    (place.folder / "model").mkdir()
    return place.command(None, model=str(place.folder / "model"))


def out_is_a_file(place: Place) -> list[str]:
    (place.folder / "file").touch()
    return place.command(None, out=str(place.folder / "file"))


def out_below_a_file(place: Place) -> list[str]:
    (place.folder / "file").touch()
    return place.command(None, out=str(place.folder / "file" / "deep" / "out"))


def export_of_nothing(place: Place) -> list[str]:
    (place.folder / "run").mkdir()
    return ["export", str(place.folder / "run"), "--to", "glb"]


def export_of_another_npz(place: Place) -> list[str]:
    (place.folder / "run").mkdir()
    np.savez(place.folder / "run" / "reconstruction.npz", a=1)
    return ["export", str(place.folder / "run"), "--to", "ply"]


def evaluation_of_nothing(place: Place) -> list[str]:
    (place.folder / "data").mkdir()
    out = ["--out", str(place.folder / "scores.json")]
    return ["evaluate", "--benchmark", "synthetic", "--data", str(place.folder / "data"), "--method", "small", *out]


HOPELESS: dict[str, tuple[Broken, str]] = {
    "missing file": (lambda place: place.command(place.folder / "none.mp4"), "no such file"),
    "empty file": (in_file("empty.mp4", b""), "empty"),
    "text named mp4": (in_file("text.mp4", b"This is not a video.\n" * 40), "not a video"),
    "random bytes": (in_file("noise.mkv", np.random.default_rng(0).bytes(5000)), "not a video"),
    "header only": (header_only, "frame|picture|not a video"),
    "mp4 without its index": (without_index, "not a video"),
    "no frames": (without_frames, "picture|video"),
    "one pixel": (one_pixel, "too small"),
    "sound only": (sound_only, "no video stream"),
    "named pipe": (named_pipe, "neither a file nor a folder"),
    "empty folder": (empty_folder, "empty"),
    "folder of texts": (folder_of_texts, "no image"),
    "folder of broken images": (folder_of_broken_images, "can be read"),
    "folder of tiny images": (folder_of_tiny_images, "too small"),
    "broken image": (in_file("photo.jpg", b"\xff\xd8\xff\xe0 not a photo"), "can be read"),
    "fps 0": (with_option(fps="0"), "above 0"),
    "fps negative": (with_option(fps="-6"), "above 0"),
    "fps NaN": (with_option(fps="nan"), "finite"),
    "fps no number": (with_option(fps="fast"), "not a number"),
    "source fps infinite": (with_option(source_fps="inf"), "finite"),
    "start negative": (with_option(start="-1"), "negative"),
    "start after the end": (with_option(start="100"), "no frame"),
    "start not before end": (with_option(start="1", end="1"), "not before"),
    "no frames wanted": (with_option(max_frames="0"), "below 1"),
    "size 0": (with_option(size="0"), "below"),
    "intrinsics NaN": (with_option(intrinsics="nan,500,64,48"), "finite"),
    "intrinsics of three": (with_option(intrinsics="500,64,48"), "fx,fy,cx,cy"),
    "intrinsics negative": (with_option(intrinsics="500,-500,64,48"), "above 0"),
    "people negative": (with_option(people="-1"), "below 0"),
    "people no number": (with_option(people="some"), "whole number"),
    "overlap as long as the window": (with_option(window="4", overlap="4"), "below"),
    "unknown device": (with_option(device="tpu"), "invalid choice"),
    "tracks missing": (with_option(tracks="none.npz"), "no such file"),
    "tracks of text": (tracks_of_text, "npz"),
    "tracks without boxes": (tracks(boxes_xyxy=None), "boxes_xyxy"),
    "tracks of wrong shape": (tracks(boxes_xyxy=np.zeros((2, 12, 4))), "shape"),
    "tracks partly NaN": (tracks(boxes_xyxy=np.tile([1.0, np.nan, 9.0, 9.0], (1, 12, 1))), "NaN"),
    "tracks with flat boxes": (tracks(boxes_xyxy=np.zeros((1, 12, 4))), "left, top, right, bottom"),
    "tracks of other frames": (tracks(frame_indices=np.arange(900, 912)), "frame_indices"),
    "tracks that run code": (tracks_that_run_code, "npz"),
    "unknown model": (with_option(model="enormous"), "no such file or folder"),
    "release without its weights": (with_option(model="release"), "release"),
    "empty model folder": (empty_model_folder, "missing"),
    "corrupted weights": (corrupted_weights, "safetensors"),
    "broken config": (broken_config, "JSON"),
    "unknown key in config": (unknown_key_in_config, "unknown key"),
    "missing body": (with_option(body="none.pkl"), "no such body"),
    "body of text": (body_of_text, "npz"),
    "body that runs code": (body_that_runs_code, "pickle"),
    "out is a file": (out_is_a_file, "file"),
    "out below a file": (out_below_a_file, "cannot write"),
    "out where nothing can be made": (with_option(out="/proc/unish"), "cannot write"),
    "export of nothing": (export_of_nothing, "no such file"),
    "export of another npz": (export_of_another_npz, "format"),
    "evaluation of nothing": (evaluation_of_nothing, "."),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", HOPELESS)
def test_hopeless(kind: str, place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    make, words = HOPELESS[kind]
    command = make(place)
    before = set(place.folder.rglob("*"))
    code = main(command)
    shown = capsys.readouterr()
    lines = shown.err.splitlines()
    assert (code, len(lines)) == (2, 1), shown.err
    assert lines[0].startswith("unish: error: ") and re.search(words, lines[0]), lines[0]
    assert set(place.folder.rglob("*")) == before  # nothing half-written, no empty folder, no code run


def test_unreadable_file(place: Place, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Permissions do not bind every user, so the refusal itself is played."""

    def refuse(*args: object, **kwargs: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(av, "open", refuse)
    assert main(place.command()) == 2
    assert "permission" in capsys.readouterr().err and not (place.folder / "out").exists()


@pytest.mark.parametrize("device", ["cuda", "mps"])
def test_no_such_device(
    place: Place, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, device: str
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert main(place.command(device=device)) == 2
    error = capsys.readouterr().err
    assert f"--device {device}" in error and "--device cpu" in error


@pytest.mark.parametrize(
    ("wanted", "present", "chosen"),
    [
        ("auto", {"cuda", "mps"}, "cuda"),
        ("auto", {"mps"}, "cpu"),
        ("auto", set(), "cpu"),
        ("mps", {"cuda", "mps"}, "mps"),
        ("cpu", {"cuda"}, "cpu"),
    ],
)
def test_the_network_goes_where_it_was_asked_to(
    place: Place, monkeypatch: pytest.MonkeyPatch, wanted: str, present: set[str], chosen: str
) -> None:
    went: list[str] = []

    def note(model: str, *, device: str) -> None:
        went.append(device)
        raise InputError("far enough")

    monkeypatch.setattr(torch.cuda, "is_available", lambda: "cuda" in present)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: "mps" in present)
    monkeypatch.setattr(UniSH, "from_pretrained", note)
    assert main(place.command(device=wanted)) == 2
    assert went == [chosen]


def test_wrong_checksum(place: Place, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    asset = ASSETS["blazepose-detector"]
    monkeypatch.setenv("UNISH_CACHE", str(place.folder))
    (place.folder / "assets").mkdir()
    (place.folder / "assets" / asset.file_name).write_bytes(bytes(asset.size))
    assert main(["assets", "fetch", asset.name]) == 2
    shown = capsys.readouterr().err
    assert "checksum" in shown and shown.count("\n") == 1
    assert list((place.folder / "assets").iterdir()) == []


@pytest.mark.slow
def test_no_space_left(place: Place) -> None:
    """A limit on the size of files stands in for a full disk; in a process of its own, so that it can be lifted."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))

    command = [sys.executable, "-m", "unish", *place.command()]
    done = subprocess.run(command, capture_output=True, text=True, check=False, preexec_fn=limit)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert not (place.folder / "out").exists()
