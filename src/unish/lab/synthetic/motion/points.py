"""Vertices of a body along a motion."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from unish.body import Body
from unish.body.model import PosedSkeleton
from unish.lab.synthetic.motion.record import Motion


def pose_points(
    body: Body, betas: Float[Tensor, "S"], motion: Motion, skeleton: PosedSkeleton | None = None
) -> Float[Tensor, "N V 3"]:
    """Vertices of the body along the motion, whose ``root`` is this body's own pelvis.

    Args:
        skeleton: of this body in this motion, where it is known.
    """
    shaped = body.shape(betas.to(body.template).expand(motion.num_frames, -1))
    pose = motion.body_pose.to(body.template)
    if skeleton is None:
        skeleton = body.pose(shaped.joints, motion.global_orient.to(pose), pose)
    posed = body.skin(shaped, skeleton, pose)
    return posed - shaped.joints[:, :1] + motion.root.to(pose)[:, None]
