"""The SMPL-format body: staged layer, the free body and licensed files, joint and landmark names, the pelvis rule."""

from unish.body.frames import move_body
from unish.body.joints import JOINT_LANDMARKS, JOINT_NAMES, LANDMARK_NAMES, PARENTS
from unish.body.loading import load_body
from unish.body.matching import match_shape
from unish.body.model import Body, PosedSkeleton, ShapedBody

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
]
