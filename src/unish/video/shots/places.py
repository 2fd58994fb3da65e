"""Whether two thumbnails show a part of the same place: squares of one that are found in the other, shifted alike."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Float64, UInt8
from numpy import ndarray
from scipy.ndimage import map_coordinates, uniform_filter

from unish.video.luma import measure_luma

SAME_PLACE = 0.2
"""Share of the textured area (see ``shared_area``) from which on two pictures show the same place. Of 29 real clips,
pictures of different ones shared at most 0.11, consecutive ones at least 0.32, a cut inside one of them 0.08."""
_SIZES = (1.1, 1.25, 1.45, 1.75, 2.2)
"""Enlargements at which a place is looked for after a zoom; squares are found again at a tenth more or less."""
_PATCH = 7
"""Side, in thumbnail pixels, of the squares that are found again in the other picture."""
_PATCH_CONTRAST, _PATCH_MATCH = 0.02, 0.8
"""Least standard deviation of luma in a square that tells places apart, and correlation at which it is found again."""
_PATCH_LUMA, _PATCH_RICHER = 0.1, 1.7
"""Largest difference of the mean luma, and largest factor between the standard deviations, of squares that agree."""
_NUM_SHIFTS = 12
"""Shifts that are tried of each of the two kinds of correlation."""
_FASTEST = 0.5
"""Share of the width by which something near may move from one frame to the next and still be found again."""
_BAR_LUMA = 0.08
"""Rows and columns at the border that are darker than this all along, in both pictures, are bars and no scene."""
_DARKEST = 0.04
"""Luma below which no gain is computed from what is seen."""


@dataclass(frozen=True, kw_only=True)
class Match:
    """How much of the textured area of two pictures agrees (0 to 1), and how far its content moved, in pixels.

    ``down`` and ``right`` count from the first picture to the second.
    """

    share: float
    down: int
    right: int


def luma_of(thumbnail: UInt8[ndarray, "h w 3"]) -> Float32[ndarray, "h w"]:
    """Rec. 601 luma, 0 to 1."""
    return measure_luma(thumbnail) / 255.0


def show_same_place(first: UInt8[ndarray, "h w 3"], second: UInt8[ndarray, "h w 3"]) -> bool:
    """Whether a part of the view is in both thumbnails, perhaps under another light, or larger."""
    dark, bright = sorted((luma_of(picture) for picture in (first, second)), key=lambda luma: float(luma.mean()))
    levels = [(np.percentile(dark, share), np.percentile(bright, share)) for share in (5, 15, 25, 50)]
    # Whatever clips in the bright picture also clips in the dark one when that is made as bright.
    gains = [1.0, *(max(high, _DARKEST) / max(low, _DARKEST) for low, high in [(dark.mean(), bright.mean()), *levels])]
    lit = (np.minimum(dark * np.float32(gain), np.float32(1)) for gain in gains)
    if any(shared_area(luma, bright) >= SAME_PLACE for luma in lit):
        return True
    pairs = [(enlarge(one, size), other) for size in _SIZES for one, other in ((dark, bright), (bright, dark))]
    return any(shared_area(*pair) >= SAME_PLACE for pair in pairs)


def enlarge(luma: Float32[ndarray, "h w"], size: float) -> Float32[ndarray, "h w"]:
    """The middle of the picture, ``size`` times as large: what a lens that zooms in shows."""
    height, width = luma.shape
    rows, columns = ((np.arange(side) - (side - 1) / 2) / size + (side - 1) / 2 for side in (height, width))
    return map_coordinates(luma, np.meshgrid(rows, columns, indexing="ij"), order=1)


def shared_area(first: Float32[ndarray, "h w"], second: Float32[ndarray, "h w"]) -> float:
    """Share of the textured area whose squares are found in the other picture, all shifted alike; 0 to 1."""
    return best_match(first, second).share


def best_match(first: Float32[ndarray, "h w"], second: Float32[ndarray, "h w"]) -> Match:
    """The shift at which most of the textured area of one picture is found in the other.

    Tried are the shifts at which the correlation peaks, as it is (broad structures) and with all frequencies made equal
    (phase correlation: fine ones, and those that fill a part of the picture only).
    """
    rows, columns = _without_bars(np.maximum(first, second))
    first, second = first[rows, columns], second[rows, columns]
    shifts = {(0, 0)}
    for whitened in (False, True):
        shifts.update(_likely_shifts(first, second, whitened=whitened))
    stats = [_patch_statistics(luma) for luma in (first, second)]
    share, (up, left) = max((_matched_share(first, second, stats, shift), shift) for shift in shifts)
    return Match(share=share, down=-up, right=-left)


def _without_bars(brightest: Float32[ndarray, "h w"]) -> tuple[slice, slice]:
    """Rows and columns between dark bars; the whole picture where nothing or nearly nothing would be left."""
    slices = []
    for axis in (1, 0):
        lit = np.flatnonzero(brightest.max(axis=axis) >= _BAR_LUMA)
        enough = len(lit) > 0 and lit[-1] - lit[0] >= 2 * _PATCH
        slices.append(slice(int(lit[0]), int(lit[-1]) + 1) if enough else slice(None))
    return slices[0], slices[1]


def _likely_shifts(
    first: Float32[ndarray, "h w"], second: Float32[ndarray, "h w"], *, whitened: bool
) -> list[tuple[int, int]]:
    """(rows, columns) by which the content of the first picture lies further down and right than in the second."""
    height, width = first.shape
    window = np.sqrt(np.outer(np.hanning(height + 2)[1:-1], np.hanning(width + 2)[1:-1])) if whitened else 1.0
    spectra = [np.fft.rfft2((luma - luma.mean()) * window, (2 * height, 2 * width)) for luma in (first, second)]
    cross = spectra[0] * np.conj(spectra[1])
    if whitened:
        cross /= np.maximum(np.abs(cross), 1e-6)
    near = np.isfinite(overlap(height, width, widest=_FASTEST))
    correlation = np.where(near, np.fft.irfft2(cross, (2 * height, 2 * width)), -np.inf)
    best = np.argsort(-correlation, axis=None, kind="stable")[:_NUM_SHIFTS]
    down, right = np.unravel_index(best, correlation.shape)
    down, right = (down + height) % (2 * height) - height, (right + width) % (2 * width) - width
    return list(zip(down.tolist(), right.tolist(), strict=True))


def _patch_statistics(luma: Float32[ndarray, "h w"]) -> tuple[Float32[ndarray, "h w"], Float32[ndarray, "h w"]]:
    """Mean and variance of the square around every pixel."""
    mean = uniform_filter(luma, _PATCH)
    return mean, np.maximum(uniform_filter(luma * luma, _PATCH) - mean * mean, 0.0)


def _matched_share(
    first: Float32[ndarray, "h w"],
    second: Float32[ndarray, "h w"],
    stats: list[tuple[Float32[ndarray, "h w"], Float32[ndarray, "h w"]]],
    shift: tuple[int, int],
) -> float:
    """Share of the overlap's textured squares whose normalised correlation is high at this shift."""
    there = tuple(slice(max(0, by), size + min(0, by)) for by, size in zip(shift, first.shape, strict=True))
    here = tuple(slice(max(0, -by), size + min(0, -by)) for by, size in zip(shift, first.shape, strict=True))
    (mean_a, variance_a), (mean_b, variance_b) = ([part[there] for part in stats[0]], [part[here] for part in stats[1]])
    textured_a, textured_b = (variance > _PATCH_CONTRAST**2 for variance in (variance_a, variance_b))
    covariance = uniform_filter(first[there] * second[here], _PATCH) - mean_a * mean_b
    alike = covariance > _PATCH_MATCH * np.sqrt(variance_a * variance_b)
    # Smooth squares correlate by chance; they seldom are as bright and as rich in contrast, too.
    as_bright = np.abs(mean_a - mean_b) < _PATCH_LUMA
    as_rich = np.maximum(variance_a, variance_b) < _PATCH_RICHER**2 * np.minimum(variance_a, variance_b)
    found = alike & as_bright & as_rich & textured_a & textured_b
    # Where hardly anything is textured, little of it matches by chance: no less than a quarter of the picture counts.
    return float(found.sum() / max(int((textured_a | textured_b).sum()), first.size / 4))


def overlap(height: int, width: int, *, widest: float = 1 / 3) -> Float64[ndarray, "H W"]:
    """Number of pixels that overlap at each circular shift; infinite where the shift is too large to be a pan."""
    dy = np.abs(np.fft.fftfreq(2 * height, 1 / (2 * height)))[:, None]
    dx = np.abs(np.fft.fftfreq(2 * width, 1 / (2 * width)))[None, :]
    near = (dy <= height / 4) & (dx <= width * widest)
    return np.where(near, np.maximum((height - dy) * (width - dx), 1.0), np.inf)
