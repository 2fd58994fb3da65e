"""The golden scene: a small made-up world in which no axis, side, unit or person can be mistaken for another.

An asymmetric L of coloured points, two people of different height in asymmetric poses, one of them away for a while, a
camera that moves and turns, and gravity along no axis. It goes out through every format and comes back through readers
that are not ours: ``tests/contract/test_golden_scene.py``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy import ndarray
from scipy.spatial.transform import Rotation

from unish.body import LANDMARK_NAMES, Body
from unish.geometry.rotation import axis_angle_to_matrix
from unish.structs import BodyParams, Reconstruction

SIZE, SOURCE_SIZE = (96, 128), (480, 640)
NUM_FRAMES, SOURCE_FPS, STEP = 13, 30.0, 5
"""Used frames, rate of the video, and how many of its frames are between two used ones."""
START_S = 2.5
FOCAL = 110.0
PERSON_IDS = (4, 7)
GAP = (5, 7)
"""First and last used frame in which the second person is away."""

DOWN = np.array([0.12, 0.98, 0.14]) / np.linalg.norm([0.12, 0.98, 0.14])
FLOOR = np.array([*-DOWN, 1.45])
"""1.45 m below the first camera."""

WALL = np.array([0.1, -0.2, -1.0, 6.0]) / np.linalg.norm([0.1, -0.2, -1.0])
LONG, SHORT = (220, 40, 30), (30, 190, 60)
"""Colours of the two arms of the L: the long one points right, the short one up."""

CONTACTS = ("left_heel", "left_toe", "right_heel", "right_toe")


def make_scene(body: Body, *, zoom: float = 1.0) -> Reconstruction:
    """A ``Reconstruction`` that is consistent in itself; everything moves smoothly.

    Args:
        zoom: the last frame's focal length over the first one's.
    """
    s = np.arange(NUM_FRAMES) / (NUM_FRAMES - 1)
    c2w = np.tile(np.eye(4), (NUM_FRAMES, 1, 1))
    c2w[:, :3, :3] = Rotation.from_rotvec(s[:, None] * [0.12, -0.35, 0.2]).as_matrix()
    c2w[:, :3, 3] = s[:, None] * [0.7, -0.25, 0.4]
    intrinsics = np.tile([[FOCAL, 0, SIZE[1] / 2], [0, FOCAL, SIZE[0] / 2], [0, 0, 1]], (NUM_FRAMES, 1, 1))
    intrinsics[:, [0, 1], [0, 1]] *= zoom ** s[:, None]
    people = _pose_people(body, s)
    valid = np.ones((2, NUM_FRAMES), bool)
    valid[1, GAP[0] : GAP[1] + 1] = False
    joints = body.joints(
        BodyParams(**{name: torch.from_numpy(people[name]) for name in people if name != "aa"})
    ).numpy()
    depth, images, masks = (np.zeros((NUM_FRAMES, *SIZE, *rest), kind) for rest, kind in
                            (((), np.float32), ((3,), np.uint8), ((), np.int16)))  # fmt: skip
    for frame in range(NUM_FRAMES):
        depth[frame], images[frame] = _draw_letter(c2w[frame], intrinsics[frame])
        masks[frame] = -1
        for person in np.flatnonzero(valid[:, frame]):
            _draw_dots(
                joints[person, frame], c2w[frame], intrinsics[frame], person, depth[frame], images[frame], masks[frame]
            )

    def where_valid(values: ndarray) -> ndarray:
        return np.where(valid.reshape(2, NUM_FRAMES, *[1] * (values.ndim - 2)), values, np.nan).astype(np.float32)

    return Reconstruction(
        segment=np.zeros(NUM_FRAMES, np.int32),
        timestamps_s=START_S + STEP * np.arange(NUM_FRAMES) / SOURCE_FPS,
        frame_indices=int(START_S * SOURCE_FPS) + STEP * np.arange(NUM_FRAMES),
        source_size=np.array(SOURCE_SIZE, np.int32),
        image_size=np.array(SIZE, np.int32),
        images=images,
        intrinsics=intrinsics.astype(np.float32),
        c2w=c2w.astype(np.float32),
        depth=depth,
        point_conf=np.where(depth > 0, 0.9, 0.0).astype(np.float16),
        person_masks=masks,
        person_ids=np.array(PERSON_IDS, np.int32),
        person_valid=valid,
        person_filled=np.zeros_like(valid),
        boxes_xyxy=where_valid(np.tile([20.0, 8.0, 60.0, 80.0], (2, NUM_FRAMES, 1))),
        landmarks_px=np.full((2, NUM_FRAMES, len(LANDMARK_NAMES), 3), np.nan, np.float32),
        betas=people["betas"][:, 0].astype(np.float32),
        global_orient_aa=where_valid(people["aa"][..., 0, :]),
        body_pose_aa=where_valid(people["aa"][..., 1:, :].reshape(2, NUM_FRAMES, 69)),
        transl=where_valid(people["transl"]),
        joints=where_valid(joints),
        gravity=DOWN[None].astype(np.float32),
        floor=FLOOR[None].astype(np.float32),
        faces=body.faces.numpy().astype(np.int32),
        body_model=body.name,
        model="made up",
        version="0.1.0",
        contact_prob=where_valid(np.zeros((2, NUM_FRAMES, len(CONTACTS)))),
        contact_names=np.array(CONTACTS),
        contact_thresholds=np.array([0.07, 0.3], np.float32),
    )


def _pose_people(body: Body, s: ndarray) -> dict[str, ndarray]:
    """Axis-angle pose (2, T, 24, 3) as ``aa``, and the fields of ``BodyParams``; no side mirrors the other."""
    rng = np.random.default_rng(11)
    start, turn = rng.normal(size=(2, 2, 24, 3)) * np.array([0.25, 0.2])[:, None, None, None]
    aa = start[:, None] + turn[:, None] * np.sin(2.0 * s)[None, :, None, None]
    stand = Rotation.from_rotvec([np.pi - 0.3, 0.1, 0.15])
    facing = Rotation.from_rotvec(np.stack([0.4 + 0.8 * s, -0.5 - 0.3 * s]).reshape(-1, 1) * [0.0, 1.0, 0.0])
    aa[:, :, 0] = (stand * facing).as_rotvec().reshape(2, len(s), 3)
    betas = np.zeros((2, len(s), 10))
    betas[0, :, 0], betas[1, :, 0], betas[:, :, 3] = 1.5, -1.5, 0.4
    transl = np.stack([
        np.stack([-0.9 + 0.5 * s, 0.15 + 0 * s, 3.6 - 0.4 * s], -1),
        np.stack([0.8 - 0.2 * s, 0.1 + 0.05 * s, 4.4 - 0.9 * s], -1),
    ])  # fmt: skip
    matrices = axis_angle_to_matrix(torch.from_numpy(aa)).numpy()
    values = {"betas": betas, "global_orient": matrices[:, :, 0], "body_pose": matrices[:, :, 1:], "transl": transl}
    return {"aa": aa} | {name: value.astype(np.float32) for name, value in values.items()}


def _draw_letter(c2w: ndarray, intrinsics: ndarray) -> tuple[ndarray, ndarray]:
    """Depth and colours of the L on its wall, by intersecting the ray of every pixel's centre; depth 0 beside it."""
    rows, columns = np.indices(SIZE)
    rays = np.stack([columns + 0.5, rows + 0.5, np.ones(SIZE)], -1) @ np.linalg.inv(intrinsics).T
    with np.errstate(divide="ignore"):
        z = -(WALL[:3] @ c2w[:3, 3] + WALL[3]) / (rays @ c2w[:3, :3].T @ WALL[:3])
    x, y = np.moveaxis(c2w[:3, 3] + (rays @ c2w[:3, :3].T) * z[..., None], -1, 0)[:2]
    long = (np.abs(y - 0.3) < 0.25) & (x > -1.6) & (x < 1.9)
    short = (x > -1.6) & (x < -1.1) & (y > -1.1) & (y <= 0.05)
    colours = np.zeros((*SIZE, 3), np.uint8)
    colours[long], colours[short] = LONG, SHORT
    return np.where((long | short) & (z > 0), z, 0).astype(np.float32), colours


def _draw_dots(
    joints: ndarray, c2w: ndarray, intrinsics: ndarray, person: int, depth: ndarray, image: ndarray, mask: ndarray
) -> None:
    """A person as the pixels of the joints, at their depth."""
    local = (joints - c2w[:3, 3]) @ c2w[:3, :3]
    pixels = local @ intrinsics.T
    columns, rows = (pixels[:, :2] / pixels[:, 2:]).astype(int).T
    inside = (columns > 0) & (columns < SIZE[1] - 1) & (rows > 0) & (rows < SIZE[0] - 1)
    for row, column, z in zip(rows[inside], columns[inside], local[inside, 2], strict=True):
        block = (slice(row - 1, row + 2), slice(column - 1, column + 2))
        depth[block], image[block], mask[block] = z, (60, 80 + 90 * person, 250), person


def from_export(points: ndarray, up: str) -> ndarray:
    """Points (…, 3) in metres of a levelled export back in the world of the scene.

    By the words of the documentation, not by the code that writes: up is up, the floor is at height 0, the first camera
    stands over the origin, and looks along −z where y is up, along +y where z is up.
    """
    ahead = np.array([0.0, 0, 1]) - DOWN * DOWN[2]
    ahead /= np.linalg.norm(ahead)
    right = np.cross(DOWN, ahead)
    axes = {"y": np.stack([right, -DOWN, -ahead]), "z": np.stack([right, ahead, -DOWN])}[up]
    return points @ axes + DOWN * FLOOR[3]


def turn_from_export(up: str) -> ndarray:
    """The rotation of ``from_export``."""
    return (from_export(np.eye(3), up) - from_export(np.zeros((1, 3)), up)).T


@dataclass(kw_only=True)
class ReadBack:
    """What an independent reader found, in the world and the units of the scene; ``None`` where a format has no such.

    Attributes:
        times_s: (N,) of the frames that were read, from the first frame of the shot on.
        joints: by person: (N, 24, 3) in SMPL order; NaN where the file has a gap.
        turned: by person: (N, J, 3, 3) global rotations of the first J joints, from the rest pose in SMPL's axes
            (T-pose, y up, facing +z).
        c2w: (N, 4, 4) with OpenCV axes of the camera.
        intrinsics: (N, 3, 3) in pixels of the source.
        points, colours: (M, 3), (M, 3) in 0..255.
        tolerance_m: how far places may be off, where a format has a reason for more than a millimetre.
    """

    times_s: ndarray | None = None
    joints: dict[int, ndarray] = field(default_factory=dict)
    turned: dict[int, ndarray] = field(default_factory=dict)
    c2w: ndarray | None = None
    intrinsics: ndarray | None = None
    points: ndarray | None = None
    colours: ndarray | None = None
    tolerance_m: float = 1e-3


Reader = Callable[[Path, dict], ReadBack]
"""The folder of an export, and the entry of ``export.json`` for the format."""

READERS: dict[str, tuple[str, tuple[str, ...], Reader]] = {}
"""By a name of its own: the format that a reader is for, the modules that it needs, and the reader."""


def reads(kind: str, *modules: str) -> Callable[[Reader], Reader]:
    """Register an independent reader; its test skips, with a reason, where one of ``modules`` is missing."""

    def register(reader: Reader) -> Reader:
        READERS[reader.__name__] = (kind, modules, reader)
        return reader

    return register
