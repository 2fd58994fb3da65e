"""Bodies of few vertices: cheap to pose where only some points matter."""

from __future__ import annotations

from dataclasses import replace

from jaxtyping import Float, Int64
from torch import Tensor

from unish.body import Body
from unish.body.model import PosedSkeleton
from unish.lab.synthetic.motion.record import Motion


def pick_vertices(body: Body, index: Int64[Tensor, "K"]) -> Body:
    """The same body with some of its vertices only; contact vertices are dropped."""
    correctives = body.pose_directions
    if correctives is not None:
        correctives = correctives.unflatten(-1, (-1, 3))[:, index].flatten(-2)
    return replace(
        body, template=body.template[index], shape_directions=body.shape_directions[index],
        skin_weights=body.skin_weights[index], pose_directions=correctives, contact_vertices={},
    )  # fmt: skip


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
