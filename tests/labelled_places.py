"""The places among the labelled samples as tiny trees, and the right answers about them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy import ndarray
from PIL import Image

from made_answers import make_scene
from unish.structs import Reconstruction

ROOM_SIZE = (120, 160)
SHIFT_M = 0.025
"""Of the colour camera of a Kinect to the right of its depth camera."""
COLOUR_PX, DEPTH_PX = 525.0, 585.0
"""Focal lengths in pixels of 640 × 480."""

POSED, UNPOSED = 5, 1
"""Pictures of a place."""
WITH_DEPTH = ("tum_fr1_xyz10", "tum_fr1_rpy", "tsdf_box", "nyu_cafe", "nvblox_lounge", "dgp_scene_01")
WITHOUT_DEPTH = ("strecha_fountain_p11", "fox_colmap", "strecha_herz_jesus_p8")
SINGLE = ("felix_home", "kitti_000008", "nyu_basement")
REPEATED = ("tum_fr1_xyz10", "tsdf_box", "strecha_fountain_p11", "felix_home", "kitti_000008", "fox_colmap")


def look_at_room(c2w: ndarray, focal_px: float) -> ndarray:
    """(T, h, w) exact depth of a floor and a wall, seen by a camera of ``focal_px`` at 640 × 480."""
    height, width = ROOM_SIZE
    focal = focal_px * width / 640
    v, u = np.meshgrid(np.arange(height) + 0.5, np.arange(width) + 0.5, indexing="ij")
    rays = np.stack([(u - width / 2) / focal, (v - height / 2) / focal, np.ones_like(u)], -1)
    turned = rays @ c2w[:, None, :3, :3].astype(np.float64).transpose(0, 1, 3, 2)
    with np.errstate(divide="ignore"):
        floor = (1.2 - c2w[:, None, None, 1, 3]) / turned[..., 1]
        wall = (4.0 - c2w[:, None, None, 2, 3]) / turned[..., 2]
    return np.minimum(np.where(floor > 0, floor, np.inf), wall)


def colour_poses(c2w: ndarray) -> ndarray:
    """Where the colour camera is when the depth camera is at ``c2w``."""
    beside = np.eye(4)
    beside[0, 3] = SHIFT_M
    return c2w @ beside


def write_kitchen(folder: Path, c2w: ndarray) -> None:
    """Every eighth frame of a 7-Scenes sequence: depth and poses are the depth camera's."""
    folder.mkdir(parents=True)
    for frame, depth in enumerate(look_at_room(c2w, DEPTH_PX)):
        stem = folder / f"frame-{8 * frame:06d}"
        Image.new("RGB", ROOM_SIZE[::-1], (frame, 90, 90)).save(f"{stem}.color.png")
        Image.fromarray((1000 * depth).round().astype(np.uint16)).save(f"{stem}.depth.png")
        np.savetxt(f"{stem}.pose.txt", c2w[frame])


def answer_kitchen(c2w: ndarray, frames: list[int]) -> Reconstruction:
    """What the colour camera sees, exactly."""
    poses = colour_poses(c2w[frames])
    focal = COLOUR_PX * ROOM_SIZE[1] / 640
    k = np.array([[focal, 0, ROOM_SIZE[1] / 2], [0, focal, ROOM_SIZE[0] / 2], [0, 0, 1]])
    return make_scene(look_at_room(poses, COLOUR_PX), c2w=poses, intrinsics=k)


def write_places(folder: Path, walk: Reconstruction) -> None:
    """All places, of the first frames of the walk; one of them has two cameras and depth at few pixels."""
    for name in (*WITH_DEPTH, *WITHOUT_DEPTH, *SINGLE):
        place, count = folder / name, UNPOSED if name in SINGLE else POSED
        (place / "rgb").mkdir(parents=True)
        k = walk.intrinsics[0].astype(np.float64)
        camera = [k[0, 0], k[1, 1], k[0, 2], k[1, 2]]
        cameras = [camera, camera, camera, [2 * k[0, 0], *camera[1:]], camera] if name == "dgp_scene_01" else [camera]
        np.savetxt(place / "intrinsics.txt", cameras, fmt="%.6f")
        for frame in range(count):
            Image.fromarray(walk.images[frame]).save(place / f"rgb/{frame:03d}.jpg")
            if name not in WITHOUT_DEPTH:
                (place / "depth").mkdir(exist_ok=True)
                depth = (1000 * walk.depth[frame]).round().astype(np.uint16)
                if name == "dgp_scene_01":
                    depth[::3], depth[:, ::2] = 0, 0
                Image.fromarray(depth).save(place / f"depth/{frame:03d}.png")
        if name not in SINGLE:
            np.savetxt(place / "poses.txt", walk.c2w[:count].reshape(count, 16))
            (place / "pairs.txt").write_text("# name0 name1 and more\n000.jpg 004.jpg 1 2 3\n003.jpg 004.jpg 1 2 3\n")


def list_place_answers(take: Callable[[list[int]], Reconstruction]) -> dict[str, Reconstruction]:
    """By sequence; ``take`` gives some frames of the walk."""
    answers = {}
    for name in (*WITH_DEPTH, *WITHOUT_DEPTH, *SINGLE):
        if name in SINGLE:
            frames = {"picture-000": [0]}
        elif name == "dgp_scene_01":  # the fourth picture is another camera's
            frames = {"clip-000": [0, 1, 2, 4], "pair-000-004": [0, 4]}
        else:
            frames = {"clip-000": [0, 1, 2, 3, 4], "pair-000-004": [0, 4], "pair-003-004": [3, 4]}
        for camera in ("", "_k"):
            answers |= {f"{name}{camera}/{key}": take(chosen) for key, chosen in frames.items()}
    return answers


def hold_still(record: Reconstruction) -> Reconstruction:
    """The same pictures and people from a camera that stands: joints in the axes of each frame's camera."""
    w2c = np.linalg.inv(record.c2w.astype(np.float64))
    joints = np.einsum("tij,ptkj->ptki", w2c[:, :3, :3], record.joints) + w2c[None, :, None, :3, 3]
    still = np.tile(np.eye(4, dtype=np.float32), (record.num_frames, 1, 1))
    return replace(record, c2w=still, joints=joints.astype(np.float32))
