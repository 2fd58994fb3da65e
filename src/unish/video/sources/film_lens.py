"""The focal length that phones write into their films, as metadata of the file or of a track."""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

from unish.geometry.lens import focal_of_equivalent
from unish.structs import Lens
from unish.video.sources.exif_lens import is_equivalent, read_number

EQUIVALENT_KEY = "com.apple.quicktime.camera.focal_length.35mm_equivalent"
MODEL_KEY = "com.apple.quicktime.camera.lens_model"

SENSOR_ASPECT = 4 / 3
"""Sensors of phones; a film takes all of their width, or a little less."""

FILM_SIGMA, MODEL_SIGMA = 0.1, 0.13
"""1σ of the logarithm of a focal length: modes of a film cut the sensor, and stabilising a film cuts it once more, by
up to a fifth, which hardly any file says; and where the lens alone is named."""

MODEL_EQUIVALENT_MM = {
    "3.99": 28, "4": 28, "4.15": 29, "4.2": 26, "4.25": 26, "5.1": 26, "5.7": 26, "5.96": 26, "6.765": 24, "6.86": 24,
}  # fmt: skip
"""By the focal length in the name of the main camera at the back of an iPhone: its photographs state both in EXIF."""

_MODEL = re.compile(r"\bback\b.*?(\d+(?:\.\d+)?) ?mm", re.IGNORECASE)
_MAX_BYTES, _MAX_DEPTH = 1 << 20, 6
_PARENT_BOXES = (b"moov", b"trak", b"udta")


def read_film_lens(metadata: Mapping[str, str], size: tuple[int, int]) -> Lens | None:
    """The lens by the metadata of a film; ``None`` where they do not tell.

    Args:
        metadata: of the container and of the track, ``read_track_keys`` among them.
        size: (height, width) of the picture with square pixels.
    """
    values = {key.lower(): value for key, value in metadata.items()}
    # Some files say in which language a value is: "….lens_model-eng".
    stated = {key: next((v for k, v in values.items() if k.startswith(key)), "") for key in (EQUIVALENT_KEY, MODEL_KEY)}
    equivalent, sigma, key = read_number(stated[EQUIVALENT_KEY].lower().removesuffix("mm")), FILM_SIGMA, EQUIVALENT_KEY
    if not is_equivalent(equivalent):
        named = _MODEL.search(stated[MODEL_KEY])
        equivalent = MODEL_EQUIVALENT_MM.get(named[1] if named else "", math.nan)
        sigma, key = MODEL_SIGMA, MODEL_KEY
    if not is_equivalent(equivalent):
        return None
    focal = focal_of_equivalent(equivalent, size, (SENSOR_ASPECT, SENSOR_ASPECT))
    return Lens(focal=focal, log_sigma=sigma, source="metadata", told_by=key)


def read_track_keys(path: Path) -> dict[str, str]:
    """What the ``meta`` boxes of a QuickTime or MP4 file say by name, those of its tracks included.

    Apple's phones describe the lens in the track, and FFmpeg reads such boxes of the file alone. QuickTime File Format,
    "Metadata": ``meta`` holds ``keys``, a list of names, and ``ilst``, whose items are numbered by that list from 1 on.

    Returns:
        Texts and numbers; nothing for files of another kind, and for boxes that are broken.
    """
    found: dict[str, str] = {}
    try:
        with path.open("rb") as file:
            head = file.read(8)
            if head[4:] not in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"):
                return {}
            file.seek(0, 2)
            for keys, items in _find_lists(file, 0, file.tell(), 0):
                found |= _join(keys, items)
    except (OSError, struct.error, ValueError):
        return found
    return found


def _find_lists(file: BinaryIO, start: int, end: int, depth: int) -> Iterator[tuple[bytes, bytes]]:
    """Bodies of ``keys`` and ``ilst`` of every ``meta`` box."""
    lists: dict[bytes, bytes] = {}
    for kind, first, last in _boxes(file, start, end):
        if kind == b"meta" and depth < _MAX_DEPTH:
            file.seek(first)
            # In MP4 a version stands before the boxes inside; in QuickTime it does not.
            inside = first if file.read(8)[4:] in (b"hdlr", b"keys", b"ilst") else first + 4
            yield from _find_lists(file, inside, last, depth + 1)
        elif kind in _PARENT_BOXES and depth < _MAX_DEPTH:
            yield from _find_lists(file, first, last, depth + 1)
        elif kind in (b"keys", b"ilst") and last - first <= _MAX_BYTES:
            file.seek(first)
            lists[kind] = file.read(last - first)
    if len(lists) == 2:
        yield lists[b"keys"], lists[b"ilst"]


def _boxes(file: BinaryIO, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Kind, first and last byte of the body of each box; ends where one does not fit."""
    while start + 8 <= end:
        file.seek(start)
        size, kind = struct.unpack(">I4s", file.read(8))
        head = 8
        if size == 1:
            (size,), head = struct.unpack(">Q", file.read(8)), 16
        elif size == 0:
            size = end - start
        if size < head or start + size > end:
            return
        yield kind, start + head, start + size
        start += size


def _join(keys: bytes, items: bytes) -> dict[str, str]:
    names, place = [], 8
    while place + 8 <= len(keys):
        (size,) = struct.unpack_from(">I", keys, place)
        if size < 8:
            break
        names.append(keys[place + 8 : place + size].decode("utf-8", "replace"))
        place += size
    found, place = {}, 0
    while place + 24 <= len(items):
        size, number, _, kind, data_type = struct.unpack_from(">II I4s I", items, place)
        if size < 24:
            break
        if kind == b"data" and 1 <= number <= len(names):
            value = _read_value(data_type, items[place + 24 : place + size])
            if value is not None:
                found[names[number - 1]] = value
        place += size
    return found


def _read_value(data_type: int, raw: bytes) -> str | None:
    """By the well-known types of QuickTime: 1 is text, 21 and 22 are whole numbers, 23 and 24 are others."""
    if data_type == 1:
        return raw.decode("utf-8", "replace").strip("\0 ")
    if data_type in (21, 22) and len(raw) <= 8:
        return str(int.from_bytes(raw, "big", signed=data_type == 21))
    if (data_type, len(raw)) in ((23, 4), (24, 8)):
        return repr(struct.unpack(">f" if len(raw) == 4 else ">d", raw)[0])
    return None
