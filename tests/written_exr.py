"""OpenEXR files that tests write: scanlines of float or half, not compressed, ZIPS or ZIP."""

from __future__ import annotations

import struct
import zlib
from itertools import pairwise
from pathlib import Path

import numpy as np

_LINES = {0: 1, 2: 1, 3: 16}


def write_exr(path: Path, channels: dict[str, np.ndarray], *, compression: int = 3, compression_byte: int | None = None,
              top: int = 0, version: int = 2) -> Path:  # fmt: skip
    """Channels (H, W) in float16 or float32; compression 0 none, 2 ZIPS, 3 ZIP."""
    names = sorted(channels)
    height, width = channels[names[0]].shape
    kinds = {np.dtype("f2"): 1, np.dtype("f4"): 2}
    listed = b"".join(
        name.encode() + b"\0" + struct.pack("<iBBBBii", kinds[channels[name].dtype], 0, 0, 0, 0, 1, 1) for name in names
    )
    window = struct.pack("<4i", 0, top, width - 1, top + height - 1)
    attributes = [
        ("channels", "chlist", listed + b"\0"),
        ("compression", "compression", bytes([compression if compression_byte is None else compression_byte])),
        ("dataWindow", "box2i", window),
        ("displayWindow", "box2i", window),
        ("lineOrder", "lineOrder", b"\0"),
        ("pixelAspectRatio", "float", struct.pack("<f", 1)),
        ("screenWindowCenter", "v2f", struct.pack("<2f", 0, 0)),
        ("screenWindowWidth", "float", struct.pack("<f", 1)),
    ]
    header = struct.pack("<ii", 20_000_630, version)
    for name, kind, value in attributes:
        header += name.encode() + b"\0" + kind.encode() + b"\0" + struct.pack("<i", len(value)) + value
    header += b"\0"
    chunks = []
    for first in range(0, height, _LINES[compression]):
        lines = range(first, min(first + _LINES[compression], height))
        raw = b"".join(np.ascontiguousarray(channels[name][line]).tobytes() for line in lines for name in names)
        packed = min(raw, _pack(raw) if compression else raw, key=len)  # what does not shrink is stored as it is
        chunks.append(struct.pack("<ii", top + first, len(packed)) + packed)
    start = len(header) + 8 * len(chunks)
    offsets = [start + sum(len(chunk) for chunk in chunks[:i]) for i in range(len(chunks))]
    path.write_bytes(header + struct.pack(f"<{len(chunks)}Q", *offsets) + b"".join(chunks))
    return path


def _pack(raw: bytes) -> bytes:
    split = raw[0::2] + raw[1::2]
    differences = [split[0], *((b - a + 128) % 256 for a, b in pairwise(split))]
    return zlib.compress(bytes(differences))
