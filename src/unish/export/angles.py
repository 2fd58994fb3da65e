"""``angles``: joint angles of people, as csv and as OpenSim ``.mot``.

Rotations between two segments are split into turns about z, x and y, in this order, each about the axis as the turns
before have left it: the sequence of the joint coordinate systems of Grood and Suntay (1983, knee) and of the
International Society of Biomechanics (Wu et al. 2002, 2005: x ahead, y up, z to the right). Segments are those of the
body model: their axes are those of the rest pose, with the arms hanging down, so that all angles are zero for somebody
who stands straight with the palms at the thighs. ``docs/export.md`` defines each angle.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64
from numpy import ndarray
from scipy.spatial.transform import Rotation

from unish.body import JOINT_NAMES, Body
from unish.export.axes import FLIP_YZ, Y_UP_TO_Z_UP
from unish.export.markers import open_laboratory
from unish.export.options import SMOOTH, ExportOptions, Up
from unish.export.scene_frames import new_folder
from unish.export.take import Take, TakePerson
from unish.structs import Reconstruction

_TRUNK = np.array([[0.0, 0, -1], [0, 1, 0], [1, 0, 0]])
"""Axes of the ISB (columns) in those of the body model at rest, whose x points to its left, y up, z ahead."""
_ARM = {
    "l": Rotation.from_euler("z", 90, degrees=True).as_matrix(),
    "r": Rotation.from_euler("z", -90, degrees=True).as_matrix(),
}
"""What brings a hanging arm to the T-pose of the body model."""
_GROUND = np.array([[0.0, 0, 1], [0, 1, 0], [-1, 0, 0]])
"""Axes of OpenSim's ground (columns: ahead, up, right) in a world with y up whose first camera looks along −z."""


def write_angles(
    path: Path, reconstruction: Reconstruction, body: Body, options: ExportOptions | None = None
) -> dict[str, Any]:
    """An ``Exporter`` of one shot: ``person-ID.csv`` and ``person-ID.mot``, degrees and metres.

    Gaps are empty fields in the csv; a ``.mot`` knows no gaps, so its frames are those in which the person is known,
    with their times.
    """
    options = options or ExportOptions(fps=SMOOTH, up="y", gravity=True)
    take, facts = open_laboratory(reconstruction, body, options)
    with new_folder(path) as folder:
        for person in take.people:
            columns = measure_angles(person, options.up)
            name = f"person-{person.person_id}"
            (folder / f"{name}.csv").write_text(_format_csv(take, columns), encoding="ascii", newline="\n")
            text = _format_mot(name, take, person, columns)
            (folder / f"{name}.mot").write_text(text, encoding="ascii", newline="\n")
    return facts | {
        "unit": "degrees; pelvis_tx, ty and tz in metres",
        "gaps": "csv: empty fields; mot: these frames are left out",
    }


def measure_angles(person: TakePerson, up: Up | None) -> dict[str, Float64[ndarray, "N"]]:
    """Every angle by the name that OpenSim's full-body models use, degrees; NaN where the person is not known.

    Args:
        up: axis of the world that points up; ``None`` for the OpenCV axes of the first camera.
    """
    to_y_up = {None: FLIP_YZ, "y": np.eye(3), "z": Y_UP_TO_Z_UP.T}[up]
    turn = {name: person.rotations[:, number] for number, name in enumerate(JOINT_NAMES)}
    found: dict[str, Float64[ndarray, "N"]] = {}

    pelvis = _GROUND.T @ to_y_up @ turn["pelvis"] @ _TRUNK
    found["pelvis_tilt"], found["pelvis_list"], found["pelvis_rotation"] = _split(pelvis)
    places = person.pelvis @ to_y_up.T @ _GROUND
    found |= {f"pelvis_t{axis}": place for axis, place in zip("xyz", places.T, strict=True)}

    spine = turn["spine1"] @ turn["spine2"] @ turn["spine3"]
    bend, side, twist = _split(_TRUNK.T @ spine @ _TRUNK)
    found |= {"lumbar_extension": bend, "lumbar_bending": side, "lumbar_rotation": twist}
    for letter, name, mirror in (("r", "right", 1.0), ("l", "left", -1.0)):
        hip = _split(_TRUNK.T @ turn[f"{name}_hip"] @ _TRUNK)
        knee = _split(_TRUNK.T @ turn[f"{name}_knee"] @ _TRUNK)
        ankle = _split(_TRUNK.T @ turn[f"{name}_ankle"] @ _TRUNK)
        arm = _ARM[letter] @ _TRUNK
        shoulder_turn = _TRUNK.T @ turn[f"{name}_collar"] @ turn[f"{name}_shoulder"] @ arm
        shoulder, elbow = _split(shoulder_turn), _split(arm.T @ turn[f"{name}_elbow"] @ arm)
        found |= {
            f"hip_flexion_{letter}": hip[0],
            f"hip_adduction_{letter}": mirror * hip[1],
            f"hip_rotation_{letter}": mirror * hip[2],
            f"knee_angle_{letter}": -knee[0],
            f"knee_adduction_{letter}": mirror * knee[1],
            f"knee_rotation_{letter}": mirror * knee[2],
            f"ankle_angle_{letter}": ankle[0],
            f"subtalar_angle_{letter}": mirror * ankle[1],
            f"arm_flex_{letter}": shoulder[0],
            f"arm_add_{letter}": mirror * shoulder[1],
            f"arm_rot_{letter}": mirror * shoulder[2],
            f"arm_elevation_{letter}": np.degrees(np.arccos(shoulder_turn[:, 1, 1].clip(-1, 1))),
            f"elbow_flex_{letter}": elbow[0],
            f"pro_sup_{letter}": mirror * elbow[2],
        }
    return found


def _split(rotation: Float64[ndarray, "N 3 3"]) -> tuple[ndarray, ndarray, ndarray]:
    """Turns about z, x and y, degrees; the first is free of jumps by full circles over time."""
    known = np.isfinite(rotation).all((1, 2))
    out = np.full((len(rotation), 3), np.nan)
    if known.any():
        with warnings.catch_warnings():
            # At an arm that is held level to the side the first and the third axis are one: the third turn is then 0.
            warnings.simplefilter("ignore", UserWarning)
            degrees = Rotation.from_matrix(rotation[known]).as_euler("ZXY", degrees=True)
        out[known] = np.unwrap(degrees, period=360.0, axis=0)
    return out[:, 0], out[:, 1], out[:, 2]


def _format_csv(take: Take, columns: dict[str, Float64[ndarray, "N"]]) -> str:
    lines = [",".join(["time", *columns])]
    for time_s, row in zip(take.times_s, np.stack(list(columns.values()), axis=1), strict=True):
        lines.append(",".join([f"{time_s:.6f}", *(f"{value:.6f}" if np.isfinite(value) else "" for value in row)]))
    return "\n".join([*lines, ""])


def _format_mot(name: str, take: Take, person: TakePerson, columns: dict[str, Float64[ndarray, "N"]]) -> str:
    rows = np.stack([take.times_s, *columns.values()], axis=1)[person.valid]
    lines = [name, "version=1", f"nRows={len(rows)}", f"nColumns={rows.shape[1]}", "inDegrees=yes", "endheader"]
    lines.append("\t".join(["time", *columns]))
    lines += ["\t".join(f"{value:.6f}" for value in row) for row in rows]
    return "\n".join([*lines, ""])
