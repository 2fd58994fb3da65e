"""People who are not what they seem: half in view, a picture of a person, or somebody in a mirror."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from unish.body.joints import MIRRORED_JOINTS
from unish.reconstruction.checks.people import BORDER_PX
from unish.reconstruction.report import MIN_VISIBILITY
from unish.structs import Reconstruction

SHOULDERS = [11, 12]
BORDER_SHARE = 0.02
"""Share of the picture's height within which a box reaches its edge."""

MIN_FRAMES = 5
MIN_LANDMARKS = 6


@dataclass(frozen=True, kw_only=True)
class Reflection:
    """How well one person is another one in a mirror, over the frames that both are seen in.

    Attributes:
        first, second: person ids.
        mirrored: correlation of how the joints of the second move about their mean pose with those of the first in a
            mirror, turned as suits best; 1 is a reflection. NaN with fewer than ``MIN_FRAMES`` shared frames.
        direct: the same without the mirror: two people who move alike.
        movement_cm: root mean square distance of a joint from where it is on average, of the one who moves less.
    """

    first: int
    second: int
    mirrored: float
    direct: float
    movement_cm: float


def lower_body_frames(reconstruction: Reconstruction, person: int) -> int:
    """In how many frames a person reaches the upper edge of the picture and their shoulders are not seen."""
    valid = reconstruction.person_valid[person]
    shoulders = reconstruction.landmarks_px[person][:, SHOULDERS]
    inside = (np.nan_to_num(shoulders[..., 1], nan=-1.0) >= 0) & (shoulders[..., 2] > MIN_VISIBILITY)
    cut = reconstruction.boxes_xyxy[person, :, 1] <= max(BORDER_PX, BORDER_SHARE * reconstruction.images.shape[1])
    return int((valid & cut & ~inside.any(1)).sum())


def change_of_shape_percent(reconstruction: Reconstruction, person: int) -> float:
    """How much a person's landmarks move, other than a flat picture of them can, in percent of the box.

    Root mean square distance of the seen landmarks of a frame from those of one half as long ago as the person is seen,
    after the best affine map: a camera that moves before a poster changes its landmarks by little else. Median over
    frames; NaN with fewer than ``MIN_FRAMES``.
    """
    landmarks = reconstruction.landmarks_px[person][reconstruction.person_valid[person]].astype(np.float64)
    boxes = reconstruction.boxes_xyxy[person][reconstruction.person_valid[person]].astype(np.float64)
    gap, found = len(landmarks) // 2, list[float]()
    for before, after, box in zip(landmarks[: -gap or None], landmarks[gap:], boxes[gap:], strict=True):
        seen = (before[:, 2] > MIN_VISIBILITY) & (after[:, 2] > MIN_VISIBILITY)
        if seen.sum() < MIN_LANDMARKS:
            continue
        design = np.concatenate([before[seen, :2], np.ones((int(seen.sum()), 1))], 1)
        solution, *_ = np.linalg.lstsq(design, after[seen, :2], rcond=None)
        error = np.sqrt(((design @ solution - after[seen, :2]) ** 2).sum(1).mean())
        found.append(100 * error / max(box[2] - box[0], box[3] - box[1]))
    return float(np.median(found)) if len(landmarks) >= MIN_FRAMES and found else float("nan")


def measure_reflections(reconstruction: Reconstruction) -> list[Reflection]:
    """Every pair of people that shares ``MIN_FRAMES`` frames."""
    found = []
    for one, other in combinations(range(reconstruction.num_people), 2):
        shared = np.flatnonzero(reconstruction.person_valid[one] & reconstruction.person_valid[other])
        if len(shared) < MIN_FRAMES:
            continue
        first, second = (_about_mean_pose(reconstruction.joints[person, shared]) for person in (one, other))
        movement = min(float(np.sqrt((moves**2).sum(-1).mean())) for moves in (first, second))
        found.append(
            Reflection(
                first=int(reconstruction.person_ids[one]),
                second=int(reconstruction.person_ids[other]),
                mirrored=_correlate(first[:, MIRRORED_JOINTS] * [-1, 1, 1], second),
                direct=_correlate(first, second),
                movement_cm=100 * movement,
            )
        )
    return found


def _about_mean_pose(joints: Float[ndarray, "K J 3"]) -> Float[ndarray, "K J 3"]:
    from_pelvis = (joints - joints[:, :1]).astype(np.float64)
    return from_pelvis - from_pelvis.mean(0)


def _correlate(one: Float[ndarray, "K J 3"], other: Float[ndarray, "K J 3"]) -> float:
    """Largest correlation over all rotations of the one: the singular values of their covariance (Kabsch, 1976)."""
    covariance = one.reshape(-1, 3).T @ other.reshape(-1, 3)
    values = np.linalg.svd(covariance, compute_uv=False) * [1, 1, np.sign(np.linalg.det(covariance)) or 1]
    size = np.linalg.norm(one) * np.linalg.norm(other)
    return float(values.sum() / size) if size > 0 else float("nan")
