"""What the user chooses on the page, checked and turned into options of the command line."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from unish.edits import describe_edits, parse_edits
from unish.errors import InputError
from unish.export.formats import FORMATS
from unish.settings import Settings
from unish.values import shorten

FLAGS = {
    "people": "--people",
    "fps": "--fps",
    "start": "--start",
    "end": "--end",
    "max_frames": "--max-frames",
    "focal_35mm": "--focal-35mm",
    "fov": "--fov",
    "fill_gaps": "--fill-gaps",
    "blur_faces": "--blur-faces",
}
"""Options of ``unish reconstruct`` that the page offers, by the names of ``unish.settings.Settings``."""

_MAX_EDITS = 200


def read_options(text: str) -> dict[str, Any]:
    """Options of a run from a JSON object; what is null is left out.

    Raises:
        InputError: it is none, or an option does not exist or has a value that it may not have.
    """
    given = _read_object(text or "{}")
    chosen = {name: value for name, value in given.items() if value is not None}
    if unknown := sorted(chosen.keys() - FLAGS.keys()):
        raise InputError(f"there is no option {shorten(unknown[0])}")
    Settings(**chosen)
    return chosen


def write_options(options: Mapping[str, Any]) -> list[str]:
    """The same for the command line."""
    words: list[str] = []
    for name, value in options.items():
        if value is True:
            words.append(FLAGS[name])
        elif value is not False:
            words += [FLAGS[name], str(value)]
    return words


def read_formats(text: str) -> list[str]:
    """Names of export formats from ``{"formats": [...]}``.

    Raises:
        InputError: there is none, or one that does not exist.
    """
    names = _read_object(text).get("formats")
    if not isinstance(names, list) or not names:
        raise InputError("choose at least one format")
    for name in names:
        if not isinstance(name, str) or name not in FORMATS:
            raise InputError(f"there is no format {shorten(name)}; choose among {', '.join(FORMATS)}")
    return list(dict.fromkeys(names))


def read_edits(text: str) -> list[dict[str, Any]]:
    """The complete list of edits from what ``unish.edits`` reads, checked as ``unish refine`` checks it.

    Raises:
        InputError: it is no such list, or one of the edits means nothing.
    """
    edits = parse_edits(_read_object(text))
    if len(edits) > _MAX_EDITS:
        raise InputError(f"these are {len(edits)} edits; at most {_MAX_EDITS} are allowed")
    return list(describe_edits(edits)["edits"])


def _read_object(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        raise InputError("the request is not readable as JSON") from None
    if not isinstance(value, dict):
        raise InputError("the request is no JSON object")
    return value
