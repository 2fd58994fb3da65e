"""Focal lengths as cameras and their users state them, as a share of the picture's diagonal.

Sizes are (height, width) of a picture with square pixels; whether it lies or stands upright makes no difference.
"""

from __future__ import annotations

import math

FILM_MM = (36.0, 24.0)
"""Width and height of the frame of 35 mm film."""

STILL_ASPECTS = (4 / 3, 3 / 2)
"""Long over short side of the sensors of nearly all cameras that take photographs: phones, and larger ones."""


def focal_of_equivalent(
    equivalent_mm: float, size: tuple[int, int], sensor_aspects: tuple[float, float] = STILL_ASPECTS
) -> float:
    """Focal length over the picture's diagonal from the equivalent focal length on 35 mm film.

    CIPA DCG-001 and Exif 2.3 (``FocalLengthIn35mmFilm``) define it by the angle of view of the diagonal: that of 35 mm
    film is 43.27 mm. Cameras state it for what their sensor sees. A wider picture than that (16:9) is cut out of the
    sensor's above and below, and keeps its long side; a squarer one keeps its short side.

    Args:
        size: of the picture.
        sensor_aspects: smallest and largest long over short side that the sensor may have; it has the picture's own
            where that lies between them.
    """
    long, short = max(size), min(size)
    aspect = min(max(long / short, sensor_aspects[0]), sensor_aspects[1])
    sensor = (long, long / aspect) if long / short >= aspect else (short * aspect, short)
    return equivalent_mm / math.hypot(*FILM_MM) * math.hypot(*sensor) / math.hypot(long, short)


def focal_of_field_of_view(degrees: float, size: tuple[int, int]) -> float:
    """Focal length over the picture's diagonal from the angle that its longer side spans."""
    return max(size) / (2 * math.tan(math.radians(degrees) / 2)) / math.hypot(*size)
