"""Checks of the values that users give, with errors that say what is wanted."""

from __future__ import annotations

import math
import os
from contextlib import suppress
from numbers import Integral, Real
from pathlib import Path

from unish.errors import InputError


def check_number(
    name: str,
    value: object,
    *,
    above: float | None = None,
    at_least: float | None = None,
    at_most: float | None = None,
    below: float | None = None,
) -> float:
    """``value`` as a finite float within its limits.

    Raises:
        InputError: it is no number, or outside of them.
    """
    wanted = "a number"
    if above is not None:
        wanted += f" above {above:g}"
    if at_least is not None:
        wanted += f", {at_least:g} or more"
    if at_most is not None:
        wanted += f", at most {at_most:g}"
    if below is not None:
        wanted += f", below {below:g}"
    number = math.nan
    if isinstance(value, Real) and not isinstance(value, bool):
        with suppress(OverflowError):  # a whole number can have any number of digits
            number = float(value)
    if not math.isfinite(number):
        raise InputError(f"{name} is {shorten(value)}; give {wanted}")
    too_small = (above is not None and number <= above) or (at_least is not None and number < at_least)
    if too_small or (at_most is not None and number > at_most) or (below is not None and number >= below):
        raise InputError(f"{name} is {number:g}; give {wanted}")
    return number


def check_count(name: str, value: object, *, at_least: int) -> int:
    """``value`` as a whole number.

    Raises:
        InputError: it is none, or below ``at_least``.
    """
    if not isinstance(value, Integral) or isinstance(value, bool) or value < at_least:
        raise InputError(f"{name} is {shorten(value)}; give a whole number, {at_least} or more")
    return int(value)


def check_path(name: str, value: object) -> Path:
    """``value`` as a path.

    Raises:
        InputError: it is none, or empty.
    """
    if not isinstance(value, str | os.PathLike) or not isinstance(os.fspath(value), str) or not os.fspath(value):
        raise InputError(f"{name} is {shorten(value)}; give a path, as text or as a Path")
    if "\0" in os.fspath(value):
        raise InputError(f"{name} holds a zero byte, which no path may; give another")
    return Path(value)


def check_sampling(
    fps: object, source_fps: object = None, start: object = None, end: object = None, max_frames: object = None
) -> None:
    """Which frames of a video are wanted: frames per second, those of the source, seconds, and number.

    Raises:
        InputError: one of them has no meaning, or they leave nothing.
    """
    check_number("fps", fps, above=0)
    if source_fps is not None:
        check_number("source fps", source_fps, above=0)
    first = 0.0 if start is None else check_number("start", start, at_least=0)
    if end is not None and check_number("end", end, at_least=0) <= first:
        raise InputError(f"start ({first:g} s) is not before end ({end:g} s); swap or change them")
    if max_frames is not None:
        check_count("max frames", max_frames, at_least=1)


def shorten(value: object) -> str:
    """How a value looks in a sentence: one line that is not long."""
    text = " ".join(repr(value).split())
    return text if len(text) <= 60 else f"{text[:57]}…"
