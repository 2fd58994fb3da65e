"""Two readings of one person made one: in the picture from the model that is better there, in depth from the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Float, Float32
from numpy import ndarray

from unish.body.joints import JOINT_LANDMARKS, MIRRORED_LANDMARKS
from unish.people.facing import mirror_world, weigh_facing
from unish.people.protocols import KeypointModel, LandmarkModel, Observation
from unish.people.reading import Frame
from unish.people.reread import MAX_APART, MIN_SIZE_M, SURE, TRUNK_LANDMARKS, TRUNK_POINTS, read_points
from unish.structs import NUM_LANDMARKS

SIGMA_ALONE_M = 0.015
"""1σ of a landmark in the picture, in metres at the person, where one model alone has read it."""

_SIGMA_BOTH_M = 0.01
_SIGMA_PER_DISTANCE = 0.35
_LIMBS = np.array(list(JOINT_LANDMARKS))
_MIRRORED = np.array(MIRRORED_LANDMARKS)
# The landmark that means the same as each of COCO's 17 key points, and the key point with which each landmark moves:
# eyelids with the eye, mouth with the nose, hands with the wrist, feet with the ankle.
_SAME = np.array([0, 2, 5, 7, 8, 11, 12, 13, 14, 15, 16, 23, 24, 25, 26, 27, 28])
# fmt: off
_CARRIER = np.array([
    0, 1, 1, 1, 2, 2, 2, 3, 4, 0, 0,  # face
    5, 6, 7, 8, 9, 10, 9, 10, 9, 10, 9, 10,  # arms and hands
    11, 12, 13, 14, 15, 16, 15, 16, 15, 16,  # legs and feet
])
# fmt: on
# Where key points lie beside the joints that they stand for, metres towards the upper end of a part of the body: of the
# trunk for shoulders and hips, of the thigh for knees, of the shank for ankles. See docs/research/bodies.md.
_HIGHER_M = np.zeros(len(_SAME), np.float32)
_HIGHER_M[[5, 6]], _HIGHER_M[[11, 12]], _HIGHER_M[[13, 14]], _HIGHER_M[[15, 16]] = 0.015, 0.014, -0.015, 0.009
_HIPS, _KNEES, _ANKLES = (23, 24), (25, 26), (27, 28)


def fuse(
    px: Float32[ndarray, "B 33 3"],
    world: Float32[ndarray, "B 33 3"],
    points: Float32[ndarray, "B 17 4"],
    side_px: Float[ndarray, "B"],
) -> tuple[Float32[ndarray, "B 33 3"], Float32[ndarray, "B 33 3"], Float32[ndarray, "B 33"], Float[ndarray, "B"]]:
    """Landmarks of B people read by BlazePose, with the key points of a second model that is better in the picture.

    Two key point models err apart from one another, so where they disagree, both are to be doubted. Where their trunks
    lie further apart than ``MAX_APART`` of the person's size, one of them has read somebody else: the second one is
    not heard then, and all points are in doubt. Where left and right are the other way round, the first one has taken
    the front for the back: seen along the ray that is a body with left and right exchanged and depth turned around. A
    point of which the second model is not sure stays where it is: MoveNet has to put legs that are cut off by the
    border of the picture somewhere inside. Key points are moved to the joints of the body first (``_HIGHER_M``).

    Args:
        px: x, y in pixels of the picture, and visibility.
        world: metres around the middle of the hips, axes of the camera.
        points: the second model's key points of COCO (``KeypointModel``), x and y in the same pixels.
        side_px: longer side of each person's box.

    Returns:
        px: of the second model where it is heard; points that it does not know move along with the nearest it knows.
        world: as given, or facing the other way.
        sigma_px: 1σ of ``px``: a centimetre at the person, and a share of the distance between the models.
        facing: log odds that left and right are as they are now (``facing.weigh_facing``); NaN where one has read
            somebody else.
    """
    scale = measure_scale(px, world)[:, None]
    side_px = np.maximum(side_px, MIN_SIZE_M * scale[:, 0])
    points = points.copy()
    points[..., :2] -= (scale * _HIGHER_M)[..., None] * _find_up(world)[..., :2]
    swapped = _face_away(px, points)
    faced_px = np.where(swapped[:, None, None], px[:, _MIRRORED], px)
    faced_world = np.where(swapped[:, None, None], mirror_world(world), world)
    moved = points[..., :2] - faced_px[:, _SAME, :2]
    apart = np.linalg.norm(moved, axis=-1)
    sure = points[:, TRUNK_POINTS, 2] >= SURE
    off = (apart[:, TRUNK_POINTS] * sure).sum(axis=-1) / np.maximum(sure.sum(axis=-1), 1)
    same = sure.any(axis=-1) & (off < MAX_APART * side_px)
    fused_px = faced_px.copy()
    heard = points[..., 2:3] >= SURE
    fused_px[..., :2] += np.where(heard, moved, 0)[:, _CARRIER]
    # Who has read somebody else is not known: as much doubt as of points that are hardly heard.
    doubted = np.where(same[:, None], apart, np.minimum(apart, MAX_APART * side_px[:, None]))[:, _CARRIER]
    sigma = np.hypot(_SIGMA_BOTH_M * scale, _SIGMA_PER_DISTANCE * doubted)
    fused_px[..., 2] *= np.minimum(points[..., 2] / SURE, 1.0)[:, _CARRIER]
    return (
        np.where(same[:, None, None], fused_px, px),
        np.where(same[:, None, None], faced_world, world),
        sigma.astype(np.float32),
        np.where(same, weigh_facing(faced_world, points, swapped), np.nan),
    )


def sigma_alone(
    px: Float32[ndarray, "*batch 33 3"], world: Float32[ndarray, "*batch 33 3"]
) -> Float32[ndarray, "*batch 33"]:
    """1σ in pixels of landmarks that no second model has read."""
    scale = measure_scale(px, world)[..., None]
    return np.broadcast_to(SIGMA_ALONE_M * scale, (*scale.shape[:-1], NUM_LANDMARKS)).astype(np.float32)


def measure_scale(
    px: Float32[ndarray, "*batch 33 3"], world: Float32[ndarray, "*batch 33 3"]
) -> Float[ndarray, "*batch"]:
    """Pixels of the picture for a metre at the person: the ratio of the spreads of both sets of points."""
    in_picture, in_metres = (
        np.linalg.norm(points - points.mean(axis=-2, keepdims=True), axis=(-2, -1))
        for points in (px[..., _LIMBS, :2].astype(np.float64), world[..., _LIMBS, :2].astype(np.float64))
    )
    return np.asarray(in_picture / np.maximum(in_metres, 1e-3))


def _find_up(world: Float32[ndarray, "B 33 3"]) -> Float32[ndarray, "B 17 3"]:
    """Unit direction along which each key point is moved to its joint; 0 for those that stay."""
    up = np.zeros((len(world), len(_SAME), 3), np.float32)
    trunk = world[:, TRUNK_LANDMARKS[:2]].mean(axis=1) - world[:, TRUNK_LANDMARKS[2:]].mean(axis=1)
    up[:, TRUNK_POINTS] = trunk[:, None]
    up[:, [13, 14]] = world[:, _HIPS] - world[:, _KNEES]
    up[:, [15, 16]] = world[:, _KNEES] - world[:, _ANKLES]
    return up / np.maximum(np.linalg.norm(up, axis=-1, keepdims=True), 1e-6)


def _face_away(px: Float32[ndarray, "B 33 3"], points: Float32[ndarray, "B 17 4"]) -> Bool[ndarray, "B"]:
    """Whether shoulders and hips run from left to right the other way, and sure limbs fit better when exchanged.

    Of somebody seen from the side, the trunk alone says little.
    """
    theirs = points[:, 5:, :2]
    across = [limbs[:, [0, 6]] - limbs[:, [1, 7]] for limbs in (theirs, px[:, _LIMBS, :2])]
    against = (across[0] * across[1]).sum(axis=(-2, -1)) < 0
    sure = points[:, 5:, 2] >= SURE
    as_read, exchanged = (
        (sure * np.linalg.norm(theirs - own[:, _LIMBS, :2], axis=-1)).sum(axis=-1) for own in (px, px[:, _MIRRORED])
    )
    return np.asarray(against & (exchanged < as_read))


def add_points(
    frame: Frame,
    people: Sequence[Observation],
    model: KeypointModel,
    landmarks: LandmarkModel,
    *,
    min_landmark_score: float,
) -> list[Observation]:
    """The people of a picture, their poses fused with the key points that a second model reads where they are.

    Poses that these contradict are read again first: see ``reread.read_points``.
    """
    if not people:
        return []
    fused, points = read_points(frame, people, model, landmarks, min_landmark_score=min_landmark_score)
    rows = [row for row, person in enumerate(fused) if person.pose is not None]
    poses = [pose for person in fused if (pose := person.pose) is not None]
    if not poses:
        return fused
    boxes = np.stack([fused[row].box_xyxy for row in rows])
    px, world, sigma_px, facing = fuse(
        np.stack([pose.px for pose in poses]),
        np.stack([pose.world for pose in poses]),
        points[rows],
        (boxes[:, 2:] - boxes[:, :2]).max(axis=-1),
    )
    for index, (row, pose) in enumerate(zip(rows, poses, strict=True)):
        said = None if np.isnan(facing[index]) else float(facing[index])
        pose = replace(pose, px=px[index], world=world[index], sigma_px=sigma_px[index], facing=said)
        fused[row] = replace(fused[row], pose=pose)
    return fused
