"""``c3d``: marker files of motion laboratories, one for each person, millimetres (https://www.c3d.org)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from unish.body import Body
from unish.export.markers import MARKER_NAMES, even_rate, open_laboratory, place_markers
from unish.export.options import SMOOTH, ExportOptions
from unish.export.scene_frames import new_folder
from unish.structs import Reconstruction

_SCREEN = {"y": ("+X", "+Y"), "z": ("+X", "+Z"), None: ("+X", "-Y")}
"""Axes that point right and up on a screen, as the format states them."""


def write_c3d(
    path: Path, reconstruction: Reconstruction, body: Body, options: ExportOptions | None = None
) -> dict[str, Any]:
    """An ``Exporter`` of one shot: ``person-ID.c3d``, the markers of ``place_markers``; gaps are invalid points."""
    options = options or ExportOptions(fps=SMOOTH, up="y", gravity=True)
    take, facts = open_laboratory(reconstruction, body, options)
    with new_folder(path) as folder:
        for person in take.people:
            markers = place_markers(body, person)
            _write(folder / f"person-{person.person_id}.c3d", markers, even_rate(take), _SCREEN[options.up])
    return facts | {"unit": "millimetres", "gaps": "invalid points (residual -1)", "markers": list(MARKER_NAMES)}


def _write(path: Path, markers: Float64[ndarray, "N M 3"], rate: float, screen: tuple[str, str]) -> None:
    import ezc3d

    file = ezc3d.c3d()
    points = np.ones((4, *markers.shape[1::-1]))
    points[:3] = 1000 * markers.transpose(2, 1, 0)
    point = file["parameters"]["POINT"]
    point["RATE"]["value"], point["UNITS"]["value"] = [rate], ["mm"]
    point["LABELS"]["value"], point["DESCRIPTIONS"]["value"] = list(MARKER_NAMES), [""] * len(MARKER_NAMES)
    for name, axis in zip(("X_SCREEN", "Y_SCREEN"), screen, strict=True):
        file.add_parameter("POINT", name, [axis])
    file["data"]["points"] = points
    file.write(str(path))
