"""Files with several tracks, and those whose only picture is a cover."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.stream import Disposition

from unish.errors import InputError
from unish.video import read_clip
from written_videos import numbered_pictures, read_number

SMALL, LARGE = (48, 64), (96, 128)
NOTHING = Disposition(0)


def write_tracks(
    path: Path,
    films: Sequence[tuple[tuple[int, int], Disposition]],
    *,
    sound: bool = False,
    codec: str = "libx264",
    sound_codec: str = "aac",
) -> Path:
    """One track per film; the pictures of track k are numbered from 10 · k. Covers are single JPEG pictures."""
    with av.open(str(path), "w") as container:
        streams = []
        for size, disposition in films:
            cover = bool(disposition & Disposition.attached_pic)
            stream = container.add_stream("mjpeg" if cover else codec, rate=10)
            stream.height, stream.width, stream.pix_fmt = *size, "yuvj420p" if cover else "yuv420p"
            stream.disposition = disposition
            streams.append(stream)
        if sound:
            voice = container.add_stream(sound_codec, rate=44100)
        for track, (stream, (size, disposition)) in enumerate(zip(streams, films, strict=True)):
            cover = bool(disposition & Disposition.attached_pic)
            for index in range(1 if cover else 5):
                picture = numbered_pictures(10 * track + index + 1, *size)[-1]
                frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format=stream.pix_fmt)
                frame.pts, frame.time_base = index, Fraction(1, 10)
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        if sound:
            silence = av.AudioFrame.from_ndarray(np.zeros((2, 22050), np.float32), format="fltp", layout="stereo")
            silence.sample_rate, silence.pts = 44100, 0
            container.mux(voice.encode(silence))
            container.mux(voice.encode(None))
    return path


@pytest.mark.parametrize(
    ("films", "used"),
    [
        ([(SMALL, NOTHING), (LARGE, Disposition.default)], 1),
        ([(SMALL, Disposition.default), (LARGE, NOTHING)], 0),
        ([(SMALL, NOTHING), (LARGE, NOTHING)], 1),
        ([(LARGE, NOTHING), (SMALL, NOTHING)], 0),
        ([(SMALL, Disposition.default), (LARGE, Disposition.default)], 1),
        ([(LARGE, NOTHING), (LARGE, NOTHING)], 0),
        ([(SMALL, NOTHING), (LARGE, NOTHING), (SMALL, Disposition.default)], 2),
    ],
    ids=["default second", "default small", "largest second", "largest first", "all default", "alike", "three"],
)
def test_the_default_track_or_else_the_largest(
    tmp_path: Path, films: list[tuple[tuple[int, int], Disposition]], used: int
) -> None:
    clip = read_clip(write_tracks(tmp_path / "a.mkv", films), fps=10.0)
    assert clip.size == films[used][0] and clip.num_frames == 5
    assert [read_number(image) for image in clip.images.numpy()] == [10 * used + index for index in range(5)]
    (message,) = clip.warnings
    assert f"{len(films)} video tracks" in message and f"track {used} " in message.split("not")[0]
    assert all(f"track {other} " in message.split("not")[1] for other in range(len(films)) if other != used)


def test_sound_beside_the_film_is_no_word_worth(tmp_path: Path) -> None:
    path = write_tracks(tmp_path / "a.mp4", [(LARGE, Disposition.default)], sound=True)
    assert read_clip(path, fps=10.0).warnings == ()


@pytest.mark.parametrize("place", [0, 1])
@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov"])
def test_a_cover_is_no_track(tmp_path: Path, place: int, suffix: str) -> None:
    films = [(LARGE, Disposition.default)]
    films.insert(place, ((240, 320), Disposition.attached_pic))
    path = write_tracks(tmp_path / f"a{suffix}", films)
    clip = read_clip(path, fps=10.0)
    assert clip.size == LARGE and clip.num_frames == 5


@pytest.mark.parametrize(
    ("suffix", "codec"), [(".m4a", "aac"), (".mp3", "libmp3lame"), (".flac", "flac"), (".mp4", "aac")]
)
def test_sound_with_a_cover_is_no_video(tmp_path: Path, suffix: str, codec: str) -> None:
    path = tmp_path / f"song{suffix}"
    try:
        write_tracks(path, [((240, 320), Disposition.attached_pic)], sound=True, sound_codec=codec)
    except (av.FFmpegError, ValueError) as error:
        pytest.skip(f"FFmpeg cannot write it here: {error}")
    with pytest.raises(InputError, match="the only picture is a cover") as caught:
        read_clip(path)
    assert "\n" not in str(caught.value)
