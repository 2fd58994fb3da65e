"""Cameras that stand still: how far does a method say that they went?"""

from __future__ import annotations

import math

import numpy as np
import torch

from unish.geometry.rotation import rotation_angle
from unish.lab.evaluation.results import Row
from unish.reconstruction.checks.scene import camera_extent
from unish.structs import Reconstruction


def score_stillness(found: Reconstruction) -> Row:
    """What would be 0 for a camera that stands still.

    ``camera_extent_m``: diagonal of the box around all camera centres; ``camera_path_m``: length of the way from frame
    to frame, which sees trembling too; ``camera_turn_deg``: largest angle between any two frames.
    """
    centres = found.c2w[:, :3, 3].astype(np.float64)
    turns = torch.from_numpy(found.c2w[:, :3, :3]).double()
    between = rotation_angle(turns[:, None].mT @ turns[None])
    return {
        "camera_extent_m": camera_extent(found, np.arange(found.num_frames)),
        "camera_path_m": float(np.linalg.norm(np.diff(centres, axis=0), axis=1).sum()),
        "camera_turn_deg": math.degrees(float(between.max())),
    }
