"""An SMPL-format body model: parameters in, joints, vertices and landmarks out."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from unish.body.skinning import apply_shape, chain_joints, pose_features, skin_points
from unish.geometry.rotation import axis_angle_to_matrix
from unish.structs import BodyParams


@dataclass(frozen=True, kw_only=True, eq=False)
class Body:
    """Tensors of one body model, V vertices, S shape components; metres, rest pose y up, facing +z, left at +x.

    Attributes:
        pose_dirs: (207, V·3) pose correctives, or ``None`` for a body without them.
        landmark_template, landmark_dirs, landmark_joints: the 33 BlazePose landmarks in the rest pose, how they follow
            the shape, and the joint that each is fixed to.
        contact_vertices: vertices that stand for toes, heels, palms and so on, by name.
    """

    name: str
    faces: Int[Tensor, "F 3"]
    template: Float[Tensor, "V 3"]
    shape_dirs: Float[Tensor, "V 3 S"]
    joint_template: Float[Tensor, "24 3"]
    joint_dirs: Float[Tensor, "24 3 S"]
    weights: Float[Tensor, "V 24"]
    landmark_template: Float[Tensor, "33 3"]
    landmark_dirs: Float[Tensor, "33 3 S"]
    landmark_joints: Int[Tensor, "33"]
    contact_vertices: dict[str, Tensor]
    pose_dirs: Float[Tensor, "207 V3"] | None = None

    @property
    def num_vertices(self) -> int:
        return int(self.template.shape[0])

    def to(self, device: torch.device | str) -> Body:
        """The same body with its tensors on another device."""
        moved = {
            field.name: value.to(device)
            for field in fields(self)
            if isinstance(value := getattr(self, field.name), Tensor)
        }
        return replace(self, **moved)

    def rest_joints(self, betas: Float[Tensor, "*batch S"]) -> Float[Tensor, "*batch 24 3"]:
        """Joints of the unposed shape."""
        return apply_shape(self.joint_template, self.joint_dirs, betas)

    def joints(self, params: BodyParams) -> Float[Tensor, "*batch 24 3"]:
        """Posed joints."""
        _, positions = chain_joints(self.rest_joints(params.betas), _rotations(params))
        return positions + params.transl[..., None, :]

    def landmarks(self, params: BodyParams) -> Float[Tensor, "*batch 33 3"]:
        """Posed BlazePose landmarks."""
        rest = self.rest_joints(params.betas)
        turned, positions = chain_joints(rest, _rotations(params))
        local = (
            apply_shape(self.landmark_template, self.landmark_dirs, params.betas) - rest[..., self.landmark_joints, :]
        )
        moved = (turned[..., self.landmark_joints, :, :] @ local[..., None])[..., 0]
        return moved + positions[..., self.landmark_joints, :] + params.transl[..., None, :]

    def vertices(self, params: BodyParams) -> Float[Tensor, "*batch V 3"]:
        """Posed vertices."""
        rest = self.rest_joints(params.betas)
        turned, positions = chain_joints(rest, _rotations(params))
        shaped = apply_shape(self.template, self.shape_dirs, params.betas)
        if self.pose_dirs is not None:
            shaped = shaped + (pose_features(params.body_pose) @ self.pose_dirs).unflatten(-1, (-1, 3))
        return skin_points(shaped, self.weights, rest, turned, positions) + params.transl[..., None, :]

    def standing_height(self, betas: Float[Tensor, "*batch S"]) -> Float[Tensor, "*batch"]:
        """Vertical extent of the unposed mesh, metres."""
        height = apply_shape(self.template, self.shape_dirs, betas)[..., 1]
        return height.amax(-1) - height.amin(-1)

    def vertices_from_axis_angle(
        self, betas: np.ndarray, global_orient_aa: np.ndarray, body_pose_aa: np.ndarray, transl: np.ndarray
    ) -> np.ndarray:
        """(K, 10), (K, 3), (K, 69), (K, 3) → (K, V, 3), in chunks that bound memory."""
        out = np.empty((len(betas), self.num_vertices, 3), np.float32)
        for start in range(0, len(betas), 64):
            rows = slice(start, start + 64)
            params = BodyParams(
                betas=torch.as_tensor(betas[rows]),
                global_orient=axis_angle_to_matrix(torch.as_tensor(global_orient_aa[rows])),
                body_pose=axis_angle_to_matrix(torch.as_tensor(body_pose_aa[rows]).unflatten(-1, (23, 3))),
                transl=torch.as_tensor(transl[rows]),
            )
            out[rows] = self.vertices(params).numpy()
        return out


def match_shape(
    source: Body, betas: Float[Tensor, "*batch S"], target: Body, *, ridge: float = 1e-4
) -> Float[Tensor, "*batch T"]:
    """Shape of another body whose rest joints are nearest, both centred at the pelvis (ridge least squares)."""
    wanted = source.rest_joints(betas) - target.joint_template
    wanted = (wanted - wanted[..., :1, :]).flatten(-2)
    basis = (target.joint_dirs - target.joint_dirs[:1]).flatten(0, 1)
    normal = basis.mT @ basis + ridge * torch.eye(basis.shape[1], dtype=basis.dtype)
    return wanted @ torch.linalg.solve(normal, basis.mT).mT


def _rotations(params: BodyParams) -> Float[Tensor, "*batch 24 3 3"]:
    return torch.cat([params.global_orient[..., None, :, :], params.body_pose], dim=-3)
