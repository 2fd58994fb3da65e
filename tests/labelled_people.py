"""The people among the labelled samples as tiny trees, and the right answers about them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy import ndarray
from PIL import Image

from unish.body import load_body
from unish.geometry.rigid import invert_rigid, transform_points
from unish.geometry.surfaces import rasterize_depth
from unish.reconstruction.report import JOINT_PAIRS
from unish.structs import Reconstruction
from written_videos import write_video

HEIGHTS = {0: 1.0, 2: -1.0, 4: 2.0, 6: -2.0}
"""First shape coefficient of the persons of the heights sample."""
MEASURED = ((2, 0), (2, 4), (0, 0), (0, 6), (4, 2), (6, 8))
"""(person, frame of the walk) of its pictures."""
_NECK, _WRIST = 12, 20


def to_camera(record: Reconstruction, frame: int) -> ndarray:
    """(P, 24, 3) joints in the camera of a frame."""
    c2w = record.c2w[frame].astype(np.float64)
    return (record.joints[:, frame] - c2w[:3, 3]) @ c2w[:3, :3]


def true_landmarks(record: Reconstruction, frame: int) -> ndarray:
    """(33, 3) BlazePose landmarks of the first person in the camera, NaN but for those that are joints."""
    landmarks = np.full((33, 3), np.nan)
    for joint, landmark in JOINT_PAIRS:
        landmarks[landmark] = to_camera(record, frame)[0, joint]
    return landmarks


def write_people(folder: Path, walk: Reconstruction) -> None:
    """All samples of ``people/``, of the walk seen by its camera."""
    _write_dome(folder / "panoptic", walk)
    _write_heights(folder / "heights", walk)
    _write_measured(folder / "kinect_outdoor", walk)
    _write_street(folder / "kitti_pedestrian", walk)
    _write_fixed_views(folder / "caliscope", walk)


def _write_dome(folder: Path, walk: Reconstruction) -> None:
    """One camera with a strong lens; in each moment a person whom five views saw, and one whom two did."""
    (folder / "rgb").mkdir(parents=True)
    k = walk.intrinsics[0].astype(np.float64)
    turn, move = np.diag([1.0, -1.0, -1.0]), np.array([0.5, 0.2, 3.0])
    np.savez(
        folder / "cameras.npz", names=["00_03"], K=k[None], dist=np.array([[-0.28, 0.18, -2e-4, 2e-4, -0.04]]),
        w2c_R=turn[None], w2c_t=move[None],
    )  # fmt: skip
    world = (true_landmarks(walk, 0) - move) @ turn
    moments = ["00004500", "00004500", "00009348", "00009348"]
    views = np.array([5, 2, 5, 2])
    np.savez(
        folder / "triangulated_people.npz",
        frame=moments,
        landmarks_world=np.stack([world, world + 0.3, world, world + 0.3]),
        num_cameras=np.repeat(views[:, None], 33, 1),
        cameras=["00_03"] * 4,
    )
    for moment in set(moments):
        Image.fromarray(walk.images[0]).save(folder / f"rgb/{moment}_cam00_03.jpg")


def _write_heights(folder: Path, walk: Reconstruction) -> None:
    (folder / "rgb").mkdir(parents=True)
    lines = ["file person_id stated_height_cm stated_distance_cm"]
    for person, frame in MEASURED:
        name = f"p{person}_{frame}.jpg"
        Image.fromarray(walk.images[frame]).save(folder / "rgb" / name)
        distance = 100 * to_camera(walk, frame)[0, _NECK, 2]
        lines.append(f"{name} {person} {100 * stature(person):.6f} {distance:.6f}")
    (folder / "labels.txt").write_text("\n".join(lines) + "\n")


def stature(person: int) -> float:
    """Metres, of the free body in the shape of a person of ``HEIGHTS``."""
    return float(load_body("free").standing_height(torch.from_numpy(_betas(person))[None])[0])


def _betas(person: int) -> ndarray:
    return np.float32([HEIGHTS[person], *[0] * 9])


def answer_heights(walk: Reconstruction, person: int, frame: int) -> Reconstruction:
    """One picture with the first person of the walk alone, in that person's shape."""
    one = {name: getattr(walk, name)[:1, frame : frame + 1] for name in (
        "person_valid", "person_filled", "boxes_xyxy", "landmarks_px", "global_orient_aa", "body_pose_aa", "transl",
        "joints",
    )}  # fmt: skip
    over_time = {name: getattr(walk, name)[frame : frame + 1] for name in (
        "segment", "timestamps_s", "frame_indices", "images", "intrinsics", "c2w", "depth", "point_conf",
        "person_masks",
    )}  # fmt: skip
    return replace(walk, **one, **over_time, betas=_betas(person)[None], person_ids=walk.person_ids[:1])


def _write_measured(folder: Path, walk: Reconstruction) -> None:
    """Depth on the bodies alone."""
    (folder / "rgb").mkdir(parents=True)
    (folder / "depth").mkdir()
    Image.fromarray(walk.images[0]).save(folder / "rgb/000.jpg")
    height, width = walk.images.shape[1:3]
    w2c = invert_rigid(torch.from_numpy(walk.c2w[0]).double()).expand(walk.num_people, 4, 4)
    seen = transform_points(w2c, torch.from_numpy(walk.vertices(load_body("free"))[:, 0]).double())
    k = torch.from_numpy(walk.intrinsics[0]).double().expand(walk.num_people, 3, 3)
    depth = rasterize_depth(seen, torch.from_numpy(walk.faces), k, (height, width)).numpy()
    nearest = np.where(depth > 0, depth, np.inf).min(0)
    Image.fromarray(np.where(np.isfinite(nearest), 1000 * nearest, 0).round().astype(np.uint16)).save(
        folder / "depth/000.png"
    )


def _write_street(folder: Path, walk: Reconstruction) -> None:
    (folder / "rgb").mkdir(parents=True)
    Image.fromarray(walk.images[0]).save(folder / "rgb/000.jpg")
    k = walk.intrinsics[0].astype(np.float64)
    np.savetxt(folder / "intrinsics.txt", [[k[0, 0], k[1, 1], k[0, 2], k[1, 2]]])
    box = {
        "image": "000.jpg",
        "height_m": float(load_body("free").standing_height(torch.zeros(1, 10))[0]),
        "distance_z_m": float(to_camera(walk, 0)[0, 0, 2]),
        "bbox_px": walk.boxes_xyxy[0, 0].tolist(),
    }
    (folder / "people_boxes.json").write_text(json.dumps([box]))


def _write_fixed_views(folder: Path, walk: Reconstruction) -> None:
    """One camera; a corner of the board is at the left wrist in every frame that the walk has."""
    folder.mkdir(parents=True)
    write_video(folder / "cam_0.mp4", np.full((12, 64, 64, 3), 120, np.uint8), fps=6)
    board = np.full((int(walk.frame_indices[-1]) + 1, 12, 3), np.nan)
    for frame, index in enumerate(walk.frame_indices):
        wrist = to_camera(walk, frame)[0, _WRIST]
        board[index, :2] = wrist, wrist + np.array([0.5, 0.3, 0.1])
    np.savez(
        folder / "cameras_and_board.npz", K=np.array([[[60.0, 0, 32], [0, 60, 32], [0, 0, 1]]]),
        dist=np.array([[-0.3, 0.1, 0, 0, 0]]), w2c_R=np.eye(3)[None], w2c_t=np.zeros((1, 3)),
        board_corners_world=board,
    )  # fmt: skip
