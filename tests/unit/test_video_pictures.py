"""Pictures as players show them: mirrored, turned, squeezed, transparent, or brighter than a display."""

from __future__ import annotations

import importlib.util
import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.bitstream import BitStreamFilterContext
from PIL import Image

from unish.errors import InputError
from unish.video import read_clip
from written_videos import numbered_pictures, read_number, tag_display, write_video

UPRIGHT = numbered_pictures(6, 96, 160)[5]
"""No two of its eight positions look alike."""


def shown_by_matrix(stored: np.ndarray, a: int, b: int, c: int, d: int) -> np.ndarray:
    """Pixel by pixel, as the standard says: (p, q) goes to (a·p + c·q, b·p + d·q); then all moves into view."""
    q, p = np.mgrid[: stored.shape[0], : stored.shape[1]]
    x, y = a * p + c * q, b * p + d * q
    x, y = x - x.min(), y - y.min()
    shown = np.zeros((y.max() + 1, x.max() + 1, 3), np.uint8)
    shown[y, x] = stored
    return shown


@pytest.mark.parametrize(
    "matrix",
    [
        pytest.param((1, 0, 0, 1), id="as stored"),
        pytest.param((-1, 0, 0, 1), id="mirrored"),
        pytest.param((1, 0, 0, -1), id="upside down"),
        pytest.param((-1, 0, 0, -1), id="half turn"),
        pytest.param((0, 1, -1, 0), id="quarter right"),
        pytest.param((0, -1, 1, 0), id="quarter left"),
        pytest.param((0, 1, 1, 0), id="transposed"),
        pytest.param((0, -1, -1, 0), id="transversed"),
    ],
)
def test_display_matrix(tmp_path: Path, matrix: tuple[int, int, int, int]) -> None:
    path = write_video(tmp_path / "a.mov", UPRIGHT[None], codec="png", pixel_format="rgb24")
    tag_display(path, *matrix)
    clip = read_clip(path)
    want = shown_by_matrix(UPRIGHT, *matrix)
    assert clip.size == clip.source_size == want.shape[:2] and clip.warnings == ()
    np.testing.assert_array_equal(clip.images[0].numpy(), want)


@pytest.mark.parametrize(
    ("matrix", "like", "warned"),
    [
        ((0, 0, 0, 0), (1, 0, 0, 1), False),  # shows nothing: players ignore it
        ((1, 0, 0, 0), (1, 0, 0, 1), False),
        ((1, 1, 1, 1), (1, 0, 0, 1), False),
        ((0.5, 0, 0, 0.5), (1, 0, 0, 1), False),  # a scale is none of our business
        ((-2, 0, 0, 2), (-1, 0, 0, 1), False),
        ((0.9998, 0.0175, -0.0175, 0.9998), (1, 0, 0, 1), False),  # by 1°
        ((0.866, 0.5, -0.5, 0.866), (1, 0, 0, 1), True),  # by 30°
        ((0.5, 0.866, -0.866, 0.5), (0, 1, -1, 0), True),  # by 60°
        ((-0.866, 0.5, 0.5, 0.866), (-1, 0, 0, 1), True),  # mirrored, by 30°
    ],
)
def test_odd_display_matrix(
    tmp_path: Path, matrix: tuple[float, ...], like: tuple[int, int, int, int], warned: bool
) -> None:
    path = write_video(tmp_path / "a.mov", np.stack([UPRIGHT] * 3), codec="png", pixel_format="rgb24")
    tag_display(path, *matrix)
    clip = read_clip(path, fps=10.0)
    np.testing.assert_array_equal(clip.images[0].numpy(), shown_by_matrix(UPRIGHT, *like))
    assert ["at an angle" in message for message in clip.warnings] == [True] * warned


@pytest.mark.parametrize("turns", [0, 90, 180, 270])
@pytest.mark.parametrize("mirrored", [False, True])
def test_orientation_inside_the_stream(tmp_path: Path, turns: int, mirrored: bool) -> None:
    """H.264 says it in a message of its own (ITU-T H.264, D.2.21): mirrored first, then turned to the left."""
    plain = write_video(tmp_path / "plain.mkv", UPRIGHT[None], options={"qp": "0"}, pixel_format="yuv444p")
    flip = ":flip=horizontal" if mirrored else ""
    with av.open(str(plain)) as source, av.open(str(tmp_path / "tagged.mkv"), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        tag = BitStreamFilterContext(
            f"h264_metadata=display_orientation=insert:rotate={turns}{flip}", source.streams[0]
        )
        for packet in source.demux(video=0):
            for tagged in tag.filter(packet if packet.size else None):
                tagged.stream = stream
                target.mux(tagged)
    clip = read_clip(tmp_path / "tagged.mkv")
    want = np.rot90(UPRIGHT[:, ::-1] if mirrored else UPRIGHT, turns // 90)
    assert clip.size == want.shape[:2]
    assert np.abs(clip.images[0].numpy().astype(int) - want).mean() < 2


def stored_for(orientation: int) -> np.ndarray:
    """What a camera stores so that the tag brings ``UPRIGHT`` back (CIPA DC-008, 4.6.4)."""
    undo = {
        1: lambda a: a,
        2: lambda a: a[:, ::-1],
        3: lambda a: a[::-1, ::-1],
        4: lambda a: a[::-1],
        5: lambda a: a.swapaxes(0, 1),
        6: lambda a: np.rot90(a, 1),
        7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
        8: lambda a: np.rot90(a, -1),
    }
    return np.ascontiguousarray(undo[orientation](UPRIGHT))


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif", ".avif"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation(tmp_path: Path, suffix: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"a{suffix}"
    Image.fromarray(stored_for(orientation)).save(path, exif=exif, quality=95)
    clip = read_clip(path)
    assert clip.size == clip.source_size == UPRIGHT.shape[:2]
    assert np.abs(clip.images[0].numpy().astype(int) - UPRIGHT).mean() < 6


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif"])
@pytest.mark.parametrize("orientation", [0, 9, 90, 65535])
def test_senseless_orientation_is_as_stored(tmp_path: Path, suffix: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(UPRIGHT).save(tmp_path / f"a{suffix}", exif=exif, quality=95)
    clip = read_clip(tmp_path / f"a{suffix}")
    assert clip.size == clip.source_size == UPRIGHT.shape[:2] and read_number(clip.images[0].numpy()) == 5


def exif_of(kind: int, count: int, value: bytes) -> bytes:
    """One orientation tag of any type, as bytes."""
    return b"Exif\0\0II*\0" + struct.pack("<IHHHI", 8, 1, 0x0112, kind, count) + value.ljust(4, b"\0") + bytes(4)


@pytest.mark.parametrize(
    "exif",
    [
        exif_of(2, 4, b"six"),
        exif_of(5, 1, struct.pack("<I", 9999)),
        exif_of(7, 4, b"\xff\xfe\xfd\xfc"),
        exif_of(99, 1, b"\x06"),
        b"Exif\0\0II*\0\xff\xff\xff\xff",
        b"Exif\0\0" + bytes(40),
        b"Exif\0\0nothing of the kind",
    ],
    ids=["text", "fraction outside", "bytes", "unknown type", "no directory", "zeros", "no header"],
)
def test_broken_orientation_is_as_stored(tmp_path: Path, exif: bytes) -> None:
    Image.fromarray(UPRIGHT).save(tmp_path / "a.jpg", exif=exif, quality=95)
    clip = read_clip(tmp_path / "a.jpg")
    assert clip.size == clip.source_size == UPRIGHT.shape[:2] and read_number(clip.images[0].numpy()) == 5


@pytest.mark.parametrize("name", ["IMG_0001.HEIC", "a.heif", "a.hif"])
def test_heic_without_its_package(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda module: None if module == "pi_heif" else find(module))
    (tmp_path / name).write_bytes(b"\0\0\0\x18ftypheic" + bytes(20))
    for path in (tmp_path / name, tmp_path):
        with pytest.raises(InputError, match=r'pip install "unish\[heif\]"') as caught:
            read_clip(path)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("aspect", "size"),
    [
        (Fraction(4, 3), (96, 213)),
        (Fraction(2), (96, 320)),
        (Fraction(1, 2), (192, 160)),
        (Fraction(8, 9), (108, 160)),
    ],
)
def test_pixels_of_other_shapes(tmp_path: Path, aspect: Fraction, size: tuple[int, int]) -> None:
    clip = read_clip(write_video(tmp_path / "a.mkv", UPRIGHT[None], pixel_aspect=aspect))
    assert clip.size == size and clip.source_size == (96, 160) and clip.warnings == ()


@pytest.mark.parametrize("aspect", [Fraction(50), Fraction(1, 50), Fraction(5), Fraction(1, 9)])
@pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
def test_absurd_pixels_are_square(tmp_path: Path, aspect: Fraction, suffix: str) -> None:
    clip = read_clip(write_video(tmp_path / f"a{suffix}", UPRIGHT[None], pixel_aspect=aspect))
    assert clip.size == (96, 160) and read_number(clip.images[0].numpy()) == 5
    assert len(clip.warnings) == 1 and "taken for square" in clip.warnings[0]


def test_turned_film_with_oblong_pixels(tmp_path: Path) -> None:
    """The pixels are oblong as stored, before the turn."""
    path = write_video(tmp_path / "a.mp4", UPRIGHT[None], pixel_aspect=Fraction(3, 2))
    tag_display(path, 0, 1, -1, 0)
    clip = read_clip(path)
    assert clip.size == (240, 96) and clip.source_size == (160, 96)


@pytest.mark.parametrize("suffix", [".png", ".webp", ".tif", ".gif"])
def test_transparent_images_lie_over_black(tmp_path: Path, suffix: str) -> None:
    picture = np.full((64, 64, 4), 200, np.uint8)
    picture[:32, :, 3], picture[32:, :, 3] = 255, 0
    Image.fromarray(picture).save(tmp_path / f"a{suffix}", **({"lossless": True} if suffix == ".webp" else {}))
    image = read_clip(tmp_path / f"a{suffix}").images[0].numpy()
    assert np.abs(image[:24].astype(int) - 200).max() <= 4 and image[40:].max() <= 4


@pytest.mark.parametrize("suffix", [".webp", ".png", ".tif"])
def test_films_in_image_formats_are_said(tmp_path: Path, suffix: str) -> None:
    first, *others = (Image.fromarray(picture) for picture in numbered_pictures(3))
    first.save(tmp_path / f"a{suffix}", save_all=True, append_images=others)
    clip = read_clip(tmp_path / f"a{suffix}")
    assert clip.num_frames == 1 and read_number(clip.images[0].numpy()) == 0
    assert len(clip.warnings) == 1 and "holds 3 pictures" in clip.warnings[0]


# High dynamic range ---------------------------------------------------------------------------------------------------

PQ, HLG = 16, 18
MATRIX_2020 = np.array([[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]])
"""Linear BT.709 to linear BT.2020 (ITU-R BT.2087)."""


def pq_signal(nits: float) -> float:
    """SMPTE ST 2084, from light to signal."""
    y = (nits / 10_000) ** 0.1593017578125
    return float(((0.8359375 + 18.8515625 * y) / (1 + 18.6875 * y)) ** 78.84375)


def hlg_signal(scene: float) -> float:
    """ITU-R BT.2100, from light of the scene to signal."""
    if scene <= 1 / 12:
        return float(np.sqrt(3 * scene))
    return float(0.17883277 * np.log(12 * scene - 0.28466892) + 0.55991073)


def write_signals(path: Path, signals: np.ndarray, transfer: int, *, full: bool = False) -> Path:
    """Patches of (N, 3) R'G'B' signals of BT.2020, side by side, 10 bits, narrow or full range, BT.2020 matrix."""
    red, green, blue = signals.T
    luma = 0.2627 * red + 0.6780 * green + 0.0593 * blue
    by_luma, by_chroma, black = (1023, 1023, 0) if full else (876, 896, 64)
    chroma = np.stack([(blue - luma) / 1.8814, (red - luma) / 1.4746]) * by_chroma + 512
    planes = np.stack([luma * by_luma + black, *chroma])
    planes = np.repeat(np.repeat(planes.round().astype(np.uint16)[:, None], 64, axis=1), 32, axis=2)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=10)
        stream.height, stream.width, stream.pix_fmt = 64, planes.shape[2], "yuv444p10le"
        context = stream.codec_context
        context.color_trc, context.color_primaries, context.colorspace = transfer, 9, 9
        context.color_range = 2 if full else 1
        frame = av.VideoFrame(planes.shape[2], 64, "yuv444p10le")
        for plane, values in zip(frame.planes, planes, strict=True):
            rows = np.frombuffer(plane, np.uint16).reshape(64, -1)
            rows[:, : values.shape[1]] = values
        frame.colorspace, frame.color_range = 9, 2 if full else 1
        frame.pts, frame.time_base = 0, Fraction(1, 10)
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def read_patches(path: Path) -> np.ndarray:
    image = read_clip(path).images[0].numpy()
    return image[32, 16::32].astype(int)


def srgb(light: np.ndarray | float) -> np.ndarray:
    light = np.asarray(light)
    return 255 * np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)


def test_pq_shows_ordinary_lights_as_they_are(tmp_path: Path) -> None:
    """Grey up to 60 % of diffuse white (203 nits) looks as it does in a film of ordinary range."""
    nits = np.array([0.0, 2.0, 10.0, 26.0, 60.0, 120.0])
    signals = np.repeat([[pq_signal(value)] for value in nits], 3, axis=1)
    shown = read_patches(write_signals(tmp_path / "a.mkv", signals, PQ))
    np.testing.assert_allclose(shown, np.repeat(srgb(nits / 203)[:, None], 3, axis=1), atol=2)


def test_hlg_shows_ordinary_lights_as_they_are(tmp_path: Path) -> None:
    """A display of 1,000 nits shows grey of the scene's light E at 1000 · E^1.2 (ITU-R BT.2100)."""
    scene = np.array([0.0, 0.005, 0.02, 0.05, 0.1, 0.17])
    signals = np.repeat([[hlg_signal(value)] for value in scene], 3, axis=1)
    shown = read_patches(write_signals(tmp_path / "a.mkv", signals, HLG))
    np.testing.assert_allclose(shown, np.repeat(srgb(1000 * scene**1.2 / 203)[:, None], 3, axis=1), atol=2)


@pytest.mark.parametrize("transfer", [PQ, HLG])
def test_bright_lights_are_told_apart(tmp_path: Path, transfer: int) -> None:
    """Diffuse white is nine tenths of the display's signal; lights above it grow lighter up to the end."""
    nits = np.array([203.0, 300.0, 500.0, 1000.0])
    values = [pq_signal(value) if transfer == PQ else hlg_signal((value / 1000) ** (1 / 1.2)) for value in nits]
    shown = read_patches(write_signals(tmp_path / "a.mkv", np.repeat(np.array(values)[:, None], 3, axis=1), transfer))
    assert shown[0, 0] == pytest.approx(float(srgb(0.8)), abs=2)
    assert (np.diff(shown[:, 0]) >= 3).all() and shown[-1, 0] < 255


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("transfer", [PQ, HLG])
def test_colours_keep_their_hue(tmp_path: Path, transfer: int, full: bool) -> None:
    """Colours of BT.709 inside the wide space of BT.2020 come back: skin, sky, leaf, red."""
    colours = np.array([[0.45, 0.25, 0.18], [0.15, 0.28, 0.50], [0.10, 0.22, 0.05], [0.5, 0.05, 0.05]])
    nits = 203 * colours @ MATRIX_2020.T
    if transfer == PQ:
        signals = np.vectorize(pq_signal)(nits)
    else:
        light = nits / 1000
        luminance = (light @ np.array([0.2627, 0.6780, 0.0593]))[:, None]
        signals = np.vectorize(hlg_signal)(light * luminance ** (1 / 1.2 - 1))
    shown = read_patches(write_signals(tmp_path / "a.mkv", signals, transfer, full=full))
    np.testing.assert_allclose(shown, srgb(colours), atol=3)


def test_ordinary_ten_bits_are_left_alone(tmp_path: Path) -> None:
    """The transfer function of BT.2020 for ten bits (14) is that of ordinary films."""
    signals = np.array([[0.1] * 3, [0.5] * 3, [0.9] * 3])
    shown = read_patches(write_signals(tmp_path / "a.mkv", signals, 14))
    np.testing.assert_allclose(shown, 255 * signals, atol=1)
