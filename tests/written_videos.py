"""Small videos that tests write, with the frame number readable from every picture."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

_BITS = 8
_MILLISECONDS = Fraction(1, 1000)


def numbered_pictures(count: int, height: int = 96, width: int = 128) -> np.ndarray:
    """(count, height, width, 3): a slowly sliding texture; the top strip shows the number in black and white blocks."""
    rng = np.random.default_rng(5)
    coarse = rng.integers(60, 200, (height // 8 + 2, width // 8 + 2 + count, 3))
    texture = np.repeat(np.repeat(coarse, 8, axis=0), 8, axis=1)
    pictures = np.stack([texture[:height, 2 * i : 2 * i + width] for i in range(count)]).astype(np.uint8)
    for index, picture in enumerate(pictures):
        for bit in range(_BITS):
            left, right = bit * width // _BITS, (bit + 1) * width // _BITS
            picture[: height // 6, left:right] = 235 if index >> bit & 1 else 20
    return pictures


def read_number(picture: np.ndarray) -> int:
    """The number that ``numbered_pictures`` wrote, from a picture of any size."""
    height, width = picture.shape[:2]
    strip = picture[height // 20 : height // 8].mean(axis=(0, 2))
    return sum(1 << bit for bit in range(_BITS) if strip[int((bit + 0.5) * width / _BITS)] > 128)


def write_video(
    path: Path,
    pictures: np.ndarray,
    *,
    fps: float = 10.0,
    times_s: Sequence[float] | None = None,
    codec: str = "libx264",
    pixel_format: str = "yuv420p",
    pixel_aspect: Fraction | None = None,
    options: dict[str, str] | None = None,
    title: str | None = None,
) -> Path:
    """Encode (T, H, W, 3 or 4) 8-bit pictures; ``times_s`` gives each its own time, ``options`` are the codec's."""
    rate = Fraction(fps).limit_denominator(1000)
    with av.open(str(path), "w") as container:
        if title is not None:
            container.metadata["title"] = title
        stream = container.add_stream(codec, rate=rate)
        stream.height, stream.width, stream.pix_fmt = *pictures.shape[1:3], pixel_format
        if codec == "libx264":
            stream.options = {"crf": "12", "preset": "ultrafast"}
        stream.options = stream.options | (options or {})
        if pixel_aspect is not None:
            stream.codec_context.sample_aspect_ratio = pixel_aspect
        base = 1 / rate if times_s is None else _MILLISECONDS
        stream.codec_context.time_base = base
        for index, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(picture, format="rgba" if picture.shape[-1] == 4 else "rgb24")
            frame = frame.reformat(format=pixel_format)
            frame.pts = index if times_s is None else round(times_s[index] / _MILLISECONDS)
            frame.time_base = base
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def tag_quarter_turn_clockwise(path: Path) -> None:
    """Set the display matrix that phones write when held upright: show the stored picture turned right by 90°."""
    tag_display(path, 0, 1, -1, 0)


def tag_display(path: Path, a: float, b: float, c: float, d: float) -> None:
    """Set the display matrix of an mp4 or mov file.

    ISO/IEC 14496-12, 8.3.2: the matrix {a b u, c d v, x y w} of the track header maps (p, q) to (a·p + c·q, b·p + d·q).
    """
    data = bytearray(path.read_bytes())
    place = data.index(b"tkhd") + 4 + 40
    a, b, c, d = (round(value * (1 << 16)) for value in (a, b, c, d))
    data[place : place + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(data)


def write_images(folder: Path, pictures: np.ndarray, *, suffix: str = ".png", pattern: str = "{}") -> Path:
    """One file per picture, numbered from 1."""
    from PIL import Image

    folder.mkdir(parents=True, exist_ok=True)
    for index, picture in enumerate(pictures):
        Image.fromarray(picture).save(folder / (pattern.format(index + 1) + suffix))
    return folder
