"""One frame: from detections to observations with poses, none of them twice, none of them imagined."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from unish.people.appearance import describe_appearance
from unish.people.boxes import box_area, box_containment, box_iou, clip_box
from unish.people.protocols import MIN_EVIDENCE, Detection, LandmarkModel, Observation, Pose, RegionFinder
from unish.people.reading import (
    BOX_MARGIN,
    MAX_STRAY,
    Frame,
    belongs_to_box,
    landmark_box,
    look_twice,
    read_box,
    read_boxes,
    same_body,
)
from unish.people.regions import Region, region_distance

_LANDMARK_WEIGHT = 0.6
_SUPPORT_WEIGHT = 0.45
_SAME_BOX = 0.6
_UPGRADE_BOX = 0.5
_SAME_PLACE = 0.8
_READ_TWICE = 0.75
_MAX_LEAP = 0.5
_MAX_CROUCH = 2.5
_MIN_AREA = 16
_MASK_INSIDE = 128


def observe(
    frame: Frame,
    detections: Sequence[Detection],
    support: Sequence[Detection],
    expected: Sequence[Region],
    landmarks: LandmarkModel,
    *,
    finder: RegionFinder | None = None,
    min_detector_score: float,
    min_landmark_score: float,
    guessed: bool = False,
) -> list[Observation]:
    """The people of one frame.

    Args:
        frame: the picture.
        detections: of the main detector.
        support: of a second detector that imagines more: it needs good landmarks to be believed.
        expected: where people were a moment ago; looked at last, for those whom both detectors missed.
        landmarks: reads poses.
        finder: finds how people lie in a part of the picture (see ``reading.read_new``).
        min_detector_score: a weaker detection is believed only where somebody is expected.
        min_landmark_score: below it a person keeps a box only.
        guessed: nobody saw ``detections``: nobody is returned unless everybody is found where they were a moment ago.
    """
    candidates = Candidates(frame=frame, min_detector_score=min_detector_score, min_landmark_score=min_landmark_score)
    sure = [one for one in detections if one.score >= min_detector_score]
    boxes = np.array([one.box_xyxy for one in sure]).reshape(-1, 4)
    poses = read_boxes(frame, boxes, expected, landmarks, finder, follows=guessed)
    if guessed and any(pose is None for pose in poses):
        return []
    for pose, detection in sorted(zip(poses, sure, strict=True), key=lambda pair: pair[0] is None):
        candidates.add(pose, detection.box_xyxy, detection.score)
    for region in candidates.unexplained([one.region for one in support if one.region is not None]):
        score = max(one.score for one in support if one.region is region)
        looks = look_twice(frame, region, landmarks)
        if looks is not None and not candidates.read_again(looks.pose):
            candidates.add(looks.pose, None, _SUPPORT_WEIGHT * score)
    for region in candidates.unexplained(expected):
        follow(candidates, region, detections, landmarks, finder)
    return candidates.people


def follow(
    candidates: Candidates,
    region: Region,
    detections: Sequence[Detection],
    landmarks: LandmarkModel,
    finder: RegionFinder | None = None,
) -> None:
    """Look for somebody who was in a region a moment ago: by landmarks, or by a detection too weak to start with."""
    frame = candidates.frame
    pose: Pose | None = landmarks.read_pose(frame.picture, region)
    assert pose is not None
    if math.hypot(pose.next_region.x - region.x, pose.next_region.y - region.y) >= MAX_STRAY * region.side:
        pose = None
    hint = candidates.find_hint(region, detections)
    if hint is None:
        candidates.add(pose, None, 0.0)
        return
    boxes = np.stack([hint.box_xyxy, *(person.box_xyxy for person in candidates.people)])
    if pose is None or pose.score < candidates.min_landmark_score or not belongs_to_box(pose, boxes, 0):
        pose = read_box(frame, boxes, 0, (), landmarks, finder)
    candidates.add(pose, hint.box_xyxy, hint.score, expected=True)


def observe_box(
    frame: Frame,
    box_xyxy: Float[ndarray, "4"],
    expected: Sequence[Region],
    landmarks: LandmarkModel,
    *,
    finder: RegionFinder | None = None,
    min_landmark_score: float,
) -> Observation:
    """A person whose box is known: the landmarks of whoever is in it, if they are good enough.

    See ``observe`` for the other arguments.
    """
    pose = read_box(frame, box_xyxy[None], 0, expected, landmarks, finder)
    if pose is not None and pose.score < min_landmark_score:
        pose = None
    appearance = describe_appearance(frame.picture, box_xyxy, pose)
    return Observation(box_xyxy=box_xyxy, score=1.0, appearance=appearance, pose=pose)


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

    def read_again(self, pose: Pose) -> bool:
        """Whether this is another reading of somebody who was found in the very same place; the better of both is kept.

        Two detectors see somebody who fills the picture, and one of the two readings is wrong so thoroughly that it
        seems to be another body.
        """
        fitted = fit_box(pose, None, self.frame.size) if landmark_box(pose) is not None else None
        read = [index for index, person in enumerate(self.people) if person.pose is not None]
        if fitted is None or not read:
            return False
        overlap = box_iou(fitted[None], np.stack([self.people[index].box_xyxy for index in read]))[0]
        nearest = int(overlap.argmax())
        if overlap[nearest] <= _READ_TWICE:
            return False
        known = self.people[read[nearest]]
        if known.pose is not None and pose.score > known.pose.score:
            self.people[read[nearest]] = self._observation(fitted, known.score, pose, detected=known.detected)
        return True

    def find_hint(self, region: Region, detections: Sequence[Detection]) -> Detection | None:
        """The detection nearest to a region, of those where nobody was found yet; ``None`` if none is near."""
        others = np.array([other.box_xyxy for other in self.people]).reshape(-1, 4)
        around = [Region.around_box(one.box_xyxy, margin=BOX_MARGIN) for one in detections]
        near = [
            (distance, index)
            for index, one in enumerate(detections)
            if (distance := region_distance(region, around[index], max_ratio=_MAX_CROUCH)) < _MAX_LEAP
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
            if (near := region_distance(region, pose.next_region)) < MAX_STRAY
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
