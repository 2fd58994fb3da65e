"""Folders of pictures: which of them are frames, when they were taken, and how those of other sizes are fitted."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from unish.errors import InputError
from unish.structs import Clip
from unish.video import read_clip
from unish.video.fitting import fit_into
from written_videos import numbered_pictures, read_number, write_images, write_video

FILM = numbered_pictures(4)
GREY = np.full((96, 128), 77, np.uint8)


def numbers(clip: Clip) -> list[int]:
    return [read_number(image) for image in clip.images.numpy()]


def write(folder: Path, names: list[str]) -> Path:
    """``FILM`` under the names, in order; a name with a mode after a bar holds a flat picture of that mode instead."""
    folder.mkdir(exist_ok=True)
    films = iter(FILM)
    for name in names:
        stem, _, mode = name.partition("|")
        flat = GREY.astype(np.uint16) * 300 if mode == "I;16" else GREY
        picture = Image.fromarray(flat) if mode in ("L", "I;16") else Image.fromarray(flat).convert(mode or "L")
        (Image.fromarray(next(films)) if not mode else picture).save(folder / stem)
    return folder


# Side data ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("frames", "beside"),
    [
        (["{}.jpg"], ["{}_mask.png|L"]),
        (["{}.png"], ["{}_depth.png|I;16"]),
        (["frame_{:04}.png"], ["mask_{:04}.png|L", "depth_{:04}.png|I;16"]),
        (["{:05}.jpg"], ["{:05}.png|P"]),
        (["{:05}.jpg"], ["{:05}.png|RGB"]),
        (["{:05}.png"], ["{:05}.jpg|L"]),
        (["IMG_{}.JPG"], ["IMG_{}.tif|RGB"]),
        (["rgb{}.png"], ["normal{}.png|RGB", "flow{}.png|RGB", "conf{}.png|L"]),
        (["{}.jpg"], ["{}.thumb.jpg|RGB", "{}-labelIds.png|L"]),
        (["{}.jpg"], ["{} (Depth).png|L"]),
        (["Foto{}.webp"], ["Foto{}_MATTE.webp|RGB"]),
    ],
    ids=lambda names: "+".join(names),
)
def test_frames_are_told_from_what_lies_beside_them(tmp_path: Path, frames: list[str], beside: list[str]) -> None:
    names = [pattern.format(number) for number in range(1, 5) for pattern in (*frames, *beside)]
    clip = read_clip(write(tmp_path / "a", names), source_fps=6.0)
    assert numbers(clip) == [0, 1, 2, 3] and clip.frame_indices.tolist() == [0, 1, 2, 3]
    (message,) = clip.warnings
    assert message.startswith(f"{4 * len(beside)} pictures lie beside")


@pytest.mark.parametrize(
    "names",
    [
        ["mask_1.png", "mask_2.png", "mask_3.png", "mask_4.png"],  # a party with masks
        ["depth.png", "a.png", "b.png", "c.png"],  # nothing it could belong to
        ["mask_9.png", "a1.png", "a2.png", "a3.png"],
        ["a1.png", "b1.png", "b2.png", "a2.png"],
        ["unmasked1.png", "1.png", "2.png", "3.png"],  # a word, not a part of one
        ["1.jpg", "01.png", "001.webp", "2.bmp"],
    ],
    ids=lambda names: names[0],
)
def test_pictures_that_belong_to_nobody_are_frames(tmp_path: Path, names: list[str]) -> None:
    clip = read_clip(write(tmp_path / "a", names), source_fps=6.0)
    assert sorted(numbers(clip)) == [0, 1, 2, 3] and clip.warnings == ()


def test_a_copy_of_a_broken_picture_takes_its_place(tmp_path: Path) -> None:
    folder = write(tmp_path / "a", ["1.png", "2.png", "3.png", "4.png"])
    (folder / "2.jpg").write_bytes(b"broken")
    assert numbers(read_clip(folder, source_fps=6.0)) == [0, 1, 2, 3]


def test_a_copy_in_heic_is_not_needed(tmp_path: Path) -> None:
    folder = write(tmp_path / "a", ["IMG_1.JPG", "IMG_2.JPG", "IMG_3.JPG", "IMG_4.JPG"])
    (folder / "IMG_2.HEIC").write_bytes(b"\0\0\0\x18ftypheic" + bytes(20))
    assert numbers(read_clip(folder, source_fps=6.0)) == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("inner", "words"),
    [
        (["rgb/1.png", "depth/1.png"], "in depth, rgb; give one of these"),
        (["images/1.jpg"], "in images; give one of these"),
        (["1.mp4", "2.mov"], r"there are videos in this folder.*1\.mp4"),
        (["notes.txt"], "no image directly"),
        ([], "the folder is empty"),
    ],
    ids=["two folders", "one folder", "videos", "texts", "nothing"],
)
def test_a_folder_without_pictures_says_what_to_give(tmp_path: Path, inner: list[str], words: str) -> None:
    for name in inner:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    with pytest.raises(InputError, match=words) as caught:
        read_clip(tmp_path)
    assert "\n" not in str(caught.value)


# Sizes ----------------------------------------------------------------------------------------------------------------


def flat(folder: Path, name: str, size: tuple[int, int], value: int = 255) -> None:
    Image.fromarray(np.full((*size, 3), value, np.uint8)).save(folder / name)


@pytest.mark.parametrize("place", [0, 2, 9])
def test_the_usual_size_counts_not_the_first(tmp_path: Path, place: int) -> None:
    folder = write_images(tmp_path / "a", FILM)
    flat(folder, f"{place}_.png", (200, 100))
    clip = read_clip(folder, source_fps=6.0)
    assert clip.size == clip.source_size == (96, 128) and clip.num_frames == 5
    assert clip.picture_area is not None and "not part of the scene" in clip.warnings[0]
    odd = int((clip.picture_area[:, 3] != 128).nonzero())
    assert clip.picture_area[odd].tolist() == [0, 40, 96, 88]
    whole = torch.cat([clip.picture_area[:odd], clip.picture_area[odd + 1 :]])
    assert (whole == torch.tensor([0, 0, 96, 128])).all()


@pytest.mark.parametrize("size", [(192, 256), (48, 64), (72, 96), (97, 130)])
def test_the_same_shape_is_no_padding(tmp_path: Path, size: tuple[int, int]) -> None:
    folder = write_images(tmp_path / "a", FILM)
    Image.fromarray(numbered_pictures(8, *size)[7]).save(folder / "9.png")
    clip = read_clip(folder, source_fps=6.0)
    assert numbers(clip) == [0, 1, 2, 3, 7] and clip.picture_area is None
    assert len(clip.warnings) == 1 and "1 pictures have another size than most and were resized" in clip.warnings[0]


def test_a_camera_held_upright_keeps_its_focal_length(tmp_path: Path) -> None:
    """A thing that is 20 pixels wide in a picture that lies is as wide in one that stands: the pixels are the same."""
    folder = write_images(tmp_path / "a", FILM)
    standing = np.full((128, 96, 3), 40, np.uint8)
    standing[54:74, 38:58] = 240
    Image.fromarray(standing).save(folder / "9.png")
    clip = read_clip(folder, source_fps=6.0)
    image = clip.images[4].numpy()
    bright = np.argwhere(image[..., 0] > 140)
    assert bright.min(0).tolist() == [38, 54] and bright.max(0).tolist() == [57, 73]
    assert clip.picture_area is not None and clip.picture_area[4].tolist() == [0, 16, 96, 112]
    assert image[:, :16].max() == 0 and image[:, 16:112].min() >= 40


@pytest.mark.parametrize("size", [(96, 128), (128, 96), (50, 90)])
@pytest.mark.parametrize("shape", [(30, 300), (300, 30), (64, 64), (1, 500), (128, 96), (96, 128)])
def test_what_lies_outside_the_area_is_black_and_what_lies_inside_is_picture(
    size: tuple[int, int], shape: tuple[int, int]
) -> None:
    frame, (top, left, bottom, right) = fit_into(size, np.full((*shape, 3), 200, np.uint8))
    assert frame.shape == (*size, 3) and 0 <= top < bottom <= size[0] and 0 <= left < right <= size[1]
    assert (frame[top:bottom, left:right] == 200).all()
    assert frame.sum() == 200 * 3 * (bottom - top) * (right - left)
    assert top == 0 or left == 0 or shape in ((128, 96), (96, 128))


def test_thumbnails_among_photographs_are_left_out(tmp_path: Path) -> None:
    folder = write_images(tmp_path / "a", FILM)
    flat(folder, "0.png", (16, 16))
    clip = read_clip(folder, source_fps=6.0)
    assert numbers(clip) == [0, 1, 2, 3] and "1 tiny images were left out, the first is 0.png" in clip.warnings[0]


# Times ----------------------------------------------------------------------------------------------------------------


def write_many(folder: Path, names: list[str], taken: list[datetime] | None = None, *, fine: bool = False) -> Path:
    folder.mkdir()
    for index, name in enumerate(names):
        exif = Image.Exif()
        if taken:
            tags = exif.get_ifd(0x8769)
            tags[0x9003] = taken[index].strftime("%Y:%m:%d %H:%M:%S")
            if fine:
                tags[0x9291] = f"{taken[index].microsecond // 1000:03}"
        Image.fromarray(np.full((32, 40, 3), 100 + index % 7, np.uint8)).save(folder / f"{name}.jpg", exif=exif)
    return folder


NOON = datetime(2024, 7, 14, 12, 0, 0)


def at(*seconds: float) -> list[datetime]:
    return [NOON + timedelta(seconds=value) for value in seconds]


@pytest.mark.parametrize(
    ("names", "taken", "step", "words"),
    [
        # Holidays: by EXIF times, by names with times, by gaps, by names of many kinds.
        ([f"IMG_{i:04}" for i in range(12)], at(*range(0, 7200, 600)), 1.0, "by their EXIF times"),
        ([f"{i}" for i in range(100)], at(*range(0, 500, 5)), 1.0, "by their EXIF times"),
        ([f"{i}" for i in range(12)], at(*range(11, -1, -1)), 1.0, "by their EXIF times"),
        ([f"DSC{i:04}" for i in (3, 4, 9, 12, 30, 31, 40, 55, 60, 77)], None, 1.0, "gaps in the numbers"),
        ([f"a{i * i}" for i in range(80)], None, 1.0, "gaps in the numbers"),
        ([f"IMG_20240714_12{i:02}{7 * i * i % 60:02}" for i in range(12)], None, 1.0, "gaps in the numbers"),
        ([f"2024-07-{i + 1:02} 12.{7 * i % 60:02}" for i in range(12)], None, 1.0, "not numbered like frames"),
        (["a", "b", "c", "d"], None, 1.0, "do not follow one pattern"),
        (["beach1", "hotel1", "beach2", "Oma"], None, 1.0, "do not follow one pattern"),
        # A few, numbered like frames: nobody knows.
        ([f"frame_{i:04}" for i in range(12)], None, 1 / 6, "as if 6 per second"),
        ([f"{i}" for i in range(0, 600, 10)], None, 1 / 6, "as if 6 per second"),
        ([f"cam2_{i}" for i in range(7, 47)], None, 1 / 6, "as if 6 per second"),
        (["1", "2"], None, 1 / 6, "as if 6 per second"),
    ],
    ids=["hours", "five seconds", "backwards", "camera gaps", "squares", "stamps", "dates", "letters", "words", "few",
         "tens", "forty", "two"],
)  # fmt: skip
def test_all_pictures_of_no_film_are_used(
    tmp_path: Path, names: list[str], taken: list[datetime] | None, step: float, words: str
) -> None:
    clip = read_clip(write_many(tmp_path / "a", names, taken))
    assert clip.num_frames == len(names)
    np.testing.assert_allclose(clip.timestamps_s, np.arange(len(names)) * step)
    (message,) = clip.warnings
    assert words in message and "--source-fps" in message and str(len(names)) in message


@pytest.mark.parametrize("fps", [0.1, 1.0, 6.0, 30.0])
def test_all_are_used_at_any_rate(tmp_path: Path, fps: float) -> None:
    photographs = write_many(tmp_path / "a", ["a", "b", "c", "d"])
    frames = write_many(tmp_path / "b", ["1", "2", "3", "4"])
    assert read_clip(photographs, fps=fps).num_frames == read_clip(frames, fps=fps).num_frames == 4


def test_many_frames_are_a_film(tmp_path: Path) -> None:
    clip = read_clip(write_many(tmp_path / "a", [f"{i:05}" for i in range(90)]))
    assert clip.frame_indices.tolist() == list(range(0, 90, 5))
    assert "taken at 30 per second" in clip.warnings[0] and "--source-fps" in clip.warnings[0]


@pytest.mark.parametrize(
    ("names", "want"),
    [
        (["1305031102.175304", "1305031102.675304", "1305031103.675404"], [0.0, 0.5, 1.5001]),
        (["1403636579763555584", "1403636580263555584", "1403636581763555600"], [0.0, 0.5, 2.000000016]),
        (["1700000000000", "1700000000250", "1700000001000"], [0.0, 0.25, 1.0]),
        (["1700000000000000", "1700000000250000", "1700000001000000"], [0.0, 0.25, 1.0]),
    ],
    ids=["seconds", "nanoseconds", "milliseconds", "microseconds"],
)
def test_names_that_are_times(tmp_path: Path, names: list[str], want: list[float]) -> None:
    clip = read_clip(write_many(tmp_path / "a", names), fps=6.0)
    np.testing.assert_allclose(clip.timestamps_s, want, atol=1e-9)
    assert len(clip.warnings) == 1 and "named after times" in clip.warnings[0]


def test_a_burst_keeps_its_exif_times(tmp_path: Path) -> None:
    folder = write_many(tmp_path / "a", [f"B{i}" for i in range(6)], at(0, 0.1, 0.2, 0.35, 0.5, 0.6), fine=True)
    clip = read_clip(folder, fps=100.0)
    np.testing.assert_allclose(clip.timestamps_s, [0, 0.1, 0.2, 0.35, 0.5, 0.6], atol=1e-6)
    assert len(clip.warnings) == 1 and "by their EXIF times" in clip.warnings[0]


def test_a_rate_that_is_given_counts(tmp_path: Path) -> None:
    folder = write_many(tmp_path / "a", ["a", "b", "z", "1305031102.175304"], at(0, 600, 900, 7000))
    clip = read_clip(folder, fps=100.0, source_fps=2.0)
    np.testing.assert_allclose(clip.timestamps_s, [0, 0.5, 1, 1.5])
    assert clip.warnings == ()


def test_one_picture_is_not_asked_for_its_time(tmp_path: Path) -> None:
    folder = write_many(tmp_path / "a", ["a"], at(0))
    assert read_clip(folder).warnings == read_clip(folder / "a.jpg").warnings == ()


@pytest.mark.parametrize(
    "tag", ["0000:00:00 00:00:00", "soon", "2024:13:45 99:99:99", "", "\0" * 19, "2024-07-14T12:00:00"]
)
def test_senseless_exif_times_are_none(tmp_path: Path, tag: str) -> None:
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0x9003] = tag
    for index in range(3):
        Image.fromarray(FILM[index]).save(tmp_path / f"{index}.jpg", exif=exif)
    clip = read_clip(tmp_path)
    assert clip.num_frames == 3 and "as if 6 per second" in clip.warnings[0]


def test_a_film_beside_pictures_is_no_picture(tmp_path: Path) -> None:
    folder = write_images(tmp_path / "a", FILM)
    write_video(folder / "a.mp4", FILM)
    assert numbers(read_clip(folder, source_fps=6.0)) == [0, 1, 2, 3]
