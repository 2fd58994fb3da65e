"""Whose landmarks a box leads to: where in the picture they are read, and which reading is kept."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, UInt8
from numpy import ndarray
from torch import Tensor

from unish.people.boxes import box_area, box_containment, box_iou, pose_similarity
from unish.people.masks import silhouette_overlap
from unish.people.protocols import LandmarkModel, Pose, RegionFinder
from unish.people.regions import Region, region_distance

BOX_MARGIN = 1.25
"""Side of the first region that is cut around a detector's box, over its longer side."""

MAX_STRAY = 0.3
"""Two regions whose centres are nearer, over the larger side, may be of one person."""

_CUTOUT_MARGIN = 1.5
_MIN_FIRST_SCORE = 0.1
_MIN_RETRY_SCORE = 0.5
_TIGHT_MARGIN = 1.0
_MIN_VISIBILITY = 0.5
_SAME_POSE = 0.6
_SAME_TRUNK = 0.25
_SAME_SILHOUETTE = 0.7
_TRUNK = np.array([11, 12, 23, 24])
_SETTLED = 0.005
_RESTLESS = 0.05
_PART = 0.9


@dataclass(frozen=True, kw_only=True)
class Frame:
    """A picture in the two forms that detectors and landmark models read."""

    image: UInt8[Tensor, "H W 3"]
    picture: Float[Tensor, "3 H W"]

    @classmethod
    def of(cls, image: UInt8[Tensor, "H W 3"]) -> Frame:
        return cls(image=image, picture=image.permute(2, 0, 1).float() / 255)

    @property
    def size(self) -> tuple[int, int]:
        return int(self.image.shape[0]), int(self.image.shape[1])


def read_box(
    frame: Frame,
    boxes: Float[ndarray, "N 4"],
    index: int,
    expected: Sequence[Region],
    landmarks: LandmarkModel,
    finder: RegionFinder | None = None,
    *,
    follows: bool = False,
) -> Pose | None:
    """The pose of the person in one of the boxes; ``None`` when only neighbours are seen there.

    Where the person was a moment ago is looked at first: a region that landmarks made lies better around somebody with
    stretched arms, bent or upside down than an upright one around a box. Somebody new is read as ``read_new`` says. A
    region cut around the box of somebody in close contact may show the neighbour better. Then a tighter region, and the
    one of a moment ago, are tried, and what fits the box best is taken.

    Args:
        expected: where people were a moment ago.
        finder: finds how people lie in a part of the picture; ``None`` reads everybody upright first.
        follows: look where the person was a moment ago alone, and not around the box.
    """
    region = Region.around_box(boxes[index], margin=BOX_MARGIN)
    near = [other for other in expected if region_distance(region, other) < MAX_STRAY]
    # Of somebody who is cut off or half hidden the box is a small part of the region.
    near = near or [other for other in expected if other.side > region.side and _is_part(boxes[index], other)]
    if near:
        settled = read_settled(
            frame, min(near, key=lambda other: region_distance(region, other, max_ratio=math.inf)), landmarks
        )
        if settled is not None and belongs_to_box(settled, boxes, index):
            return settled
    if follows:
        return None
    pose = read_new(frame, boxes, index, landmarks, finder, is_new=not near)
    if pose is None or belongs_to_box(pose, boxes, index):
        return pose
    tight = landmarks.read_pose(frame.picture, Region.around_box(boxes[index], margin=_TIGHT_MARGIN))
    tries = [tight, landmarks.read_pose(frame.picture, tight.next_region)]
    tries += [landmarks.read_pose(frame.picture, other) for other in near]
    tries = [one for one in tries if one.score >= _MIN_RETRY_SCORE and belongs_to_box(one, boxes, index)]
    return max(tries, key=lambda one: one.score * _overlap_with(one, boxes[index]), default=None)


def _is_part(box: Float[ndarray, "4"], region: Region) -> bool:
    return bool(box_containment(box[None], np.array(region.bounds())[None])[0, 0] > _PART)


def read_new(
    frame: Frame,
    boxes: Float[ndarray, "N 4"],
    index: int,
    landmarks: LandmarkModel,
    finder: RegionFinder | None,
    *,
    is_new: bool,
) -> Pose | None:
    """The pose in an upright region around the box, or in the turned one that ``finder`` sees there.

    Landmark models know people who stand upright in their region: of somebody who lies, hangs or stands on the hands
    they read nonsense in an upright one, with full confidence. But nonsense moves when it is read again around itself,
    and a right reading hardly does. So of the readings that belong to the box the one is kept that moved least. A
    turned one that moves by more than a twentieth of the box is no better than an upright one that does.

    Args:
        is_new: look for a turned region in any case; else only if the upright reading moves by more than that.
    """
    upright = look_twice(frame, Region.around_box(boxes[index], margin=BOX_MARGIN), landmarks)
    pose = None if upright is None else upright.pose
    side = float((boxes[index, 2:] - boxes[index, :2]).max())
    if finder is None or not (is_new or upright is None or upright.moved_px > _RESTLESS * side):
        return pose
    cutout = Region.around_box(boxes[index], margin=_CUTOUT_MARGIN)
    inside = [one for one in finder.find_regions(frame.picture, cutout) if _is_inside(one, boxes[index])]
    if not inside:
        return pose
    nearest = min(inside, key=lambda one: region_distance(one, cutout))
    turned = look_twice(frame, nearest, landmarks, min_score=_MIN_RETRY_SCORE)
    if turned is None or turned.moved_px > _RESTLESS * side or not belongs_to_box(turned.pose, boxes, index):
        return pose
    stays = upright is not None and belongs_to_box(upright.pose, boxes, index) and upright.moved_px <= turned.moved_px
    return pose if stays else turned.pose


def _is_inside(region: Region, box: Float[ndarray, "4"]) -> bool:
    return bool(box[0] <= region.x <= box[2] and box[1] <= region.y <= box[3])


def read_boxes(
    frame: Frame,
    boxes: Float[ndarray, "N 4"],
    expected: Sequence[Region],
    landmarks: LandmarkModel,
    finder: RegionFinder | None = None,
    *,
    follows: bool = False,
) -> list[Pose | None]:
    """``read_box`` for all of them, one body for each: where two boxes lead to one body, it is in the one that fits.

    Somebody who is hardly in view behind another person may have the surer box, but not the other one's body.
    """
    poses = [read_box(frame, boxes, index, expected, landmarks, finder, follows=follows) for index in range(len(boxes))]
    for first, second in itertools.combinations(range(len(boxes)), 2):
        one, other = poses[first], poses[second]
        if one is None or other is None:
            continue
        if same_body(one, other, float(max(box_area(boxes[[first, second]])))):
            fits = [_overlap_with(pose, boxes[index]) for pose, index in ((one, first), (other, second))]
            poses[first if fits[0] < fits[1] else second] = None
    return poses


def _overlap_with(pose: Pose, box: Float[ndarray, "4"]) -> float:
    own = landmark_box(pose)
    return 0.0 if own is None else float(box_iou(own[None], box[None])[0, 0])


@dataclass(frozen=True, kw_only=True, eq=False)
class TwoLooks:
    """A reading, and a second one around it, which halves the error of a region made from a box.

    Attributes:
        first, second: the two.
        moved_px: mean distance between their landmarks.
    """

    first: Pose
    second: Pose

    @property
    def moved_px(self) -> float:
        return float(np.linalg.norm(self.second.px[:, :2] - self.first.px[:, :2], axis=-1).mean())

    @property
    def pose(self) -> Pose:
        """The second reading, unless that has lost the person."""
        return self.second if self.second.score >= 0.5 * self.first.score else self.first


def look_twice(
    frame: Frame, region: Region, landmarks: LandmarkModel, *, min_score: float = _MIN_FIRST_SCORE
) -> TwoLooks | None:
    """Read a region, then the one around the landmarks; ``None`` where the first look is below ``min_score``."""
    first = landmarks.read_pose(frame.picture, region)
    if first.score < min_score:
        return None
    return TwoLooks(first=first, second=landmarks.read_pose(frame.picture, first.next_region))


def read_settled(frame: Frame, region: Region, landmarks: LandmarkModel) -> Pose | None:
    """The pose in a region of a moment ago, if a second look around the first answer agrees with it; else ``None``.

    Right readings hardly move when they are read again. One that is about to mix up front and back does, and the next
    frames would go on from there.
    """
    looks = look_twice(frame, region, landmarks, min_score=_MIN_RETRY_SCORE)
    if looks is None or looks.second.score < _MIN_RETRY_SCORE:
        return None
    return looks.second if looks.moved_px < _SETTLED * looks.first.region.side else None


def belongs_to_box(pose: Pose, boxes: Float[ndarray, "N 4"], index: int) -> bool:
    """Whether the landmarks are those of the person in this box and not of somebody in another one."""
    own = landmark_box(pose)
    if own is None:
        return False
    overlap = box_iou(own[None], boxes)[0]
    box = boxes[index]
    inside = max(box_containment(own[None], box[None])[0, 0], box_containment(box[None], own[None])[0, 0])
    fits = overlap[index] > 0.3 or (inside > 0.8 and overlap[index] > 0.15)
    return bool(fits and overlap[index] >= overlap.max() - 0.1)


def landmark_box(pose: Pose) -> Float[ndarray, "4"] | None:
    """Bounds of the visible landmarks; ``None`` when fewer than three are visible."""
    seen = pose.px[pose.px[:, 2] >= _MIN_VISIBILITY, :2]
    return np.concatenate([seen.min(axis=0), seen.max(axis=0)]) if len(seen) >= 3 else None


def same_body(first: Pose, second: Pose, area: float) -> bool:
    """Whether two readings are of one body: pose or silhouette agree, or at least the trunk is in the very same place.

    Limbs of two readings of a half-hidden person may differ; the trunks of two people who hug do not coincide. In
    acrobatics two readings may not even agree on head and feet, but they do on what belongs to the person.
    """
    shared = (first.px[:, 2] >= _MIN_VISIBILITY) & (second.px[:, 2] >= _MIN_VISIBILITY)
    if pose_similarity(first.px[:, :2], second.px[:, :2], shared, area) > _SAME_POSE:
        return True
    trunks = first.px[_TRUNK, :2], second.px[_TRUNK, :2]
    longest = max(float(np.linalg.norm(trunk[:2].mean(axis=0) - trunk[2:].mean(axis=0))) for trunk in trunks)
    # Left and right may be mixed up in one of the readings.
    apart = min(np.linalg.norm(trunks[0] - trunks[1][order], axis=-1).mean() for order in ([0, 1, 2, 3], [1, 0, 3, 2]))
    return bool(apart < _SAME_TRUNK * max(longest, 1.0)) or silhouette_overlap(first, second) > _SAME_SILHOUETTE
