"""A video whose frames do not fit into memory gives the same ones, decoded when they are asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from test_video_times import views

from unish.structs import Clip, FrameArray
from unish.video import read_clip, read_inside_bars
from unish.video.again import DecodedPictures
from written_videos import numbered_pictures, read_number, write_video

FRAME_MB = 96 * 128 * 3 / 2**20


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_video(tmp_path_factory.mktemp("video") / "film.mp4", numbered_pictures(60), fps=10.0)


def assert_same(found: Clip, wanted: Clip) -> None:
    assert isinstance(found.images, FrameArray) and found.images.shape == tuple(wanted.images.shape)
    assert torch.equal(found.images[:], wanted.images)
    for name in ("timestamps_s", "frame_indices", "segment"):
        assert torch.equal(getattr(found, name), getattr(wanted, name))
    assert (found.source_size, found.source_area, found.warnings, found.name) == (
        wanted.source_size, wanted.source_area, wanted.warnings, wanted.name
    )  # fmt: skip
    areas = [None if clip.picture_area is None else clip.picture_area.tolist() for clip in (found, wanted)]
    assert areas[0] == areas[1]


OPTIONS = [{"fps": 10.0}, {"fps": 4.0}, {"fps": 10.0, "start": 3.7, "end": 5.1}, {"fps": 10.0, "max_frames": 17},
           {"fps": 10.0, "long_side": 64}]  # fmt: skip


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("num_held", [1, 3, 10])
def test_the_same_frames(video: Path, options: dict[str, Any], num_held: int) -> None:
    wanted = read_clip(video, **options)
    one_mb = wanted.images[0].nbytes / 2**20
    found = read_clip(video, **options, max_memory_mb=num_held * one_mb)
    assert_same(found, wanted)
    held = list(found.images.at_hand)
    assert 1 <= len(held) <= max(num_held, 2) and held[0] == 0, "evenly spread over the video"
    assert len(set(np.diff(held))) <= 1


def test_what_fits_stays_in_memory(video: Path) -> None:
    clip = read_clip(video, fps=10.0, max_memory_mb=60 * FRAME_MB)
    assert isinstance(clip.images, torch.Tensor) and len(clip.images) == 60


def test_in_order_it_is_one_pass_and_any_frame_can_be_asked_for(video: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clip = read_clip(video, fps=5.0, max_memory_mb=2 * FRAME_MB)
    wanted = clip.frame_indices.tolist()
    passes: list[int] = []
    read = type(read_source(clip)).__iter__

    def counted(self: Any) -> Any:
        passes.append(1)
        return read(self)

    monkeypatch.setattr(type(read_source(clip)), "__iter__", counted)
    assert [read_number(image.numpy()) for image in clip.images] == wanted
    assert len(passes) == 1
    for frame in (20, 3, 29, 0, 7):
        assert read_number(clip.images[frame].numpy()) == wanted[frame]


def read_source(clip: Clip) -> Any:
    pictures = clip.images._read.__self__
    assert isinstance(pictures, DecodedPictures)
    return pictures.source


def test_a_folder_of_several_shapes(tmp_path: Path) -> None:
    for number, picture in enumerate(numbered_pictures(9)):
        image = Image.fromarray(picture)
        shape = {3: (96, 128), 5: (100, 100), 6: (256, 192)}.get(number, (128, 96))
        image.resize(shape).save(tmp_path / f"{number}.png")
    wanted = read_clip(tmp_path, source_fps=5.0, fps=5.0)
    assert wanted.picture_area is not None
    assert_same(read_clip(tmp_path, source_fps=5.0, fps=5.0, max_memory_mb=2 * FRAME_MB), wanted)


def test_blank_frames_are_left_out(tmp_path: Path) -> None:
    pictures = numbered_pictures(40)
    pictures[7:11] = 0
    path = write_video(tmp_path / "film.mp4", pictures, fps=10.0)
    wanted = read_inside_bars(path, fps=10.0)[1]
    assert wanted.num_frames == 36
    assert_same(read_inside_bars(path, fps=10.0, max_memory_mb=3 * FRAME_MB)[1], wanted)


def test_repeated_pictures_are_used_once(tmp_path: Path) -> None:
    path = write_video(tmp_path / "film.mp4", np.repeat(views(12), 10, axis=0), fps=30.0)
    wanted = read_clip(path, fps=6.0)
    assert wanted.num_frames == 12
    assert_same(read_clip(path, fps=6.0, max_memory_mb=3 * 72 * 128 * 3 / 2**20), wanted)


def test_inside_of_bars(tmp_path: Path) -> None:
    pictures = np.zeros((30, 144, 128, 3), np.uint8)
    pictures[:, 24:120] = numbered_pictures(30)
    path = write_video(tmp_path / "film.mp4", pictures, fps=10.0)
    wholes = [read_inside_bars(path, fps=10.0, **options) for options in ({}, {"max_memory_mb": 3 * FRAME_MB})]
    assert wholes[0][1].source_area is not None
    for found, wanted in zip(wholes[1], wholes[0], strict=True):
        assert_same(found, wanted)


def test_a_file_that_was_changed_meanwhile(video: Path, tmp_path: Path) -> None:
    path = tmp_path / "film.mp4"
    path.write_bytes(video.read_bytes())
    clip = read_clip(path, fps=10.0, max_memory_mb=2 * FRAME_MB)
    write_video(path, numbered_pictures(5), fps=10.0)
    with pytest.raises(RuntimeError, match="was the file changed"):
        clip.images[50]
