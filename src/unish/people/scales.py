"""A detector that looks twice: finely for small people, coarsely for those who fill the picture."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, UInt8
from numpy import ndarray
from torch import Tensor

from unish.people.boxes import box_containment, box_iou
from unish.people.protocols import Detection, Detector

_SAME_BOX = 0.4
_INSIDE = 0.75
_SURE = 0.3
_LARGE_PX = 280.0
_CLEARLY_SEEN_PX = 40.0


class TwoScaleDetector:
    """``Detector`` that joins what a fine and a coarse look at the same picture find (see ``reconcile``).

    A network that slides over a picture knows objects up to a certain number of pixels. Of a person who is larger it
    reports an upper and a lower half; in a smaller picture the same person fits. Small people are lost there.

    Args:
        fine, coarse: the two looks, each at a size of its own.
        fine_side, coarse_side: pixels of the longer side of the picture that each of them sees.
    """

    def __init__(self, fine: Detector, coarse: Detector, *, fine_side: int, coarse_side: int):
        self.fine = fine
        self.coarse = coarse
        self.fine_side = fine_side
        self.coarse_side = coarse_side

    def detect(self, images: UInt8[Tensor, "T H W 3"]) -> list[list[Detection]]:
        """The people in each picture, best first, none of them twice."""
        longer = max(images.shape[1:3])
        pairs = zip(self.fine.detect(images), self.coarse.detect(images), strict=True)
        return [
            reconcile(fine, coarse, fine_scale=self.fine_side / longer, coarse_scale=self.coarse_side / longer)
            for fine, coarse in pairs
        ]


def reconcile(
    fine: Sequence[Detection], coarse: Sequence[Detection], *, fine_scale: float, coarse_scale: float
) -> list[Detection]:
    """The people of two looks at one picture, best first.

    Boxes of the two looks that overlap are one person, the best overlaps first; the score is the better one. The box is
    the finer one, unless the person is too large for the fine look. Then the coarse look, if it is sure enough, also
    replaces what else the fine one finds inside: parts of the person, unless the coarse look sees them as well or they
    are so small that it could not. What only one look finds stays.

    Args:
        fine, coarse: boxes in pixels of the picture.
        fine_scale, coarse_scale: pixels that each look sees per pixel of the picture.
    """
    fine_boxes = np.array([one.box_xyxy for one in fine]).reshape(-1, 4)
    coarse_boxes = np.array([one.box_xyxy for one in coarse]).reshape(-1, 4)
    partner = _pair(box_iou(fine_boxes, coarse_boxes))
    large = np.array([one.score >= _SURE for one in coarse], bool) & (
        _long_sides(coarse_boxes) * fine_scale >= _LARGE_PX
    )
    visible = _long_sides(fine_boxes) * coarse_scale >= _CLEARLY_SEEN_PX
    inside = (box_containment(fine_boxes, coarse_boxes) >= _INSIDE) & large
    found = []
    for row, one in enumerate(fine):
        if row in partner:
            other = coarse[partner[row]]
            box = other.box_xyxy if large[partner[row]] else one.box_xyxy
            found.append(Detection(box_xyxy=box, score=max(one.score, other.score)))
        elif not (visible[row] and inside[row].any()):
            found.append(one)
    found += [one for column, one in enumerate(coarse) if column not in partner.values()]
    return sorted(found, key=lambda one: -one.score)


def _pair(overlap: Float[ndarray, "N M"]) -> dict[int, int]:
    """Row → column of the boxes that are one another's, the best overlaps first."""
    partner: dict[int, int] = {}
    for flat in np.argsort(-overlap, axis=None, kind="stable"):
        row, column = (int(index) for index in np.unravel_index(flat, overlap.shape))
        if overlap[row, column] < _SAME_BOX:
            break
        if row not in partner and column not in partner.values():
            partner[row] = column
    return partner


def _long_sides(boxes: Float[ndarray, "N 4"]) -> Float[ndarray, "N"]:
    return np.asarray((boxes[:, 2:] - boxes[:, :2]).max(axis=1))
