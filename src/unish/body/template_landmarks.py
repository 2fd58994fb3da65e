"""Find landmarks and contact vertices on the template of any SMPL-format body, by geometry alone.

Vertex numbers belong to one topology; this module asks for extremes instead (the nose is the foremost point of the
middle of the head), so it serves every template in SMPL's T-pose. The free body's landmarks are more exact: its build
script reads them off named parts of its source mesh.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from unish.body.joints import JOINT_LANDMARKS, JOINT_NAMES, LANDMARK_NAMES

_HEAD = JOINT_NAMES.index("head")
# Places on a head: up from the nose tip as a share of the way to the top of the head, out from the middle as a share of
# half the head's width. Averages of the free body; good to about a centimetre.
_EYE_UP, _EAR_UP, _MOUTH_UP = 0.27, 0.22, -0.21
_EYE_OUT = {"inner": 0.23, "": 0.34, "outer": 0.49}
_MOUTH_OUT = 0.28


@dataclass(frozen=True, kw_only=True)
class TemplateLandmarks:
    """Landmarks as linear functions of a template's vertices and joints.

    Attributes:
        vertex_weights, joint_weights: landmark = vertex_weights @ vertices + joint_weights @ joints.
        carriers: (33, 24) one-hot, the joint that carries each landmark when the body is posed.
    """

    vertex_weights: Float[ndarray, "33 V"]
    joint_weights: Float[ndarray, "33 24"]
    carriers: Float[ndarray, "33 24"]


def find_landmarks(
    template: Float[ndarray, "V 3"], skin_weights: Float[ndarray, "V 24"], joints: Float[ndarray, "24 3"]
) -> TemplateLandmarks:
    """The 33 BlazePose landmarks of a template in SMPL's T-pose (y up, facing +z, left at +x)."""
    on_vertices = np.zeros((len(LANDMARK_NAMES), len(template)))
    on_joints = np.zeros((len(LANDMARK_NAMES), len(JOINT_NAMES)))
    carriers = np.zeros((len(LANDMARK_NAMES), len(JOINT_NAMES)))
    for landmark, joint in JOINT_LANDMARKS.items():
        on_joints[landmark, joint] = carriers[landmark, joint] = 1.0
    points = {**_find_face(template, skin_weights), **_find_extremities(template, skin_weights, joints)}
    for name, (vertex, joint) in points.items():
        landmark = LANDMARK_NAMES.index(name)
        on_vertices[landmark, vertex] = carriers[landmark, joint] = 1.0
    return TemplateLandmarks(vertex_weights=on_vertices, joint_weights=on_joints, carriers=carriers)


def _find_face(template: ndarray, skin_weights: ndarray) -> dict[str, tuple[int, int]]:
    """Vertex and joint of each landmark of the head: the front-most vertex near its expected place."""
    head = np.flatnonzero(skin_weights.argmax(1) == _HEAD)
    x, y, z = template[head].T
    top, half_width = y.max(), np.abs(x).max()
    # Not the chin, which may be ahead of the nose of a lowered head: the lower quarter is left out.
    near_middle = (np.abs(x) < 0.25 * half_width) & (y > y.min() + 0.25 * np.ptp(y))
    nose = head[near_middle][z[near_middle].argmax()]
    base = template[nose, 1]

    def front(out: float, up: float) -> int:
        """The surface vertex nearest to a line straight ahead, on the front of the head."""
        in_front = z > np.median(z)
        off = np.hypot(x - out * half_width, y - (base + up * (top - base)))
        return int(head[in_front][off[in_front].argmin()])

    points = {"nose": (int(nose), _HEAD)}
    for side, sign in (("left", 1.0), ("right", -1.0)):
        for part, out in _EYE_OUT.items():
            name = f"{side}_eye_{part}" if part else f"{side}_eye"
            points[name] = (front(sign * out, _EYE_UP), _HEAD)
        points[f"mouth_{side}"] = (front(sign * _MOUTH_OUT, _MOUTH_UP), _HEAD)
        level = np.abs(y - (base + _EAR_UP * (top - base))) < 0.15 * (top - base)
        points[f"{side}_ear"] = (int(head[level][(sign * x[level]).argmax()]), _HEAD)
    return points


def _find_extremities(template: ndarray, skin_weights: ndarray, joints: ndarray) -> dict[str, tuple[int, int]]:
    """Vertex and joint of the knuckles, heels and foot tips."""
    owner = skin_weights.argmax(1)
    points = {}
    for side, sign in (("left", 1.0), ("right", -1.0)):
        ankle, foot, wrist, hand = (JOINT_NAMES.index(f"{side}_{part}") for part in ("ankle", "foot", "wrist", "hand"))
        sole = np.flatnonzero(np.isin(owner, (ankle, foot)))
        points[f"{side}_heel"] = (int(sole[template[sole, 2].argmin()]), ankle)
        points[f"{side}_foot_index"] = (int(sole[template[sole, 2].argmax()]), foot)
        palm = np.flatnonzero(np.isin(owner, (wrist, hand)))
        across = template[palm, 2]
        knuckle = joints[hand]
        spread = 0.03
        for name, goal in (
            ("pinky", knuckle + np.array([-0.01 * sign, 0.0, -spread])),
            ("index", knuckle + np.array([0.0, 0.0, spread])),
            ("thumb", 0.5 * (joints[wrist] + knuckle) + [0.0, -0.01, max(across.max() - knuckle[2], spread) * 0.8]),
        ):
            points[f"{side}_{name}"] = (int(palm[np.linalg.norm(template[palm] - goal, axis=1).argmin()]), wrist)
    return points


def find_contacts(
    template: Float[ndarray, "V 3"], skin_weights: Float[ndarray, "V 24"], joints: Float[ndarray, "24 3"]
) -> dict[str, Int[ndarray, " n"]]:
    """Vertices that touch the ground, a seat or an object: toes, heels, knees and palms of both sides, pelvis_seat.

    Places are told as shares of the leg's length, so that small bodies work as well.
    """
    owner = skin_weights.argmax(1)
    x, y, z = template.T
    leg = joints[JOINT_NAMES.index("left_hip"), 1] - joints[JOINT_NAMES.index("left_ankle"), 1]
    contacts: dict[str, ndarray] = {}
    for side in ("left", "right"):
        at = {part: JOINT_NAMES.index(f"{side}_{part}") for part in ("hip", "knee", "ankle", "foot", "wrist", "hand")}
        foot = np.isin(owner, (at["ankle"], at["foot"]))
        sole = foot & (y < y[foot].min() + 0.018 * leg)
        contacts[f"{side}_toe"] = np.flatnonzero(sole & (z > joints[at["foot"], 2]))
        contacts[f"{side}_heel"] = np.flatnonzero(sole & (z < joints[at["ankle"], 2] + 0.01 * leg))
        knee = np.isin(owner, (at["knee"], at["hip"])) & (np.abs(y - joints[at["knee"], 1]) < 0.05 * leg)
        contacts[f"{side}_knee"] = np.flatnonzero(knee & (z > np.quantile(z[knee], 0.8)))
        middle = 0.5 * (joints[at["wrist"]] + joints[at["hand"]])
        hand = np.isin(owner, (at["wrist"], at["hand"]))
        palm = hand & (np.hypot(x - middle[0], z - middle[2]) < 0.05 * leg)
        contacts[f"{side}_palm"] = np.flatnonzero(palm & (y < np.quantile(y[palm], 0.35)))
    hip = joints[JOINT_NAMES.index("left_hip")]
    seat = np.isin(owner, (0, 1, 2)) & (np.abs(np.abs(x) - 0.8 * hip[0]) < 0.06 * leg) & (z < hip[2])
    seat &= np.abs(y - (hip[1] - 0.08 * leg)) < 0.06 * leg
    contacts["pelvis_seat"] = np.flatnonzero(seat & (z < np.quantile(z[seat], 0.6)))
    return contacts
