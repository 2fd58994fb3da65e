"""The focal length that a picture file states in its EXIF tags (Exif 2.3, JEITA CP-3451C)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from unish.geometry.lens import STILL_ASPECTS, focal_of_equivalent
from unish.structs import Lens

EXIF_IFD = 0x8769
_FOCAL_MM, _EQUIVALENT_MM, _DIGITAL_ZOOM = 0x920A, 0xA405, 0xA404
_WIDTH_PX, _HEIGHT_PX = 0xA002, 0xA003
_PLANE_X, _PLANE_Y, _PLANE_UNIT = 0xA20E, 0xA20F, 0xA210
_UNIT_MM = {2: 25.4, 3: 10.0, 4: 1.0, 5: 0.001}
"""Millimetres of ``FocalPlaneResolutionUnit``: 2 and 3 are those of the standard, 4 and 5 of some makers."""

EQUIVALENT_MM = (4.0, 2000.0)
"""Equivalent focal lengths outside of this are faults of the file."""

SENSOR_MM = (2.0, 70.0)
"""The same for the long side of a sensor."""

STILL_SIGMA, CUT_SIGMA = 0.03, 0.06
"""1σ of the logarithm of a focal length in a photograph: millimetres are rounded, and focusing changes them a little;
and where the picture has not the shape of a sensor, for cameras differ in what they state then."""

MAX_SIGMA = 0.15
"""A focal length that is less certain than this is no better than one that is guessed from the picture."""

MAX_ASPECT = 2.4
"""Longer pictures are panoramas, which no pinhole has taken."""

_SAME = 1.02


def read_exif_lens(tags: Mapping[int, Any], size: tuple[int, int]) -> Lens | None:
    """The lens by the tags of the EXIF directory; ``None`` where they do not tell, or cannot be true of this picture.

    ``FocalLengthIn35mmFilm`` comes first, then ``FocalLength`` with the resolution of the focal plane. Tags of a
    picture that was cut to another shape since it was taken are of no use. Whether the first of them counts a digital
    zoom differs between makers: the middle is taken, and the uncertainty covers both.

    Args:
        size: (height, width) of the picture.
    """
    if max(size) > MAX_ASPECT * min(size) or not _has_shape_of_original(tags, size):
        return None
    lens = _from_equivalent(tags, size) or _from_focal_plane(tags, size)
    return lens if lens is not None and lens.log_sigma <= MAX_SIGMA else None


def read_number(value: Any) -> float:
    """A tag as a number; NaN for what is none, also for fractions over 0."""
    try:
        return float(value)
    except (TypeError, ValueError, ZeroDivisionError, OverflowError):
        return math.nan


def is_equivalent(millimetres: float) -> bool:
    """Whether a lens exists that is like this one on 35 mm film."""
    return EQUIVALENT_MM[0] <= millimetres <= EQUIVALENT_MM[1]


def _from_equivalent(tags: Mapping[int, Any], size: tuple[int, int]) -> Lens | None:
    equivalent = read_number(tags.get(_EQUIVALENT_MM))
    if not is_equivalent(equivalent):
        return None
    zoom = read_number(tags.get(_DIGITAL_ZOOM))
    half_zoom = math.log(zoom) / 2 if 1.0 < zoom < 100.0 else 0.0
    aspect = max(size) / min(size)
    cut = not STILL_ASPECTS[0] / _SAME < aspect < STILL_ASPECTS[1] * _SAME
    return Lens(
        focal=focal_of_equivalent(equivalent, size) * math.exp(half_zoom),
        log_sigma=math.hypot(CUT_SIGMA if cut else STILL_SIGMA, half_zoom),
        source="metadata",
        told_by="FocalLengthIn35mmFilm",
    )


def _from_focal_plane(tags: Mapping[int, Any], size: tuple[int, int]) -> Lens | None:
    """By the size of a pixel on the sensor, where its two directions and the size of the sensor agree."""
    focal_mm, unit_mm = read_number(tags.get(_FOCAL_MM)), _UNIT_MM.get(tags.get(_PLANE_UNIT, 2), math.nan)
    per_mm = [read_number(tags.get(tag)) / unit_mm for tag in (_PLANE_X, _PLANE_Y)]
    original = [read_number(tags.get(tag)) for tag in (_WIDTH_PX, _HEIGHT_PX)]
    if not all(0.0 < value < math.inf for value in (focal_mm, *per_mm, *original)):
        return None
    if not 1 / _SAME < per_mm[0] / per_mm[1] < _SAME or not SENSOR_MM[0] <= max(original) / per_mm[0] <= SENSOR_MM[1]:
        return None
    focal = focal_mm * per_mm[0] / math.hypot(*original)
    if not is_equivalent(focal / focal_of_equivalent(1.0, size)):
        return None
    return Lens(focal=focal, log_sigma=STILL_SIGMA, source="metadata", told_by="FocalLength")


def _has_shape_of_original(tags: Mapping[int, Any], size: tuple[int, int]) -> bool:
    """Whether nothing speaks against it: the picture may have been shrunk since, but not cut."""
    original = [read_number(tags.get(tag)) for tag in (_WIDTH_PX, _HEIGHT_PX)]
    if not all(1.0 <= value < math.inf for value in original):
        return True
    ratio = (max(original) / min(original)) / (max(size) / min(size))
    return 1 / _SAME < ratio < _SAME
