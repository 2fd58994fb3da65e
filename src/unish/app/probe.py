"""Is an uploaded file a video, and what kind? In a process of its own, for a damaged file may end the decoder.

``python -m unish.app.probe FILE POSTER.jpg`` prints a JSON object: what the file is, or why it is refused.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import av
from PIL import Image

from unish.errors import InputError

KINDS = {
    "mov": ".mp4", "mp4": ".mp4", "matroska": ".mkv", "webm": ".webm", "avi": ".avi", "mpegts": ".ts", "mpeg": ".mpg",
    "asf": ".wmv", "flv": ".flv", "ogg": ".ogv", "gif": ".gif",
}  # fmt: skip
"""Containers that are accepted, by their names in FFmpeg, with the endings of our files.

Lists of other files (m3u8, ffconcat and the like) are not among them: they would have FFmpeg read what they name.
"""
_POSTER_SIDE = 480
_MAX_PIXELS = 64_000_000
_NO_VIDEO = "this is not a video that can be read; give an mp4, mov, mkv, webm, avi or similar file"


def probe(path: Path, poster: Path) -> dict[str, Any]:
    """Suffix, length in seconds, width and height of a video; its first picture is written as a JPEG.

    The length is what the file states, else where its last packet ends, as for recordings of a browser.

    Raises:
        InputError: it is no video, cannot be decoded, or has pictures that are too large.
    """
    options = {"protocol_whitelist": "file", "format_whitelist": ",".join(KINDS)}
    try:
        with av.open(f"file:{path.absolute()}", options=options, metadata_errors="replace") as container:
            suffix = next(KINDS[name] for name in container.format.name.split(",") if name in KINDS)
            films = [stream for stream in container.streams.video if stream.codec_context is not None]
            if not films:
                raise InputError("there are no pictures in this file that can be decoded; give a video")
            film = max(films, key=lambda stream: stream.width * stream.height)
            if film.width * film.height > _MAX_PIXELS:
                raise InputError(f"its pictures have {film.width}×{film.height} pixels, which is too many; shrink it")
            frame = next(container.decode(film))
            _write_poster(frame, poster)
            return {
                "suffix": suffix, "seconds": _find_length(container, film), "width": frame.width,
                "height": frame.height,
            }  # fmt: skip
    except (av.FFmpegError, OSError, ValueError, StopIteration) as error:
        raise error if isinstance(error, InputError) else InputError(_NO_VIDEO) from None


def _write_poster(frame: Any, path: Path) -> None:
    picture: Image.Image = frame.to_image().rotate(frame.rotation, expand=True)
    picture.thumbnail((_POSTER_SIDE, _POSTER_SIDE))
    picture.convert("RGB").save(path, "JPEG", quality=82)


def _find_length(container: Any, film: Any) -> float:
    if container.duration:
        return float(container.duration / av.time_base)
    if film.duration:
        return float(film.duration * film.time_base)
    times = [packet.pts * packet.time_base for packet in container.demux(film) if packet.pts is not None]
    return float(max(times, default=0))


def main(file: str, poster: str) -> int:
    try:
        found = probe(Path(file), Path(poster))
    except InputError as error:
        found = {"error": str(error)}
    print(json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:3]))
