"""People who squat with both feet on their spot, and one who turns over a standing foot: feet that must not slide."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from numpy import ndarray
from scipy.spatial.transform import Rotation

from small_record import make_record
from unish.body import Body
from unish.export.feet import find_soles, pose_joints
from unish.structs import Reconstruction

NAMES = ("left_heel", "left_toe", "right_heel", "right_toe")
NUM_FRAMES = 9


def make_squat(body: Body, *, used_fps: float = 6.0, source_fps: float = 30.0) -> Reconstruction:
    """The first person squats, deep and fast; the second turns and leans over the left foot, the right one in the air.

    In the world of the record y is down; the planted soles are still to rounding in every frame.
    """
    record = make_record(body, num_people=2, num_frames=NUM_FRAMES)
    depth = np.array([0, 0.9, 0.2, 1.1, 1.1, 0.3, 0.0, 0.7, 0.0])
    wave = np.sin(1.3 * np.arange(NUM_FRAMES))
    pose = np.zeros((2, NUM_FRAMES, 24, 3))
    pose[:, :, 0] = Rotation.from_euler("x", np.pi).as_rotvec()
    for hip, knee, ankle in ((1, 4, 7), (2, 5, 8)):
        pose[0, :, hip, 0], pose[0, :, knee, 0], pose[0, :, ankle, 0] = -depth, 2 * depth, -depth
    turned = Rotation.from_euler("x", np.pi) * Rotation.from_euler(
        "yxz", np.stack([0.5 * wave, 0.15 * wave, 0.1 * wave], axis=1)
    )
    pose[1, :, 0] = turned.as_rotvec()
    pose[1, :, 4, 0], pose[1, :, 2, 0], pose[1, :, 16, 2] = 0.4 + 0.3 * wave, -0.5 - 0.3 * wave, -1.0 + 0.3 * wave
    matrices = Rotation.from_rotvec(pose.reshape(-1, 3)).as_matrix().reshape(2, NUM_FRAMES, 24, 3, 3)
    transl, joints, betas = np.zeros((2, NUM_FRAMES, 3)), np.zeros((2, NUM_FRAMES, 24, 3)), np.zeros((2, 10))
    for person in (0, 1):
        rest = body.rest_joints(torch.from_numpy(betas[person]).float()).double().numpy()
        soles = find_soles(body, torch.from_numpy(betas[person]).float())
        assert soles is not None
        if person == 1:
            # The foot keeps its orientation, whatever hip and knee do.
            above, _ = pose_joints(rest, matrices[1], np.zeros((NUM_FRAMES, 3)))
            level = Rotation.from_euler("x", np.pi).as_matrix()
            matrices[1, :, 7] = above[:, 4].mT @ level
            pose[1, :, 7] = Rotation.from_matrix(matrices[1, :, 7]).as_rotvec()
        turns, placed = pose_joints(rest, matrices[person], np.zeros((NUM_FRAMES, 3)))
        heel = placed[:, 7] + turns[:, 7] @ soles.heel[0]
        pelvis = np.array([1.5 * person, 1.4, 4.0]) - heel
        transl[person], joints[person] = pelvis - rest[0], placed + pelvis[:, None]
    stands = np.zeros((2, NUM_FRAMES, 4))
    stands[0], stands[1, :, :2] = 0.95, 0.9
    return replace(
        record,
        timestamps_s=0.5 + np.arange(NUM_FRAMES) / used_fps,
        frame_indices=15 + round(source_fps / used_fps) * np.arange(NUM_FRAMES),
        person_valid=np.ones((2, NUM_FRAMES), bool),
        boxes_xyxy=np.zeros((2, NUM_FRAMES, 4), np.float32),
        betas=betas.astype(np.float32),
        global_orient_aa=pose[:, :, 0].astype(np.float32),
        body_pose_aa=pose[:, :, 1:].reshape(2, NUM_FRAMES, 69).astype(np.float32),
        transl=transl.astype(np.float32),
        joints=joints.astype(np.float32),
        contact_prob=stands.astype(np.float32),
        contact_names=np.array(NAMES),
    )


def find_sole_points(body: Body, betas: ndarray, rotations: ndarray, pelvis: ndarray) -> ndarray:
    """(N, 4, 3) places of heels and toes (``NAMES``)."""
    shape = torch.from_numpy(betas).float()
    rest, soles = body.rest_joints(shape).double().numpy(), find_soles(body, shape)
    assert soles is not None
    turns, placed = pose_joints(rest, rotations, pelvis)
    carried = ((7, soles.heel[0]), (10, soles.toe[0]), (8, soles.heel[1]), (11, soles.toe[1]))
    return np.stack([placed[:, joint] + turns[:, joint] @ offset for joint, offset in carried], axis=1)
