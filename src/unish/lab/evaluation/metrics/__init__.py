"""The field's metrics, each with its unit and its source. Pure functions on tensors; nothing here reads files.

Points in metres, depth as z, times in frames per second. Every function states what it does with NaN, with frames that
are not valid, and when nothing is left to measure (NaN). Where published code differs, the variants are options.
"""

from unish.lab.evaluation.metrics.bodies import (
    JOINT_SETS,
    JointSet,
    JointSetName,
    find_root,
    joint_error,
    joint_error_procrustes,
    match_people,
    regress_joints,
)
from unish.lab.evaluation.metrics.cameras import (
    CameraPathScores,
    PathAlignment,
    SizeMeasure,
    absolute_trajectory_error,
    align_camera_path,
    relative_rotation_errors,
    relative_translation_errors,
    score_camera_path,
    size_error,
    world_size_ratio,
)
from unish.lab.evaluation.metrics.contact import foot_floor_gap, human_scene_distance
from unish.lab.evaluation.metrics.depth import (
    DepthAlignment,
    DepthScores,
    align_depth,
    average_depth_scores,
    metric_scale_error,
    score_depth,
)
from unish.lab.evaluation.metrics.motion import acceleration_error, foot_points, foot_sliding, jitter
from unish.lab.evaluation.metrics.point_maps import (
    PointCloudScores,
    align_point_maps,
    estimate_normals,
    refine_by_icp,
    score_point_clouds,
    score_point_maps,
)
from unish.lab.evaluation.metrics.surfaces import (
    BODY_PARTS,
    NormalScores,
    human_normals,
    label_body_parts,
    local_depth_error,
    score_normals,
)
from unish.lab.evaluation.metrics.trajectories import (
    Leftover,
    RootReference,
    root_path,
    root_trajectory_error,
    smooth_root,
    world_joint_error,
)

__all__ = [
    "BODY_PARTS",
    "JOINT_SETS",
    "CameraPathScores",
    "DepthAlignment",
    "DepthScores",
    "JointSet",
    "JointSetName",
    "Leftover",
    "NormalScores",
    "PathAlignment",
    "PointCloudScores",
    "RootReference",
    "SizeMeasure",
    "absolute_trajectory_error",
    "acceleration_error",
    "align_camera_path",
    "align_depth",
    "align_point_maps",
    "average_depth_scores",
    "estimate_normals",
    "find_root",
    "foot_floor_gap",
    "foot_points",
    "foot_sliding",
    "human_normals",
    "human_scene_distance",
    "jitter",
    "joint_error",
    "joint_error_procrustes",
    "label_body_parts",
    "local_depth_error",
    "match_people",
    "metric_scale_error",
    "refine_by_icp",
    "regress_joints",
    "relative_rotation_errors",
    "relative_translation_errors",
    "root_path",
    "root_trajectory_error",
    "score_camera_path",
    "score_depth",
    "score_normals",
    "score_point_clouds",
    "score_point_maps",
    "size_error",
    "smooth_root",
    "world_joint_error",
    "world_size_ratio",
]
