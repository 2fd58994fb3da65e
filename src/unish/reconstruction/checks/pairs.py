"""Two tracks that are one person, and two people whose tracks changed places."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from jaxtyping import Bool, Float, Integer
from numpy import ndarray

from unish.reconstruction.checks.people import MAX_STEP_S, overlap
from unish.structs import Reconstruction

COLOUR_FRAMES = 6
MIN_COLOUR_FRAMES = 2


@dataclass(frozen=True, kw_only=True)
class PairOverlap:
    """How far two people of one result are one, over the frames that both are seen in.

    Attributes:
        first, second: person ids.
        frames: number of shared frames; share: of the frames of the person who is seen less.
        box_iou: median intersection over union of the boxes.
        contained: median intersection over the smaller box.
        stacked: median of how far one box continues the other downwards: overlap of their left-right ranges (over the
            shorter), 0 where the vertical gap or overlap is more than a fifth of the lower height.
        landmarks_apart: median distance between the same landmarks of both over the longer side of the larger box;
            NaN when either has none.
        apart_m: median distance of the pelvises.
        size_ratio: median height of the smaller box over that of the larger one.
    """

    first: int
    second: int
    frames: int
    share: float
    box_iou: float
    contained: float
    stacked: float
    landmarks_apart: float
    apart_m: float
    size_ratio: float


@dataclass(frozen=True, kw_only=True)
class Swap:
    """Evidence that two people changed places between two frames.

    Attributes:
        first, second: person ids.
        frame: first frame after it.
        jump_m: the longer of the two steps as tracked; swapped_m: the longer of the two if they are exchanged.
        colour: how much better their colours before it fit each other's than their own after it: difference of the two
            distances over their sum, in −1..1; NaN where colours are unknown.
    """

    first: int
    second: int
    frame: int
    jump_m: float
    swapped_m: float
    colour: float


def measure_overlaps(reconstruction: Reconstruction) -> list[PairOverlap]:
    """Every pair of people that shares a frame."""
    found = []
    for one, other in combinations(range(reconstruction.num_people), 2):
        shared = np.flatnonzero(reconstruction.person_valid[one] & reconstruction.person_valid[other])
        if len(shared):
            found.append(_measure_overlap(reconstruction, one, other, shared))
    return found


def _measure_overlap(
    reconstruction: Reconstruction, one: int, other: int, frames: Integer[ndarray, "K"]
) -> PairOverlap:
    boxes = reconstruction.boxes_xyxy[:, frames].astype(np.float64)
    both = np.array([overlap(a, b) for a, b in zip(boxes[one], boxes[other], strict=True)])
    stacked = np.array([_stacked(a, b) for a, b in zip(boxes[one], boxes[other], strict=True)])
    sides = (boxes[[one, other], :, 2:] - boxes[[one, other], :, :2]).max((0, 2))
    heights = boxes[[one, other], :, 3] - boxes[[one, other], :, 1]
    marks = reconstruction.landmarks_px[:, frames, :, :2].astype(np.float64)
    apart = np.linalg.norm(marks[one] - marks[other], axis=-1)
    known = np.isfinite(apart).any(-1)
    joints = reconstruction.joints[:, frames, 0].astype(np.float64)
    fewer = min(int(reconstruction.person_valid[person].sum()) for person in (one, other))
    return PairOverlap(
        first=int(reconstruction.person_ids[one]),
        second=int(reconstruction.person_ids[other]),
        frames=len(frames),
        share=len(frames) / fewer,
        box_iou=float(np.median(both[:, 0])),
        contained=float(np.median(both[:, 1])),
        stacked=float(np.median(stacked)),
        landmarks_apart=float(np.median(np.nanmedian(apart[known], axis=-1) / sides[known])) if known.any() else np.nan,
        apart_m=float(np.median(np.linalg.norm(joints[one] - joints[other], axis=-1))),
        size_ratio=float(np.median(heights.min(0) / heights.max(0))),
    )


def _stacked(one: Float[ndarray, "4"], other: Float[ndarray, "4"]) -> float:
    upper, lower = (one, other) if one[1] + one[3] < other[1] + other[3] else (other, one)
    if abs(lower[1] - upper[3]) > 0.2 * min(upper[3] - upper[1], lower[3] - lower[1]):
        return 0.0
    shared = min(one[2], other[2]) - max(one[0], other[0])
    return float(max(shared, 0.0) / min(one[2] - one[0], other[2] - other[0]))


def find_swaps(reconstruction: Reconstruction) -> list[Swap]:
    """Moments at which exchanging two people from there on would shorten the longer of their two steps.

    A step is from the last frame in which a person was seen, at most ``MAX_STEP_S`` ago, in the same shot.
    """
    colours = measure_colours(reconstruction)
    found = []
    for one, other in combinations(range(reconstruction.num_people), 2):
        valid = reconstruction.person_valid
        for frame in np.flatnonzero(valid[one] & valid[other])[:].tolist():
            before = [_last_seen(reconstruction, person, frame) for person in (one, other)]
            if before[0] is None or before[1] is None:
                continue
            pelvis = reconstruction.joints[:, :, 0].astype(np.float64)
            was = [pelvis[one, before[0]], pelvis[other, before[1]]]
            now = [pelvis[one, frame], pelvis[other, frame]]
            kept = max(np.linalg.norm(now[0] - was[0]), np.linalg.norm(now[1] - was[1]))
            swapped = max(np.linalg.norm(now[0] - was[1]), np.linalg.norm(now[1] - was[0]))
            found.append(
                Swap(
                    first=int(reconstruction.person_ids[one]),
                    second=int(reconstruction.person_ids[other]),
                    frame=frame,
                    jump_m=float(kept),
                    swapped_m=float(swapped),
                    colour=_compare_colours(colours[one], colours[other], frame, reconstruction.segment),
                )
            )
    return found


def measure_colours(reconstruction: Reconstruction) -> Float[ndarray, "P T 6"]:
    """Mean RGB (0..1) of the upper and of the lower half of each person's own pixels; NaN where there are none."""
    num_people, num_frames = reconstruction.person_valid.shape
    colours = np.full((num_people, num_frames, 6), np.nan)
    for person, frame in zip(*np.nonzero(reconstruction.person_valid), strict=True):
        rows, columns = np.nonzero(reconstruction.person_masks[frame] == person)
        if len(rows) < 2:
            continue
        pixels = reconstruction.images[frame, rows, columns] / 255.0
        # Rows come sorted, so that halves of the list are halves of the person.
        half = len(rows) // 2
        colours[person, frame] = np.concatenate([pixels[:half].mean(0), pixels[half:].mean(0)])
    return colours


def _last_seen(reconstruction: Reconstruction, person: int, frame: int) -> int | None:
    earlier = np.flatnonzero(reconstruction.person_valid[person, :frame])
    if len(earlier) == 0:
        return None
    last = int(earlier[-1])
    too_long = reconstruction.timestamps_s[frame] - reconstruction.timestamps_s[last] > MAX_STEP_S
    return None if too_long or reconstruction.segment[last] != reconstruction.segment[frame] else last


def _compare_colours(
    one: Float[ndarray, "T 6"], other: Float[ndarray, "T 6"], frame: int, segment: Integer[ndarray, "T"]
) -> float:
    before, after = (
        [_usual(colours, keep & (segment == segment[frame])) for colours in (one, other)]
        for keep in (
            _between(len(one), frame - COLOUR_FRAMES, frame),
            _between(len(one), frame, frame + COLOUR_FRAMES),
        )
    )
    kept = np.linalg.norm(after[0] - before[0]) + np.linalg.norm(after[1] - before[1])
    swapped = np.linalg.norm(after[0] - before[1]) + np.linalg.norm(after[1] - before[0])
    return float((kept - swapped) / (kept + swapped)) if kept + swapped > 0 else float("nan")


def _between(length: int, start: int, stop: int) -> Bool[ndarray, "T"]:
    index = np.arange(length)
    return (index >= start) & (index < stop)


def _usual(colours: Float[ndarray, "T 6"], keep: Bool[ndarray, "T"]) -> Float[ndarray, "6"]:
    known = colours[keep & np.isfinite(colours).all(-1)]
    return np.median(known, axis=0) if len(known) >= MIN_COLOUR_FRAMES else np.full(6, np.nan)
