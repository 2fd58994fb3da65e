"""``ply``: the point cloud of all frames, binary little-endian."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32, Shaped, UInt8
from numpy import ndarray

from unish.body import Body
from unish.export.axes import AXES
from unish.export.options import ExportOptions
from unish.export.points import choose_points
from unish.io import written_beside
from unish.structs import Reconstruction

_VERTEX = np.dtype(
    [("x", "<f4"), ("y", "<f4"), ("z", "<f4"), ("red", "u1"), ("green", "u1"), ("blue", "u1"), ("confidence", "<f4"),
     ("person", "<i4"), ("frame", "<i4"), ("segment", "<i4")]
)  # fmt: skip
_PLY_NAMES = {"<f4": "float", "<i4": "int", "|u1": "uchar"}


def write_ply(
    path: Path,
    reconstruction: Reconstruction,
    body: Body,
    options: ExportOptions | None = None,
    *,
    max_points: int = 2_000_000,
) -> dict[str, Any]:
    """An ``Exporter`` that draws no body and has no options.

    World points with colour, confidence, person, frame and segment.

    Points are in metres and in the OpenCV axes of the first camera.
    ``person`` is the identity of the person that a point belongs to, −1 for the scene; ``frame`` counts used frames. A
    comment of the header gives the floor of each segment, if it was found.
    """
    points = choose_points(reconstruction.at_dense_frames(), max_points=max_points)
    frames = reconstruction.dense_frames[points.frame]
    rows = np.empty(len(points.xyz), _VERTEX)
    for axis, name in enumerate("xyz"):
        rows[name] = points.xyz[:, axis]
    for channel, name in enumerate(("red", "green", "blue")):
        rows[name] = points.colours[:, channel]
    identities = np.append(reconstruction.person_ids, -1)  # index −1, the scene, takes the last
    rows["confidence"], rows["person"] = points.confidence, identities[points.person]
    rows["frame"], rows["segment"] = frames, reconstruction.segment[frames]
    _write(path, rows, ["metres; OpenCV axes of the first camera", *_describe_floors(reconstruction)])
    return {"unit": "metres", "axes": AXES[None], "points": len(rows)}


def write_points(path: Path, xyz: Float32[ndarray, "N 3"], colours: UInt8[ndarray, "N 3"]) -> None:
    """A cloud of coloured points and nothing else."""
    rows = np.empty(len(xyz), [(name, _VERTEX[name]) for name in ("x", "y", "z", "red", "green", "blue")])
    for number, name in enumerate(rows.dtype.names or ()):
        rows[name] = (xyz if number < 3 else colours)[:, number % 3]
    _write(path, rows, ["metres"])


def _describe_floors(reconstruction: Reconstruction) -> list[str]:
    """The plane a·x + b·y + c·z + d = 0 of each segment, (a, b, c) up."""
    segments = np.unique(reconstruction.segment).tolist()
    planes = zip(segments, reconstruction.floor, strict=True)
    return [
        f"floor of segment {segment}: " + " ".join(f"{number:.7g}" for number in plane)
        for segment, plane in planes
        if np.isfinite(plane).all()
    ]


def _write(path: Path, rows: Shaped[ndarray, "N"], comments: list[str]) -> None:
    properties = [f"property {_PLY_NAMES[rows.dtype[name].str]} {name}" for name in rows.dtype.names or ()]
    lines = ["ply", "format binary_little_endian 1.0", *(f"comment {comment}" for comment in comments)]
    lines += [f"element vertex {len(rows)}", *properties, "end_header", ""]
    with written_beside(path) as beside, beside.open("wb") as file:
        file.write("\n".join(lines).encode("ascii"))
        file.write(rows.tobytes())
