"""OpenEXR files as depth maps come in: single-part scanlines of half, float or whole numbers, not compressed or by ZIP.

Written after the published file layout (https://openexr.com/en/latest/OpenEXRFileLayout.html). PIZ, tiled, deep and
multi-part files are refused by name; convert those once with the tools that come with OpenEXR.
"""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
from jaxtyping import Float32
from numpy import ndarray

from unish.errors import InputError

_MAGIC = 20_000_630
_NOT_SCANLINES = 0x200 | 0x800 | 0x1000  # tiled, deep, multi-part
_LINES_PER_CHUNK = {0: 1, 2: 1, 3: 16}  # none, ZIP of single lines, ZIP
_COMPRESSIONS = ("none", "RLE", "ZIPS", "ZIP", "PIZ", "PXR24", "B44", "B44A", "DWAA", "DWAB")
_TYPES = (np.dtype("<u4"), np.dtype("<f2"), np.dtype("<f4"))
_DEPTH_NAMES = ("Depth", "Z", "R", "Y", "V")


def read_exr(path: Path) -> dict[str, Float32[ndarray, "H W"]]:
    """All channels of a file by name.

    Raises:
        InputError: no such file, damaged, or of a kind that is not read (see above).
    """
    try:
        data = path.read_bytes()
        return _read_channels(path, data)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); check the path") from None
    except (struct.error, zlib.error, ValueError, IndexError, KeyError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: not a whole OpenEXR file ({error}); copy it again") from None


def read_exr_depth(path: Path) -> Float32[ndarray, "H W"]:
    """The channel called Depth, Z, R, Y or V (or ending in ``.R`` …), or the only one; units are the file's.

    Raises:
        InputError: as ``read_exr``, or no channel looks like depth.
    """
    channels = read_exr(path)
    for wanted in _DEPTH_NAMES:
        for name, values in channels.items():
            if name == wanted or name.endswith(f".{wanted}"):
                return values
    if len(channels) == 1:
        return next(iter(channels.values()))
    raise InputError(f"{path}: none of its channels ({', '.join(channels)}) is called Depth or Z; rename one")


def _read_channels(path: Path, data: bytes) -> dict[str, ndarray]:
    magic, version = struct.unpack_from("<ii", data)
    if magic != _MAGIC:
        raise InputError(f"{path}: not an OpenEXR file; give one, or a png or npy")
    if version & _NOT_SCANLINES:
        raise InputError(f"{path}: tiled, deep and multi-part OpenEXR files are not read; store plain scanlines")
    header, start = _read_header(data, 8)
    compression = header["compression"][0]
    if compression not in _LINES_PER_CHUNK:
        raise InputError(f"{path}: {_COMPRESSIONS[compression]} compression is not read; store it with ZIP or none")
    left, top, right, bottom = struct.unpack("<4i", header["dataWindow"])
    width, height = right - left + 1, bottom - top + 1
    channels = _read_channel_list(header["channels"])
    lines = _LINES_PER_CHUNK[compression]
    offsets = struct.unpack_from(f"<{-(-height // lines)}Q", data, start)
    planes = {name: np.empty((height, width), np.float32) for name, _ in channels}
    line_bytes = width * sum(kind.itemsize for _, kind in channels)
    for offset in offsets:
        y, size = struct.unpack_from("<ii", data, offset)
        first = y - top
        count = min(lines, height - first)
        packed = data[offset + 8 : offset + 8 + size]
        raw = packed if size == count * line_bytes else _unpack(packed)
        block = np.frombuffer(raw, np.uint8).reshape(count, line_bytes)
        begin = 0
        for name, kind in channels:
            end = begin + width * kind.itemsize
            planes[name][first : first + count] = np.ascontiguousarray(block[:, begin:end]).view(kind)
            begin = end
    return planes


def _read_header(data: bytes, start: int) -> tuple[dict[str, bytes], int]:
    """Attributes by name, and where the table of chunks begins."""
    attributes = {}
    while data[start] != 0:
        name_end = data.index(0, start)
        type_end = data.index(0, name_end + 1)
        (size,) = struct.unpack_from("<i", data, type_end + 1)
        begin = type_end + 5
        attributes[data[start:name_end].decode()] = data[begin : begin + size]
        start = begin + size
    return attributes, start + 1


def _read_channel_list(data: bytes) -> list[tuple[str, np.dtype]]:
    """Name and type of each channel, in the order in which a line stores them."""
    channels, start = [], 0
    while data[start] != 0:
        end = data.index(0, start)
        kind, _, across, down = struct.unpack_from("<iiii", data, end + 1)
        if (across, down) != (1, 1):
            raise ValueError("a channel of another resolution")
        channels.append((data[start:end].decode(), _TYPES[kind]))
        start = end + 17
    return channels


def _unpack(packed: bytes) -> bytes:
    """Undo ZIP: bytes were split into even and odd ones, then stored as differences plus 128."""
    differences = np.frombuffer(zlib.decompress(packed), np.uint8).copy()
    differences[1:] -= 128
    split = np.cumsum(differences, dtype=np.uint8)
    merged = np.empty_like(split)
    middle = (len(split) + 1) // 2
    merged[0::2], merged[1::2] = split[:middle], split[middle:]
    return merged.tobytes()
