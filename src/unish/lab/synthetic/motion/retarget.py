"""Any captured skeleton → SMPL joint rotations.

Skeletons differ in names, rest poses and proportions, so the limbs are taken from joint *positions*: each bone's frame
is its direction plus the axis about which the next joint bends. Pelvis, chest, head and feet turn with the source's own
joint rotations, calibrated once per clip, because positions say little about them.
"""

from __future__ import annotations

import re

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray
from scipy.ndimage import gaussian_filter1d
from scipy.spatial.transform import Rotation

from unish.body.joints import PARENTS
from unish.errors import InputError
from unish.lab.synthetic.motion.record import Motion
from unish.lab.synthetic.motion.skeleton import NOMINAL_REST_JOINTS, leg_length, pose_skeleton
from unish.lab.synthetic.motion.source import SourceClip

# Names of a joint without its side, in order of preference: "shoulder" is a collar in skeletons that also have "arm".
_SIDED_NAMES = {
    "hip": ("upleg", "upperleg", "thigh", "femur", "hip"),
    "knee": ("leg", "lowerleg", "calf", "shin", "tibia", "knee"),
    "ankle": ("foot", "ankle"),
    "toe": ("toebase", "toes", "toe", "forefoot", "footend", "ankleend"),
    "shoulder": ("arm", "upperarm", "humerus", "shoulder", "shldr"),
    "elbow": ("forearm", "lowerarm", "radius", "elbow"),
    "wrist": ("hand", "wrist"),
}
_CENTRAL_NAMES = {
    "pelvis": ("hips", "pelvis", "hip", "root"),
    "neck": ("neck", "lowerneck", "neck1", "upperneck"),
    "head": ("head",),
    "chest": ("spine3", "spine2", "chest4", "chest2", "spine1", "thorax", "spine03", "chest", "spine", "upperback"),
}
_OPTIONAL = {"toe"}
_SMOOTHING_S = 0.02
_HEAD_PITCH = np.radians(8.0)


def retarget(clip: SourceClip, *, rate_hz: float = 60.0) -> Motion:
    """Motion on the nominal skeleton, at most ``rate_hz`` frames per second, floor at y = 0.

    Raises:
        InputError: a limb of the skeleton was not recognised by its names.
    """
    clip = _thin(_stand_up(clip), rate_hz)
    joints = find_joints(clip)
    world = _world_frames(clip, joints)
    local = world.copy()
    for joint, parent in enumerate(PARENTS):
        if parent >= 0:
            local[:, joint] = world[:, parent].transpose(0, 2, 1) @ world[:, joint]
    rotations = torch.from_numpy(_smooth(local, _SMOOTHING_S * clip.rate_hz).astype(np.float32))
    return Motion(
        timestamps_s=torch.arange(len(local), dtype=torch.float64) / clip.rate_hz,
        global_orient=rotations[:, 0], body_pose=rotations[:, 1:],
        root=_path(clip, joints, rotations), name=clip.name,
    )  # fmt: skip


def find_joints(clip: SourceClip) -> dict[str, int]:
    """Role (``left_knee``, ``neck``, …) → joint index. Roles in ``_OPTIONAL`` may be missing.

    Raises:
        InputError: some other role was not found.
    """
    plain: dict[str, int] = {}
    for i, name in enumerate(clip.names):
        plain.setdefault(_plain_name(name), i)
    found: dict[str, int] = {}
    for role, names in _CENTRAL_NAMES.items():
        _take(found, role, plain, names)
    for side in ("left", "right"):
        for role, names in _SIDED_NAMES.items():
            spellings = [text for n in names for text in (f"{side}{n}", f"{side[0]}{n}", f"{n}{side[0]}", f"{n}{side}")]
            _take(found, f"{side}_{role}", plain, spellings)
    needed = {*_CENTRAL_NAMES, *(f"{s}_{r}" for s in ("left", "right") for r in _SIDED_NAMES if r not in _OPTIONAL)}
    missing = sorted(needed - found.keys())
    if missing:
        raise InputError(f"{clip.name}: no joint found for {', '.join(missing)}; rename them or leave the file out")
    return found


def _take(found: dict[str, int], role: str, plain: dict[str, int], names: tuple[str, ...] | list[str]) -> None:
    for name in names:
        if name in plain:
            found[role] = plain[name]
            return


def _plain_name(name: str) -> str:
    """Lower-case letters and digits, without a namespace."""
    return re.sub(r"[^a-z0-9]", "", name.split(":")[-1].lower())


def _stand_up(clip: SourceClip) -> SourceClip:
    """Turn a z-up recording so that y is up."""
    joints = find_joints(clip)
    feet = clip.positions[:, [joints["left_ankle"], joints["right_ankle"]]].mean(axis=1)
    up = (clip.positions[:, joints["head"]] - feet).mean(axis=0)
    if abs(up[1]) >= abs(up[2]):
        return clip
    turn = np.array([[1.0, 0, 0], [0, 0, 1.0], [0, -1.0, 0]])
    return SourceClip(
        names=clip.names, rest=clip.rest, positions=clip.positions @ turn.T, turns=turn @ clip.turns,
        rate_hz=clip.rate_hz, name=clip.name,
    )  # fmt: skip


def _thin(clip: SourceClip, rate_hz: float) -> SourceClip:
    step = max(1, round(clip.rate_hz / rate_hz))
    return SourceClip(
        names=clip.names, rest=clip.rest, positions=clip.positions[::step], turns=clip.turns[::step],
        rate_hz=clip.rate_hz / step, name=clip.name,
    )  # fmt: skip


def _world_frames(clip: SourceClip, joints: dict[str, int]) -> Float[ndarray, "N 24 3 3"]:
    """World rotation of each SMPL joint."""
    at = {role: clip.positions[:, i] for role, i in joints.items()}
    hips = (at["left_hip"] + at["right_hip"]) / 2
    shoulders = (at["left_shoulder"] + at["right_shoulder"]) / 2
    trunk = shoulders - hips
    pelvis = _follow(clip, joints["pelvis"], _frame(x=at["left_hip"] - at["right_hip"], y=trunk))
    chest = _follow(clip, joints["chest"], _frame(x=at["left_shoulder"] - at["right_shoulder"], y=trunk))
    tilt = Rotation.from_euler("x", _HEAD_PITCH).as_matrix()
    head = _follow(clip, joints["head"], chest) @ tilt

    world = np.empty((len(pelvis), 24, 3, 3))
    world[:, 0] = pelvis
    spine = _between(pelvis, chest, (1 / 3, 2 / 3))
    world[:, 3], world[:, 6], world[:, 9] = spine[0], spine[1], chest
    world[:, 12], world[:, 15] = _between(chest, head, (0.5,))[0], head
    for first, side in enumerate(("left", "right")):
        world[:, [1 + first, 4 + first, 7 + first]] = np.stack(_leg(clip, joints, at, side, first, pelvis), axis=1)
        world[:, 10 + first] = world[:, 7 + first]
        world[:, 13 + first] = chest
        upper, lower = _arm(at, side, first, chest)
        world[:, 16 + first] = upper
        world[:, [18 + first, 20 + first, 22 + first]] = lower[:, None]
    return world


def _leg(
    clip: SourceClip, joints: dict[str, int], at: dict[str, ndarray], side: str, first: int, pelvis: ndarray
) -> tuple[ndarray, ndarray, ndarray]:
    """Thigh, shank and foot. The knee bends about the leg's x axis: thigh × shank points to the person's left."""
    thigh = at[f"{side}_knee"] - at[f"{side}_hip"]
    shank = at[f"{side}_ankle"] - at[f"{side}_knee"]
    foot = _foot(clip, joints, side)
    straight = _reject(_unit(0.5 * foot[:, :, 0] + 0.5 * pelvis[:, :, 0]), _unit(shank))
    axis = _bend_axis(np.cross(_unit(thigh), _unit(shank)), straight)
    rest = NOMINAL_REST_JOINTS.numpy().astype(np.float64)
    side_axis = np.array([1.0, 0.0, 0.0])
    rest_thigh = _frame(x=side_axis, y=rest[1 + first] - rest[4 + first], exact="y")
    rest_shank = _frame(x=side_axis, y=rest[4 + first] - rest[7 + first], exact="y")
    return _frame(x=axis, y=-thigh, exact="y") @ rest_thigh.T, _frame(x=axis, y=-shank, exact="y") @ rest_shank.T, foot


def _foot(clip: SourceClip, joints: dict[str, int], side: str) -> Float[ndarray, "N 3 3"]:
    """The foot turns with the source's ankle; in the source's rest pose the sole is taken to be level."""
    ankle = joints[f"{side}_ankle"]
    if f"{side}_toe" in joints:
        forward = clip.rest[joints[f"{side}_toe"]] - clip.rest[ankle]
    else:
        across = clip.rest[joints["left_hip"]] - clip.rest[joints["right_hip"]]
        forward = np.cross(across, clip.rest[joints["head"]] - clip.rest[ankle])
    up = _rest_up(clip, joints)
    level = forward - (forward @ up) * up
    return clip.turns[:, ankle] @ _frame(x=np.cross(up, level), y=up)


def _rest_up(clip: SourceClip, joints: dict[str, int]) -> Float[ndarray, "3"]:
    """The coordinate axis that is nearest to feet → head in the rest pose."""
    feet = (clip.rest[joints["left_ankle"]] + clip.rest[joints["right_ankle"]]) / 2
    trunk = clip.rest[joints["head"]] - feet
    up = np.zeros(3)
    largest = int(np.abs(trunk).argmax())
    up[largest] = np.sign(trunk[largest])
    return up


def _arm(at: dict[str, ndarray], side: str, first: int, chest: ndarray) -> tuple[ndarray, ndarray]:
    """Upper arm and forearm. The elbow bends about the arm's y axis; a straight arm takes the least twist."""
    sign = 1.0 - 2.0 * first
    upper = at[f"{side}_elbow"] - at[f"{side}_shoulder"]
    lower = at[f"{side}_wrist"] - at[f"{side}_elbow"]
    rest = NOMINAL_REST_JOINTS.numpy().astype(np.float64)
    rest_upper, rest_lower = rest[18 + first] - rest[16 + first], rest[20 + first] - rest[18 + first]
    swing = _swing(chest @ _unit(rest_upper), _unit(upper)) @ chest
    axis = _bend_axis(np.cross(_unit(lower), _unit(upper)) * sign, _reject(swing[:, :, 1], _unit(lower)))
    y = np.array([0.0, 1.0, 0.0])
    return (
        _frame(x=sign * upper, y=axis) @ _frame(x=sign * rest_upper, y=y).T,
        _frame(x=sign * lower, y=axis) @ _frame(x=sign * rest_lower, y=y).T,
    )


def _bend_axis(bend: Float[ndarray, "N 3"], straight: Float[ndarray, "N 3"]) -> Float[ndarray, "N 3"]:
    """The measured axis where the joint is bent by more than some 10–30°, the fallback where it is straight."""
    amount = np.linalg.norm(bend, axis=-1, keepdims=True)
    level = np.clip((amount - np.sin(np.radians(10))) / (np.sin(np.radians(30)) - np.sin(np.radians(10))), 0, 1)
    # An axis that points the other way is a hyperextended or mislabelled joint, not a bend.
    agrees = (bend * straight).sum(-1, keepdims=True) > -0.5 * amount
    return _unit(straight + (_unit(bend) - straight) * level * agrees)


def _follow(clip: SourceClip, joint: int, frames: Float[ndarray, "N 3 3"]) -> Float[ndarray, "N 3 3"]:
    """The source joint's rotation times the constant offset that brings it nearest to ``frames`` over the clip."""
    offset = Rotation.from_matrix(clip.turns[:, joint].transpose(0, 2, 1) @ frames).mean().as_matrix()
    return clip.turns[:, joint] @ offset


def _between(start: ndarray, end: ndarray, fractions: tuple[float, ...]) -> list[ndarray]:
    turn = Rotation.from_matrix(start.transpose(0, 2, 1) @ end).as_rotvec()
    return [start @ Rotation.from_rotvec(turn * fraction).as_matrix() for fraction in fractions]


def _frame(*, x: ndarray, y: ndarray, exact: str = "x") -> ndarray:
    """Right-handed frame (columns) with one of the two axes exact and the other as near as it can be."""
    if exact == "x":
        x = _unit(x)
        y = _unit(_reject(y, x))
    else:
        y = _unit(y)
        x = _unit(_reject(x, y))
    return np.stack(np.broadcast_arrays(x, y, np.cross(x, y)), axis=-1)


def _swing(start: Float[ndarray, "N 3"], end: Float[ndarray, "N 3"]) -> Float[ndarray, "N 3 3"]:
    """Shortest rotation that takes one unit vector to another."""
    axis = np.cross(start, end)
    sine = np.linalg.norm(axis, axis=-1, keepdims=True)
    angle = np.arctan2(sine, (start * end).sum(-1, keepdims=True))
    return Rotation.from_rotvec(axis / np.maximum(sine, 1e-9) * angle).as_matrix()


def _unit(vector: ndarray) -> ndarray:
    return vector / np.maximum(np.linalg.norm(vector, axis=-1, keepdims=True), 1e-9)


def _reject(vector: ndarray, unit: ndarray) -> ndarray:
    """The part of a vector that is perpendicular to a unit vector."""
    return vector - (vector * unit).sum(-1, keepdims=True) * unit


def _smooth(local: Float[ndarray, "N 24 3 3"], sigma: float) -> Float[ndarray, "N 24 3 3"]:
    """Gaussian filter over time, back to rotations by SVD: removes the jitter of bend axes near straight limbs."""
    if sigma > 0.3 and len(local) > 2:
        local = gaussian_filter1d(local, sigma, axis=0, mode="nearest")
    u, _, vt = np.linalg.svd(local)
    u[..., :, 2] *= np.sign(np.linalg.det(u @ vt))[..., None]
    return u @ vt


def _path(clip: SourceClip, joints: dict[str, int], rotations: torch.Tensor) -> Float[torch.Tensor, "N 3"]:
    """The source's path, scaled by leg length; the body's lowest point is as high as the source's lowest joint."""
    bones = [
        (f"{side}_{a}", f"{side}_{b}") for side in ("left", "right") for a, b in (("hip", "knee"), ("knee", "ankle"))
    ]
    lengths = [np.linalg.norm(clip.positions[:, joints[a]] - clip.positions[:, joints[b]], axis=-1) for a, b in bones]
    scale = leg_length(NOMINAL_REST_JOINTS) / (np.median(lengths, axis=1).sum() / 2)
    hips = (clip.positions[:, joints["left_hip"]] + clip.positions[:, joints["right_hip"]]) / 2
    path = (hips - hips[:1]) * scale
    lowest = clip.positions[..., 1].min(axis=1) * scale
    clearance = np.maximum(lowest - np.percentile(lowest, 20) - 0.04, 0.0)
    _, contacts = pose_skeleton(rotations)
    path[:, 1] = clearance - contacts[..., 1].amin(dim=-1).numpy()
    return torch.from_numpy(path.astype(np.float32))
