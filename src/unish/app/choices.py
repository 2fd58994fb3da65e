"""What the user chooses on the page, checked and turned into options of the command line."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from unish.errors import InputError
from unish.export.formats import FORMATS
from unish.settings import HEIGHT_M, Settings
from unish.values import check_count, check_number, shorten

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

EDITS_FORMAT = "unish-edits/1"
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
    """The complete list of edits from a file of the format ``unish-edits/1``.

    Raises:
        InputError: it is no such file, or one of the edits means nothing.
    """
    given = _read_object(text)
    if given.get("format") != EDITS_FORMAT or not isinstance(given.get("edits"), list):
        raise InputError(f"these are no edits; give an object with format {EDITS_FORMAT} and a list of edits")
    if len(given["edits"]) > _MAX_EDITS:
        raise InputError(f"these are {len(given['edits'])} edits; at most {_MAX_EDITS} are allowed")
    return [_check_edit(edit) for edit in given["edits"]]


def _check_edit(edit: object) -> dict[str, Any]:
    kind = edit.get("kind") if isinstance(edit, dict) else None
    if not isinstance(edit, dict) or kind not in ("person_height", "merge", "drop"):
        raise InputError(f"{shorten(edit)} is no edit that the app can make")
    if kind == "merge":
        persons = edit.get("persons")
        if not isinstance(persons, list) or len(persons) < 2:
            raise InputError("choose at least two people to make one person of")
        return {"kind": kind, "persons": [check_count("person", person, at_least=0) for person in persons]}
    person = check_count("person", edit.get("person"), at_least=0)
    if kind == "drop":
        return {"kind": kind, "person": person}
    low, high = HEIGHT_M
    metres = check_number("the height in metres", edit.get("metres"), at_least=low, at_most=high)
    return {"kind": kind, "person": person, "metres": metres}


def _read_object(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        raise InputError("the request is not readable as JSON") from None
    if not isinstance(value, dict):
        raise InputError("the request is no JSON object")
    return value
