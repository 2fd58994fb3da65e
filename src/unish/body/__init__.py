"""The SMPL-format body: parameters → joints, landmarks, vertices."""

from unish.body.body import Body, match_shape
from unish.body.frames import move_body
from unish.body.load import load_body

__all__ = ["Body", "load_body", "match_shape", "move_body"]
