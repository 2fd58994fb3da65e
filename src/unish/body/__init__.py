"""The SMPL-format body: staged layer, the free body and licensed files, joint and landmark names, the pelvis rule."""

from unish.body.frames import move_body
from unish.body.joints import JOINT_LANDMARKS, JOINT_NAMES, LANDMARK_NAMES, PARENTS
from unish.body.loading import load_body
from unish.body.matching import match_shape, resize_shape, resize_to_height
from unish.body.model import Body, PosedSkeleton, ShapedBody
from unish.body.parts import pick_vertices

__all__ = [
    "JOINT_LANDMARKS",
    "JOINT_NAMES",
    "LANDMARK_NAMES",
    "PARENTS",
    "Body",
    "PosedSkeleton",
    "ShapedBody",
    "load_body",
    "match_shape",
    "move_body",
    "pick_vertices",
    "resize_shape",
    "resize_to_height",
]
