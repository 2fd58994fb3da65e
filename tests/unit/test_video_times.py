"""Times of video files: where they begin, what is missing, what is repeated, and passing over what is not asked for."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from unish.errors import InputError
from unish.structs import Clip
from unish.video import read_clip
from unish.video.shots.cuts import CutFinder
from unish.video.sources.clock import describe_gaps
from unish.video.sources.files import FileSource
from written_videos import numbered_pictures, read_number, write_video

FILM = numbered_pictures(30)


def numbers(clip: Clip) -> list[int]:
    return [read_number(image) for image in clip.images.numpy()]


def write_from(path: Path, start: float, *, codec: str = "libx264", pictures: np.ndarray = FILM) -> Path:
    """Ten pictures per second, the first of them at ``start`` seconds."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=10)
        stream.height, stream.width, stream.pix_fmt = *pictures.shape[1:3], "yuv420p"
        for index, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format="yuv420p")
            frame.pts, frame.time_base = index + round(10 * start), Fraction(1, 10)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


# Where the time of a file begins --------------------------------------------------------------------------------------

CONTAINERS = [
    ("a.mp4", "libx264"), ("a.mov", "libx264"), ("a.mkv", "libx264"), ("a.webm", "libvpx-vp9"), ("a.ts", "libx264"),
    ("a.flv", "libx264"), ("a.nut", "libx264"), ("a.mpg", "mpeg2video"), ("a.wmv", "wmv2"),
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("start", [0.0, 10.0, 90_000.0])
@pytest.mark.parametrize(("name", "codec"), CONTAINERS, ids=[name for name, _ in CONTAINERS])
def test_a_file_that_does_not_begin_at_zero_is_whole(tmp_path: Path, name: str, codec: str, start: float) -> None:
    clip = read_clip(write_from(tmp_path / name, start, codec=codec), fps=10.0)
    assert clip.warnings == () and numbers(clip) == list(range(30))
    np.testing.assert_allclose(clip.timestamps_s, np.arange(30) / 10, atol=2e-3)


@pytest.mark.slow
@pytest.mark.parametrize("start", [0.0, 10.0])
@pytest.mark.parametrize(("name", "codec"), CONTAINERS[2:5], ids=[name for name, _ in CONTAINERS[2:5]])
def test_and_one_that_is_broken_off_is_not(tmp_path: Path, name: str, codec: str, start: float) -> None:
    path = write_from(tmp_path / name, start, codec=codec)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 3 // 4])
    clip = read_clip(path, fps=10.0)
    assert 1 < clip.num_frames < 30 and numbers(clip) == (10 * clip.timestamps_s).round().int().tolist()
    # A transport stream declares no length: that of the cut one is what is left.
    assert name == "a.ts" or (len(clip.warnings) == 1 and "ends early" in clip.warnings[0])


# Gaps -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".mkv", ".mp4", ".ts"])
def test_a_gap_is_said(tmp_path: Path, suffix: str) -> None:
    times = [*np.arange(15) / 10, *(np.arange(15) / 10 + 1001.4)]
    clip = read_clip(write_video(tmp_path / f"a{suffix}", FILM, times_s=times), fps=10.0)
    assert numbers(clip) == list(range(30)) and clip.segment.max() == 0
    np.testing.assert_allclose(clip.timestamps_s, times, atol=2e-3)
    assert len(clip.warnings) == 1 and "no picture between 1.4 and 1001.4 s" in clip.warnings[0]


@pytest.mark.parametrize(
    ("times", "words"),
    [
        ([0, 0.1, 0.2, 0.3], None),
        ([0, 0.1, 0.2, 2.9, 3.0], None),  # a stutter
        ([0, 0.1, 0.2, 3.5, 3.6], "between 0.2 and 3.5 s"),
        ([0, 1, 2, 3, 9, 10], None),  # one picture a second: a few are missing
        ([0, 1, 2, 3, 14, 15], "between 3.0 and 14.0 s"),
        ([0, 0.1, 5, 5.1, 5.2, 50, 50.1], "between 5.2 and 50.0 s, the longest of 2 such gaps"),
        ([0, 600, 1200, 1800], None),  # a time lapse
        ([0, 1000], None),  # two pictures: no rate to miss
        ([0], None),
        ([], None),
    ],
    ids=["none", "stutter", "short", "slow", "slow, long", "two", "time lapse", "two pictures", "one", "nothing"],
)
def test_what_is_a_gap(times: list[float], words: str | None) -> None:
    said = describe_gaps(times)
    assert (said is None) == (words is None) and (words is None or words in str(said))


def test_a_gap_outside_the_asked_part_is_not_said(tmp_path: Path) -> None:
    times = [*np.arange(15) / 10, *(np.arange(15) / 10 + 101.4)]
    path = write_video(tmp_path / "a.mkv", FILM, times_s=times)
    assert read_clip(path, fps=10.0, start=101.0).warnings == ()
    assert read_clip(path, fps=10.0, end=1.0).warnings == ()
    assert numbers(read_clip(path, fps=10.0, start=101.0)) == list(range(15, 30))


# Raw streams ----------------------------------------------------------------------------------------------------------


def write_raw(path: Path, codec: str, rate: int) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate)
        stream.height, stream.width = FILM.shape[1:3]
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        for index, picture in enumerate(FILM):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format=stream.pix_fmt)
            frame.pts, frame.time_base = index, Fraction(1, rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "codec", "rate"),
    [
        ("a.h264", "libx264", 10), ("a.264", "libx264", 50), ("a.hevc", "libx265", 10), ("a.265", "libx265", 30),
        ("a.m2v", "mpeg2video", 30), ("a.mjpeg", "mjpeg", 25),
    ],
)  # fmt: skip
def test_raw_streams_run_at_the_rate_of_their_headers(tmp_path: Path, name: str, codec: str, rate: int) -> None:
    try:
        path = write_raw(tmp_path / name, codec, rate)
    except (av.FFmpegError, ValueError) as error:
        pytest.skip(f"FFmpeg cannot write it here: {error}")
    clip = read_clip(path, fps=100.0)
    assert numbers(clip) == list(range(30))
    np.testing.assert_allclose(clip.timestamps_s, np.arange(30) / rate, atol=1e-6)
    (message,) = clip.warnings
    assert f"{rate} pictures per second" in message and "--source-fps" in message
    told = read_clip(path, fps=100.0, source_fps=5.0)
    np.testing.assert_allclose(told.timestamps_s, np.arange(30) / 5, atol=1e-6)
    assert told.warnings == () and numbers(told) == list(range(30))


def test_files_with_times_keep_them(tmp_path: Path) -> None:
    """A rate is for pictures without times."""
    clip = read_clip(write_video(tmp_path / "a.mp4", FILM), fps=10.0, source_fps=1.0)
    np.testing.assert_allclose(clip.timestamps_s, np.arange(30) / 10, atol=2e-3)


# Repeated pictures ----------------------------------------------------------------------------------------------------


def views(count: int, seed: int = 1, speed: int = 16) -> np.ndarray:
    """(count, 72, 128, 3) pictures of a camera that moves far from one to the next, and of nothing else."""
    rng = np.random.default_rng(seed)
    wide = gaussian_filter(rng.normal(size=(72, 128 + speed * count, 3)), (4, 4, 0)) * 600 + rng.uniform(60, 190, 3)
    return np.stack([wide[:, speed * i : speed * i + 128] for i in range(count)]).clip(0, 255).astype(np.uint8)


@pytest.mark.slow
@pytest.mark.parametrize("speed", [16, 128], ids=["moving", "jumping"])
@pytest.mark.parametrize("times", [10, 30], ids=["3 per second", "1 per second"])
@pytest.mark.parametrize("crf", ["0", "28"], ids=["lossless", "lossy"])
def test_each_repeated_picture_is_used_once_and_opens_no_shot(tmp_path: Path, speed: int, times: int, crf: str) -> None:
    pictures = np.repeat(views(6, speed=speed), times, axis=0)
    clip = read_clip(write_video(tmp_path / "a.mp4", pictures, fps=30.0, options={"crf": crf, "preset": "medium"}))
    assert clip.segment.max() == 0 and clip.num_frames == 6
    assert (clip.frame_indices // times).tolist() == list(range(6))
    torch.testing.assert_close(clip.timestamps_s, clip.frame_indices.double() / 30, atol=2e-3, rtol=0)
    (message,) = clip.warnings
    assert "repeat the picture before" in message and "6 of" in message


@pytest.mark.parametrize("times", [1, 2, 3])
def test_pictures_that_are_faster_than_the_used_rate_are_no_repeats(tmp_path: Path, times: int) -> None:
    """15 or 10 pictures a second stored at 30: nothing that is used shows twice."""
    pictures = np.repeat(views(30 // times, speed=6), times, axis=0)
    clip = read_clip(write_video(tmp_path / "a.mp4", pictures, fps=30.0), fps=6.0)
    assert clip.num_frames == 6 and clip.warnings == () and clip.segment.max() == 0


def test_a_camera_on_a_tripod_is_no_repetition(tmp_path: Path) -> None:
    """Someone passes, then nobody: the pictures repeat, but what changes is not the whole of them."""
    pictures = np.repeat(views(1), 90, axis=0)
    for step in range(12):
        pictures[40 + step, 20:64, 9 * step : 9 * step + 16] = 230
    clip = read_clip(write_video(tmp_path / "a.mp4", pictures, fps=30.0), fps=6.0)
    assert clip.num_frames == 18 and clip.warnings == ()


def test_a_still_picture_stays_a_film(tmp_path: Path) -> None:
    clip = read_clip(write_video(tmp_path / "a.mp4", np.repeat(views(1), 60, axis=0), fps=30.0), fps=6.0)
    assert clip.num_frames == 12 and clip.warnings == ()


def test_cuts_among_moving_pictures_are_found_beside_repeated_ones() -> None:
    """A title stands for two seconds, then a film with a cut: the stillness of the title decides nothing."""
    small = [view[::2, ::2] for seed in (2, 3) for view in views(25, seed=seed, speed=2)]
    title = np.full((36, 64, 3), 20, np.uint8)
    title[15:21, 20:44] = 240
    finder = CutFinder()
    for index, picture in enumerate([title] * 60 + small):
        finder.push(index / 30, picture)
    assert finder.finish() == [60, 85] and finder.new_pictures() is None


# Passing over what is before the start --------------------------------------------------------------------------------

LONG = numbered_pictures(160, 64, 96)
"""16 s at ten pictures per second."""


def options(**changes: str) -> dict[str, str]:
    return {"g": "20", "keyint_min": "20", "sc_threshold": "0"} | changes


def mp4(path: Path) -> Path:
    return write_video(path / "a.mp4", LONG, options=options(preset="medium", bf="3"))


def open_groups(path: Path) -> Path:
    return write_video(path / "a.mkv", LONG, options=options(preset="medium", bf="3", **{"x264-params": "open-gop=1"}))


def transport_stream(path: Path) -> Path:
    return write_video(path / "a.ts", LONG, options=options(preset="medium", bf="2"))


def one_key_frame(path: Path) -> Path:
    return write_video(path / "a.mp4", LONG, options=options(g="1000", keyint_min="1000"))


def key_frames_only(path: Path) -> Path:
    return write_video(path / "a.mov", LONG, codec="mjpeg", pixel_format="yuvj420p")


def hevc(path: Path) -> Path:
    return write_video(path / "a.mp4", LONG, codec="libx265", options={"x265-params": "keyint=20:log-level=none"})


def vp9(path: Path) -> Path:
    return write_video(path / "a.webm", LONG, codec="libvpx-vp9", options={"g": "20", "deadline": "realtime"})


def vp8(path: Path) -> Path:
    return write_video(
        path / "a.webm", LONG, codec="libvpx", options={"g": "20", "auto-alt-ref": "1", "lag-in-frames": "9"}
    )


def mpeg4(path: Path) -> Path:
    return write_video(path / "a.avi", LONG, codec="mpeg4", options={"bf": "2"})


def raw(path: Path) -> Path:
    return write_video(path / "a.h264", LONG, options=options())


def gif(path: Path) -> Path:
    return write_video(path / "a.gif", LONG, codec="gif", pixel_format="rgb8")


def uneven(path: Path) -> Path:
    times = np.cumsum(np.random.default_rng(3).choice([0.04, 0.1, 0.17], len(LONG)))
    return write_video(path / "a.mkv", LONG, times_s=times.tolist(), options=options(bf="2"))


def late(path: Path) -> Path:
    return write_video(path / "a.mkv", LONG, times_s=(np.arange(160) / 10 + 50).tolist(), options=options(bf="2"))


def with_a_cut(path: Path) -> Path:
    pictures = LONG.copy()
    pictures[113:, 12:] = pictures[113:, 12:][:, ::-1] // 2
    return write_video(path / "a.mp4", pictures, options=options(preset="medium", bf="3"))


def damaged_before(path: Path) -> Path:
    path = write_video(path / "a.mkv", LONG, codec="mjpeg", pixel_format="yuvj420p")
    data = bytearray(path.read_bytes())
    data[len(data) // 20 : len(data) // 20 + 300] = bytes(300)
    path.write_bytes(data)
    return path


WAYS = [
    mp4,
    open_groups,
    transport_stream,
    one_key_frame,
    key_frames_only,
    hevc,
    vp9,
    vp8,
    mpeg4,
    raw,
    gif,
    uneven,
    late,
]


@pytest.mark.slow
@pytest.mark.parametrize("make", WAYS, ids=lambda make: make.__name__)
def test_the_frames_after_the_start_are_those_of_the_whole_file(tmp_path: Path, make: Callable[[Path], Path]) -> None:
    try:
        path = make(tmp_path)
    except (av.FFmpegError, ValueError) as error:
        pytest.skip(f"FFmpeg cannot write it here: {error}")
    whole = {frame.index: (frame.time_s, frame.pixels(96)) for frame in FileSource(path=path)}
    assert len(whole) == len(LONG)
    for start in (5.0, 8.3, 14.95):
        passing = [frame for frame in FileSource(path=path, start_s=start) if frame.time_s >= start - 1]
        assert [frame.index for frame in passing] == [i for i, (time_s, _) in whole.items() if time_s >= start - 1]
        for frame in passing[::5]:
            time_s, pixels = whole[frame.index]
            assert frame.time_s == time_s
            np.testing.assert_array_equal(frame.pixels(96), pixels)


@pytest.mark.slow
def test_a_clip_is_the_same_as_without_passing_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Shots, too: the frames right before the start are seen."""
    path = with_a_cut(tmp_path)
    clips = []
    for run_up in (2.0, 1e6):
        monkeypatch.setattr("unish.video.sources.files._RUN_UP_S", run_up)
        clips.append(read_clip(path, fps=4.0, start=9.1))
    one, other = clips
    assert torch.equal(one.images, other.images) and torch.equal(one.timestamps_s, other.timestamps_s)
    assert torch.equal(one.frame_indices, other.frame_indices) and torch.equal(one.segment, other.segment)
    assert one.warnings == other.warnings and one.segment.max() == 1


@pytest.mark.slow
@pytest.mark.parametrize("make", [mp4, open_groups, transport_stream, key_frames_only, hevc, vp9, uneven, late])
def test_what_is_before_the_start_is_not_decoded(tmp_path: Path, make: Callable[[Path], Path]) -> None:
    try:
        path = make(tmp_path)
    except (av.FFmpegError, ValueError) as error:
        pytest.skip(f"FFmpeg cannot write it here: {error}")
    first = next(iter(FileSource(path=path, start_s=14.0)))
    assert 8.0 <= first.time_s <= 12.0 and first.index > 60
    assert next(iter(FileSource(path=path, start_s=1.0))).index == 0


def test_a_start_after_the_end(tmp_path: Path) -> None:
    path = mp4(tmp_path)
    for start in (16.0, 60.0, 1e9):
        with pytest.raises(InputError, match="no frame between"):
            read_clip(path, start=start)


def test_a_cut_after_the_start_is_found(tmp_path: Path) -> None:
    clip = read_clip(with_a_cut(tmp_path), fps=10.0, start=10.0, end=13.0)
    assert clip.frame_indices[int(clip.segment.argmax())] == 113 and clip.segment.max() == 1


@pytest.mark.slow
def test_damage_before_the_start_is_not_held_against_the_file(tmp_path: Path) -> None:
    path = damaged_before(tmp_path)
    assert read_clip(path, fps=10.0, start=12.0).warnings == ()
    assert "damaged" in " ".join(read_clip(path, fps=10.0).warnings)
