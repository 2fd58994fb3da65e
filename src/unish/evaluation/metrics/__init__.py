"""The field's metrics, each with its unit and its source. Pure functions on tensors; nothing here reads files."""

from unish.evaluation.metrics.bodies import (
    acceleration_error,
    foot_sliding,
    jitter,
    joint_error,
    joint_error_procrustes,
    match_people,
    root_trajectory_error,
    world_joint_error,
)
from unish.evaluation.metrics.cameras import (
    CameraPathScores,
    relative_rotation_errors,
    score_camera_path,
)
from unish.evaluation.metrics.depth import DepthScores, align_depth, metric_scale_error, score_depth

__all__ = [
    "CameraPathScores",
    "DepthScores",
    "acceleration_error",
    "align_depth",
    "foot_sliding",
    "jitter",
    "joint_error",
    "joint_error_procrustes",
    "match_people",
    "metric_scale_error",
    "relative_rotation_errors",
    "root_trajectory_error",
    "score_camera_path",
    "score_depth",
    "world_joint_error",
]
