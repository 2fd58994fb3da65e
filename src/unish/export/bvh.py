"""``bvh``: a motion-capture file for each person, in centimetres with y up."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64
from numpy import ndarray
from scipy.spatial.transform import Rotation

from unish.body import Body
from unish.export.characters import Character, make_character
from unish.export.options import ExportOptions
from unish.export.sidecar import describe_take
from unish.export.take import make_take
from unish.io import written_beside
from unish.structs import Reconstruction

_CM = 100.0
_PLACE = "Xposition Yposition Zposition"
_TURN = "Zrotation Xrotation Yrotation"
"""R = Rz · Rx · Ry, the customary order; its singularity is a bone that is turned by 90° about its own x axis."""


def write_bvh(path: Path, reconstruction: Reconstruction, body: Body, options: ExportOptions) -> dict[str, Any]:
    """An ``Exporter``: ``person-ID.bvh`` in the folder ``path``, all on the timeline of the shot.

    The root's place stands in its channels alone (its OFFSET is 0): programs disagree whether the two are added.
    """
    path.mkdir(exist_ok=True)
    take = make_take(reconstruction, body, options)
    for person in take.people:
        text = _describe_motion(make_character(person, body, options.rig), take.fps)
        with written_beside(path / f"person-{person.person_id}.bvh") as beside:
            beside.write_text(text, encoding="ascii")
    return describe_take(
        take, unit="centimetres", gaps="BVH knows none: the pose goes straight across, and waits at the ends"
    )


def _describe_motion(character: Character, fps: float) -> str:
    travels = [bone for bone in (0, character.hips) if bone == 0 or character.hips]
    lines = ["HIERARCHY"]
    order: list[int] = []
    _list_bone(character, 0, travels, lines, order)
    columns = []
    for bone in order:
        if bone in travels:
            place = character.travel if bone == character.hips else np.zeros_like(character.travel)
            columns.append(_CM * place)
        columns.append(_euler_degrees(character.rotations[:, bone]))
    rows = np.concatenate(columns, axis=1)
    lines += ["MOTION", f"Frames: {len(rows)}", f"Frame Time: {1 / fps:.9f}"]
    lines += [" ".join(f"{value:.6f}" for value in row) for row in rows.tolist()]
    return "\n".join(lines) + "\n"


def _list_bone(character: Character, bone: int, travels: list[int], lines: list[str], order: list[int]) -> None:
    """The bone and everything below it, depth first, which is the order of the channels."""
    depth = _count_above(character, bone)
    indent = "  " * depth
    order.append(bone)
    offset = character.offsets()[bone] if bone not in travels else np.zeros(3)
    channels = f"6 {_PLACE} {_TURN}" if bone in travels else f"3 {_TURN}"
    lines += [f"{indent}{'JOINT' if depth else 'ROOT'} {character.bones[bone]}", indent + "{"]
    lines += [f"{indent}  OFFSET {_in_cm(offset)}", f"{indent}  CHANNELS {channels}"]
    below = [child for child, parent in enumerate(character.parents) if parent == bone]
    for child in below:
        _list_bone(character, child, travels, lines, order)
    if not below:
        # The end of the last bone, which SMPL does not have: half as long as the bone above, in its direction.
        end = 0.5 * character.offsets()[bone]
        lines += [f"{indent}  End Site", f"{indent}  {{", f"{indent}    OFFSET {_in_cm(end)}", f"{indent}  }}"]
    lines.append(indent + "}")


def _count_above(character: Character, bone: int) -> int:
    count = 0
    while character.parents[bone] >= 0:
        bone = character.parents[bone]
        count += 1
    return count


def _in_cm(offset: Float64[ndarray, "3"]) -> str:
    return " ".join(f"{value:.6f}" for value in (_CM * offset).tolist())


def _euler_degrees(rotations: Float64[ndarray, "N 3 3"]) -> Float64[ndarray, "N 3"]:
    """Degrees about z, x and y, without jumps by a full turn: programs blend channels by themselves."""
    angles = Rotation.from_matrix(rotations).as_euler("ZXY", degrees=True)
    return np.unwrap(angles, period=360.0, axis=0)
