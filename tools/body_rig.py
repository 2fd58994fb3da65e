"""anny's rig collapsed to the 24 joints of SMPL, and its A-pose taken to SMPL's T-pose."""

from __future__ import annotations

import anny
import numpy as np
from numpy import ndarray
from scipy.spatial.transform import Rotation

from body_people import rest_bone_heads, rest_vertices
from unish.body.joints import PARENTS

JOINT_BONES = (
    "root", "upperleg01.L", "upperleg01.R", "spine04", "lowerleg01.L", "lowerleg01.R", "spine03", "foot.L", "foot.R",
    "spine02", "toe2-1.L", "toe2-1.R", "neck01", "clavicle.L", "clavicle.R", "head", "upperarm01.L", "upperarm01.R",
    "lowerarm01.L", "lowerarm01.R", "wrist.L", "wrist.R", "finger3-1.L", "finger3-1.R",
)  # fmt: skip
# Bones whose nearest ancestor among JOINT_BONES is not the joint that should move them.
TOE_PREFIX, FINGER_PREFIXES = "toe", ("finger2", "finger3", "finger4", "finger5")


def dense_weights(model: anny.Anny) -> ndarray:
    """(V, 104) skinning weights of anny's own rig."""
    indices, values = model.vertex_bone_indices.numpy(), model.vertex_bone_weights.numpy()
    weights = np.zeros((len(indices), len(model.bone_labels)))
    np.add.at(weights, (np.arange(len(indices))[:, None], indices), values)
    return weights / weights.sum(1, keepdims=True)


def joint_of_bone(model: anny.Anny) -> ndarray:
    """(104,) SMPL joint that moves each bone: its own, or that of its nearest mapped ancestor."""
    labels, parents = list(model.bone_labels), list(model.bone_parents)
    joint = {labels.index(bone): j for j, bone in enumerate(JOINT_BONES)}
    for i, label in enumerate(labels):
        left = label.endswith(".L")
        if label.startswith(TOE_PREFIX):
            joint[i] = 10 if left else 11
        elif label.startswith(FINGER_PREFIXES):
            joint[i] = 22 if left else 23
        elif i not in joint:
            joint[i] = joint[parents[i]]
    return np.array([joint[i] for i in range(len(labels))])


def rotation_between(source: ndarray, source_side: ndarray, target: ndarray, target_side: ndarray) -> ndarray:
    """(N, 3, 3) rotations that take direction ``source`` to ``target`` and its side vector as near as possible."""

    def frame(forward: ndarray, side: ndarray) -> ndarray:
        x = forward / np.linalg.norm(forward, axis=-1, keepdims=True)
        y = side - (side * x).sum(-1, keepdims=True) * x
        y /= np.linalg.norm(y, axis=-1, keepdims=True)
        return np.stack([x, y, np.cross(x, y)], axis=-1)

    target, target_side = np.broadcast_to(target, source.shape), np.broadcast_to(target_side, source.shape)
    return frame(target, target_side) @ frame(source, source_side).swapaxes(-1, -2)


def untwist_hands(model: anny.Anny, vertices: ndarray, heads: ndarray, weights: ndarray) -> tuple[ndarray, ndarray]:
    """Turn each hand about its forearm so that the palm lies in the plane that the elbow's hinge gives it in a T-pose.

    anny's relaxed forearm is half pronated. The turn uses its own finer bones (half of it at mid-forearm), because the
    24 joints have nothing between elbow and wrist. Changes ``vertices`` (N, V, 3) and ``heads`` (N, 104, 3) copies.
    """
    labels = list(model.bone_labels)
    vertices, heads = vertices.copy(), heads.copy()
    for side, sign in (("L", 1.0), ("R", -1.0)):
        at = {name: heads[:, labels.index(f"{name}.{side}")] for name in
              ("upperarm01", "lowerarm01", "lowerarm02", "wrist", "finger2-1", "finger5-1")}  # fmt: skip
        along = at["wrist"] - at["lowerarm01"]
        along /= np.linalg.norm(along, axis=-1, keepdims=True)
        hinge = np.cross(at["lowerarm01"] - at["upperarm01"], along) * sign
        hinge /= np.linalg.norm(hinge, axis=-1, keepdims=True)
        across = at["finger2-1"] - at["finger5-1"]
        # In the T-pose the left hinge is −y and the hand points its index side to +z.
        wanted = np.cross(hinge, along) * sign
        across -= (across * along).sum(-1, keepdims=True) * along
        angle = np.arctan2((np.cross(across, wanted) * along).sum(-1), (across * wanted).sum(-1))
        hand = [i for i, label in enumerate(labels) if label.endswith(f".{side}") and
                label.startswith(("wrist", "finger", "metacarpal"))]  # fmt: skip
        middle = [labels.index(f"lowerarm02.{side}")]
        moved = np.zeros_like(vertices)
        rest = 1.0
        for bones, share in ((hand, 1.0), (middle, 0.5)):
            turn = Rotation.from_rotvec(along * (share * angle)[:, None]).as_matrix()
            weight = weights[:, bones].sum(1)[None, :, None]
            moved += weight * ((vertices - at["wrist"][:, None]) @ turn.swapaxes(-1, -2) + at["wrist"][:, None])
            rest = rest - weight
            heads[:, bones] = (heads[:, bones] - at["wrist"][:, None]) @ turn.swapaxes(-1, -2) + at["wrist"][:, None]
        vertices = (moved + rest * vertices).astype(np.float32)
    return vertices, heads


def rotations_to_t_pose(model: anny.Anny, heads: ndarray) -> ndarray:
    """(N, 24, 3, 3) global rotation of every joint from anny's A-pose to SMPL's T-pose."""
    labels = list(model.bone_labels)
    rotations = np.tile(np.eye(3), (len(heads), 24, 1, 1))
    for side, sign, hip, knee, shoulder, elbow, wrist, hand in (
        ("L", 1.0, 1, 4, 16, 18, 20, 22),
        ("R", -1.0, 2, 5, 17, 19, 21, 23),
    ):
        at = {name: heads[:, labels.index(f"{name}.{side}")] for name in
              ("upperleg01", "lowerleg01", "foot", "upperarm01", "lowerarm01", "wrist", "finger2-1", "finger3-1",
               "finger5-1")}  # fmt: skip
        ahead = np.array([0.0, 0.0, 1.0])
        thigh, shin = at["lowerleg01"] - at["upperleg01"], at["foot"] - at["lowerleg01"]
        rotations[:, hip] = rotation_between(thigh, ahead + 0 * thigh, np.array([0.05 * sign, -1.0, 0.0]), ahead)
        rotations[:, knee] = rotation_between(shin, ahead + 0 * shin, np.array([0.03 * sign, -1.0, -0.05]), ahead)
        out, down = np.array([sign, 0.0, 0.0]), np.array([0.0, -1.0, 0.0])
        upper, fore = at["lowerarm01"] - at["upperarm01"], at["wrist"] - at["lowerarm01"]
        hinge = np.cross(upper, fore) * sign
        rotations[:, shoulder] = rotation_between(upper, hinge, out, down)
        rotations[:, elbow] = rotation_between(fore, hinge, out, down)
        palm, across = at["finger3-1"] - at["wrist"], at["finger2-1"] - at["finger5-1"]
        rotations[:, wrist] = rotations[:, hand] = rotation_between(palm, across, out, ahead)
    return rotations


def forward_joints(joints: ndarray, rotations: ndarray) -> ndarray:
    """(N, 24, 3) joints after turning every bone by its global rotation; the root stays."""
    moved = joints.copy()
    for joint, parent in enumerate(PARENTS):
        if parent >= 0:
            offset = joints[:, joint] - joints[:, parent]
            moved[:, joint] = moved[:, parent] + np.einsum("nij,nj->ni", rotations[:, parent], offset)
    return moved


def to_t_pose(vertices: ndarray, joints: ndarray, rotations: ndarray, weights: ndarray) -> tuple[ndarray, ndarray]:
    """A-pose to T-pose by the *inverse* of the blended transforms.

    Linear blend skinning with ``weights`` (V, 24) then gives back anny's own A-pose exactly, so the shoulder is right
    in the middle of its range and the error is shared by arms up and arms down.
    """
    t_joints = forward_joints(joints, rotations)
    back = rotations.swapaxes(-1, -2)
    shift = joints - np.einsum("njab,njb->nja", back, t_joints)
    out = np.empty_like(vertices)
    for i in range(len(vertices)):
        blended = np.tensordot(weights, back[i], axes=1)
        offset = weights @ shift[i]
        out[i] = np.linalg.solve(blended, (vertices[i] - offset)[..., None])[..., 0]
    return out, t_joints


def t_pose_people(
    model: anny.Anny, coefficients: ndarray, which: ndarray, fine: ndarray, weights: ndarray
) -> tuple[ndarray, ndarray, dict[str, ndarray]]:
    """T-pose vertices ``which`` (N, W, 3), joints (N, 24, 3) and finger knuckles of people."""
    labels = list(model.bone_labels)
    heads = rest_bone_heads(model, coefficients)
    vertices, heads = untwist_hands(model, rest_vertices(model, coefficients, which), heads, fine[which])
    joints = heads[:, [labels.index(bone) for bone in JOINT_BONES]]
    rotations = rotations_to_t_pose(model, heads)
    vertices, t_joints = to_t_pose(vertices, joints, rotations, weights[which])
    knuckles = {}
    for side, wrist in (("L", 20), ("R", 21)):
        for finger in ("finger5-1", "finger2-1", "finger1-2"):
            offset = heads[:, labels.index(f"{finger}.{side}")] - joints[:, wrist]
            turned = np.einsum("nij,nj->ni", rotations[:, wrist], offset)
            knuckles[f"{finger}.{side}"] = t_joints[:, wrist] + turned
    return vertices, t_joints, knuckles
