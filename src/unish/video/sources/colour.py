"""Decoded frames to 8-bit RGB: any pixel format, alpha, and high dynamic range."""

from __future__ import annotations

from enum import IntEnum

import numpy as np
from av.video.frame import VideoFrame
from jaxtyping import Float64, UInt8
from numpy import ndarray


class Transfer(IntEnum):
    """Transfer functions of high dynamic range, by their numbers in ITU-T H.273."""

    PQ = 16
    HLG = 18


BT2020 = 9
"""Number of the primaries of ITU-R BT.2020 in ITU-T H.273."""

_WHITE_NITS = 203.0
"""Luminance of diffuse white in HDR pictures (ITU-R BT.2408)."""
_HLG_PEAK_NITS, _HLG_GAMMA = 1000.0, 1.2
"""The reference display of HLG (ITU-R BT.2100)."""
_FULL_48 = 65280.0
"""Full signal in FFmpeg's 48-bit RGB: 255 · 256."""
_KNEE = 0.6
"""Share of diffuse white up to which SDR shows a luminance as it is; what is above is compressed."""
_LUMA_2020 = np.array([0.2627, 0.6780, 0.0593])
_LUMA = {
    1: np.array([0.2126, 0.7152, 0.0722]), 5: np.array([0.299, 0.587, 0.114]), 6: np.array([0.299, 0.587, 0.114]),
    BT2020: _LUMA_2020, 10: _LUMA_2020,
}  # fmt: skip
"""Shares of R, G and B in the luma, by the number of the matrix in ITU-T H.273."""
_FULL_RANGE = 2
"""Of a frame whose codes take all values."""
_FROM_2020 = np.array([[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]])
"""Linear BT.2020 to linear BT.709 (ITU-R BT.2087)."""


def to_rgb(frame: VideoFrame, size: tuple[int, int]) -> UInt8[ndarray, "h w 3"]:
    """Convert and shrink to (height, width) in one step, averaging over areas; alpha is laid over black."""
    has_alpha = "a" in frame.format.name.replace("gray", "") or frame.format.has_palette
    name = "rgba" if has_alpha else "rgb24"
    image = frame.reformat(width=size[1], height=size[0], format=name, interpolation="AREA").to_ndarray()
    if not has_alpha:
        return image
    opacity = image[..., 3:].astype(np.uint16)
    return ((image[..., :3] * opacity + 127) // 255).astype(np.uint8)


def hdr_to_rgb(
    frame: VideoFrame, size: tuple[int, int], transfer: Transfer, *, wide: bool = True
) -> UInt8[ndarray, "h w 3"]:
    """The same for a PQ or HLG frame: what a good player shows on an ordinary (sRGB) display.

    Diffuse white is mapped to 80 % of the display's light, lights above it come near to all of it, and what is darker
    than 60 % of diffuse white keeps its luminance.

    Args:
        wide: the primaries are those of BT.2020, not of BT.709.
    """
    signal = _read_signal(frame, size, wide=wide)
    light = (_pq_nits(signal) if transfer is Transfer.PQ else _hlg_nits(signal)) / _WHITE_NITS
    # One factor for the three channels keeps the hue of bright colours.
    brightest = light.max(axis=-1, keepdims=True)
    light = light * (_compress(brightest) / np.maximum(brightest, 1e-6))
    if wide:
        light = light @ _FROM_2020.T
    light = light.clip(0, 1)
    shown = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    return (shown * 255).round().astype(np.uint8)


def _read_signal(frame: VideoFrame, size: tuple[int, int], *, wide: bool) -> Float64[ndarray, "h w 3"]:
    """Non-linear R'G'B', 0 to 1.

    Y'CbCr is converted here (ITU-R BT.2100 and BT.709): older FFmpeg bindings take BT.2020 for BT.601.
    """
    if frame.format.is_rgb:
        stored = frame.reformat(width=size[1], height=size[0], format="rgb48le", interpolation="AREA").to_ndarray()
        return np.minimum(stored / _FULL_48, 1.0)
    stored = frame.reformat(width=size[1], height=size[0], format="yuv444p16le", interpolation="AREA").to_ndarray()
    bits = frame.format.components[0].bits
    codes = stored.astype(np.float64) / 2 ** (16 - bits)
    if frame.color_range == _FULL_RANGE:
        luma, chroma = codes[..., 0] / (2**bits - 1), (codes[..., 1:] - 2 ** (bits - 1)) / (2**bits - 1)
    else:
        eighth = codes / 2 ** (bits - 8)
        luma, chroma = (eighth[..., 0] - 16) / 219, (eighth[..., 1:] - 128) / 224
    red, _, blue = _LUMA.get(int(frame.colorspace), _LUMA_2020 if wide else _LUMA[1])
    r = luma + 2 * (1 - red) * chroma[..., 1]
    b = luma + 2 * (1 - blue) * chroma[..., 0]
    g = (luma - red * r - blue * b) / (1 - red - blue)
    return np.stack([r, g, b], axis=-1).clip(0.0, 1.0)


def _compress(light: Float64[ndarray, "*S"]) -> Float64[ndarray, "*S"]:
    """1 is diffuse white; straight up to the knee, then with a slope that falls from 1 to 0."""
    above = np.maximum(light - _KNEE, 0.0)
    return np.minimum(light, _KNEE) + (1 - _KNEE) * above / (above + 1 - _KNEE)


def _pq_nits(signal: Float64[ndarray, "*S"]) -> Float64[ndarray, "*S"]:
    """SMPTE ST 2084."""
    root = signal ** (32 / 2523)
    return 10_000.0 * (np.maximum(root - 107 / 128, 0.0) / (2413 / 128 - 2392 / 128 * root)) ** (8192 / 1305)


def _hlg_nits(signal: Float64[ndarray, "*S 3"]) -> Float64[ndarray, "*S 3"]:
    """ITU-R BT.2100: to the light of the scene, and from there to that of the reference display."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    scene = np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - c) / a) + b) / 12)
    luminance = np.maximum((scene @ _LUMA_2020)[..., None], 1e-6)
    return _HLG_PEAK_NITS * luminance ** (_HLG_GAMMA - 1) * scene
