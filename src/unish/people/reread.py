"""People whom the landmark model has read wrongly, or not at all, read again where a second model sees them.

BlazePose knows whole people. Of somebody who is cut by the border of the picture or hidden behind a table it makes a
small person who fits into what is seen, and is sure of it. Key point models that learnt on cropped photographs say
which points they see. Where those contradict a reading, a region for the whole person follows from them, much of it
beyond the border.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Float, Float32
from numpy import ndarray

from unish.people.boxes import box_area
from unish.people.protocols import KeypointModel, LandmarkModel, Observation, Pose
from unish.people.reading import Frame, look_twice, same_body
from unish.people.regions import Region

SURE = 0.3
"""Score from which on a key point counts as seen."""

MAX_APART = 0.12
"""Two readings whose trunks lie further apart than this share of the person's size are not of one body."""

MIN_SIZE_M = 1.0
"""People are at least so large, of however little there is a box."""

TRUNK_POINTS, TRUNK_LANDMARKS = [5, 6, 11, 12], [11, 12, 23, 24]
"""Shoulders and hips among COCO's key points, and among the landmarks."""

_NOSE, _EARS, _SHOULDERS, _HIPS = [0], [3, 4], [5, 6], [11, 12]
_MIRRORED = [1, 0, 3, 2]
# Metres between points of an average adult. Turned away they look shorter, so the one that looks longest counts.
_LENGTHS = (
    (_SHOULDERS[:1], _SHOULDERS[1:], 0.35), (_NOSE, _SHOULDERS, 0.27), (_EARS, _SHOULDERS, 0.23),
    (_SHOULDERS, _HIPS, 0.50),
)  # fmt: skip
_TRUNK_M, _RADIUS_M = 0.50, 0.95  # shoulders to hips; the circle about the hips that holds somebody who stands
_BODY_MARGIN = 1.25  # of BlazePose's regions around that circle
_BOX_MARGIN = 1.15
_WIDE, _LOWER = 2.0, 0.25  # a larger region around a box, and by how much of its side it lies lower
_MIN_SIDE_PX = 64  # smaller people without a pose are not looked at again
_MIN_VISIBILITY = 0.5


def read_points(
    frame: Frame,
    people: Sequence[Observation],
    model: KeypointModel,
    landmarks: LandmarkModel,
    *,
    min_landmark_score: float,
) -> tuple[list[Observation], Float32[ndarray, "P 17 4"]]:
    """Key points of people, who are read again by the landmark model where these contradict their poses.

    People without a pose, too: a landmark model may be unsure of somebody of whom it sees the half. A new reading is
    kept where it agrees with the points and is nobody else's.

    Args:
        min_landmark_score: below it a person gets no pose.
    """
    found = list(people)
    points = model.read_points(frame.picture, [close_region(person.box_xyxy, person.pose) for person in people])
    for row, person in enumerate(people):
        side = float((person.box_xyxy[2:] - person.box_xyxy[:2]).max())
        if person.pose is None and side < _MIN_SIDE_PX:
            continue
        seen, before = points[row], _distance(person.pose, points[row], frame)
        if before >= MAX_APART * side and (seen[_SHOULDERS, 2] < SURE).any():
            # Pictures of which a head and shoulders fill all are strange to key point models, too.
            seen = model.read_points(frame.picture, [_wide_region(person.box_xyxy)])[0]
            before = _distance(person.pose, seen, frame)
        region = whole_region(seen)
        if region is None or before < MAX_APART * side:
            continue
        size = max(side, MIN_SIZE_M * region.side / (2 * _BODY_MARGIN * _RADIUS_M))
        looks = look_twice(frame, region, landmarks, min_score=min_landmark_score)
        if looks is None or looks.pose.score < min_landmark_score:
            continue
        after = _distance(looks.pose, seen, frame)
        others = [other.pose for index, other in enumerate(found) if index != row and other.pose is not None]
        area = float(box_area(person.box_xyxy))
        if after < min(before, MAX_APART * size) and not any(same_body(looks.pose, other, area) for other in others):
            found[row] = replace(person, pose=looks.pose)
            points[row] = model.read_points(frame.picture, [close_region(person.box_xyxy, looks.pose)])[0]
    return found, points


def close_region(box_xyxy: Float[ndarray, "4"], pose: Pose | None) -> Region:
    """Close around the visible landmarks and the middles of the box's sides, turned as the person is.

    Around landmarks alone it would miss the limbs that they miss; a turned square around the whole box is too large.
    """
    if pose is None:
        return Region.around_box(box_xyxy, margin=_BOX_MARGIN)
    x0, y0, x1, y1 = box_xyxy.tolist()
    x, y = (x0 + x1) / 2, (y0 + y1) / 2
    seen = pose.px[pose.px[:, 2] >= _MIN_VISIBILITY, :2]
    points = np.concatenate([np.array([[x0, y], [x1, y], [x, y0], [x, y1]]), seen])
    return Region.around_points(points, angle=pose.next_region.angle, margin=_BOX_MARGIN)


def whole_region(points: Float[ndarray, "17 4"]) -> Region | None:
    """Where BlazePose should look for the whole person; ``None`` where the second model is not sure of the shoulders.

    The length that looks longest beside that of an average adult gives the size. Hips that were not seen lie below the
    shoulders in the picture.
    """

    def middle(rows: list[int]) -> Float[ndarray, "2"] | None:
        return points[rows, :2].mean(axis=0) if (points[rows, 2] >= SURE).all() else None

    shoulders, hips = middle(_SHOULDERS), middle(_HIPS)
    if shoulders is None:
        return None
    ends = [(middle(first), middle(second), length) for first, second, length in _LENGTHS]
    scale = max(
        float(np.linalg.norm(first - second)) / length
        for first, second, length in ends
        if first is not None and second is not None
    )
    if hips is None:
        hips = shoulders + np.array([0.0, _TRUNK_M * scale])
    up = (shoulders - hips) / max(float(np.linalg.norm(shoulders - hips)), 1e-6)
    return Region.around_body(hips, hips + _RADIUS_M * scale * up, margin=_BODY_MARGIN)


def _wide_region(box_xyxy: Float[ndarray, "4"]) -> Region:
    """What is missing of a person is below the box, mostly."""
    region = Region.around_box(box_xyxy, margin=_WIDE)
    return replace(region, y=region.y + _LOWER * region.side)


def _distance(pose: Pose | None, points: Float[ndarray, "17 4"], frame: Frame) -> float:
    """Mean distance in pixels of the corners of the trunk that the second model is sure to see in the picture.

    Left and right may be exchanged. Infinite where it sees none of them, or there is no pose.
    """
    if pose is None:
        return np.inf
    height, width = frame.size
    trunk = points[TRUNK_POINTS]
    inside = ((trunk[:, :2] >= 0) & (trunk[:, :2] <= [width, height])).all(axis=-1)
    sure = (trunk[:, 2] >= SURE) & inside
    if not sure.any():
        return np.inf
    own = pose.px[TRUNK_LANDMARKS, :2]
    return float(min(np.linalg.norm(order - trunk[:, :2], axis=-1)[sure].mean() for order in (own, own[_MIRRORED])))
