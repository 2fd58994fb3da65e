"""One frame: from detections to observations with poses, none of them twice, none of them imagined."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float, UInt8
from numpy import ndarray
from torch import Tensor

from unish.people.appearance import describe_appearance
from unish.people.boxes import box_area, box_containment, box_iou, clip_box, pose_similarity
from unish.people.masks import silhouette_overlap
from unish.people.protocols import MIN_EVIDENCE, Detection, LandmarkModel, Observation, Pose
from unish.people.regions import Region

BOX_MARGIN = 1.25
"""Side of the first region that is cut around a detector's box, over its longer side."""

_LANDMARK_WEIGHT = 0.6
_SUPPORT_WEIGHT = 0.45
_MIN_FIRST_SCORE = 0.1
_MIN_RETRY_SCORE = 0.5
_TIGHT_MARGIN = 1.0
_MIN_VISIBILITY = 0.5
_SAME_POSE = 0.6
_SAME_TRUNK = 0.25
_SAME_SILHOUETTE = 0.7
_TRUNK = np.array([11, 12, 23, 24])
_SAME_BOX = 0.6
_UPGRADE_BOX = 0.5
_SAME_PLACE = 0.8
_MAX_STRAY = 0.3
_SETTLED = 0.005
_MAX_LEAP = 0.5
_MAX_CROUCH = 2.5
_MIN_AREA = 16
_MASK_INSIDE = 128


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


def observe(
    frame: Frame,
    detections: Sequence[Detection],
    support: Sequence[Detection],
    expected: Sequence[Region],
    landmarks: LandmarkModel,
    *,
    min_detector_score: float,
    min_landmark_score: float,
) -> list[Observation]:
    """The people of one frame.

    Args:
        frame: the picture.
        detections: of the main detector.
        support: of a second detector that imagines more: it needs good landmarks to be believed.
        expected: where people were a moment ago; looked at last, for those whom both detectors missed.
        landmarks: reads poses.
        min_detector_score: a weaker detection is believed only where somebody is expected.
        min_landmark_score: below it a person keeps a box only.
    """
    candidates = Candidates(frame=frame, min_detector_score=min_detector_score, min_landmark_score=min_landmark_score)
    sure = [one for one in detections if one.score >= min_detector_score]
    boxes = np.array([one.box_xyxy for one in sure]).reshape(-1, 4)
    poses = read_boxes(frame, boxes, expected, landmarks)
    for pose, detection in sorted(zip(poses, sure, strict=True), key=lambda pair: pair[0] is None):
        candidates.add(pose, detection.box_xyxy, detection.score)
    for region in candidates.unexplained([one.region for one in support if one.region is not None]):
        score = max(one.score for one in support if one.region is region)
        candidates.add(read_twice(frame, region, landmarks), None, _SUPPORT_WEIGHT * score)
    for region in candidates.unexplained(expected):
        follow(candidates, region, detections, landmarks)
    return candidates.people


def follow(candidates: Candidates, region: Region, detections: Sequence[Detection], landmarks: LandmarkModel) -> None:
    """Look for somebody who was in a region a moment ago: by landmarks, or by a detection too weak to start with."""
    frame = candidates.frame
    pose: Pose | None = landmarks.read_pose(frame.picture, region)
    assert pose is not None
    if math.hypot(pose.next_region.x - region.x, pose.next_region.y - region.y) >= _MAX_STRAY * region.side:
        pose = None
    hint = candidates.find_hint(region, detections)
    if hint is None:
        candidates.add(pose, None, 0.0)
        return
    boxes = np.stack([hint.box_xyxy, *(person.box_xyxy for person in candidates.people)])
    if pose is None or pose.score < candidates.min_landmark_score or not belongs_to_box(pose, boxes, 0):
        pose = read_box(frame, boxes, 0, (), landmarks)
    candidates.add(pose, hint.box_xyxy, hint.score, expected=True)


def observe_box(
    frame: Frame, box_xyxy: Float[ndarray, "4"], landmarks: LandmarkModel, *, min_landmark_score: float
) -> Observation:
    """A person whose box is known: the landmarks of whoever is in it, if they are good enough."""
    pose = read_box(frame, box_xyxy[None], 0, (), landmarks)
    if pose is not None and pose.score < min_landmark_score:
        pose = None
    appearance = describe_appearance(frame.picture, box_xyxy, pose)
    return Observation(box_xyxy=box_xyxy, score=1.0, appearance=appearance, pose=pose)


def read_box(
    frame: Frame,
    boxes: Float[ndarray, "N 4"],
    index: int,
    expected: Sequence[Region],
    landmarks: LandmarkModel,
) -> Pose | None:
    """The pose of the person in one of the boxes; ``None`` when only neighbours are seen there.

    Where the person was a moment ago is looked at first: a region that landmarks made lies better around somebody with
    stretched arms, bent or upside down than an upright one around a box. A region cut around the box of somebody in
    close contact may show the neighbour better. Then a tighter region, and the one of a moment ago, are tried, and what
    fits the box best is taken.
    """
    region = Region.around_box(boxes[index], margin=BOX_MARGIN)
    near = [other for other in expected if _region_distance(region, other) < _MAX_STRAY]
    if near:
        settled = read_settled(frame, min(near, key=lambda other: _region_distance(region, other)), landmarks)
        if settled is not None and belongs_to_box(settled, boxes, index):
            return settled
    pose = read_twice(frame, region, landmarks)
    if pose is None or belongs_to_box(pose, boxes, index):
        return pose
    tight = landmarks.read_pose(frame.picture, Region.around_box(boxes[index], margin=_TIGHT_MARGIN))
    tries = [tight, landmarks.read_pose(frame.picture, tight.next_region)]
    tries += [landmarks.read_pose(frame.picture, other) for other in near]
    tries = [one for one in tries if one.score >= _MIN_RETRY_SCORE and belongs_to_box(one, boxes, index)]
    return max(tries, key=lambda one: one.score * _overlap_with(one, boxes[index]), default=None)


def read_boxes(
    frame: Frame, boxes: Float[ndarray, "N 4"], expected: Sequence[Region], landmarks: LandmarkModel
) -> list[Pose | None]:
    """``read_box`` for all of them, one body for each: where two boxes lead to one body, it is in the one that fits.

    Somebody who is hardly in view behind another person may have the surer box, but not the other one's body.
    """
    poses = [read_box(frame, boxes, index, expected, landmarks) for index in range(len(boxes))]
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


def read_twice(frame: Frame, region: Region, landmarks: LandmarkModel) -> Pose | None:
    """The pose after one re-crop around the first answer, which halves the error of a crop made from a box."""
    first = landmarks.read_pose(frame.picture, region)
    if first.score < _MIN_FIRST_SCORE:
        return None
    second = landmarks.read_pose(frame.picture, first.next_region)
    return second if second.score >= 0.5 * first.score else first


def read_settled(frame: Frame, region: Region, landmarks: LandmarkModel) -> Pose | None:
    """The pose in a region of a moment ago, if a second look around the first answer agrees with it; else ``None``.

    Right readings hardly move when they are read again. One that is about to mix up front and back does, and the next
    frames would go on from there.
    """
    first = landmarks.read_pose(frame.picture, region)
    if first.score < _MIN_RETRY_SCORE:
        return None
    second = landmarks.read_pose(frame.picture, first.next_region)
    moved = np.linalg.norm(second.px[:, :2] - first.px[:, :2], axis=-1).mean() / first.region.side
    return second if second.score >= _MIN_RETRY_SCORE and moved < _SETTLED else None


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


def mask_box(pose: Pose) -> Float[ndarray, "4"] | None:
    """Bounds of the person's mask in the picture, without the outermost specks; ``None`` when it is empty."""
    mask = pose.read_mask()
    if mask is None:
        return None
    rows, columns = np.nonzero(mask > _MASK_INSIDE)
    if len(rows) < 16:
        return None
    points = pose.region.to_picture((np.stack([columns, rows], axis=-1) + 0.5) / mask.shape[0])
    half = pose.region.side / mask.shape[0] / 2
    low, high = np.percentile(points, [0.2, 99.8], axis=0)
    return np.concatenate([low - half, high + half])


def fit_box(pose: Pose | None, given: Float[ndarray, "4"] | None, size: tuple[int, int]) -> Float[ndarray, "4"]:
    """The box of a person: around mask and visible landmarks, unless a detector's box speaks against it."""
    parts = [box for box in ((mask_box(pose), landmark_box(pose)) if pose is not None else ()) if box is not None]
    if not parts:
        assert given is not None
        return clip_box(given, size)
    stacked = np.stack(parts)
    own = clip_box(np.concatenate([stacked[:, :2].min(axis=0), stacked[:, 2:].max(axis=0)]), size)
    if given is not None and box_iou(own[None], given[None])[0, 0] < 0.4:
        return clip_box(given, size)
    return own


@dataclass(kw_only=True)
class Candidates:
    """The people found so far in one frame; ``add`` keeps out the imagined and those who are there already."""

    frame: Frame
    min_detector_score: float
    min_landmark_score: float
    people: list[Observation] = field(default_factory=list)

    def add(
        self,
        pose: Pose | None,
        box: Float[ndarray, "4"] | None,
        detector_score: float,
        *,
        expected: bool = False,
    ) -> None:
        """Take in a person if the evidence is strong enough, or add the pose to one who so far has a box only.

        Evidence of detector and landmarks adds up as if they erred independently (noisy or). Somebody whose box is
        where a person is ``expected`` needs no more evidence than that.
        """
        pose_score = pose.score if pose is not None else 0.0
        evidence = _either(detector_score, _LANDMARK_WEIGHT * pose_score)
        if pose_score < self.min_landmark_score or self._is_taken(pose):
            # Two boxes that lead to one body are two people if the second box is sure and well apart.
            pose, evidence = None, detector_score
        if (evidence < MIN_EVIDENCE and not expected) or (pose is None and box is None):
            return
        fitted = fit_box(pose, box, self.frame.size)
        if box_area(fitted) < _MIN_AREA:
            return
        rival = self._rival(fitted, has_pose=pose is not None, expected=expected)
        others = np.array([other.box_xyxy for other in self.people]).reshape(-1, 4)
        inside = bool((box_containment(fitted[None], others) > _SAME_PLACE).any())
        # A box inside another person's may be a part of that person: good enough to go on for a while, not for ever.
        detected = detector_score >= self.min_detector_score and not (expected and inside)
        if rival is None:
            self.people.append(self._observation(fitted, evidence, pose, detected=detected))
        elif pose is not None:
            both = _either(self.people[rival].score, evidence)
            self.people[rival] = self._observation(fitted, both, pose, detected=True)

    def find_hint(self, region: Region, detections: Sequence[Detection]) -> Detection | None:
        """The detection nearest to a region, of those where nobody was found yet; ``None`` if none is near."""
        others = np.array([other.box_xyxy for other in self.people]).reshape(-1, 4)
        around = [Region.around_box(one.box_xyxy, margin=BOX_MARGIN) for one in detections]
        near = [
            (distance, index)
            for index, one in enumerate(detections)
            if (distance := _region_distance(region, around[index], max_ratio=_MAX_CROUCH)) < _MAX_LEAP
            and not (box_iou(one.box_xyxy[None], others) > _UPGRADE_BOX).any()
        ]
        return detections[min(near)[1]] if near else None

    def unexplained(self, regions: Sequence[Region]) -> list[Region]:
        """The regions whose person was not found yet; each person found explains the nearest region at most."""
        poses = [person.pose for person in self.people if person.pose is not None]
        pairs = sorted(
            (near, row, column)
            for row, region in enumerate(regions)
            for column, pose in enumerate(poses)
            if (near := _region_distance(region, pose.next_region)) < _MAX_STRAY
        )
        rows: set[int] = set()
        columns: set[int] = set()
        for _, row, column in pairs:
            if row not in rows and column not in columns:
                rows.add(row)
                columns.add(column)
        return [region for row, region in enumerate(regions) if row not in rows]

    def _is_taken(self, pose: Pose | None) -> bool:
        if pose is None:
            return False
        return any(
            other.pose is not None and same_body(pose, other.pose, float(box_area(other.box_xyxy)))
            for other in self.people
        )

    def _rival(self, box: Float[ndarray, "4"], *, has_pose: bool, expected: bool) -> int | None:
        """Who claims the same place: for a pose, somebody with a box alone; for a box, anybody.

        A detector may give a second box for one body, larger or smaller, so one inside the other is the same place. But
        where somebody is ``expected``, a box inside another person's is the one behind whose way crosses.
        """
        others = np.array([other.box_xyxy for other in self.people]).reshape(-1, 4)
        overlap = box_iou(box[None], others)[0]
        same = overlap > (_UPGRADE_BOX if has_pose else _SAME_BOX)
        same |= box_containment(others, box[None])[:, 0] > _SAME_PLACE
        if not expected:
            same |= box_containment(box[None], others)[0] > _SAME_PLACE
        if has_pose:
            same &= np.array([other.pose is None for other in self.people], bool)
        return int(np.where(same, overlap, -1).argmax()) if same.any() else None

    def _observation(self, box: Float[ndarray, "4"], score: float, pose: Pose | None, *, detected: bool) -> Observation:
        appearance = describe_appearance(self.frame.picture, box, pose)
        return Observation(box_xyxy=box, score=score, appearance=appearance, pose=pose, detected=detected)


def _either(first: float, second: float) -> float:
    return 1 - (1 - first) * (1 - second)


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


def _region_distance(first: Region, second: Region, *, max_ratio: float = 2.0) -> float:
    """Distance of the centres over the larger side; infinite when the sides differ by more than ``max_ratio``."""
    if not 1 / max_ratio < first.side / second.side < max_ratio:
        return np.inf
    return math.hypot(first.x - second.x, first.y - second.y) / max(first.side, second.side)
