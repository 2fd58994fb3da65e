"""Which of the streams of a file is the film."""

from __future__ import annotations

from pathlib import Path

from av.container import InputContainer
from av.stream import Disposition
from av.video.stream import VideoStream

from unish.errors import InputError

_NO_FILM = Disposition.attached_pic | Disposition.timed_thumbnails


def choose_track(container: InputContainer, path: Path, warnings: list[str]) -> VideoStream:
    """The default video track, the largest one where several or none are the default; pictures of a cover never.

    Raises:
        InputError: there is no video track that can be decoded.
    """
    films = [stream for stream in container.streams.video if not stream.disposition & _NO_FILM]
    if not films:
        what = "the only picture is a cover" if container.streams.video else "there is no video stream in this file"
        raise InputError(f"{path}: {what}; give a video or a folder of images")
    decodable = [stream for stream in films if stream.codec_context is not None]
    if not decodable:
        raise InputError(f"{path}: its pictures are in a format that cannot be decoded; convert it to H.264 first")
    default = [stream for stream in decodable if stream.disposition & Disposition.default]
    chosen = max(default or decodable, key=lambda stream: stream.width * stream.height)
    if len(films) > 1:
        others = ", ".join(_describe(stream) for stream in films if stream is not chosen)
        warnings.append(
            f"{path.name} has {len(films)} video tracks: {_describe(chosen)} was used, not {others}; "
            "another one has to be a file of its own"
        )
    return chosen


def _describe(stream: VideoStream) -> str:
    size = f" ({stream.width}×{stream.height})" if stream.codec_context is not None else ""
    return f"track {stream.index}{size}"
