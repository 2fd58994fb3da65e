"""A made world whose every number is known: two people and two shots, a camera that walks and turns, odd pixels."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy import ndarray
from scipy.ndimage import maximum_filter, minimum_filter
from scipy.spatial.transform import Rotation

from small_record import make_record
from unish.body import Body
from unish.structs import Reconstruction

SIZE = (48, 64)
NUM_FRAMES = (5, 3)
START_S = 36_000.125
"""Ten hours into the source, where 32 bits hold no frame times any more."""
INTRINSICS = np.array([[58.0, 0, 35], [0, 50, 22], [0, 0, 1]])
"""Pixels that are not square, and a principal point beside the middle."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """A floor (n·x + d = 0, n up) and an upright wall in the world of a shot."""

    down: ndarray
    floor: ndarray
    wall: ndarray


def _place(tilt: tuple[float, float, float], camera_height: float, wall_distance: float) -> Place:
    down = np.array([0.0, 1.0, 0.0]) + tilt
    down /= np.linalg.norm(down)
    facing = np.array([0.0, 0.0, -1.0]) + down * down[2]
    facing /= np.linalg.norm(facing)
    return Place(down=down, floor=np.array([*-down, camera_height]), wall=np.array([*facing, wall_distance]))


PLACES = (_place((0.05, 0.0, 0.12), 1.4, 6.0), _place((-0.04, 0.0, -0.1), 1.1, 4.5))


def paint(points: ndarray) -> ndarray:
    """(..., 3) sRGB of a place, in 0..255, not rounded: smooth, so that neighbours differ little."""
    return 128 + 110 * np.sin(np.asarray(points) * [1.1, 0.9, 0.8] + [0.0, 1.0, 2.0])


def draw(place: Place, c2w: ndarray) -> tuple[ndarray, ndarray]:
    """Depth and colours of the place as a camera sees it, by intersecting the ray of every pixel's centre."""
    rows, columns = np.indices(SIZE)
    rays = np.stack([columns + 0.5, rows + 0.5, np.ones(SIZE)], axis=-1) @ np.linalg.inv(INTRINSICS).T
    world = rays @ c2w[:3, :3].T
    depth = np.full(SIZE, np.inf)
    for plane in (place.floor, place.wall):
        with np.errstate(divide="ignore"):
            z = -(plane[:3] @ c2w[:3, 3] + plane[3]) / (world @ plane[:3])
        depth = np.where((z > 0) & (z < depth), z, depth)
    return depth, paint(c2w[:3, 3] + world * depth[..., None]).round().astype(np.uint8)


def make_golden(body: Body) -> Reconstruction:
    """People walk; the first turns past 180°, is missing at first and filled in once, the second leaves before the end.

    Their pixels are two blocks at the depth of their pelvis, in a colour of their own. A strip of the picture is
    unsure, and one block of the scene lies beyond what counts as near.
    """
    number = sum(NUM_FRAMES)
    record = make_record(body, num_frames=number)
    segment = np.repeat([0, 1], NUM_FRAMES).astype(np.int32)
    within = np.concatenate([np.arange(count) for count in NUM_FRAMES])
    c2w = np.tile(np.eye(4), (number, 1, 1))
    turns = within[:, None] * np.array([0.01, 0.06, -0.02])
    c2w[:, :3, :3] = Rotation.from_rotvec(turns).as_matrix()
    c2w[:, :3, 3] = within[:, None] * np.array([0.15, 0.02, 0.1])
    valid = np.ones((2, number), bool)
    valid[0, [0, 2]], valid[1, 4], valid[1, 7] = False, False, False
    filled = np.zeros_like(valid)
    filled[0, 2] = True
    shown = valid | filled
    # The first turns on from 170° to 190° about an upright axis, where quaternions change their sign.
    turned = np.radians(np.stack([170 + 5 * within, 20 + 10 * within])).ravel()
    facing = Rotation.from_rotvec(turned[:, None] * [0.0, 1.0, 0.0])
    orient = (facing * Rotation.from_rotvec([np.pi, 0, 0])).as_rotvec().reshape(2, number, 3)
    transl = np.stack(
        [np.stack([0.1 * within - 0.8 + 1.5 * i, 0.02 * within, 3.2 + i + 0 * within], -1) for i in range(2)]
    )
    rng = np.random.default_rng(5)
    pose = rng.normal(size=(2, number, 69)) * 0.4

    def where_shown(values: ndarray) -> ndarray:
        return np.where(shown[..., None], values, np.nan).astype(np.float32)

    depth, images = (
        np.stack(part) for part in zip(*(draw(PLACES[s], m) for s, m in zip(segment, c2w, strict=True)), strict=True)
    )
    masks = np.full((number, *SIZE), -1, np.int16)
    confidence = np.full((number, *SIZE), 0.9, np.float16)
    confidence[:, :, -4:] = 0.1
    for person, (left, top) in enumerate([(14, 12), (42, 14)]):
        for frame in np.flatnonzero(shown[person]):
            block = (frame, slice(top, top + 16 + frame % 3), slice(left, left + 8))
            masks[block], images[block] = person, (200, 40 + 10 * frame, 90 * person + 20)
            depth[block] = 3.2 + person
    depth[:, :6, :6] = 80.0
    return replace(
        record,
        segment=segment,
        timestamps_s=START_S + 0.7 * segment + np.arange(number) / 6,
        images=images,
        intrinsics=np.tile(INTRINSICS, (number, 1, 1)).astype(np.float32),
        c2w=c2w.astype(np.float32),
        depth=depth.astype(np.float32),
        point_conf=confidence,
        person_masks=masks,
        person_valid=valid,
        person_filled=filled,
        boxes_xyxy=np.tile(np.float32([14, 12, 22, 30]), (2, number, 1)),
        landmarks_px=np.full((2, number, 33, 3), np.nan, np.float32),
        global_orient_aa=where_shown(orient),
        body_pose_aa=where_shown(pose),
        transl=where_shown(transl),
        joints=np.tile(where_shown(transl)[:, :, None], (1, 1, 24, 1)),
        gravity=np.stack([place.down for place in PLACES]).astype(np.float32),
        floor=np.stack([place.floor for place in PLACES]).astype(np.float32),
    )


def reliable_pixels(record: Reconstruction, frame: int) -> ndarray:
    """Defined and confident pixels; no step above a tenth of the nearest depth between them and their neighbours."""
    depth = record.depth[frame]
    near = minimum_filter(np.where(depth > 0, depth, np.inf), 3, mode="constant", cval=np.inf)
    far = maximum_filter(np.where(depth > 0, depth, -np.inf), 3, mode="constant", cval=-np.inf)
    with np.errstate(invalid="ignore"):
        return (depth > 0) & (record.point_conf[frame] >= 0.2) & (far - near <= 0.1 * near)
