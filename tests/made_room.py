"""A room whose every number is known: a level floor, a wall, a still camera, people who stand on the floor."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.spatial.transform import Rotation

from small_record import make_figure, make_record
from unish.body import Body
from unish.structs import Reconstruction

HEIGHT, WIDTH, FOCAL = 96, 128, 100.0
CAMERA_HEIGHT, WALL = 1.5, 8.0
STATURE, SOLE = 1.525, 0.925
"""Of the figure: its height, and how far its pelvis is over the soles."""

BOX_M = 1.56
"""Height of its box, in metres at its distance."""


def make_room(*, num_people: int = 1, num_frames: int = 6, fps: float = 6.0) -> tuple[Reconstruction, Body]:
    """A still, level camera 1.5 m over the floor, a wall 8 m ahead, people 4 m ahead with straight arms and legs.

    Person p stands 0.8 m to the right of person p − 1. Their joints are the figure's except for the feet: the left one
    is exactly on the floor at 4 m, the right one a millimetre higher. Boxes are 39 px high and end at the feet (row
    85.5); masks fill them. Frames are the same noise.
    """
    body = make_figure()
    base = make_record(body, num_people=num_people, num_frames=num_frames)
    slope = (np.arange(HEIGHT) + 0.5 - HEIGHT / 2) / FOCAL
    rows = np.where(slope > 0, np.minimum(CAMERA_HEIGHT / np.maximum(slope, 1e-6), WALL), WALL)
    depth = np.tile(rows[None, :, None], (num_frames, 1, WIDTH)).astype(np.float32)
    people, frames = (num_people, num_frames), np.zeros((num_people, num_frames, 1))
    x = 0.8 * np.arange(num_people)[:, None] + frames[..., 0]
    transl = np.stack([x, 0 * x + CAMERA_HEIGHT - SOLE, 0 * x + 4.0], -1)
    # The figure is turned about x, so that its y points up and it faces the camera.
    rest = body.joint_template.numpy() * [1, -1, -1]
    joints = rest + transl[:, :, None]
    joints[:, :, 10] = np.stack([x + 0.1, 0 * x + CAMERA_HEIGHT, 0 * x + 4.0], -1)
    joints[:, :, 11] = np.stack([x - 0.1, 0 * x + CAMERA_HEIGHT - 0.001, 0 * x + 4.0], -1)
    middle = WIDTH / 2 + FOCAL * x / 4
    bottom = HEIGHT / 2 + FOCAL * CAMERA_HEIGHT / 4
    boxes = np.stack([middle - 8, 0 * x + bottom - FOCAL * BOX_M / 4, middle + 8, 0 * x + bottom], -1)
    masks = np.full((num_frames, HEIGHT, WIDTH), -1, np.int16)
    for person in range(num_people):
        x0, y0, x1, y1 = np.rint(boxes[person, 0]).astype(int)
        masks[:, y0:y1, x0:x1] = person
        depth[:, y0:y1, x0:x1] = 4.0
    grain = np.random.default_rng(5).integers(0, 255, (HEIGHT, WIDTH, 3)).astype(np.uint8)
    record = Reconstruction(
        segment=np.zeros(num_frames, np.int32),
        timestamps_s=np.arange(num_frames) / fps,
        frame_indices=np.arange(num_frames),
        source_size=np.array([HEIGHT, WIDTH], np.int32),
        image_size=np.array([HEIGHT, WIDTH], np.int32),
        images=np.tile(grain[None], (num_frames, 1, 1, 1)),
        intrinsics=np.tile(
            np.array([[FOCAL, 0, WIDTH / 2], [0, FOCAL, HEIGHT / 2], [0, 0, 1]], np.float32), (num_frames, 1, 1)
        ),
        c2w=np.tile(np.eye(4, dtype=np.float32), (num_frames, 1, 1)),
        depth=depth,
        point_conf=np.full(depth.shape, 0.9, np.float16),
        person_masks=masks,
        person_ids=np.arange(3, 3 + num_people, dtype=np.int32),
        person_valid=np.ones(people, bool),
        person_filled=np.zeros(people, bool),
        boxes_xyxy=boxes.astype(np.float32),
        landmarks_px=np.full((*people, 33, 3), np.nan, np.float32),
        betas=np.zeros((num_people, 10), np.float32),
        global_orient_aa=np.tile(np.float32([np.pi, 0, 0]), (*people, 1)),
        body_pose_aa=np.zeros((*people, 69), np.float32),
        transl=transl.astype(np.float32),
        joints=joints.astype(np.float32),
        gravity=np.float32([[0, 1, 0]]),
        floor=np.float32([[0, -1, 0, CAMERA_HEIGHT]]),
        faces=base.faces,
        body_model=body.name,
        model="none",
        version="0.1.0",
    )
    return record, body


def turn_world(record: Reconstruction) -> Reconstruction:
    """The same room in a world that is turned and moved: whatever is measured must not change."""
    turn = Rotation.from_rotvec([0.4, -0.7, 0.2])
    matrix, shift = turn.as_matrix(), np.array([3.0, -2.0, 0.5])
    c2w = record.c2w.astype(np.float64)
    c2w[:, :3, :3] = matrix @ c2w[:, :3, :3]
    c2w[:, :3, 3] = c2w[:, :3, 3] @ matrix.T + shift
    orient = record.global_orient_aa
    turned = (turn * Rotation.from_rotvec(orient.reshape(-1, 3))).as_rotvec().reshape(orient.shape)
    normal = record.floor[:, :3] @ matrix.T
    return replace(
        record,
        c2w=c2w.astype(np.float32),
        # The figure's rest pelvis is its origin, so that transl moves like a point.
        transl=(record.transl @ matrix.T + shift).astype(np.float32),
        joints=(record.joints @ matrix.T + shift).astype(np.float32),
        global_orient_aa=turned.astype(np.float32),
        gravity=(record.gravity @ matrix.T).astype(np.float32),
        floor=np.concatenate([normal, record.floor[:, 3:] - normal @ shift[:, None]], 1).astype(np.float32),
    )
