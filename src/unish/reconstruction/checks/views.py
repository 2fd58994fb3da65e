"""People who are not what they seem: half in view, a picture of a person, or somebody in a mirror."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float, Integer
from numpy import ndarray
from scipy.ndimage import gaussian_filter, map_coordinates

from unish.body.joints import MIRRORED_JOINTS
from unish.reconstruction.checks.people import BORDER_PX
from unish.reconstruction.ground import NECK
from unish.reconstruction.report import MIN_VISIBILITY
from unish.structs import Frames, Reconstruction

SHOULDERS = [11, 12]
BORDER_SHARE = 0.02
"""Share of the picture's height within which a box reaches its edge."""

MIN_FRAMES = 5
MIN_LANDMARKS, MIN_PIXELS, MAX_PIXELS = 6, 50, 2000
MAX_PAIRS = 8
CORRECTIONS, ALIKE = 8, 0.9999
REACH_PX = 30.0
"""Makes a shift weigh as much as a change of size does this far from the middle."""


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


@runtime_checkable
class Sightings(Protocol):
    """What ``likeness`` reads of a ``Reconstruction`` whose frames are all dense, or of what will become one."""

    @property
    def images(self) -> Frames: ...
    @property
    def person_masks(self) -> Frames: ...
    @property
    def person_valid(self) -> Bool[ndarray, "P T"]: ...
    @property
    def boxes_xyxy(self) -> Float[ndarray, "P T 4"]: ...
    @property
    def landmarks_px(self) -> Float[ndarray, "P T 33 3"]: ...


def likeness(reconstruction: Sightings, person: int) -> float:
    """How exactly a person's pixels are found again after a while, as those of a flat picture are; 1 is exactly.

    Correlation of the grey values of a frame at the person with those of one half as long after it as the person is
    seen, where an affine map takes them: a camera that moves before a poster does not change it otherwise. Median over
    ``MAX_PAIRS`` of the frames; NaN with fewer than ``MIN_FRAMES``.
    """
    frames = np.flatnonzero(reconstruction.person_valid[person])
    if len(frames) < MIN_FRAMES:
        return float("nan")
    gap = len(frames) // 2
    firsts = np.unique(np.linspace(0, len(frames) - gap - 1, MAX_PAIRS).round().astype(int))
    found = [_compare_pixels(reconstruction, person, int(frames[one]), int(frames[one + gap])) for one in firsts]
    known = [value for value in found if np.isfinite(value)]
    return float(np.median(known)) if known else float("nan")


def _compare_pixels(reconstruction: Sightings, person: int, before: int, after: int) -> float:
    rows, columns = np.nonzero(reconstruction.person_masks[before] == person)
    if len(rows) < MIN_PIXELS:
        return float("nan")
    rows, columns = (axis[:: -(-len(rows) // MAX_PIXELS)] for axis in (rows, columns))
    first, second = (
        gaussian_filter(reconstruction.images[frame].mean(-1, dtype=np.float32), 1.0) for frame in (before, after)
    )
    wanted = first[rows, columns]
    place = np.stack([columns + 0.5, rows + 0.5, np.ones(len(rows))], -1)
    best = float("nan")
    for affine in _likely_maps(reconstruction, person, before, after):
        best = np.fmax(best, _follow(second, wanted, place @ affine - 0.5, place))
        if best > ALIKE:
            break
    return float(best)


def _likely_maps(reconstruction: Sightings, person: int, before: int, after: int) -> Iterator[Float[ndarray, "3 2"]]:
    """(x, y, 1) · map: the person stays where they are, moves as the box does, or as the seen landmarks do."""
    yield np.eye(3, 2)
    old, new = reconstruction.boxes_xyxy[person, [before, after]].astype(np.float64)
    factor = (new[2:] - new[:2]) / np.maximum(old[2:] - old[:2], 1.0)
    yield np.concatenate([np.diag(factor), [new[:2] - factor * old[:2]]])
    marks = reconstruction.landmarks_px[person, [before, after]].astype(np.float64)
    seen = (marks[..., 2] > MIN_VISIBILITY).all(0)
    if seen.sum() >= MIN_LANDMARKS:
        design = np.concatenate([marks[0, seen, :2], np.ones((int(seen.sum()), 1))], 1)
        yield np.linalg.lstsq(design, marks[1, seen, :2], rcond=None)[0]


def _follow(
    grey: Float[ndarray, "H W"],
    wanted: Float[ndarray, "N"],
    there: Float[ndarray, "N 2"],
    place: Float[ndarray, "N 3"],
) -> float:
    """Best correlation of grey values with the ``wanted`` ones near ``there``, NaN without contrast.

    Boxes and landmarks are a pixel off here and there: the affine map of ``place`` is corrected by what brings the grey
    values nearest, with a gain and an offset (Lucas & Kanade, 1981).
    """
    parts, best = (grey, *np.gradient(grey)), -1.0
    place = (place - [*place[:, :2].mean(0), 0]) * [1, 1, REACH_PX]
    for _ in range(CORRECTIONS):
        values, down, right = (map_coordinates(part, there.T[::-1], order=1, mode="nearest") for part in parts)
        if values.std() < 1e-6 or wanted.std() < 1e-6:
            return float("nan")
        best = max(best, float(np.corrcoef(wanted, values)[0, 1]))
        light = np.stack([values, np.ones(len(values))], -1)
        design = np.concatenate([right[:, None] * place, down[:, None] * place, light], 1)
        # Of the normal equations: five times as fast as of thousands of rows, and what is off is corrected next time.
        step, *_ = np.linalg.lstsq(design.T @ design, design.T @ (wanted - values), rcond=None)
        there = there + np.clip(place @ step[:6].reshape(2, 3).T, -2.0, 2.0)
    return best


def trunk_down(reconstruction: Reconstruction, frames: Integer[ndarray, "K"]) -> float:
    """How far people's necks are below their pelvises in the picture: −1 upright, 0 lying, 1 upside down.

    Cosine between pelvis to neck and the camera's own way down, median over everybody in these frames; NaN of nobody.
    """
    trunk = (reconstruction.joints[:, frames, NECK] - reconstruction.joints[:, frames, 0]).astype(np.float64)
    down = reconstruction.c2w[frames, :3, 1].astype(np.float64)
    with np.errstate(invalid="ignore"):
        cosine = (trunk * down).sum(-1) / np.linalg.norm(trunk, axis=-1)
    known = cosine[reconstruction.person_valid[:, frames] & np.isfinite(cosine)]
    return float(np.median(known)) if len(known) else float("nan")


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
