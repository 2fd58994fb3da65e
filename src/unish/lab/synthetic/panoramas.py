"""Skies from photographs: Radiance RGBE panoramas and the light that they shed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Float32, UInt8
from numpy import ndarray
from PIL import Image

from unish.errors import InputError


@dataclass(frozen=True, kw_only=True)
class Sky:
    """A panorama as a texture layer with its light, in stage axes; azimuth 0 (+x) is at the left edge of the picture.

    Attributes:
        layer: of the texture bank.
        sun_direction: (3,) unit, towards the brightest place above the horizon.
        sun_colour, sky_colour: (3,) linear, as ``Lighting`` takes them.
    """

    layer: int
    sun_direction: Float[ndarray, "3"]
    sun_colour: Float[ndarray, "3"]
    sky_colour: Float[ndarray, "3"]


def read_radiance(path: Path) -> Float32[ndarray, "H W 3"]:
    """Linear RGB of a Radiance picture (.hdr): RGBE pixels, flat or run-length coded by channel (Ward 1991).

    Raises:
        InputError: not such a file, cut off, or stored in another order than top to bottom, left to right.
    """
    data = path.read_bytes()
    head, _, rest = data.partition(b"\n\n")
    size_line, _, body = rest.partition(b"\n")
    size = size_line.split()
    if not head.startswith(b"#?") or len(size) != 4 or size[0] != b"-Y" or size[2] != b"+X":
        raise InputError(f"{path}: not a Radiance picture of rows from the top; convert it to .png or take it out")
    height, width = int(size[1]), int(size[3])
    try:
        rgbe = _unpack(body, height, width)
    except (IndexError, ValueError):
        raise InputError(f"{path}: the picture is cut off; copy it again or take it out") from None
    scale = np.where(rgbe[..., 3:] > 0, np.ldexp(np.float32(1), rgbe[..., 3:].astype(np.int32) - 136), 0)
    return ((rgbe[..., :3] + 0.5) * scale).astype(np.float32)


def _unpack(body: bytes, height: int, width: int) -> UInt8[ndarray, "H W 4"]:
    """Pixels of all rows. Every coded row starts with 2, 2 and its length; then come the channels one after another."""
    if body[:4] != bytes([2, 2, width >> 8, width & 255]):
        return np.frombuffer(body[: height * width * 4], np.uint8).reshape(height, width, 4)
    rows, at = np.zeros((height, 4, width), np.uint8), 0
    for row in rows:
        at += 4
        for channel in row:
            filled = 0
            while filled < width:
                count = body[at]
                if count > 128:
                    channel[filled : filled + count - 128] = body[at + 1]
                    filled, at = filled + count - 128, at + 2
                else:
                    channel[filled : filled + count] = np.frombuffer(body, np.uint8, count, at + 1)
                    filled, at = filled + count, at + 1 + count
    return rows.transpose(0, 2, 1)


def develop_sky(panorama: Float32[ndarray, "H W 3"], side: int, layer: int) -> tuple[UInt8[ndarray, "S S 3"], Sky]:
    """A panorama as a square texture, exposed for its upper half, and the light that its upper half sheds.

    The sun is what is brighter than 20 times the median; the rest is the sky's light.
    """
    upper = panorama[: max(len(panorama) // 2, 1)].astype(np.float64)
    rows, columns = upper.shape[:2]
    elevation = np.pi / 2 * (1 - (np.arange(rows) + 0.5) / rows)
    azimuth = 2 * np.pi * (np.arange(columns) + 0.5) / columns
    weight = np.cos(elevation)[:, None] * np.ones(columns)
    level = upper.mean(-1)
    exposure = 0.45 / max(float(np.median(level)), 1e-6)
    brightest = np.unravel_index(int(level.argmax()), level.shape)
    up, turn = max(float(elevation[brightest[0]]), 0.15), float(azimuth[brightest[1]])
    direction = np.array([np.cos(up) * np.cos(turn), np.sin(up), np.cos(up) * np.sin(turn)])
    bright = level > 20 * np.median(level)
    total = (weight * 1.0).sum()
    sun = (upper * (weight * bright)[..., None]).sum((0, 1)) / total * exposure * 2
    sky = (upper * (weight * ~bright)[..., None]).sum((0, 1)) / total * exposure
    shown = np.sqrt(1 - np.exp(-panorama * exposure))  # highlights roll off; gamma 2, as the renderers take it
    picture = Image.fromarray((shown * 255 + 0.5).astype(np.uint8)).resize((side, side), Image.Resampling.BOX)
    light = Sky(
        layer=layer,
        sun_direction=direction,
        sun_colour=sun * min(1.0, 1.1 / max(float(sun.max()), 1e-9)),
        sky_colour=np.clip(sky, 0.05, 0.9),
    )
    return np.asarray(picture), light
