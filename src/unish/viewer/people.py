"""People as skinned meshes: a rest shape, and the pose of its joints at every step."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float32, Int32, Int64, UInt8
from numpy import ndarray
from scipy.spatial.transform import Rotation

from unish.body import Body
from unish.body.skinning import skin_points
from unish.export.characters import choose_influences
from unish.geometry.rotation import axis_angle_to_matrix
from unish.render.colours import person_colour
from unish.structs import Reconstruction

_TOUCHES = 0.5
"""``contact_prob`` from which on a point of the body is shown as touching the ground."""
_POSED_AT_ONCE = 512


@dataclass(frozen=True, kw_only=True)
class PersonRecord:
    """One identity over N steps, in the world of each step's shot, metres.

    Linear blend skinning of ``vertices`` with ``weights`` from ``rest_joints`` to the joint poses gives the body;
    pose-dependent corrections of the shape, where a body model has them, are left out, as in the glb.

    Attributes:
        shown: steps in which there is a body; the poses of others repeat the last known one.
        observed: of these, where the person was seen and not filled in.
        weights: (V, 24), the four largest of each vertex, sum 1.
        joint_wxyz, joint_positions: world rotation (unit quaternion, scalar first) and place of the joints.
        height_m: standing height.
        contact_points: (N, C, 3) heels and toes; ``touching`` says which of them stand. C is 0 where nobody looked.
    """

    person_id: int
    colour: UInt8[ndarray, "3"]
    shown: Bool[ndarray, "N"]
    observed: Bool[ndarray, "N"]
    vertices: Float32[ndarray, "V 3"]
    faces: Int32[ndarray, "F 3"]
    weights: Float32[ndarray, "V 24"]
    rest_joints: Float32[ndarray, "24 3"]
    joint_wxyz: Float32[ndarray, "N 24 4"]
    joint_positions: Float32[ndarray, "N 24 3"]
    height_m: float
    contact_points: Float32[ndarray, "N C 3"]
    touching: Bool[ndarray, "N C"]

    def posed_vertices(self, step: float) -> Float32[ndarray, "V 3"]:
        """The body of a step in the world, as it is drawn; between two steps, on the way from one to the other."""
        low = int(step)
        share = np.float32(step - low)
        wxyz, positions = self.joint_wxyz[low], self.joint_positions[low]
        if share > 0:
            nearer = np.sign(np.sum(wxyz * self.joint_wxyz[low + 1], axis=-1, keepdims=True))
            wxyz = (1 - share) * wxyz + share * nearer * self.joint_wxyz[low + 1]  # scipy makes it a unit quaternion
            positions = (1 - share) * positions + share * self.joint_positions[low + 1]
        rotations = Rotation.from_quat(wxyz, scalar_first=True).as_matrix().astype(np.float32)
        offsets = positions - np.einsum("jab,jb->ja", rotations, self.rest_joints)
        blended = self.weights @ np.concatenate([rotations, offsets[..., None]], axis=-1).reshape(24, 12)
        blended = blended.reshape(-1, 3, 4)
        return np.einsum("vab,vb->va", blended[..., :3], self.vertices) + blended[..., 3]


def read_people(record: Reconstruction, body: Body, frames: Int64[ndarray, "N"]) -> tuple[PersonRecord, ...]:
    """Everybody who has a body in one of the frames, in the order of ``person_ids``."""
    shown = (record.person_valid | record.person_filled)[:, frames]
    return tuple(
        _read_person(record, body, frames, person) for person in range(record.num_people) if shown[person].any()
    )


def _read_person(record: Reconstruction, body: Body, frames: Int64[ndarray, "N"], person: int) -> PersonRecord:
    observed = record.person_valid[person, frames]
    shown = observed | record.person_filled[person, frames]
    # The last known pose is held where there is none, before the first that one.
    held = frames[np.maximum.accumulate(np.where(shown, np.arange(len(frames)), np.argmax(shown)))]
    betas = torch.from_numpy(record.betas[person]).to(body.template)
    shaped = body.shape(betas)
    rotations, positions = _pose(record, body, shaped.joints, person, held)
    joints, weights = choose_influences(body.skin_weights.cpu().numpy())
    dense_weights = np.zeros(body.skin_weights.shape, np.float32)
    np.put_along_axis(dense_weights, joints.astype(np.int64), 0.0, axis=1)
    np.add.at(dense_weights, (np.arange(len(weights))[:, None], joints), weights)
    contact_points, touching = _read_contacts(record, body, betas, rotations, positions, person, frames)
    person_id = int(record.person_ids[person])
    quaternions = Rotation.from_matrix(rotations.reshape(-1, 3, 3).numpy()).as_quat(scalar_first=True)
    return PersonRecord(
        person_id=person_id,
        colour=person_colour(person_id),
        shown=shown,
        observed=observed,
        vertices=shaped.vertices.numpy().astype(np.float32),
        faces=record.faces,
        weights=dense_weights,
        rest_joints=shaped.joints.numpy().astype(np.float32),
        joint_wxyz=quaternions.reshape(len(frames), 24, 4).astype(np.float32),
        joint_positions=positions.numpy().astype(np.float32),
        height_m=float(body.standing_height(betas)),
        contact_points=contact_points,
        touching=touching & shown[:, None],
    )


def _pose(
    record: Reconstruction, body: Body, rest_joints: torch.Tensor, person: int, frames: Int64[ndarray, "N"]
) -> tuple[torch.Tensor, torch.Tensor]:
    """World rotations (N, 24, 3, 3) and places (N, 24, 3) of the joints."""
    orient = axis_angle_to_matrix(torch.from_numpy(record.global_orient_aa[person, frames]))
    pose = axis_angle_to_matrix(torch.from_numpy(record.body_pose_aa[person, frames]).unflatten(-1, (23, 3)))
    transl = torch.from_numpy(record.transl[person, frames])
    skeleton = body.pose(rest_joints.expand(len(frames), -1, -1), orient, pose)
    return skeleton.rotations, skeleton.positions + transl[:, None]


def _read_contacts(
    record: Reconstruction,
    body: Body,
    betas: torch.Tensor,
    rotations: torch.Tensor,
    positions: torch.Tensor,
    person: int,
    frames: Int64[ndarray, "N"],
) -> tuple[Float32[ndarray, "N C 3"], Bool[ndarray, "N C"]]:
    """The middle of each region of the foot at every step, and whether it touches the ground."""
    names = [] if record.contact_names is None else [str(name) for name in record.contact_names]
    columns = [column for column, name in enumerate(names) if name in body.contact_vertices]
    if record.contact_prob is None or not columns:
        return np.zeros((len(frames), 0, 3), np.float32), np.zeros((len(frames), 0), bool)
    shaped = body.shape(betas)
    middles = []
    for column in columns:
        chosen = body.contact_vertices[names[column]]
        posed = [
            skin_points(
                shaped.vertices[chosen].expand(len(turned), -1, -1),
                body.skin_weights[chosen],
                shaped.joints.expand(len(turned), -1, -1),
                turned,
                placed,
            ).mean(dim=1)
            for turned, placed in zip(rotations.split(_POSED_AT_ONCE), positions.split(_POSED_AT_ONCE), strict=True)
        ]
        middles.append(torch.cat(posed))
    probability = record.contact_prob[person][frames][:, columns]
    return torch.stack(middles, dim=1).numpy().astype(np.float32), np.nan_to_num(probability) > _TOUCHES
