"""People as characters of animation programs: named bones, a rest pose that stands on the floor, and a skin."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Float32, Float64, Int64, UInt8
from numpy import ndarray
from scipy.spatial.transform import Rotation

from unish.body import JOINT_NAMES, PARENTS, Body
from unish.export.feet import pose_joints
from unish.export.take import TakePerson

MAX_INFLUENCES = 4
"""Joints that move a vertex, the most that every engine and viewer can be relied on to use."""

_SIDED = {
    "vrm": ("{side}{part}", {"left": "left", "right": "right"}),
    "mixamo": ("mixamorig:{side}{part}", {"left": "Left", "right": "Right"}),
    "ue5": ("{part}_{side}", {"left": "l", "right": "r"}),
}
_PARTS = {
    "vrm": {
        "pelvis": "hips", "spine1": "spine", "spine2": "chest", "spine3": "upperChest", "neck": "neck", "head": "head",
        "hip": "UpperLeg", "knee": "LowerLeg", "ankle": "Foot", "foot": "Toes", "collar": "Shoulder",
        "shoulder": "UpperArm", "elbow": "LowerArm", "wrist": "Hand", "hand": "MiddleProximal",
    },
    "mixamo": {
        "pelvis": "mixamorig:Hips", "spine1": "mixamorig:Spine", "spine2": "mixamorig:Spine1",
        "spine3": "mixamorig:Spine2", "neck": "mixamorig:Neck", "head": "mixamorig:Head", "hip": "UpLeg",
        "knee": "Leg", "ankle": "Foot", "foot": "ToeBase", "collar": "Shoulder", "shoulder": "Arm",
        "elbow": "ForeArm", "wrist": "Hand", "hand": "HandMiddle1",
    },
    "ue5": {
        "pelvis": "pelvis", "spine1": "spine_01", "spine2": "spine_02", "spine3": "spine_03", "neck": "neck_01",
        "head": "head", "hip": "thigh", "knee": "calf", "ankle": "foot", "foot": "ball", "collar": "clavicle",
        "shoulder": "upperarm", "elbow": "lowerarm", "wrist": "hand", "hand": "middle_01",
    },
}  # fmt: skip
"""Bone of each rig for each of SMPL's joints, in the words of VRM 1.0, Mixamo and Unreal Engine 5 (Manny and Quinn)."""

_ARMS_DOWN = {"ue5": 45.0}
"""Degrees by which the arms of a rig's rest pose hang below the horizontal (A-pose); 0 is SMPL's T-pose."""

_GROUND_BONE = {"ue5": "root"}
"""A bone between the feet, above the hips, that an engine moves characters by."""


@dataclass(frozen=True, kw_only=True)
class Character:
    """One person as a rigged character: N frames, J bones, V vertices. Metres; in the rest pose y is up, +z in front.

    Every bone's axes are those of the world in the rest pose, so a pose is one rotation for each bone.

    Attributes:
        person: whom it was made of; ``person.valid`` says in which frames there is somebody.
        bones: their names; parents come before their children.
        parents: index of each bone's parent, −1 for the first.
        rest: places of the bones in the rest pose, soles at height 0.
        rotations: of each bone relative to its parent; finite in every frame.
        hips: index of the bone that travels.
        travel: place of that bone in the world of the take; finite in every frame.
        joints: bone of each of SMPL's 24 joints.
        vertices: in the rest pose.
        influences, weights: the strongest joints of each vertex as bones, and their weights, which sum to 1.
    """

    person: TakePerson
    bones: tuple[str, ...]
    parents: tuple[int, ...]
    rest: Float64[ndarray, "J 3"]
    rotations: Float64[ndarray, "N J 3 3"]
    hips: int
    travel: Float64[ndarray, "N 3"]
    joints: Int64[ndarray, "24"]
    vertices: Float32[ndarray, "V 3"]
    influences: UInt8[ndarray, "V 4"]
    weights: Float32[ndarray, "V 4"]

    @property
    def name(self) -> str:
        return f"person {self.person.person_id}"

    def offsets(self) -> Float64[ndarray, "J 3"]:
        """Of each bone from its parent in the rest pose; of the first, from the origin."""
        return self.rest - np.where(np.array(self.parents)[:, None] < 0, 0.0, self.rest[list(self.parents)])


def name_bones(rig: str) -> tuple[str, ...]:
    """Names of SMPL's 24 joints in a rig."""
    if rig == "smpl":
        return JOINT_NAMES
    pattern, sides = _SIDED[rig]
    names = []
    for joint in JOINT_NAMES:
        side, _, part = joint.partition("_")
        names.append(pattern.format(side=sides[side], part=_PARTS[rig][part]) if side in sides else _PARTS[rig][joint])
    return tuple(names)


def make_character(person: TakePerson, body: Body, rig: str) -> Character:
    """A person of a take with the bones and the rest pose of a rig.

    Joints are where they are in the take, whatever the rest pose. Vertices are where ``body`` puts them but for what
    skins cannot say: influences beyond the four strongest, and correctives that depend on the pose.
    """
    known = person.bridged()
    to_rest = _hang_arms(_ARMS_DOWN.get(rig, 0.0))
    turned, rest = pose_joints(known.rest_joints, to_rest[None], known.rest_joints[:1])
    influences, weights = choose_influences(body.skin_weights.cpu().numpy())
    vertices = _pose_vertices(body, person, turned[0], rest[0], influences, weights)
    sole = float(vertices[:, 1].min())
    # In the new rest pose every joint is turned by G already: local = (Gₚ · R · Gᵀ).
    above = [max(parent, 0) for parent in PARENTS]
    rotations = turned[:, above] @ known.rotations @ turned.mT
    rotations[:, 0] = known.rotations[:, 0] @ turned[0, 0].T
    character = Character(
        person=person,
        bones=name_bones(rig),
        parents=PARENTS,
        rest=rest[0] - [0.0, sole, 0.0],
        rotations=rotations,
        hips=0,
        travel=known.pelvis,
        joints=np.arange(len(PARENTS)),
        vertices=(vertices - [0.0, sole, 0.0]).astype(np.float32),
        influences=influences,
        weights=weights,
    )
    return _add_ground_bone(character, _GROUND_BONE[rig]) if rig in _GROUND_BONE else character


def choose_influences(weights: Float[ndarray, "V J"]) -> tuple[UInt8[ndarray, "V 4"], Float32[ndarray, "V 4"]]:
    """The strongest joints of each vertex and their weights, brought to a sum of one; joint 0 where the weight is 0."""
    joints = np.argsort(-weights, axis=1, kind="stable")[:, :MAX_INFLUENCES]
    kept = np.take_along_axis(weights, joints, axis=1)
    return np.where(kept > 0, joints, 0).astype(np.uint8), (kept / kept.sum(axis=1, keepdims=True)).astype(np.float32)


def _hang_arms(degrees: float) -> Float64[ndarray, "24 3 3"]:
    """SMPL's T-pose with the arms turned down about the axis that points ahead; the left one is at +x."""
    pose = np.tile(np.eye(3), (len(JOINT_NAMES), 1, 1))
    for side, sign in (("left", -1.0), ("right", 1.0)):
        turn = Rotation.from_euler("z", sign * degrees, degrees=True)
        pose[JOINT_NAMES.index(f"{side}_shoulder")] = turn.as_matrix()
    return pose


def _pose_vertices(
    body: Body,
    person: TakePerson,
    turned: Float64[ndarray, "24 3 3"],
    rest: Float64[ndarray, "24 3"],
    influences: UInt8[ndarray, "V 4"],
    weights: Float32[ndarray, "V 4"],
) -> Float64[ndarray, "V 3"]:
    """Linear blend skinning to the rest pose of the rig, with the weights that the character has."""
    shaped = body.shape(torch.from_numpy(person.betas).to(body.template)).vertices.double().cpu().numpy()
    shift = rest - (turned @ person.rest_joints[..., None])[..., 0]
    parts = (turned[influences] @ shaped[:, None, :, None])[..., 0] + shift[influences]
    return (weights[..., None].astype(np.float64) * parts).sum(axis=1)


def _add_ground_bone(character: Character, name: str) -> Character:
    """The same under one more bone that stays at the origin."""
    still = np.tile(np.eye(3), (len(character.rotations), 1, 1, 1))
    return Character(
        person=character.person,
        bones=(name, *character.bones),
        parents=(-1, *(parent + 1 for parent in character.parents)),
        rest=np.concatenate([np.zeros((1, 3)), character.rest]),
        rotations=np.concatenate([still, character.rotations], axis=1),
        hips=1,
        travel=character.travel,
        joints=character.joints + 1,
        vertices=character.vertices,
        influences=np.where(character.weights > 0, character.influences + 1, 0).astype(np.uint8),
        weights=character.weights,
    )
