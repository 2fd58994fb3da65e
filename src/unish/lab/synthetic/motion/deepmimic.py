"""Motion files of the DeepMimic humanoid (JSON text; a fixed skeleton of 15 joints, y up, facing +x)."""

from __future__ import annotations

import json

import numpy as np
from scipy.spatial.transform import Rotation

from unish.errors import InputError
from unish.lab.synthetic.motion.source import SourceClip, pose_source

# (name, parent, offset in metres, numbers per frame): 4 = quaternion w x y z, 1 = angle about z, 0 = fixed.
# Offsets of the published humanoid; toes and head top are added so that feet and head have a direction.
_JOINTS = (
    ("hips", -1, (0.0, 0.0, 0.0), 4),
    ("chest", 0, (0.0, 0.236151, 0.0), 4),
    ("neck", 1, (0.0, 0.223894, 0.0), 4),
    ("right_upleg", 0, (0.0, 0.0, 0.084887), 4),
    ("right_leg", 3, (0.0, -0.421546, 0.0), 1),
    ("right_foot", 4, (0.0, -0.40987, 0.0), 4),
    ("right_arm", 1, (-0.02405, 0.2435, 0.18311), 4),
    ("right_forearm", 6, (0.0, -0.274788, 0.0), 1),
    ("left_upleg", 0, (0.0, 0.0, -0.084887), 4),
    ("left_leg", 8, (0.0, -0.421546, 0.0), 1),
    ("left_foot", 9, (0.0, -0.40987, 0.0), 4),
    ("left_arm", 1, (-0.02405, 0.2435, -0.18311), 4),
    ("left_forearm", 11, (0.0, -0.274788, 0.0), 1),
    ("head", 2, (0.0, 0.175, 0.0), 0),
    ("right_toe", 5, (0.13, -0.05, 0.0), 0),
    ("left_toe", 10, (0.13, -0.05, 0.0), 0),
    ("right_hand", 7, (0.0, -0.258947, 0.0), 0),
    ("left_hand", 12, (0.0, -0.258947, 0.0), 0),
)


def read_deepmimic(text: str, *, name: str = "deepmimic") -> SourceClip:
    """Parse a file whose rows are: seconds of the frame, root position, one rotation per joint.

    Raises:
        InputError: the text is not such a file.
    """
    try:
        rows = np.array(json.loads(text)["Frames"], dtype=np.float64)
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{name}: not a DeepMimic motion file ({error})") from None
    width = 4 + sum(count for *_, count in _JOINTS)
    if rows.ndim != 2 or rows.shape[1] != width or len(rows) < 2:
        raise InputError(f"{name}: a DeepMimic motion has at least two rows of {width} numbers, this has {rows.shape}")
    local = np.tile(np.eye(3), (len(rows), len(_JOINTS), 1, 1))
    column = 4
    for joint, (_, _, _, count) in enumerate(_JOINTS):
        if count == 4:
            local[:, joint] = Rotation.from_quat(rows[:, [column + 1, column + 2, column + 3, column]]).as_matrix()
        elif count == 1:
            local[:, joint] = Rotation.from_euler("z", rows[:, [column]]).as_matrix()
        column += count
    return pose_source(
        tuple(joint[0] for joint in _JOINTS), [joint[1] for joint in _JOINTS],
        np.array([joint[2] for joint in _JOINTS]), local, rows[:, 1:4],
        rate_hz=1.0 / float(np.median(rows[:-1, 0])), name=name,
    )  # fmt: skip
