"""What is said of a source before it is read is what the reader then finds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from unish.errors import InputError
from unish.video import read_clip, read_headers
from written_videos import numbered_pictures, tag_quarter_turn_clockwise, write_images, write_video

OPTIONS: list[dict[str, Any]] = [
    {}, {"fps": 4.0}, {"fps": 100.0}, {"max_frames": 3}, {"start": 0.6}, {"start": 0.5, "end": 1.4}, {"start": 30.0},
]  # fmt: skip


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder, film = tmp_path_factory.mktemp("sources"), numbered_pictures(23)
    upright = write_video(folder / "upright.mp4", film, fps=12)
    tag_quarter_turn_clockwise(upright)
    return {
        "mp4": write_video(folder / "film.mp4", film, fps=12),
        "turned": upright,
        "mkv": write_video(folder / "film.mkv", film, fps=12),
        "slow": write_video(folder / "slow.mp4", film[:4], fps=1),
        "folder": write_images(folder / "images", film),
        "picture": write_images(folder / "one", film[:1]) / "1.png",
    }


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("kind", ["mp4", "turned", "mkv", "slow", "folder", "picture"])
def test_the_same_frames_are_used(kind: str, options: dict[str, Any], sources: dict[str, Path]) -> None:
    try:
        clip = read_clip(sources[kind], **options)
    except InputError:
        with pytest.raises(InputError, match="there is no frame"):
            read_headers(sources[kind], **options)
        return
    headers = read_headers(sources[kind], **options)
    assert headers.size == clip.source_size
    assert headers.used_s is not None
    np.testing.assert_allclose(headers.used_s, clip.timestamps_s.numpy(), atol=2e-3)
    assert headers.num_frames is not None and headers.num_decoded is not None
    assert len(headers.used_s) <= headers.num_decoded <= headers.num_frames


def test_a_raw_stream_does_not_say_how_long_it_is(tmp_path: Path) -> None:
    headers = read_headers(write_video(tmp_path / "film.h264", numbered_pictures(6)))
    assert headers.used_s is None and headers.num_frames is None and headers.seconds is None
    assert headers.size == (96, 128)


def test_assumptions_are_said(sources: dict[str, Path]) -> None:
    assert any("nobody said" in note for note in read_headers(sources["folder"]).notes)


@pytest.mark.parametrize(
    ("name", "content", "what"),
    [
        ("missing.mp4", None, "no such file"),
        ("empty.mp4", b"", "empty"),
        ("broken.mp4", b"no video" * 99, "not a video"),
    ],
)
def test_what_cannot_be_read_is_refused(name: str, content: bytes | None, what: str, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=what):
        read_headers(tmp_path / name)


def test_a_folder_of_broken_images_is_refused(tmp_path: Path) -> None:
    (tmp_path / "0.png").write_bytes(b"no picture")
    with pytest.raises(InputError, match="can be read"):
        read_headers(tmp_path)
