"""When the pictures of a folder were taken: by the user's word, names, EXIF tags, or a guess that is said."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from unish.video.sources.photos import Photo
from unish.video.sources.side_data import split_numbers

_FEW = 60
"""A folder with no more pictures is used whole: ten seconds at the default rate."""
_GUESSED_FPS = 30.0
_APART_S = 1.0
"""Pictures that are no film are laid this far apart, as if seen one after the other."""
_SINGLE_S = 0.5
"""Nobody films with more time than this between two frames (cameras that take one a second write films of them)."""
_REGULAR = 0.9
"""Share of equal steps from which on numbers count as those of frames."""
_CLOCK_NAMES = tuple(
    (pattern, Fraction(1, 10**digits))
    for pattern, digits in ((r"\d{9,10}\.\d+", 0), (r"1\d{12}", 3), (r"1\d{15}", 6), (r"1\d{18}", 9))
)
"""Names that are a time since 1970, as many cameras of robots write them, and their unit in seconds."""


def choose_times(photos: Sequence[Photo], source_fps: float | None, fps: float) -> tuple[list[float], str | None]:
    """Seconds since the first picture, increasing; and a sentence on what was assumed, if anything was.

    Args:
        photos: in the order of their names.
        source_fps: pictures per second, when the user says so.
        fps: frames per second that are going to be used.
    """
    count = len(photos)
    if source_fps is not None or count < 2:
        return [index / (source_fps or 1.0) for index in range(count)], None
    if (times := _times_in_names(photos)) is not None:
        return times, f"the {count} pictures are named after times and are taken {_typical_step(times)} s apart"
    if (times := _times_of_burst(photos)) is not None:
        return times, f"the {count} pictures were taken {_typical_step(times)} s apart by their EXIF times"
    why = _why_no_film(photos)
    if why is not None:
        step = max(_APART_S, 1.0 / fps)
        return [index * step for index in range(count)], (
            f"the {count} pictures are taken for single photographs ({why}): all are used, as if {step:g} s apart; "
            "give --source-fps if they are a film"
        )
    if count <= _FEW:
        return [index / fps for index in range(count)], (
            f"nobody said how many of the {count} pictures make a second: all are used, as if {fps:g} per second; "
            "give --source-fps to say it"
        )
    return [index / _GUESSED_FPS for index in range(count)], (
        f"nobody said how many of the {count} pictures make a second: they are taken at {_GUESSED_FPS:g} per second; "
        "give --source-fps if that is wrong"
    )


def _typical_step(times: Sequence[float]) -> str:
    return f"{float(np.median(np.diff(times))):.3g}"


def read_clock(name: str) -> Fraction | None:
    """Seconds since 1970, exactly, of a name that is a time; ``None`` of any other name."""
    units = (unit_s for pattern, unit_s in _CLOCK_NAMES if re.fullmatch(pattern, name, re.ASCII))
    return next((Fraction(name) * unit_s for unit_s in units), None)


def _times_in_names(photos: Sequence[Photo]) -> list[float] | None:
    moments = [read_clock(photo.path.stem) for photo in photos]
    known = [moment for moment in moments if moment is not None]
    # Subtracted as exact numbers: nanoseconds since 1970 do not fit into a float.
    return _increasing([float(moment - known[0]) for moment in known]) if len(known) == len(moments) else None


def _times_of_burst(photos: Sequence[Photo]) -> list[float] | None:
    """EXIF times that are as fine as those of a film."""
    taken = [photo.taken_s for photo in photos if photo.taken_s is not None]
    if len(taken) < len(photos):
        return None
    times = _increasing([moment - taken[0] for moment in taken])
    return times if times is not None and float(np.median(np.diff(times))) < _SINGLE_S else None


def _increasing(times: list[float]) -> list[float] | None:
    return times if len(times) > 1 and bool((np.diff(times) > 0).all()) else None


def _why_no_film(photos: Sequence[Photo]) -> str | None:
    taken = [photo.taken_s for photo in photos if photo.taken_s is not None]
    if len(taken) > len(photos) / 2 and float(np.median(np.abs(np.diff(taken)))) >= _SINGLE_S:
        return "by their EXIF times"
    parts = [split_numbers(photo.path.stem) for photo in photos]
    patterns = {tuple("#" if part.isdecimal() else part for part in name) for name in parts}
    if len(patterns) > 1 or "#" not in patterns.copy().pop():
        return "their names do not follow one pattern"
    numbers = np.array([[int(part) for part in name if part.isdecimal()] for name in parts], object)
    varying = [column for column in numbers.T if len(set(column)) > 1]
    if len(varying) != 1:
        return "their names are not numbered like frames"
    steps = Counter(later - earlier for earlier, later in zip(varying[0], varying[0][1:], strict=False))
    regular = len(photos) < 3 or steps.most_common(1)[0][1] >= _REGULAR * steps.total()
    return None if regular else "there are gaps in the numbers of their names"
