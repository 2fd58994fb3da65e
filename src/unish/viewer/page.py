"""One self-contained page with a reconstruction in it: it opens from the disk, without any network."""

from __future__ import annotations

import html
import json
import math
import re
from collections.abc import Callable, Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from numpy import ndarray

from unish.body import Body
from unish.errors import InputError
from unish.export.report_charts import css_colour, jpeg_url
from unish.io import written_beside
from unish.structs import Reconstruction
from unish.viewer.drawing import HIDDEN_GROUPS, MOVING_GROUPS, PERSON_GROUPS, STILL_GROUPS
from unish.viewer.film_camera import vertical_fov
from unish.viewer.record import SceneRecord, build_record, describe_height
from unish.viewer.stage import Stage, open_stage

MAX_STEPS, MAX_POINTS = 300, 120_000
_WANTED_BYTES, _MOST_BYTES, _FEWEST_STEPS = 25_000_000, 32_000_000, 8
_POSTER_SIDE = 480
_FAR_SHARE = 20.0
"""Where the picture lies while one sees through the camera, in median distances of the scene."""
_LICENCE = "Made with UniSH (Apache-2.0); drawn by viser and viser4d (MIT, Apache-2.0)."


def write_static_page(
    path: Path,
    reconstruction: Reconstruction,
    body: Body,
    *,
    title: str,
    report: Mapping[str, Any] | None = None,
    credit: str = "",
    announce: Callable[[str], None] = lambda sentence: None,
) -> None:
    """Write the page, whole or not at all.

    A video of more than 300 frames is shown by every second, third, … of them. A page above 25 MB is made again with
    half the frames and half the points, and says so.

    Args:
        reconstruction: as it is to be shown, with blurred faces where these are wanted.
        report: what ``report.json`` says.
        credit: of pictures and people, for the line about licences.
        announce: told in a sentence what had to be left out.

    Raises:
        InputError: the extra ``view`` is missing, or no page below 32 MB can be made.
    """
    max_steps, max_points = MAX_STEPS, MAX_POINTS
    while True:
        record = build_record(
            reconstruction, body, title=title, report=report, max_points=max_points, max_steps=max_steps
        )
        note = _say_what_is_left_out(record, thinned=max_points < MAX_POINTS)
        with open_stage(record) as stage:
            page = _dress(stage, note=note, credit=credit)
        size = len(page.encode("utf-8"))
        if size <= _WANTED_BYTES or (record.num_steps <= _FEWEST_STEPS and size <= _MOST_BYTES):
            break
        if record.num_steps <= _FEWEST_STEPS:
            raise InputError(
                f"the page would have {size / 1e6:.0f} MB, more than 32; use `unish view` without --static"
            )
        max_steps, max_points = record.num_steps // 2, max_points // 2
    if note:
        announce(note)
    with written_beside(path) as beside:
        # A name need not be text: bytes that are none are shown by their numbers.
        beside.write_text(page, encoding="utf-8", errors="backslashreplace")


def _say_what_is_left_out(record: SceneRecord, *, thinned: bool) -> str:
    sentences = []
    all_frames = record.reconstruction.num_frames
    if record.num_steps < all_frames:
        sentences.append(f"To keep the page small, {record.num_steps} of {all_frames} frames are shown.")
    if thinned:
        points = sum(len(shot.points.xyz) for shot in record.shots)
        sentences.append(f"The scene is thinned to {points} points.")
    return " ".join(sentences)


def _dress(stage: Stage, *, note: str, credit: str) -> str:
    """The page of the player with title, legend, switches, film camera, poster and licence over it."""
    record = stage.record
    title = html.escape(record.title)
    filling = {
        "@POSTER@": jpeg_url(record.picture(0, side=_POSTER_SIDE)),
        "@TITLE@": title,
        "@NOTE@": html.escape(note or "Bodies are shown without the fine deformations that depend on the pose."),
        "@LICENCE@": html.escape(f"{credit} {_LICENCE}".strip()),
        # Within a script element only "<" could end it.
        "@MEASURING@": _read_part("measuring.js"),
        "@DATA@": json.dumps(_describe(stage), allow_nan=False).replace("<", "\\u003c"),
    }
    # One pass: what is filled in is not looked through for further places.
    overlay = re.sub("|".join(filling), lambda place: filling[place.group()], _read_part("overlay.html"))
    page = stage.as_html()
    end = page.rindex("</body>")
    page = page[:end] + overlay + page[end:]
    return re.sub("<title>.*?</title>", lambda _: f"<title>{title}</title>", page, count=1)


def _read_part(name: str) -> str:
    return resources.files("unish.viewer").joinpath(name).read_text(encoding="utf-8")


def _describe(stage: Stage) -> dict[str, Any]:
    """What the overlay's script needs: people, groups, and the camera of every step."""
    record = stage.record
    groups = STILL_GROUPS | MOVING_GROUPS
    cameras = [_describe_camera(record, step) for step in range(record.num_steps)]
    return {
        "people": [
            {
                "text": f"person {person.person_id}, {describe_height(record, person)}",
                "colour": css_colour(person.colour),
                "nodes": [f"/{group}/{person.person_id}" for group in PERSON_GROUPS],
                "body": f"/bodies/{person.person_id}/body",
            }
            for person in record.people
        ],
        "groups": [{"node": group, "text": text, "on": group not in HIDDEN_GROUPS} for group, text in groups.items()],
        "shots": [
            {
                "from": int(shot.steps.start),
                "interval": _rounded(shot.scale_interval) if np.isfinite(shot.scale_interval).all() else None,
            }
            for shot in record.shots
        ],
        "cameras": cameras[:1] if all(camera == cameras[0] for camera in cameras) else cameras,
        "up": _rounded(record.shots[0].up),
        "scale": stage.drawing.camera_scale,
        "far": _FAR_SHARE * stage.drawing.reach,
    }


def _describe_camera(record: SceneRecord, step: int) -> dict[str, Any]:
    fov, aspect = vertical_fov(record.intrinsics[step], record.image_size)
    position, ahead = record.c2w[step, :3, 3], record.c2w[step, :3, 2]
    return {
        "position": _rounded(position),
        "look_at": _rounded(position + ahead),
        "up": _rounded(-record.c2w[step, :3, 1]),
        "tan_y": round(math.tan(fov / 2), 5),
        "tan_x": round(math.tan(fov / 2) * aspect, 5),
    }


def _rounded(values: ndarray) -> list[float]:
    return [round(float(value), 5) for value in values]
