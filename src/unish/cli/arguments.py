"""Parsing of arguments with errors of one line, and the types that several commands share."""

from __future__ import annotations

import argparse
import math
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

from unish.errors import InputError


class OneLineParser(argparse.ArgumentParser):
    """Raises ``InputError`` instead of printing a usage box, and shows an example under ``--help``."""

    def __init__(self, *, example: str, **kwargs: Any) -> None:
        kwargs.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        super().__init__(epilog=f"example:\n  {example}", allow_abbrev=False, **kwargs)

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        try:
            known, unknown = super().parse_known_args(args, namespace)
        except InputError:
            _explain_dashes(args or ())
            raise
        _explain_dashes(unknown)
        return known, unknown

    def error(self, message: str) -> NoReturn:
        raise InputError(f"{message}; see `{self.prog} --help`")


def _explain_dashes(words: Iterable[str]) -> None:
    for text in words:
        if text.startswith("-") and Path(text).exists():
            raise InputError(f"{text} begins with a dash, as options do; write .{os.sep}{text}") from None


def add_quiet(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--quiet", action="store_true", help="no progress bars and no closing table")


def positive_float(text: str) -> float:
    value = _number(text)
    if value <= 0:
        raise argparse.ArgumentTypeError(f"{text} is not above 0")
    return value


def seconds(text: str) -> float:
    value = _number(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"{text} is negative; seconds count from the start of the video")
    return value


def at_least(lowest: int) -> Any:
    """A parser of whole numbers that are not below ``lowest``."""

    def parse(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number") from None
        if value < lowest:
            raise argparse.ArgumentTypeError(f"{value} is below {lowest}")
        return value

    return parse


def existing_file(text: str) -> Path:
    path = Path(text)
    if not path.is_file():
        raise argparse.ArgumentTypeError(f"{text}: no such file")
    return path


def existing_path(text: str) -> Path:
    path = Path(text)
    if not path.exists():
        raise argparse.ArgumentTypeError(f"{text}: no such file or folder")
    return path


def intrinsics(text: str) -> tuple[float, float, float, float]:
    """``fx,fy,cx,cy``: four finite positive numbers."""
    parts = text.split(",")
    if len(parts) != 4:
        raise argparse.ArgumentTypeError(f"{text!r} has {len(parts)} numbers; give fx,fy,cx,cy")
    fx, fy, cx, cy = (positive_float(part) for part in parts)
    return fx, fy, cx, cy


def person_height(text: str) -> tuple[int, float]:
    """``ID=METRES``."""
    person_id, equals, metres = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"{text!r} has no '='; give ID=METRES, for instance 0=1.72")
    return at_least(0)(person_id), positive_float(metres)


def known_distance(text: str) -> tuple[float, float, float, float, float, float]:
    """``x1,y1,x2,y2@SECONDS=METRES``."""
    place, equals, metres = text.partition("=")
    points, at, time_s = place.partition("@")
    parts = points.split(",")
    if not equals or not at or len(parts) != 4:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not x1,y1,x2,y2@SECONDS=METRES, as in 120,400,310,402@2.5=1.8 (pixels of the source)"
        )
    x1, y1, x2, y2 = (_number(part) for part in parts)
    return x1, y1, x2, y2, seconds(time_s), positive_float(metres)


class CollectPairs(argparse.Action):
    """Of an option that may be given several times: its (key, value) pairs as a dictionary."""

    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: str | None = None) -> None:
        key, value = values
        pairs = dict(getattr(namespace, self.dest, None) or {})
        if key in pairs:
            parser.error(f"{option_string} is given twice for {key}")
        setattr(namespace, self.dest, pairs | {key: value})


def place_at(*names: str) -> Any:
    """A parser of numbers with these names, and after an @ a time in seconds: ``x,y@t``."""

    def parse(text: str) -> tuple[float, ...]:
        place, at, time_s = text.rpartition("@")
        parts = place.split(",")
        if not at or len(parts) != len(names):
            raise argparse.ArgumentTypeError(f"{text!r} is no place and time; give {','.join(names)}@t")
        return (*(_number(part) for part in parts), seconds(time_s))

    return parse


def everyone_or_count(text: str) -> int | None:
    return None if text == "all" else at_least(0)(text)


def people_ids(text: str) -> tuple[int, ...] | None:
    """``all`` (``None``), or identities such as ``1,3``."""
    return None if text == "all" else tuple(at_least(0)(part) for part in text.split(","))


def frame_rate(text: str) -> float | str:
    """``source``, or frames per second."""
    return text if text == "source" else positive_float(text)


def on_or_off(text: str) -> bool:
    if text not in ("on", "off"):
        raise argparse.ArgumentTypeError(f"{text!r} is neither on nor off")
    return text == "on"


@contextmanager
def output_folder(path: Path) -> Iterator[Path]:
    """``path`` as a writable folder, checked before the work starts; folders made for it go again if it stays empty.

    Raises:
        InputError: it is a file, or nothing can be written there.
    """
    made = [folder for folder in (path, *path.parents) if not folder.exists()]
    probe = path / f".unish-{os.getpid()}.part"
    try:
        path.mkdir(parents=True, exist_ok=True)
        probe.write_bytes(b"")
        probe.unlink()
    except FileExistsError:
        raise InputError(f"{path}: this is a file; give a folder to write into") from None
    except OSError as error:
        _remove_empty(made)
        raise InputError(f"{path}: cannot write there ({error.strerror}); choose another folder with --out") from None
    try:
        yield path
    finally:
        _remove_empty(made)


def _remove_empty(folders: list[Path]) -> None:
    for folder in folders:
        try:
            folder.rmdir()
        except OSError:
            return


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number") from None
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"{text} is not a finite number")
    return value
