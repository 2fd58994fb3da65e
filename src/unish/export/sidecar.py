"""``export.json``: what the files of an export mean, for who has nothing but them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from unish.body import Body
from unish.export.axes import AXES
from unish.export.take import Take, TakePerson
from unish.io import write_json
from unish.structs import Reconstruction

FILE = "export.json"
_FORMAT = "unish-export/1"


def describe_take(take: Take, *, unit: str, gaps: str, **more: Any) -> dict[str, Any]:
    """What ``export.json`` says about the files of one shot.

    Args:
        unit: of lengths in the files, in full: ``metres``.
        gaps: what the files have where a person is not known, as a sentence.
        more: further facts of the format.
    """
    options = take.options
    return {
        "shot": options.shot,
        "fps": take.fps,
        "num_frames": take.num_frames,
        "start_s": take.start_s,
        "source_fps": take.source_fps,
        "used_fps": take.used_fps,
        "unit": unit,
        "axes": AXES[options.up],
        "levelled_by_gravity": take.levelled,
        "in_place": options.in_place,
        "gaps": gaps,
        "people": [_describe_person(take, person) for person in take.people],
        "notes": list(take.notes),
        **more,
    }


def _describe_person(take: Take, person: TakePerson) -> dict[str, Any]:
    return {
        "id": person.person_id,
        "height_m": round(person.height_m, 4),
        "gaps_frames": [list(gap) for gap in person.gaps()],
        "gaps_s": [[round(float(take.times_s[frame]), 4) for frame in gap] for gap in person.gaps()],
        "filled_frames": int((person.valid & ~person.observed).sum()),
        "joints_moved_m": round(person.moved_m, 4),
    }


def describe_body(body: Body) -> dict[str, str]:
    """Which body the files hold, and under which licence it may be passed on."""
    if body.name == "free":
        return {"body": "free", "licence": "free body of UniSH: CC0 1.0; may be used and passed on for any purpose"}
    return {
        "body": body.name,
        "licence": f"{body.name}: the licence of that body model holds for every file with its shape",
    }


def write_sidecar(
    folder: Path,
    written: dict[str, list[dict[str, Any]]],
    reconstruction: Reconstruction,
    body: Body,
    *,
    earlier: Path | None = None,
) -> Path:
    """Write ``export.json``: the description of each format, a list with one entry for each shot.

    Args:
        folder: to write into.
        written: entries by name of the format.
        earlier: the file of an earlier export whose other formats are still there.
    """
    kept = _read(earlier) if earlier is not None else {}
    # An export shows the result as it was then: which edits that were tells whether it still does.
    edits = {"edits": reconstruction.edits}
    path = folder / FILE
    write_json(path, {
        "format": _FORMAT,
        "version": reconstruction.version,
        **describe_body(body),
        "formats": kept | {name: [one | edits for one in entries] for name, entries in written.items()},
    })  # fmt: skip
    return path


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return dict(found["formats"]) if found["format"] == _FORMAT else {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}
