"""Acclaim skeleton and motion files (``.asf`` with ``.amc``), the original form of the CMU collection."""

from __future__ import annotations

import re

import numpy as np
from scipy.spatial.transform import Rotation

from unish.errors import InputError
from unish.lab.synthetic.motion.source import SourceClip, pose_source


def read_asf_amc(skeleton: str, motion: str, *, rate_hz: float = 120.0, name: str = "amc") -> SourceClip:
    """Parse a skeleton and one motion for it. A joint stands at the start of the bone that it is named after.

    Local rotation of a bone: C·R·C⁻¹ with its axis frame C (``axis``) and R from its degrees of freedom; angles are
    about fixed axes in the order x, y, z.

    Raises:
        InputError: one of the texts is not what it should be.
    """
    try:
        bones, parents = _read_skeleton(skeleton)
        frames = _read_frames(motion)
    except (ValueError, IndexError, KeyError, AttributeError) as error:
        raise InputError(f"{name}: not a readable ASF/AMC pair ({error})") from None
    if not frames:
        raise InputError(f"{name}: the AMC file has no frames")
    names = list(parents)
    index = {bone: i for i, bone in enumerate(names)}
    offsets = np.array([bones[parents[n]]["vector"] if parents[n] else np.zeros(3) for n in names])
    local = np.tile(np.eye(3), (len(frames), len(names), 1, 1))
    for joint, bone in enumerate(names):
        frame = bones[bone]["axis"]
        rows = np.zeros((len(frames), 3))
        for row, values in zip(rows, frames, strict=True):
            numbers = values.get(bone, [])
            for axis, number in zip(bones[bone]["dof"], numbers[3:] if bone == "root" else numbers, strict=False):
                row["xyz".index(axis[1])] = number
        local[:, joint] = frame @ Rotation.from_euler("xyz", rows, degrees=True).as_matrix() @ frame.T
    root = np.array([values["root"][:3] for values in frames])
    parent_index = [index[parents[n]] if parents[n] else -1 for n in names]
    return pose_source(tuple(names), parent_index, offsets, local, root, rate_hz=rate_hz, name=name)


def _read_skeleton(text: str) -> tuple[dict[str, dict], dict[str, str]]:
    """Bones with vector, axis frame and degrees of freedom; the parent of each bone, parents first."""
    bones: dict[str, dict] = {
        "root": {"vector": np.zeros(3), "axis": np.eye(3), "dof": ["rx", "ry", "rz"]},
    }
    data = text[text.index(":bonedata") : text.index(":hierarchy")]
    for block in re.findall(r"begin(.*?)end", data, re.DOTALL):
        lines = [line.split() for line in block.splitlines()]
        entry = {words[0]: words[1:] for words in lines if words}
        *angles, order = entry["axis"]
        bones[entry["name"][0]] = {
            "vector": np.array(entry["direction"], dtype=np.float64) * float(entry["length"][0]),
            "axis": Rotation.from_euler(order.lower(), [float(a) for a in angles], degrees=True).as_matrix(),
            "dof": entry.get("dof", []),
        }
    parents = {"root": ""}
    for line in text[text.index(":hierarchy") :].splitlines():
        words = line.split()
        if len(words) > 1 and words[0] in bones:
            parents.update({child: words[0] for child in words[1:]})
    return bones, parents


def _read_frames(text: str) -> list[dict[str, list[float]]]:
    frames: list[dict[str, list[float]]] = []
    for line in text.splitlines():
        words = line.split()
        if not words or words[0][0] in "#:":
            continue
        if len(words) == 1 and words[0].isdigit():
            frames.append({})
        else:
            frames[-1][words[0]] = [float(word) for word in words[1:]]
    return frames
