"""An SMPL-format body: staged (shape → pose → skin), batched over any leading dimensions, differentiable."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import Any

import torch
from jaxtyping import Float, Int64
from numpy import ndarray
from torch import Tensor

from unish.body.joints import PARENTS
from unish.body.skinning import apply_shape, chain_joints, pose_features, skin_points
from unish.geometry.rotation import axis_angle_to_matrix
from unish.structs import BodyParams


@dataclass(frozen=True, kw_only=True)
class ShapedBody:
    """After the first stage: a person in the rest pose (T-pose, y up, facing +z, left at +x), metres."""

    vertices: Float[Tensor, "*batch V 3"]
    joints: Float[Tensor, "*batch 24 3"]


@dataclass(frozen=True, kw_only=True)
class PosedSkeleton:
    """After the second stage: global rotations and positions of the joints, ``transl`` not yet added."""

    rotations: Float[Tensor, "*batch 24 3 3"]
    positions: Float[Tensor, "*batch 24 3"]


@dataclass(frozen=True, kw_only=True)
class Body:
    """One body model: its template, shape space, skinning, landmarks and contact vertices. Metres, in the rest frame.

    Parameters mean what they mean in the ``smplx`` library: the root turns about the rest pelvis J0(betas), then
    ``transl`` is added. Betas of two models are different spaces (see ``match_shape``).

    Attributes:
        name: ``free``, or the file name of a licensed model.
        faces: (F, 3) triangles, counter-clockwise seen from outside.
        template, shape_directions: rest vertices of the mean shape and their change per unit of beta.
        joint_template, joint_directions: the same of the joints (the joint regressor, already applied).
        landmark_template, landmark_directions, landmark_weights: the same of the 33 BlazePose landmarks, with weights
            to the joints that carry them.
        skin_weights: (V, 24), rows sum to 1.
        pose_directions: (207, V · 3) pose correctives, or ``None``.
        contact_vertices: vertex indices by name: left_toe, left_heel, left_palm, left_knee, the same of the right, and
            pelvis_seat.
    """

    name: str
    faces: Int64[Tensor, "F 3"]
    template: Float[Tensor, "V 3"]
    shape_directions: Float[Tensor, "V 3 S"]
    joint_template: Float[Tensor, "24 3"]
    joint_directions: Float[Tensor, "24 3 S"]
    landmark_template: Float[Tensor, "33 3"]
    landmark_directions: Float[Tensor, "33 3 S"]
    landmark_weights: Float[Tensor, "33 24"]
    skin_weights: Float[Tensor, "V 24"]
    pose_directions: Float[Tensor, "207 V3"] | None = None
    contact_vertices: dict[str, Tensor] = field(default_factory=dict)
    parents: tuple[int, ...] = PARENTS

    @property
    def num_vertices(self) -> int:
        return int(self.template.shape[0])

    @property
    def shape_space(self) -> str:
        """What ``betas`` belong to: ``smpl`` for every licensed model (they share it), else the name of the body."""
        return self.name if self.pose_directions is None else "smpl"

    @property
    def num_betas(self) -> int:
        return int(self.shape_directions.shape[-1])

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> Body:
        """The same body on another device, or with its float tensors in another precision."""

        def moved(value: Any) -> Any:
            if not isinstance(value, Tensor):
                return value
            return value.to(device=device, dtype=dtype if value.is_floating_point() else None)

        tensors: dict[str, Any] = {f.name: moved(getattr(self, f.name)) for f in fields(self)}
        tensors["contact_vertices"] = {name: moved(indices) for name, indices in self.contact_vertices.items()}
        return replace(self, **tensors)

    # Stages -----------------------------------------------------------------------------------------------------

    def shape(self, betas: Float[Tensor, "*batch S"]) -> ShapedBody:
        """Stage 1: the person's vertices and joints in the rest pose."""
        return ShapedBody(
            vertices=apply_shape(self.template, self.shape_directions, betas), joints=self.rest_joints(betas)
        )

    def pose(
        self,
        rest_joints: Float[Tensor, "*batch 24 3"],
        global_orient: Float[Tensor, "*batch 3 3"],
        body_pose: Float[Tensor, "*batch 23 3 3"],
    ) -> PosedSkeleton:
        """Stage 2: joints along the kinematic chain."""
        rotations = torch.cat([global_orient[..., None, :, :], body_pose], dim=-3)
        turned, placed = chain_joints(rest_joints, rotations)
        return PosedSkeleton(rotations=turned, positions=placed)

    def skin(
        self, shaped: ShapedBody, skeleton: PosedSkeleton, body_pose: Float[Tensor, "*batch 23 3 3"]
    ) -> Float[Tensor, "*batch V 3"]:
        """Stage 3: posed vertices, ``transl`` not yet added; pose correctives are applied when the model has them."""
        vertices = shaped.vertices
        if self.pose_directions is not None:
            vertices = vertices + (pose_features(body_pose) @ self.pose_directions).unflatten(-1, (-1, 3))
        return skin_points(vertices, self.skin_weights, shaped.joints, skeleton.rotations, skeleton.positions)

    # What callers ask for -----------------------------------------------------------------------------------------

    def rest_joints(self, betas: Float[Tensor, "*batch S"]) -> Float[Tensor, "*batch 24 3"]:
        """Joints in the rest pose; the first is the pelvis J0 of the pelvis rule."""
        return apply_shape(self.joint_template, self.joint_directions, betas)

    def skeleton(self, params: BodyParams) -> PosedSkeleton:
        """The posed skeleton, for several of the following at once."""
        return self.pose(self.rest_joints(params.betas), params.global_orient, params.body_pose)

    def joints(self, params: BodyParams, skeleton: PosedSkeleton | None = None) -> Float[Tensor, "*batch 24 3"]:
        """Posed joints in the frame of ``params``, metres; ``skeleton``: of ``params``, where it is known."""
        skeleton = skeleton or self.skeleton(params)
        return skeleton.positions + params.transl[..., None, :]

    def vertices(self, params: BodyParams, skeleton: PosedSkeleton | None = None) -> Float[Tensor, "*batch V 3"]:
        """Posed vertices in the frame of ``params``, metres; ``skeleton``: of ``params``, where it is known."""
        skeleton = skeleton or self.skeleton(params)
        return self.skin(self.shape(params.betas), skeleton, params.body_pose) + params.transl[..., None, :]

    def landmarks(self, params: BodyParams, skeleton: PosedSkeleton | None = None) -> Float[Tensor, "*batch 33 3"]:
        """The 33 BlazePose landmarks in the frame of ``params``, metres; cheap, no vertex is skinned for them."""
        skeleton = skeleton or self.skeleton(params)
        rest = apply_shape(self.landmark_template, self.landmark_directions, params.betas)
        posed = skin_points(
            rest, self.landmark_weights, self.rest_joints(params.betas), skeleton.rotations, skeleton.positions
        )
        return posed + params.transl[..., None, :]

    def standing_height(self, betas: Float[Tensor, "*batch S"]) -> Float[Tensor, "*batch"]:
        """Metres from the soles to the top of the head in the rest pose, where the feet are flat."""
        up = apply_shape(self.template[:, 1:2], self.shape_directions[:, 1:2], betas)[..., 0]
        return up.amax(-1) - up.amin(-1)

    def differentiate_height(self, betas: Float[Tensor, "*batch S"]) -> Float[Tensor, "*batch S"]:
        """Derivative of ``standing_height`` with respect to the betas: the vertices at its ends stay the same ones."""
        up = apply_shape(self.template[:, 1:2], self.shape_directions[:, 1:2], betas)[..., 0]
        return self.shape_directions[up.argmax(-1), 1] - self.shape_directions[up.argmin(-1), 1]

    def vertices_from_axis_angle(
        self, betas: ndarray, global_orient_aa: ndarray, body_pose_aa: ndarray, transl: ndarray
    ) -> Float[ndarray, "*batch V 3"]:
        """Vertices from the arrays of a reconstruction file, computed in blocks so that memory stays bounded.

        Args:
            betas: (..., 10); global_orient_aa: (..., 3); body_pose_aa: (..., 69); transl: (..., 3).
        """
        lead = transl.shape[:-1]

        def rows(array: ndarray, *shape: int) -> Tensor:
            return torch.as_tensor(array).to(self.template).reshape(-1, *shape)

        params = BodyParams(
            betas=rows(betas, betas.shape[-1]),
            global_orient=axis_angle_to_matrix(rows(global_orient_aa, 3)),
            body_pose=axis_angle_to_matrix(rows(body_pose_aa, 23, 3)),
            transl=rows(transl, 3),
        )
        with torch.no_grad():
            blocks = [
                self.vertices(BodyParams(**{f.name: getattr(params, f.name)[i : i + 64] for f in fields(params)}))
                for i in range(0, len(params.transl), 64)
            ]
        posed = torch.cat(blocks) if blocks else self.template.new_zeros(0, self.num_vertices, 3)
        return posed.cpu().numpy().reshape(*lead, self.num_vertices, 3)
