"""Which frames a detector need not see: those between two in which it saw the same people, surely and apart.

Landmarks follow people whom nobody touches by themselves. Whoever is in none of the two frames, but was between them,
was there for fewer frames than a track needs.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, UInt8
from numpy import ndarray
from torch import Tensor

from unish.people.boxes import box_containment, box_iou
from unish.people.protocols import Detection, Detector, Observation

_SURE = 0.5
"""Least score of a detection that is not looked at again."""
_SAME_PERSON = 0.4
"""Least overlap of the boxes of one person in the two frames."""
_TOUCH = 0.02
"""Share of a box from which on people in contact are looked at in every frame."""


class DetectedFrames:
    """A detector over a few frames of one shot that follow one another.

    Args:
        times_s: of the frames.
        sparing: the frames between the first and the last are shown to the detector where they are asked for alone.
    """

    def __init__(
        self, detector: Detector, images: UInt8[Tensor, "N H W 3"], times_s: Sequence[float], *, sparing: bool
    ) -> None:
        self._detector, self._images, self._times_s = detector, images, times_s
        last = len(images) - 1
        shown = [0, last] if sparing and last > 1 else list(range(len(images)))
        self._seen = dict(zip(shown, detector.detect(images[shown]), strict=True))

    def look(self, index: int) -> list[Detection]:
        """What the detector sees in a frame; those after it that it has not seen are shown to it, too."""
        if index not in self._seen:
            rest = [frame for frame in range(index, len(self._images)) if frame not in self._seen]
            self._seen |= zip(rest, self._detector.detect(self._images[rest]), strict=True)
        return self._seen[index]

    def guess(self, index: int, num_expected: int) -> list[Detection] | None:
        """What it would see in a frame that it was not shown; ``None`` where it has seen it, or has to.

        Args:
            num_expected: people who were followed up to this frame.
        """
        if index in self._seen:
            return None
        last = len(self._images) - 1
        between = interpolate_detections(
            self._seen[0],
            self._seen[last],
            (self._times_s[index] - self._times_s[0]) / (self._times_s[last] - self._times_s[0]),
        )
        return between if between is not None and len(between) == num_expected else None


def interpolate_detections(
    first: Sequence[Detection], last: Sequence[Detection], share: float
) -> list[Detection] | None:
    """Detections between two frames that show the same people, each of them surely and touching nobody; else ``None``.

    Args:
        share: of the time from the first frame to the last one.
    """
    before, after = (_boxes(frame) for frame in (first, last))
    if len(first) != len(last) or any(one.score < _SURE for one in (*first, *last)):
        return None
    if _touch(before) or _touch(after):
        return None
    overlap = box_iou(before, after)
    partner = [int(row.argmax()) for row in overlap]
    if len(set(partner)) < len(first) or any(overlap[row, column] < _SAME_PERSON for row, column in enumerate(partner)):
        return None
    return [
        Detection(
            box_xyxy=(1 - share) * one.box_xyxy + share * last[column].box_xyxy,
            score=min(one.score, last[column].score),
        )
        for one, column in zip(first, partner, strict=True)
    ]


def are_followed(people: Sequence[Observation], guessed: Sequence[Detection]) -> bool:
    """Everybody whose detection was guessed is seen by landmarks, and nobody else is."""
    return len(people) == len(guessed) and all(person.pose is not None and person.detected for person in people)


def _boxes(detections: Sequence[Detection]) -> Float[ndarray, "N 4"]:
    return np.array([one.box_xyxy for one in detections], np.float64).reshape(-1, 4)


def _touch(boxes: Float[ndarray, "N 4"]) -> bool:
    shared = box_containment(boxes, boxes)
    return bool((shared[~np.eye(len(boxes), dtype=bool)] > _TOUCH).any())
