"""One frame: from detections to observations with poses, none of them twice, none of them imagined."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, UInt8
from numpy import ndarray
from torch import Tensor

from unish.people.appearance import describe_appearance
from unish.people.boxes import box_area, box_containment, box_iou, clip_box, pose_similarity
from unish.people.protocols import Detection, LandmarkModel, Observation, Pose
from unish.people.regions import Region

BOX_MARGIN = 1.25
"""Side of the first region that is cut around a detector's box, over its longer side."""

_LANDMARK_WEIGHT = 0.6
_SUPPORT_WEIGHT = 0.45
_MIN_EVIDENCE = 0.5
_MIN_VISIBILITY = 0.5
_SAME_POSE = 0.6
_SAME_BOX = 0.6
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
    min_landmark_score: float,
) -> list[Observation]:
    """The people of one frame.

    Args:
        frame: the picture.
        detections: of the main detector.
        support: of a second detector that imagines more: it needs good landmarks to be believed.
        expected: where people were a moment ago; looked at last, for those whom both detectors missed.
        landmarks: reads poses.
        min_landmark_score: below it a person keeps a box only.
    """
    found: list[Observation] = []
    for detection in detections:
        region = Region.around_box(detection.box_xyxy, margin=BOX_MARGIN)
        pose = read_twice(frame, region, landmarks)
        if pose is not None and not fits_box(pose, detection.box_xyxy):
            pose = None
        _add(found, frame, pose, detection.box_xyxy, detection.score, min_landmark_score)
    for detection in support:
        if detection.region is not None and not _is_covered(detection.region, found):
            pose = read_twice(frame, detection.region, landmarks)
            _add(found, frame, pose, None, _SUPPORT_WEIGHT * detection.score, min_landmark_score)
    for region in expected:
        if not _is_covered(region, found):
            _add(found, frame, landmarks.read_pose(frame.picture, region), None, 0.0, min_landmark_score)
    return found


def observe_box(
    frame: Frame, box_xyxy: Float[ndarray, "4"], landmarks: LandmarkModel, *, min_landmark_score: float
) -> Observation:
    """A person whose box is known: the landmarks of whoever is in it, if they are good enough."""
    pose = read_twice(frame, Region.around_box(box_xyxy, margin=BOX_MARGIN), landmarks)
    if pose is not None and (pose.score < min_landmark_score or not fits_box(pose, box_xyxy)):
        pose = None
    appearance = describe_appearance(frame.picture, box_xyxy, pose)
    return Observation(box_xyxy=box_xyxy, score=1.0, appearance=appearance, pose=pose)


def read_twice(frame: Frame, region: Region, landmarks: LandmarkModel) -> Pose | None:
    """The pose after one re-crop around the first answer, which halves the error of a crop made from a box."""
    first = landmarks.read_pose(frame.picture, region)
    if first.score < 0.1:
        return None
    second = landmarks.read_pose(frame.picture, first.next_region)
    return second if second.score >= 0.5 * first.score else first


def fits_box(pose: Pose, box_xyxy: Float[ndarray, "4"]) -> bool:
    """Whether the landmarks are those of the person in the box and not of a neighbour."""
    own = landmark_box(pose)
    if own is None:
        return False
    overlap = box_iou(own[None], box_xyxy[None])[0, 0]
    inside = max(box_containment(own[None], box_xyxy[None])[0, 0], box_containment(box_xyxy[None], own[None])[0, 0])
    return bool(overlap > 0.3 or (inside > 0.8 and overlap > 0.15))


def landmark_box(pose: Pose) -> Float[ndarray, "4"] | None:
    """Bounds of the visible landmarks; ``None`` when fewer than three are visible."""
    seen = pose.px[pose.px[:, 2] >= _MIN_VISIBILITY, :2]
    return np.concatenate([seen.min(axis=0), seen.max(axis=0)]) if len(seen) >= 3 else None


def mask_box(pose: Pose) -> Float[ndarray, "4"] | None:
    """Bounds of the person's mask in the picture, without the outermost specks; ``None`` when it is empty."""
    if pose.mask is None:
        return None
    rows, columns = np.nonzero(pose.mask > _MASK_INSIDE)
    if len(rows) < 16:
        return None
    points = pose.region.to_picture((np.stack([columns, rows], axis=-1) + 0.5) / pose.mask.shape[0])
    half = pose.region.side / pose.mask.shape[0] / 2
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


def _add(
    found: list[Observation],
    frame: Frame,
    pose: Pose | None,
    box: Float[ndarray, "4"] | None,
    detector_score: float,
    min_landmark_score: float,
) -> None:
    """Append the observation if the evidence is strong enough and nobody was found there already.

    Evidence of detector and landmarks adds up as if they erred independently (noisy or).
    """
    pose_score = pose.score if pose is not None else 0.0
    evidence = 1 - (1 - detector_score) * (1 - _LANDMARK_WEIGHT * pose_score)
    if pose_score < min_landmark_score:
        pose = None
    if evidence < _MIN_EVIDENCE or (pose is None and box is None):
        return
    fitted = fit_box(pose, box, frame.size)
    if box_area(fitted) < 16:
        return
    for other in found:
        if pose is not None and other.pose is not None and same_pose(pose, other.pose, box_area(other.box_xyxy)):
            # Two boxes led to one body. The better detection came first; a box of its own may still be a person.
            pose = None
            if box is None:
                return
            fitted = clip_box(box, frame.size)
            evidence = detector_score
        if box_iou(fitted[None], other.box_xyxy[None])[0, 0] > _SAME_BOX and (pose is None or other.pose is None):
            return
    if evidence < _MIN_EVIDENCE:
        return
    appearance = describe_appearance(frame.picture, fitted, pose)
    found.append(
        Observation(box_xyxy=fitted, score=evidence, appearance=appearance, pose=pose, detected=detector_score > 0)
    )


def same_pose(first: Pose, second: Pose, area: float) -> bool:
    """Whether two readings are of one body."""
    shared = (first.px[:, 2] >= _MIN_VISIBILITY) & (second.px[:, 2] >= _MIN_VISIBILITY)
    return pose_similarity(first.px[:, :2], second.px[:, :2], shared, area) > _SAME_POSE


def _is_covered(region: Region, found: Sequence[Observation]) -> bool:
    """Whether the person that a region is meant for was found already."""
    for other in found:
        if other.pose is None:
            continue
        near = np.hypot(region.x - other.pose.next_region.x, region.y - other.pose.next_region.y)
        ratio = region.side / other.pose.next_region.side
        if near < 0.15 * max(region.side, other.pose.next_region.side) and 0.5 < ratio < 2:
            return True
    return False
