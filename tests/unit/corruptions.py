"""Known damage to a true reconstruction, each of one kind, and what every metric must say to it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch

from unish.body import load_body
from unish.geometry.rotation import axis_angle_to_matrix, matrix_to_axis_angle
from unish.structs import BodyParams, Reconstruction

BODY = load_body("free")
LEFT_ELBOW = 18
PERSON_ARRAYS = (
    "person_ids", "person_valid", "person_filled", "boxes_xyxy", "landmarks_px", "betas", "global_orient_aa",
    "body_pose_aa", "transl", "joints",
)  # fmt: skip


def pose_joints(truth: Reconstruction) -> np.ndarray:
    """The joints of a record's own parameters: damage to these must reach the file's joints too."""
    lead = truth.transl.shape[:2]
    params = BodyParams(
        betas=torch.from_numpy(truth.betas)[:, None].expand(*lead, 10),
        global_orient=axis_angle_to_matrix(torch.from_numpy(truth.global_orient_aa)),
        body_pose=axis_angle_to_matrix(torch.from_numpy(truth.body_pose_aa).reshape(*lead, 23, 3)),
        transl=torch.from_numpy(truth.transl),
    )
    return BODY.joints(params).numpy()


def move_people(truth: Reconstruction, offset: np.ndarray) -> Reconstruction:
    offset = np.broadcast_to(offset, truth.transl.shape).astype(np.float32)
    return replace(truth, transl=truth.transl + offset, joints=truth.joints + offset[:, :, None])


def make_half_size(truth: Reconstruction) -> Reconstruction:
    """Scene, cameras and places at half their size; joints too. The body model itself has no half size."""
    c2w = truth.c2w.copy()
    c2w[:, :3, 3] *= 0.5
    pelvis = truth.joints[:, :, 0]
    return replace(
        truth, depth=0.5 * truth.depth, c2w=c2w, joints=0.5 * truth.joints, transl=truth.transl - 0.5 * pelvis,
        floor=truth.floor * np.float32([1, 1, 1, 0.5]),
    )  # fmt: skip


def shake_roots(truth: Reconstruction) -> Reconstruction:
    return move_people(truth, 0.1 * np.random.default_rng(0).normal(size=truth.transl.shape))


def swap_bodies(truth: Reconstruction) -> Reconstruction:
    """Each of the two in the other's box."""
    names = ("betas", "global_orient_aa", "body_pose_aa", "transl", "joints")
    return replace(truth, **{name: getattr(truth, name)[::-1].copy() for name in names})


def swap_order(truth: Reconstruction) -> Reconstruction:
    return replace(truth, **{name: getattr(truth, name)[::-1].copy() for name in PERSON_ARRAYS})


def flip_camera(truth: Reconstruction) -> Reconstruction:
    """One camera in the middle looks backwards from where it stands."""
    c2w = truth.c2w.copy()
    c2w[2, :3, :3] = c2w[2, :3, :3] @ np.diag(np.float32([-1, 1, -1]))
    return replace(truth, c2w=c2w)


def bend_elbow(truth: Reconstruction) -> Reconstruction:
    pose = truth.body_pose_aa.copy().reshape(*truth.transl.shape[:2], 23, 3)
    bent = axis_angle_to_matrix(torch.from_numpy(pose[:, :, LEFT_ELBOW - 1])) @ axis_angle_to_matrix(
        torch.tensor([0.0, -1.2, 0.0])
    )
    pose[:, :, LEFT_ELBOW - 1] = matrix_to_axis_angle(bent).numpy()
    bent_body = replace(truth, body_pose_aa=pose.reshape(truth.body_pose_aa.shape))
    return replace(bent_body, joints=pose_joints(bent_body))


def flatten_relief(truth: Reconstruction) -> Reconstruction:
    """People of cardboard: all of a person's pixels in a frame at their median depth."""
    depth = truth.depth.copy()
    for person, frame in np.argwhere(truth.person_valid):
        mask = truth.person_masks[frame] == person
        depth[frame][mask] = np.median(depth[frame][mask])
    return replace(truth, depth=depth)


def lift_people(truth: Reconstruction) -> Reconstruction:
    return move_people(truth, -0.1 * truth.gravity[0])


def lower_floor(truth: Reconstruction) -> Reconstruction:
    return replace(truth, floor=truth.floor + np.float32([0, 0, 0, 0.1]))


def lengthen_lens(truth: Reconstruction) -> Reconstruction:
    return replace(truth, intrinsics=truth.intrinsics * np.float32([[1.3, 1, 1], [1, 1.3, 1], [1, 1, 1]]))


def stretch_depth(truth: Reconstruction) -> Reconstruction:
    return replace(truth, depth=1.3 * truth.depth)


def stretch_path(truth: Reconstruction) -> Reconstruction:
    c2w = truth.c2w.copy()
    c2w[:, :3, 3] *= 1.5
    return replace(truth, c2w=c2w)


def shake_path(truth: Reconstruction) -> Reconstruction:
    """Camera centres 10 cm off, each in its own direction."""
    c2w = truth.c2w.copy()
    c2w[:, :3, 3] += 0.1 * np.random.default_rng(0).normal(size=(len(c2w), 3)).astype(np.float32)
    return replace(truth, c2w=c2w)


def punch_holes(truth: Reconstruction) -> Reconstruction:
    holes = np.random.default_rng(0).random(truth.depth.shape) < 0.3
    return replace(truth, depth=np.where(holes, np.float32(0), truth.depth))


def lose_person(truth: Reconstruction) -> Reconstruction:
    return replace(truth, **{name: getattr(truth, name)[:1] for name in PERSON_ARRAYS})


def choose_other_world(truth: Reconstruction) -> Reconstruction:
    """The same reconstruction in turned and shifted world axes."""
    turn = axis_angle_to_matrix(torch.tensor([0.3, -0.8, 0.5])).numpy()
    shift = np.float32([1.0, -0.5, 2.0])
    c2w = truth.c2w.copy()
    c2w[:, :3, :3], c2w[:, :3, 3] = turn @ c2w[:, :3, :3], c2w[:, :3, 3] @ turn.T + shift
    orient = matrix_to_axis_angle(
        torch.from_numpy(turn) @ axis_angle_to_matrix(torch.from_numpy(truth.global_orient_aa))
    ).numpy()
    rest_pelvis = truth.joints[:, :, 0] - truth.transl
    transl = truth.joints[:, :, 0] @ turn.T + shift - rest_pelvis
    normal = turn @ truth.floor[0, :3]
    return replace(
        truth, c2w=c2w, global_orient_aa=orient, transl=transl.astype(np.float32),
        joints=(truth.joints @ turn.T + shift).astype(np.float32), gravity=truth.gravity @ turn.T,
        floor=np.append(normal, truth.floor[0, 3] - normal @ shift)[None].astype(np.float32),
    )  # fmt: skip


SCALED_DEPTH = {"depth_abs_rel", "depth_delta", "depth_log_rmse"}
METRIC_DEPTH = {"depth_abs_rel_metric", "depth_delta_metric"}
DEPTH = SCALED_DEPTH | METRIC_DEPTH
DELTAS = {"depth_delta", "depth_delta_metric"}
TURNS = {"camera_turn_error_deg", "camera_rpe_rotation_deg"}
POINTS = {"points_accuracy_m", "points_completeness_m", "points_normal_consistency"}
NORMALS = {"human_normal_error_deg", "human_normal_fine_percent"}
RELIEF = {"human_local_depth_mm"}
SIZE = {"camera_rigid_error_m", "world_size_ratio", "world_size_error"}
POSE = {"mpjpe_mm", "pve_mm"}
PA = {"pa_mpjpe_mm"}
WORLD = {"w_mpjpe_mm", "wa_mpjpe_mm"}
RTE = {"root_trajectory_percent"}
DISTANCE = {"person_distance_error"}
ACCEL = {"accel_m_s2"}
JITTER = {"jitter_error"}
SLIDING = {"foot_sliding_error_mm"}
GAP = {"foot_floor_gap_error_cm"}
CLOTH = {"human_scene_distance_error_cm"}
MOTION = ACCEL | JITTER | SLIDING

Change = Callable[[Reconstruction], Reconstruction]
CORRUPTIONS: dict[str, tuple[Change, set[str], set[str]]] = {
    # name: (damage, columns that must move, columns that may)
    "half size": (
        make_half_size,
        METRIC_DEPTH | {"depth_scale_error"} | SIZE | POSE | RTE | DISTANCE | MOTION | GAP | CLOTH,
        set(),
    ),
    "10 cm root noise": (shake_roots, WORLD | RTE | DISTANCE | JITTER | SLIDING | GAP | CLOTH, set()),
    "swapped people": (
        # Both stand on the same floor.
        swap_bodies, POSE | PA | WORLD | RTE | DISTANCE | MOTION | CLOTH, GAP,
    ),
    "one flipped camera": (flip_camera, TURNS | {"camera_rpe_translation_m"} | POINTS | POSE | ACCEL | CLOTH, set()),
    "bent elbow": (bend_elbow, POSE | PA | WORLD, ACCEL | JITTER | CLOTH),
    # Relief is a few centimetres of several metres.
    "flat people": (flatten_relief, DEPTH - DELTAS | NORMALS | RELIEF | CLOTH | POINTS, set()),
    "floating people": (lift_people, DISTANCE | GAP | CLOTH, set()),
    "floor too low": (lower_floor, GAP, set()),
    "longer lens": (lengthen_lens, {"focal_error", "human_normal_error_deg"} | POINTS | CLOTH, NORMALS),
    "depth too large": (stretch_depth, METRIC_DEPTH | {"depth_scale_error"} | POINTS | CLOTH, set()),
    "unsteady path": (
        shake_path, {"camera_ate_m", "camera_rpe_translation_m"} | SIZE | DISTANCE | POINTS | CLOTH, set(),
    ),
    "path too long": (stretch_path, SIZE | DISTANCE | POINTS | CLOTH, set()),
    "holes": (punch_holes, DEPTH | NORMALS | RELIEF, POINTS | CLOTH),
    "one person lost": (lose_person, {"people_matched"}, set()),
    "people in another order": (swap_order, set(), set()),
    "another world": (choose_other_world, set(), set()),
}  # fmt: skip
"""Everything else must stay where it is for the truth."""
