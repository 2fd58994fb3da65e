"""Names of files that lead astray: protocols, options, digits of all kinds, addresses, lengths."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from unish.cli import main
from unish.errors import InputError
from unish.video import read_clip
from unish.video.sources.folders import list_images
from written_videos import numbered_pictures, read_number, write_video

FILM = numbered_pictures(3)

ODD_NAMES = [
    "12:30.mp4", "http:a.mp4", "pipe:0.mp4", "concat:a|b.mp4", "file:a.mp4", "data:,a.mp4", "-clip.mp4", "--out.mp4",
    "a b.mp4", " .mp4", "a%03d.mp4", "a*.mp4", "a?b#c&d=e.mp4", "[a]{b}.mp4", "a\nb.mp4", "a'b\"c.mp4", "a\\b.mp4",
    "Tänzer-日本-🕺.mp4", "e\u0301.mp4", "①.mp4", "x" * 251 + ".mp4", "clip", "clip.mp4.part", "..mp4",
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", ODD_NAMES, ids=lambda name: ascii(name[:20])[1:-1])
def test_a_film_of_any_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    write_video(tmp_path / "plain.mp4", FILM).rename(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    for path in (name, Path(name), tmp_path / name):
        clip = read_clip(path, fps=10.0)
        assert [read_number(image) for image in clip.images.numpy()] == [0, 1, 2] and clip.warnings == ()


@pytest.mark.skipif(os.name == "nt", reason="names are text there")
def test_a_film_whose_name_is_no_text(tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff\xfe.mp4"))
    write_video(tmp_path / "plain.mp4", FILM).rename(path)
    assert read_clip(path, fps=10.0).num_frames == 3


@pytest.mark.parametrize("name", ["12:30", "-frames", "①②", "a%d", "frames.mp4", "x" * 255], ids=lambda name: name[:12])
def test_a_folder_of_any_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    (tmp_path / name).mkdir()
    for index, picture in enumerate(FILM):
        Image.fromarray(picture).save(tmp_path / name / f"a:{index}.png")
    monkeypatch.chdir(tmp_path)
    clip = read_clip(name, source_fps=6.0)
    assert [read_number(image) for image in clip.images.numpy()] == [0, 1, 2]


@pytest.mark.parametrize(
    "names",
    [
        ["1", "2", "10"],
        ["1", "01a", "2", "10"],
        ["a2", "a10", "b1"],
        ["①", "②", "⑩", "⑳"],
        ["a①", "a2", "a③"],
        ["¹", "²", "³", "⁴", "¹⁰"],
        ["x¹", "x²", "x³"],
        ["x₁", "x₂", "x₁₀"],
        ["１", "２", "１０"],
        ["٣", "٤", "١٠"],
        ["१", "२", "१०"],
        ["⒈", "⒉", "⒑"],
        ["❶", "❷", "❸"],
        ["Ⅰ", "Ⅱ", "Ⅲ"],
        ["一", "丁", "丂"],
        ["½", "𝟚", "𝟛"],
        ["²a", "10²", "10³"],
        ["9" * 200, "1" + "0" * 200],
    ],
    ids=lambda names: ascii("_".join(names)[:24])[1:-1],
)
def test_numbers_of_all_kinds_are_in_order(tmp_path: Path, names: list[str]) -> None:
    for name in reversed(names):
        (tmp_path / f"{name}.png").touch()
    assert [path.stem for path in list_images(tmp_path)] == names


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("https://example.org/a.mp4", "download the video first"),
        ("http://example.org/watch?v=1", "download the video first"),
        ("HTTPS://EXAMPLE.ORG/A.MP4", "download the video first"),
        ("rtsp://camera/1", "download the video first"),
        ("s3://bucket/a.mp4", "download the video first"),
        ("ftp://host/a.mov", "download the video first"),
        ("youtube+https://a/b", "download the video first"),
        ("file:///home/me/a.mp4", "without file://"),
        ("a:b.mp4", "no such file"),
        ("nothing.mp4", "no such file"),
        ("", "give a path|the folder is empty"),
        ("a\0b.mp4", "zero byte"),
        ("x" * 300 + ".mp4", "too long"),
        ("x/" * 3000 + "a.mp4", "too long"),
    ],
    ids=lambda text: ascii(text[:24])[1:-1],
)
def test_what_is_no_file_is_refused_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, address: str, words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    for path in (address, Path(address)):
        with pytest.raises(InputError, match=words) as caught:
            read_clip(path)
        assert "\n" not in str(caught.value) and len(str(caught.value)) < 400


def test_a_playlist_leads_nowhere(tmp_path: Path) -> None:
    """A file that names addresses is not followed: it may not make this machine ask others."""
    lists = {
        "a.m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nhttp://127.0.0.1:9/a.ts\n#EXT-X-ENDLIST\n",
        "a.sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 9000 RTP/AVP 96\n",
        "a.txt": "ffconcat version 1.0\nfile 'http://127.0.0.1:9/a.mp4'\n",
    }
    for name, text in lists.items():
        (tmp_path / name).write_text(text)
        with pytest.raises(InputError):
            read_clip(tmp_path / name)


@pytest.mark.parametrize("name", ["-clip.mp4", "--clip.mp4", "-1.mp4"])
def test_a_leading_dash_is_explained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    assert main(["reconstruct", name, "--out", "out"]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and f"./{name}" in said
    for words in (["reconstruct", f"./{name}", "--out", "out"], ["reconstruct", "--out", "out", "--", name]):
        assert main(words) == 2
        assert "the file is empty" in capsys.readouterr().err


def test_nothing_is_said_about_dashes_that_are_options(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["reconstruct", "a.mp4", "--outt", "out"]) == 2
    assert "dash" not in capsys.readouterr().err


@pytest.mark.parametrize("address", ["https://example.org/a.mp4", "no.mp4", "x" * 300])
def test_the_command_line_says_so_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], address: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["reconstruct", address, "--out", "out"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("unish: error: ") and said.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_pictures_named_with_odd_digits_are_a_film(tmp_path: Path) -> None:
    for name, picture in zip("①②③", FILM, strict=True):
        Image.fromarray(picture).save(tmp_path / f"{name}.png")
    clip = read_clip(tmp_path, fps=10.0, source_fps=10.0)
    np.testing.assert_array_equal(clip.images.numpy(), FILM)
