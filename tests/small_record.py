"""A small reconstruction with a jointed figure in it, for tests of everything that reads reconstructions."""

from __future__ import annotations

import numpy as np
import torch

from unish.body import PARENTS, Body
from unish.structs import Reconstruction

_JOINTS = np.array(
    [(0, 0, 0), (0.07, -0.08, 0), (-0.07, -0.08, 0), (0, 0.1, 0), (0.1, -0.45, 0), (-0.1, -0.45, 0), (0, 0.25, 0),
     (0.1, -0.85, 0), (-0.1, -0.85, 0), (0, 0.3, 0), (0.12, -0.9, 0.1), (-0.12, -0.9, 0.1), (0, 0.5, 0),
     (0.08, 0.42, 0), (-0.08, 0.42, 0), (0, 0.6, 0), (0.18, 0.42, 0), (-0.18, 0.42, 0), (0.43, 0.42, 0),
     (-0.43, 0.42, 0), (0.68, 0.42, 0), (-0.68, 0.42, 0), (0.76, 0.42, 0), (-0.76, 0.42, 0)], np.float32
)  # fmt: skip
_CUBE = np.array([(x, y, z) for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], np.float32) * 0.05
_CUBE_FACES = np.array(
    [(0, 1, 3), (0, 3, 2), (4, 6, 7), (4, 7, 5), (0, 4, 5), (0, 5, 1), (2, 3, 7), (2, 7, 6), (0, 2, 6), (0, 6, 4),
     (1, 5, 7), (1, 7, 3)]
)  # fmt: skip


def make_figure() -> Body:
    """Cubes strung along the bones; weights pass from joint to joint; the first shape coefficient makes it taller."""
    vertices, faces, weights = [], [], []
    for joint, above in enumerate(PARENTS):
        start = _JOINTS[max(above, 0)]
        for share in (0.0, 0.5):
            faces.append(_CUBE_FACES + 8 * len(vertices))
            vertices.append(_CUBE + start + (_JOINTS[joint] - start) * share)
            row = np.zeros(24, np.float32)
            row[max(above, 0)] += 1 - share
            row[joint] += share
            weights.append(np.tile(row, (8, 1)))
    template, joints = torch.from_numpy(np.concatenate(vertices)), torch.from_numpy(_JOINTS)
    growth = torch.zeros(10)
    growth[0] = 0.05
    return Body(
        name="figure",
        faces=torch.from_numpy(np.concatenate(faces)),
        template=template,
        shape_directions=template[..., None] * growth,
        joint_template=joints,
        joint_directions=joints[..., None] * growth,
        landmark_template=torch.zeros(33, 3),
        landmark_directions=torch.zeros(33, 3, 10),
        landmark_weights=torch.eye(33, 24),
        skin_weights=torch.from_numpy(np.concatenate(weights)),
    )


def make_record(body: Body, *, num_people: int = 2, num_frames: int = 6, num_shots: int = 1) -> Reconstruction:
    """A camera that walks sideways over a floor 1.4 m below it, with people 4 m ahead who move their limbs."""
    rng = np.random.default_rng(3)
    height, width = 48, 64
    size, focal = np.array([height, width], np.int32), 60.0
    intrinsics = np.array([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]], np.float32)
    c2w = np.tile(np.eye(4, dtype=np.float32), (num_frames, 1, 1))
    c2w[:, 0, 3] = 0.1 * np.arange(num_frames)
    slope = (np.arange(height) + 0.5 - height / 2) / focal
    rows = np.where(slope > 0.05, 1.4 / np.maximum(slope, 0.05), 30.0)
    rows[:4] = 0.0
    depth = np.tile(rows[None, :, None], (num_frames, 1, width)).astype(np.float32)
    valid = np.ones((num_people, num_frames), bool)
    valid[:1, 2:4] = False
    transl = np.zeros((num_people, num_frames, 3))
    transl[..., 0] = 0.1 * np.arange(num_frames) + 1.2 * np.arange(num_people)[:, None] - 0.6
    transl[..., 2] = 4.0
    upright = np.tile([np.pi, 0.0, 0.0], (num_people, num_frames, 1))
    pose = rng.normal(size=(num_people, num_frames, 69)) * 0.4
    boxes = np.tile([20.0, 8.0, 40.0, 44.0], (num_people, num_frames, 1))

    def where_valid(values: np.ndarray) -> np.ndarray:
        shown = valid.reshape(num_people, num_frames, *[1] * (values.ndim - 2))
        return np.where(shown, values, np.nan).astype(np.float32)

    masks = np.full((num_frames, height, width), -1, np.int16)
    if num_people:
        masks[:, 20:30, 28:36] = 0
    return Reconstruction(
        segment=np.repeat(np.arange(num_shots), -(-num_frames // num_shots))[:num_frames].astype(np.int32),
        timestamps_s=0.5 + np.arange(num_frames) / 6,
        frame_indices=15 + 5 * np.arange(num_frames),
        source_size=10 * size,
        image_size=size,
        images=rng.integers(0, 255, (num_frames, height, width, 3)).astype(np.uint8),
        intrinsics=np.tile(intrinsics, (num_frames, 1, 1)),
        c2w=c2w,
        depth=depth,
        point_conf=np.full((num_frames, height, width), 0.9, np.float16),
        person_masks=masks,
        person_ids=np.arange(3, 3 + num_people, dtype=np.int32),
        person_valid=valid,
        person_filled=np.zeros_like(valid),
        boxes_xyxy=where_valid(boxes),
        landmarks_px=np.full((num_people, num_frames, 33, 3), np.nan, np.float32),
        betas=rng.normal(size=(num_people, 10)).astype(np.float32),
        global_orient_aa=where_valid(upright),
        body_pose_aa=where_valid(pose),
        transl=where_valid(transl),
        joints=np.full((num_people, num_frames, 24, 3), np.nan, np.float32),
        gravity=np.tile(np.array([0.0, 1.0, 0.0], np.float32), (num_shots, 1)),
        floor=np.tile(np.array([0.0, -1.0, 0.0, 1.4], np.float32), (num_shots, 1)),
        faces=body.faces.numpy().astype(np.int32),
        body_model=body.name,
        model="none",
        version="0.1.0",
    )
