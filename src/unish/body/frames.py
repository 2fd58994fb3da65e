"""The pelvis rule, once: how the parameters of a body change when the body is moved rigidly."""

from __future__ import annotations

from dataclasses import replace

from jaxtyping import Float
from torch import Tensor

from unish.structs import BodyParams


def move_body(
    params: BodyParams, rigid: Float[Tensor, "*batch 4 4"], rest_pelvis: Float[Tensor, "*batch 3"]
) -> BodyParams:
    """Parameters of the body after the rigid transform (R, t) of all its points.

    SMPL turns the root about the rest pelvis J0(betas), not about the origin, so
    ``global_orient' = R · global_orient`` and ``transl' = R · (transl + J0) + t − J0``.

    Args:
        params: any leading dimensions.
        rigid: for example ``c2w``, to take a body from the camera to the world; metres.
        rest_pelvis: J0(betas) of the same body model: ``body.rest_joints(params.betas)[..., 0, :]``.
    """
    rotation, translation = rigid[..., :3, :3], rigid[..., :3, 3]
    turned = (rotation @ (params.transl + rest_pelvis)[..., None])[..., 0]
    return replace(params, global_orient=rotation @ params.global_orient, transl=turned + translation - rest_pelvis)
