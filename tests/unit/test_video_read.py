"""The reader: what it opens, which frames it takes, and how it turns them into upright RGB."""

from __future__ import annotations

import gc
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from PIL import Image

from unish.errors import InputError
from unish.structs import Clip
from unish.video import read_clip
from unish.video.sources.files import FileSource
from written_videos import numbered_pictures, read_number, tag_quarter_turn_clockwise, write_images, write_video


def numbers(clip: Clip) -> list[int]:
    return [read_number(image) for image in clip.images.numpy()]


@pytest.fixture
def video(tmp_path: Path) -> Path:
    """30 frames at 10 frames per second."""
    return write_video(tmp_path / "clip.mp4", numbered_pictures(30))


@pytest.mark.parametrize(
    ("name", "codec", "pixel_format"),
    [
        ("a.mp4", "libx264", "yuv420p"),
        ("a.mov", "libx264", "yuv444p"),
        ("a.mkv", "libx264", "yuv420p10le"),
        ("a.avi", "mpeg4", "yuv420p"),
        ("a.webm", "libvpx-vp9", "yuv420p"),
        ("a.gif", "gif", "rgb8"),
        ("a.MKV", "ffv1", "gray"),
        ("b.mov", "prores_ks", "yuv422p10le"),
    ],
)
def test_formats(tmp_path: Path, name: str, codec: str, pixel_format: str) -> None:
    path = write_video(tmp_path / name, numbered_pictures(6), codec=codec, pixel_format=pixel_format)
    clip = read_clip(path, fps=10.0)
    assert clip.images.shape == (6, 96, 128, 3)
    assert numbers(clip) == list(range(6))
    np.testing.assert_allclose(clip.timestamps_s, np.arange(6) / 10, atol=2e-3)
    assert clip.source_size == (96, 128) and clip.name == Path(name).stem and clip.warnings == ()


def test_takes_the_frame_nearest_to_each_tick(video: Path) -> None:
    clip = read_clip(video, fps=4.0)
    assert numbers(clip) == clip.frame_indices.tolist() == [0, 3, 5, 8, 10, 13, 15, 18, 20, 23, 25, 28]


def test_never_repeats_frames_of_a_slow_source(video: Path) -> None:
    clip = read_clip(video, fps=60.0)
    assert numbers(clip) == list(range(30))


def test_variable_frame_rate_is_followed_by_time(tmp_path: Path) -> None:
    times = [0.0, 0.04, 0.08, 0.12, 0.5, 1.0, 1.04, 1.08, 2.0]
    path = write_video(tmp_path / "v.mkv", numbered_pictures(9), times_s=times)
    clip = read_clip(path, fps=2.0)
    assert numbers(clip) == [0, 4, 5, 8]
    np.testing.assert_allclose(clip.timestamps_s, [0.0, 0.5, 1.0, 2.0], atol=1e-3)


def test_start_end_and_max_frames(video: Path) -> None:
    clip = read_clip(video, fps=5.0, start=1.0, end=2.0)
    assert numbers(clip) == [10, 12, 14, 16, 18, 20]
    assert numbers(read_clip(video, fps=5.0, start=1.0, max_frames=2)) == [10, 12]
    assert clip.timestamps_s[0].item() == pytest.approx(1.0, abs=1e-3)


def test_one_frame(tmp_path: Path) -> None:
    assert read_clip(write_video(tmp_path / "one.mp4", numbered_pictures(1))).num_frames == 1


def test_large_pictures_are_shrunk_and_small_ones_stay(tmp_path: Path) -> None:
    path = write_video(tmp_path / "big.mp4", numbered_pictures(2, 480, 640))
    clip = read_clip(path, fps=10.0, long_side=320)
    assert clip.size == (240, 320) and clip.source_size == (480, 640) and numbers(clip) == [0, 1]
    assert read_clip(path).size == (480, 640)


def test_odd_sizes(tmp_path: Path) -> None:
    clip = read_clip(
        write_video(tmp_path / "odd.mkv", numbered_pictures(3, 97, 131), codec="ffv1", pixel_format="bgr0")
    )
    assert clip.size == (97, 131)


def test_rotation_tag(tmp_path: Path) -> None:
    upright = numbered_pictures(4, 160, 96)
    # Stored lying on its left side, shown turned right.
    path = write_video(tmp_path / "phone.mp4", np.ascontiguousarray(np.rot90(upright, 1, axes=(1, 2))))
    tag_quarter_turn_clockwise(path)
    clip = read_clip(path, fps=10.0)
    assert clip.size == clip.source_size == (160, 96)
    assert numbers(clip) == [0, 1, 2, 3]
    assert np.abs(clip.images[0].numpy().astype(int) - upright[0]).mean() < 8


def test_a_title_that_is_not_utf_8_spoils_nothing(tmp_path: Path) -> None:
    path = write_video(tmp_path / "titled.mkv", numbered_pictures(3), title="XXXXXXXX")
    content = path.read_bytes()
    assert content.count(b"XXXXXXXX") == 1
    path.write_bytes(content.replace(b"XXXXXXXX", "élève-ÿþ".encode("latin-1")))
    assert numbers(read_clip(path, fps=10.0)) == [0, 1, 2]


@pytest.mark.parametrize(("version", "options"), [("18.9.1", {"metadata_errors"}), ("19.0.0", set()), ("20.1", set())])
def test_pyav_is_asked_only_for_what_its_version_knows(
    video: Path, monkeypatch: pytest.MonkeyPatch, version: str, options: set[str]
) -> None:
    asked: list[set[str]] = []
    monkeypatch.setattr(av, "__version__", version)
    real_open = av.open

    def note(path: str, **more: object) -> object:
        asked.append(set(more))
        return real_open(path)

    monkeypatch.setattr(av, "open", note)
    assert len(numbers(read_clip(video, max_frames=2))) == 2
    assert asked == [options | {"options"}]


def test_non_square_pixels_become_square(tmp_path: Path) -> None:
    path = write_video(tmp_path / "wide.mkv", numbered_pictures(2), pixel_aspect=Fraction(3, 2))
    clip = read_clip(path)
    assert clip.size == (96, 192) and clip.source_size == (96, 128) and numbers(clip)[0] == 0


@pytest.mark.parametrize(("codec", "pixel_format", "suffix"), [("png", "rgba", ".mov"), ("ffv1", "yuva420p", ".mkv")])
def test_alpha_lies_over_black(tmp_path: Path, codec: str, pixel_format: str, suffix: str) -> None:
    pictures = np.full((2, 64, 64, 4), 200, np.uint8)
    pictures[:, :32, :, 3], pictures[:, 32:, :, 3] = 255, 0
    clip = read_clip(write_video(tmp_path / f"a{suffix}", pictures, codec=codec, pixel_format=pixel_format))
    assert abs(int(clip.images[0, 8, 32, 0]) - 200) < 4 and int(clip.images[0, 56, 32, 0]) < 4


def test_broken_half_way(video: Path) -> None:
    data = video.read_bytes()
    cut = video.with_suffix(".mkv")
    write_video(cut, numbered_pictures(30))
    data = cut.read_bytes()
    cut.write_bytes(data[: len(data) // 2])
    clip = read_clip(cut, fps=10.0)
    assert 3 < clip.num_frames < 30
    assert numbers(clip) == list(range(clip.num_frames))
    assert len(clip.warnings) == 1 and "ends early" in clip.warnings[0]


def test_damaged_middle(tmp_path: Path) -> None:
    path = write_video(tmp_path / "d.mov", numbered_pictures(30), codec="png", pixel_format="rgb24")
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 400] = bytes(range(200)) * 2
    path.write_bytes(data)
    clip = read_clip(path, fps=10.0)
    assert 20 <= clip.num_frames < 30 and "damaged" in clip.warnings[0]


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".JPG", ".jpeg", ".bmp", ".tif", ".TIFF", ".webp"])
def test_folder_of_images(tmp_path: Path, suffix: str) -> None:
    folder = write_images(tmp_path / "images", numbered_pictures(12), suffix=suffix)
    (folder / ".hidden.jpg").write_bytes(b"not an image")
    (folder / "notes.txt").write_text("not an image")
    clip = read_clip(folder, fps=10.0, source_fps=20.0)
    assert numbers(clip) == [0, 2, 4, 6, 8, 10]  # 1, 2, … 10, 11, 12 in natural order, every second one
    np.testing.assert_allclose(clip.timestamps_s, np.arange(6) / 10)
    assert clip.name == "images"


def test_one_image(tmp_path: Path) -> None:
    write_images(tmp_path, numbered_pictures(1), suffix=".jpg")
    assert read_clip(tmp_path / "1.jpg").num_frames == 1


def test_folder_with_mixed_sizes_is_fitted_to_the_first(tmp_path: Path) -> None:
    folder = write_images(tmp_path / "mixed", numbered_pictures(1))
    Image.fromarray(np.full((200, 100, 3), 255, np.uint8)).save(folder / "2.png")
    clip = read_clip(folder, source_fps=6.0)
    assert clip.images.shape == (2, 96, 128, 3) and "another size" in clip.warnings[0]
    assert int(clip.images[1, 48, 64, 0]) == 255 and int(clip.images[1, 48, 4, 0]) == 0


def test_folder_with_a_broken_image(tmp_path: Path) -> None:
    folder = write_images(tmp_path / "images", numbered_pictures(3))
    data = (folder / "2.png").read_bytes()
    (folder / "2.png").write_bytes(data[: len(data) // 2])
    clip = read_clip(folder, source_fps=6.0)
    assert numbers(clip) == [0, 2] and clip.frame_indices.tolist() == [0, 2] and "2.png" in clip.warnings[0]


@pytest.mark.parametrize("mode", ["L", "LA", "RGBA", "P", "I;16", "CMYK", "1"])
def test_image_modes(tmp_path: Path, mode: str) -> None:
    picture = Image.fromarray(numbered_pictures(2)[1])
    if mode == "I;16":
        picture = Image.fromarray(np.asarray(picture.convert("L")).astype(np.uint16) * 257)
    else:
        picture = picture.convert(mode)
    path = tmp_path / ("a.jpg" if mode == "CMYK" else "a.png")
    picture.save(path)
    assert numbers(read_clip(path)) == [1]


def test_orientation_of_photos(tmp_path: Path) -> None:
    upright = numbered_pictures(4, 160, 96)[3]
    exif = Image.Exif()
    exif[0x0112] = 6  # stored turned left; turn right to show
    Image.fromarray(np.ascontiguousarray(np.rot90(upright, 1))).save(tmp_path / "p.jpg", exif=exif, quality=95)
    clip = read_clip(tmp_path / "p.jpg")
    assert clip.size == clip.source_size == (160, 96) and numbers(clip) == [3]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"fps": 0.0}, "above 0"),
        ({"fps": -3.0}, "above 0"),
        ({"fps": float("nan")}, "above 0"),
        ({"source_fps": float("inf")}, "above 0"),
        ({"start": -1.0}, "0 or more"),
        ({"end": float("nan")}, "0 or more"),
        ({"start": 2.0, "end": 1.0}, "not before"),
        ({"start": 1.0, "end": 1.0}, "not before"),
        ({"start": 60.0}, "no frame between"),
        ({"max_frames": 0}, "1 or more"),
        ({"long_side": 8}, "32 or more"),
    ],
)
def test_bad_options(video: Path, options: dict[str, float], words: str) -> None:
    with pytest.raises(InputError, match=words) as caught:
        read_clip(video, **options)
    assert "\n" not in str(caught.value)


def test_progress_is_told(video: Path) -> None:
    steps: list[tuple[str, int, int | None]] = []
    read_clip(video, progress=lambda stage, done, total: steps.append((stage, done, total)))
    assert [done for _, done, _ in steps] == list(range(1, 31)) and steps[-1][2] == 30


@pytest.mark.slow
def test_memory_is_bounded_by_the_used_frames(tmp_path: Path) -> None:
    path = write_video(tmp_path / "long.mp4", np.tile(numbered_pictures(1, 240, 320), (200, 1, 1, 1)), fps=50.0)
    clip = read_clip(path, fps=1.0)
    assert clip.num_frames == 4 and clip.images.untyped_storage().nbytes() == 4 * 240 * 320 * 3


@pytest.mark.slow
def test_every_real_clip_is_read(media_dir: Path) -> None:
    paths = sorted((media_dir / "video").iterdir())
    assert len(paths) == 34
    shots = {}
    for path in paths:
        clip = read_clip(path, fps=6.0, long_side=320)
        assert clip.num_frames >= 6 and (clip.timestamps_s.diff() > 0).all() and max(clip.size) <= 320
        assert clip.timestamps_s[0] == 0 and clip.images.float().std() > 5
        interval = clip.timestamps_s.diff().median().item()
        assert interval >= 1 / 6 - 0.02, path.name
        shots[path.name] = int(clip.segment.max()) + 1
    # One broadcast clip has a cut (seen by eye); fast pans, one view per second and a glitch frame are none.
    assert {name: count for name, count in shots.items() if count > 1} == {"yolov7pose_football1.mp4": 2}


def test_long_clip_keeps_types(video: Path) -> None:
    clip = read_clip(video)
    assert clip.images.dtype == torch.uint8 and clip.timestamps_s.dtype == torch.float64
    assert clip.frame_indices.dtype == clip.segment.dtype == torch.int64


def test_large_images_are_read_and_the_limit_of_the_process_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder of images may hold larger ones than Pillow's limit, which goes on protecting the rest of the program."""
    write_images(tmp_path / "images", numbered_pictures(2))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 50 * 50)
    clip = read_clip(tmp_path / "images", fps=100.0, source_fps=100.0)
    assert clip.num_frames == 2 and clip.warnings == ()
    assert Image.MAX_IMAGE_PIXELS == 50 * 50
    with pytest.raises(Image.DecompressionBombError):
        Image.open(tmp_path / "images" / "1.png")
    (tmp_path / "images" / "3.png").write_bytes(b"no image")
    assert (
        len(read_clip(tmp_path / "images", fps=100.0, source_fps=100.0).warnings) == 1
        and Image.MAX_IMAGE_PIXELS == 50 * 50
    )


@pytest.mark.slow
def test_importing_the_reader_changes_no_setting_of_pillow() -> None:
    code = "from PIL import Image as I; old = I.MAX_IMAGE_PIXELS; import unish.video; assert I.MAX_IMAGE_PIXELS == old"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("turned", [False, True])
def test_a_decoded_picture_goes_as_soon_as_nobody_holds_it(video: Path, turned: bool) -> None:
    """Frames that refer to one another would wait for the garbage collector: 2 MB each in full HD, some hundreds."""
    if turned:
        tag_quarter_turn_clockwise(video)

    def waiting() -> int:
        return sum(isinstance(one, av.VideoFrame) for one in gc.get_objects())

    gc.collect()
    gc.disable()
    try:
        before = waiting()
        for _ in FileSource(path=video):
            assert waiting() - before <= 3
    finally:
        gc.enable()
