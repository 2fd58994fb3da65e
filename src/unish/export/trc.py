"""``trc``: marker files of OpenSim, one for each person, metres, y up."""

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
from unish.export.take import Take
from unish.structs import Reconstruction


def write_trc(
    path: Path, reconstruction: Reconstruction, body: Body, options: ExportOptions | None = None
) -> dict[str, Any]:
    """An ``Exporter`` of one shot: ``person-ID.trc``, the markers of ``place_markers``; gaps are empty fields."""
    options = options or ExportOptions(fps=SMOOTH, up="y", gravity=True)
    take, facts = open_laboratory(reconstruction, body, options)
    with new_folder(path) as folder:
        for person in take.people:
            name = f"person-{person.person_id}.trc"
            text = _format(name, take, place_markers(body, person))
            (folder / name).write_text(text, encoding="ascii", newline="\n")
    return facts | {"gaps": "empty fields", "markers": list(MARKER_NAMES)}


def _format(name: str, take: Take, markers: Float64[ndarray, "N M 3"]) -> str:
    """Five header lines, the last of them the axes of each marker, an empty line, then a line for each frame.

    Lines of the table end with a tab, as is usual: OpenSim takes a last empty field without one for a missing column.
    """
    rate, (frames, count) = even_rate(take), markers.shape[:2]
    numbers = [rate, rate, frames, count, "m", rate, 1, frames]
    lines = [
        f"PathFileType\t4\t(X/Y/Z)\t{name}",
        "DataRate\tCameraRate\tNumFrames\tNumMarkers\tUnits\tOrigDataRate\tOrigDataStartFrame\tOrigNumFrames",
        "\t".join(f"{one:.10g}" if isinstance(one, float) else str(one) for one in numbers),
        "Frame#\tTime\t" + "\t".join(f"{marker}\t\t" for marker in MARKER_NAMES),
        "\t\t" + "\t".join(f"X{number}\tY{number}\tZ{number}" for number in range(1, count + 1)) + "\t",
        "",
    ]
    for number, (time_s, row) in enumerate(zip(take.times_s, markers.reshape(frames, -1), strict=True), start=1):
        fields = "\t".join(f"{value:.6f}" if np.isfinite(value) else "" for value in row)
        lines.append(f"{number}\t{time_s:.6f}\t{fields}\t")
    return "\n".join([*lines, ""])
