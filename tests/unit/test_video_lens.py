"""Focal lengths that files state: of photographs in EXIF, of films in the metadata of the file or of its track."""

from __future__ import annotations

import importlib.util
import math
import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image, TiffImagePlugin

from unish.geometry.lens import focal_of_equivalent, focal_of_field_of_view
from unish.structs import Lens
from unish.video import read_clip
from unish.video.sources.exif_lens import read_exif_lens
from unish.video.sources.film_lens import EQUIVALENT_KEY, MODEL_KEY, read_film_lens, read_track_keys
from written_videos import numbered_pictures, tag_quarter_turn_clockwise, write_video

EQUIVALENT, ZOOM, FOCAL, WIDTH, HEIGHT = 0xA405, 0xA404, 0x920A, 0xA002, 0xA003
PLANE_X, PLANE_Y, PLANE_UNIT = 0xA20E, 0xA20F, 0xA210
DIAGONAL_MM = 43.2666


def picture(width: int, height: int) -> Image.Image:
    return Image.fromarray(numbered_pictures(1, height, width)[0])


def write_photo(
    path: Path, tags: Mapping[int, Any], *, size: tuple[int, int] = (160, 120), turned: bool = False
) -> Path:
    """(width, height) ``size`` as stored."""
    exif = Image.Exif()
    exif[0x0112] = 6 if turned else 1
    exif.get_ifd(0x8769).update(tags)
    picture(*size).save(path, exif=exif.tobytes())
    return path


def read_lens(path: Path) -> Lens:
    lens = read_clip(path, soft_changes=False).lens
    assert lens is not None
    return lens


def angle_of_diagonal(lens: Lens) -> float:
    return math.degrees(2 * math.atan(0.5 / lens.focal))


def add_track_keys(path: Path, values: Mapping[str, str], *, full_box: bool = False) -> Path:
    """Give the first track of a film a ``meta`` box with these values, as Apple's phones do.

    The film's index must stand at its end (as FFmpeg writes it by default), for then nothing that it points to moves.
    """

    def box(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I4s", 8 + len(body), kind) + body

    keys = b"".join(struct.pack(">I4s", 8 + len(key), b"mdta") + key.encode() for key in values)
    items = b"".join(
        struct.pack(">II", 24 + len(text.encode()), number)
        + struct.pack(">I4sII", 16 + len(text.encode()), b"data", 1, 0)
        + text.encode()
        for number, text in enumerate(values.values(), start=1)
    )
    handler = box(b"hdlr", struct.pack(">II4s", 0, 0, b"mdta") + bytes(13))
    inside = handler + box(b"keys", struct.pack(">II", 0, len(values)) + keys) + box(b"ilst", items)
    meta = box(b"meta", (bytes(4) if full_box else b"") + inside)
    data = path.read_bytes()
    moov, trak = data.rindex(b"moov") - 4, data.rindex(b"trak") - 4
    grown = bytearray(data)
    for start in (moov, trak):
        (size,) = struct.unpack_from(">I", data, start)
        struct.pack_into(">I", grown, start, size + len(meta))
    (size,) = struct.unpack_from(">I", data, trak)
    path.write_bytes(bytes(grown[: trak + size]) + meta + bytes(grown[trak + size :]))
    return path


def write_film(path: Path, metadata: Mapping[str, str], *, size: tuple[int, int] = (144, 256)) -> Path:
    """A film whose container carries these values by name."""
    pictures = numbered_pictures(4, *size)
    options = {"movflags": "use_metadata_tags"} if path.suffix in (".mp4", ".mov") else {}
    with av.open(str(path), "w", options=options) as container:
        container.metadata.update(metadata)
        stream = container.add_stream("libx264", rate=10)
        stream.height, stream.width, stream.pix_fmt = *size, "yuv420p"
        for one in pictures:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(one, format="rgb24")))
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif", ".avif", ".heic"])
def test_photographs_of_every_format_state_their_equivalent_focal_length(tmp_path: Path, suffix: str) -> None:
    if suffix == ".heic":
        if importlib.util.find_spec("pi_heif") is None or importlib.util.find_spec("pillow_heif") is None:
            pytest.skip("needs pi_heif to read and pillow_heif to write HEIC")
        import pillow_heif

        pillow_heif.register_heif_opener()
    lens = read_lens(write_photo(tmp_path / f"a{suffix}", {EQUIVALENT: 28}))
    # CIPA DCG-001: by the diagonal of 43.27 mm.
    assert angle_of_diagonal(lens) == pytest.approx(math.degrees(2 * math.atan(DIAGONAL_MM / 2 / 28)), abs=1e-3)
    assert (lens.source, lens.told_by, lens.log_sigma) == ("metadata", "FocalLengthIn35mmFilm", 0.03)


def test_a_picture_that_was_taken_upright_has_the_same_lens(tmp_path: Path) -> None:
    lying = read_lens(write_photo(tmp_path / "a.jpg", {EQUIVALENT: 28}))
    turned = read_lens(write_photo(tmp_path / "b.jpg", {EQUIVALENT: 28}, turned=True))
    upright = read_lens(write_photo(tmp_path / "c.jpg", {EQUIVALENT: 28}, size=(120, 160)))
    assert lying == turned == upright


def test_the_size_of_a_pixel_on_the_sensor_tells_too(tmp_path: Path) -> None:
    # A sensor 36 mm wide, 6000 pixels across, behind 50 mm; the picture was shrunk since.
    plane = {FOCAL: 50.0, WIDTH: 6000, HEIGHT: 4000, PLANE_X: 6000 / 3.6, PLANE_Y: 4000 / 2.4, PLANE_UNIT: 3}
    lens = read_lens(write_photo(tmp_path / "a.jpg", plane, size=(150, 100)))
    assert lens.focal == pytest.approx(50 / DIAGONAL_MM, rel=1e-4)
    assert lens.told_by == "FocalLength"
    inch = plane | {PLANE_X: 6000 / 36 * 25.4, PLANE_Y: 4000 / 24 * 25.4, PLANE_UNIT: 2}
    assert read_lens(write_photo(tmp_path / "b.jpg", inch, size=(150, 100))).focal == pytest.approx(
        lens.focal, rel=1e-4
    )
    both = read_lens(write_photo(tmp_path / "c.jpg", plane | {EQUIVALENT: 50}, size=(150, 100)))
    assert both.told_by == "FocalLengthIn35mmFilm"


@pytest.mark.parametrize(
    "changed",
    [{PLANE_Y: 800.0}, {PLANE_X: 1e9, PLANE_Y: 1e9}, {FOCAL: 0.0}, {PLANE_UNIT: 77}, {WIDTH: 0}, {FOCAL: 9e5}],
)
def test_sensors_that_cannot_be_say_nothing(changed: dict[int, Any]) -> None:
    plane = {FOCAL: 50.0, WIDTH: 6000, HEIGHT: 4000, PLANE_X: 1667.0, PLANE_Y: 1667.0, PLANE_UNIT: 3}
    assert read_exif_lens(plane, (100, 150)) is not None
    assert read_exif_lens(plane | changed, (100, 150)) is None


@pytest.mark.parametrize(
    "value",
    [0, 1, 65535, "28 mm", b"\xff", (28, 28), None, math.nan, math.inf, -28.0, TiffImagePlugin.IFDRational(28, 0)],
    ids=str,
)
def test_nonsense_says_nothing(value: Any) -> None:
    assert read_exif_lens({EQUIVALENT: value}, (120, 160)) is None


def test_nonsense_in_a_file_spoils_nothing(tmp_path: Path) -> None:
    for number, tags in enumerate(({EQUIVALENT: 0}, {EQUIVALENT: 60000}, {FOCAL: TiffImagePlugin.IFDRational(0, 0)})):
        assert read_clip(write_photo(tmp_path / f"{number}.jpg", tags), soft_changes=False).lens is None


def test_pictures_that_were_cut_since_and_panoramas_have_no_lens() -> None:
    taken = {EQUIVALENT: 28, WIDTH: 4000, HEIGHT: 3000}
    assert read_exif_lens(taken, (750, 1000)) is not None, "shrunk"
    assert read_exif_lens(taken, (1000, 750)) is not None, "turned"
    assert read_exif_lens(taken, (1000, 1000)) is None, "cut"
    assert read_exif_lens({EQUIVALENT: 28}, (500, 2000)) is None, "a panorama"


def test_a_picture_that_is_wider_than_the_sensor_keeps_its_long_side() -> None:
    wide, sensor = (read_exif_lens({EQUIVALENT: 28}, size) for size in ((900, 1600), (1600 * 2 // 3, 1600)))
    assert wide is not None and sensor is not None
    px = [lens.focal * math.hypot(*size) for lens, size in ((wide, (900, 1600)), (sensor, (1600 * 2 / 3, 1600)))]
    assert px[0] == pytest.approx(px[1], rel=1e-3) == pytest.approx(28 / 36 * 1600, rel=1e-3)
    square = read_exif_lens({EQUIVALENT: 28}, (900, 900))
    assert square is not None and square.focal * math.hypot(900, 900) == pytest.approx(28 / 25.96 * 900, rel=1e-3)
    assert wide.log_sigma == square.log_sigma > sensor.log_sigma


def test_a_digital_zoom_that_may_or_may_not_be_counted_is_uncertain() -> None:
    plain, slight, strong = (read_exif_lens({EQUIVALENT: 28, ZOOM: zoom}, (120, 160)) for zoom in (1.0, 1.2, 3.0))
    assert plain is not None and slight is not None and strong is None
    assert slight.focal == pytest.approx(plain.focal * 1.2**0.5)
    assert slight.log_sigma > math.log(1.2) / 2
    assert read_exif_lens({EQUIVALENT: 28, ZOOM: 0}, (120, 160)) == plain, "0: no zoom was used"


def test_a_folder_has_the_lens_that_its_pictures_agree_on(tmp_path: Path) -> None:
    for number in range(3):
        write_photo(tmp_path / f"{number}.jpg", {EQUIVALENT: 28} if number else {})
    assert read_lens(tmp_path).focal == pytest.approx(28 / DIAGONAL_MM, rel=1e-4)
    write_photo(tmp_path / "2.jpg", {EQUIVALENT: 50})
    clip = read_clip(tmp_path, soft_changes=False)
    assert clip.lens is None
    assert any("focal lengths that differ by a factor of 1.8" in warning for warning in clip.warnings)
    write_photo(tmp_path / "1.jpg", {})
    assert read_clip(tmp_path, soft_changes=False).lens is None, "one of three is too few"


@pytest.mark.parametrize("suffix", [".mov", ".mp4", ".mkv"])
def test_films_state_their_lens_in_the_container(tmp_path: Path, suffix: str) -> None:
    lens = read_lens(write_film(tmp_path / f"a{suffix}", {EQUIVALENT_KEY: "27"}))
    # A phone's sensor is 4:3, and a film takes its whole width.
    assert lens.focal * math.hypot(9, 16) == pytest.approx(27 / DIAGONAL_MM * math.hypot(16, 12), rel=1e-4)
    assert (lens.source, lens.told_by, lens.log_sigma) == ("metadata", EQUIVALENT_KEY, 0.1)


@pytest.mark.parametrize("full_box", [False, True], ids=["QuickTime", "MP4"])
def test_films_state_their_lens_in_the_track(tmp_path: Path, full_box: bool) -> None:
    path = write_video(tmp_path / "a.mov", numbered_pictures(4, 144, 256))
    add_track_keys(path, {"com.apple.quicktime.other": "é", EQUIVALENT_KEY: "50.00mm"}, full_box=full_box)
    with av.open(str(path)) as container:
        assert EQUIVALENT_KEY not in container.metadata | container.streams.video[0].metadata
    assert read_lens(path).focal == pytest.approx(focal_of_equivalent(50, (144, 256), (4 / 3, 4 / 3)))


def test_a_film_that_is_shown_upright_has_the_same_lens(tmp_path: Path) -> None:
    lying = write_film(tmp_path / "a.mp4", {EQUIVALENT_KEY: "27"})
    upright = write_film(tmp_path / "b.mp4", {EQUIVALENT_KEY: "27"})
    tag_quarter_turn_clockwise(upright)
    assert read_clip(upright, soft_changes=False).size[0] > read_clip(upright, soft_changes=False).size[1]
    assert read_lens(lying) == read_lens(upright)


@pytest.mark.parametrize(
    ("model", "equivalent"),
    [
        ("iPhone 15 Pro back camera 6.765mm f/1.78", 24),
        ("iPhone 13 Pro back triple camera 5.7mm f/1.5", 26),
        ("iPhone 11 front camera 2.71mm f/2.2", None),
        ("a back camera 123mm f/2", None),
        ("", None),
    ],
)
def test_the_name_of_a_known_lens_is_enough(model: str, equivalent: float | None) -> None:
    lens = read_film_lens({f"{MODEL_KEY}-eng": model}, (1080, 1920))
    if equivalent is None:
        assert lens is None
    else:
        assert lens is not None and lens.focal == focal_of_equivalent(equivalent, (1080, 1920), (4 / 3, 4 / 3))
        assert lens.log_sigma == 0.13


@pytest.mark.parametrize("value", ["0", "1e9", "nan", "", "wide", "-27"])
def test_films_with_nonsense_have_no_lens(value: str) -> None:
    assert read_film_lens({EQUIVALENT_KEY: value}, (1080, 1920)) is None


def spoil_sizes(data: bytes) -> bytes:
    return data.replace(b"keys", b"ke\0s")


def cut_short(data: bytes) -> bytes:
    return data[: data.rindex(b"ilst") + 9]


def lie_about_count(data: bytes) -> bytes:
    place = data.rindex(b"ilst") + 4
    return data[:place] + struct.pack(">II", 2**31, 2**31) + data[place + 8 :]


@pytest.mark.parametrize("damage", [spoil_sizes, cut_short, lie_about_count])
def test_broken_boxes_are_left_alone(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    path = add_track_keys(write_video(tmp_path / "a.mov", numbered_pictures(4, 144, 256)), {EQUIVALENT_KEY: "27"})
    assert read_track_keys(path) == {EQUIVALENT_KEY: "27"}
    path.write_bytes(damage(path.read_bytes()))
    assert read_track_keys(path) == {}


def test_numbers_of_every_kind_are_read(tmp_path: Path) -> None:
    path = add_track_keys(write_video(tmp_path / "a.mov", numbered_pictures(4, 144, 256)), {EQUIVALENT_KEY: "abcd"})
    data = path.read_bytes()
    for kind, raw in ((21, struct.pack(">i", 27)), (22, struct.pack(">I", 27)), (23, struct.pack(">f", 27.0))):
        text = data.rindex(b"abcd")
        path.write_bytes(data[: text - 8] + struct.pack(">II", kind, 0) + raw + data[text + 4 :])
        assert float(read_track_keys(path)[EQUIVALENT_KEY]) == 27.0
    path.write_bytes(data[: text - 8] + struct.pack(">II", 13, 0) + data[text:])
    assert read_track_keys(path) == {}, "a picture is no number"


def test_files_of_other_kinds_have_no_boxes(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"")
    (tmp_path / "b").write_bytes(np.random.default_rng(0).bytes(4096))
    assert read_track_keys(tmp_path / "a") == read_track_keys(tmp_path / "b") == read_track_keys(tmp_path / "c") == {}


def test_a_field_of_view_is_that_of_the_longer_side() -> None:
    for size in ((1080, 1920), (1920, 1080)):
        assert focal_of_field_of_view(90.0, size) * math.hypot(*size) == pytest.approx(960)
