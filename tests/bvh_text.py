"""Just enough of a BVH reader to look into a file: by the words in it, and the channels in the order they are named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation


def read_bvh(path: Path) -> tuple[list[str], np.ndarray, np.ndarray, float]:
    """Names of the joints, places (N, J, 3) in the units of the file, global rotations (N, J, 3, 3), frame time."""
    head, motion = path.read_text(encoding="ascii").split("MOTION\n")
    names: list[str] = []
    parents: list[int] = []
    offsets: list[list[float]] = []
    channels: list[list[str]] = []
    open_joints: list[int] = []
    for line in head.splitlines():
        words = line.split()
        if words[0] in ("ROOT", "JOINT"):
            names.append(words[1])
            parents.append(open_joints[-1] if open_joints else -1)
            opening = len(names) - 1
        elif words[0] == "End":
            opening = -1
        elif words[0] == "{":
            open_joints.append(opening)
        elif words[0] == "}":
            open_joints.pop()
        elif words[0] == "OFFSET" and open_joints[-1] >= 0:
            offsets.append([float(word) for word in words[1:]])
        elif words[0] == "CHANNELS":
            assert int(words[1]) == len(words) - 2
            channels.append(words[2:])
    count, seconds, *rows = motion.splitlines()
    values = np.array([[float(word) for word in row.split()] for row in rows])
    assert count.split()[1] == str(len(values)) and values.shape[1] == sum(map(len, channels)) and not open_joints
    placed, turned = np.zeros((len(values), len(names), 3)), np.zeros((len(values), len(names), 3, 3))
    first = 0
    for joint, named in enumerate(channels):
        own = {name: values[:, first + place] for place, name in enumerate(named)}
        first += len(named)
        order = "".join(name[0] for name in named if name.endswith("rotation"))
        angles = np.stack([own[f"{axis}rotation"] for axis in order], axis=1)
        turn = Rotation.from_euler(order, angles, degrees=True).as_matrix()
        moved = np.stack([own.get(f"{axis}position", np.zeros(len(values))) for axis in "XYZ"], axis=1)
        place = np.array(offsets[joint]) + moved
        above = parents[joint]
        turned[:, joint] = turn if above < 0 else turned[:, above] @ turn
        placed[:, joint] = place if above < 0 else placed[:, above] + (turned[:, above] @ place[..., None])[..., 0]
    return names, placed, turned, float(seconds.split()[-1])
