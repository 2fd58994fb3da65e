"""``cameras``: the path of the camera for other programs: TUM and KITTI trajectories, Nuke's ``.chan``, and csv."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64
from numpy import ndarray
from scipy.spatial.transform import Rotation

from unish.body import Body
from unish.export.axes import FLIP_YZ, Y_UP_TO_Z_UP, to_quaternions
from unish.export.options import ExportOptions
from unish.export.scene_frames import new_folder
from unish.export.sidecar import describe_take
from unish.export.take import Take, make_take
from unish.structs import Reconstruction

_COLUMNS = ("frame", "time_s", "x", "y", "z", "qw", "qx", "qy", "qz", "fx", "fy", "cx", "cy", "width", "height")


def write_cameras(
    path: Path, reconstruction: Reconstruction, body: Body, options: ExportOptions | None = None
) -> dict[str, Any]:
    """An ``Exporter`` of one shot, in metres.

    - ``trajectory_tum.txt``: seconds in the video, place, quaternion (x, y, z, w); camera to world, OpenCV axes.
    - ``trajectory_kitti.txt``: the upper three rows of the same matrices.
    - ``cameras.csv``: the same with the lens, in pixels of the source.
    - ``camera.chan``: frame from 1, place, rotation in degrees, vertical field of view in degrees, for a camera that
      looks along −z in a world with y up. The rotation order is Nuke's ``ZXY`` (about y last): set it when importing.
    """
    take = make_take(reconstruction, body, options or ExportOptions())
    times = take.start_s + take.times_s
    quaternions = to_quaternions(take.c2w[:, :3, :3])
    places = take.c2w[:, :3, 3]
    lenses = take.intrinsics[:, [0, 1, 0, 1], [0, 1, 2, 2]]
    height, width = take.source_size
    with new_folder(path) as folder:
        _write(folder / "trajectory_tum.txt", np.column_stack([times, places, quaternions]))
        _write(folder / "trajectory_kitti.txt", take.c2w[:, :3].reshape(-1, 12))
        _write(folder / "camera.chan", _describe_for_nuke(take))
        sides = np.tile([width, height], (len(times), 1))
        rows = np.column_stack([np.arange(len(times)), times, places, quaternions[:, [3, 0, 1, 2]], lenses, sides])
        _write(folder / "cameras.csv", rows, header=",".join(_COLUMNS), separator=",")
    # People are not written, so nothing is said of them.
    facts = describe_take(take, unit="metres", gaps="none: the camera is known in every frame")
    del facts["people"]
    return facts | {"rotation_order_of_chan": "ZXY"}


def _describe_for_nuke(take: Take) -> Float64[ndarray, "N 8"]:
    to_y_up = {None: FLIP_YZ, "y": np.eye(3), "z": Y_UP_TO_Z_UP.T}[take.options.up]
    rotation = to_y_up @ take.c2w[:, :3, :3] @ FLIP_YZ
    # Nuke's ZXY turns about z first and y last: R = Ry · Rx · Rz.
    y, x, z = Rotation.from_matrix(rotation).as_euler("YXZ", degrees=True).T
    height = take.source_size[0]
    field_of_view = np.degrees(2 * np.arctan(height / 2 / take.intrinsics[:, 1, 1]))
    frames = np.arange(1, len(rotation) + 1)
    return np.column_stack([frames, take.c2w[:, :3, 3] @ to_y_up.T, x, y, z, field_of_view])


def _write(path: Path, rows: Float64[ndarray, "N C"], *, header: str | None = None, separator: str = " ") -> None:
    lines = [separator.join(f"{value:.10g}" for value in row) for row in rows.tolist()]
    path.write_text("\n".join([*([] if header is None else [header]), *lines, ""]), encoding="utf-8", newline="\n")
