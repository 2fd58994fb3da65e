"""Two tracks that are one person, and two people whose tracks changed places."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from jaxtyping import Float, Integer
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
    """What exchanging two people from each frame on would change, for every pair and frame in which both are seen.

    A step is from the last frame in which a person was seen, at most ``MAX_STEP_S`` ago, in the same shot; where one of
    them has none, nothing is said. Colours are the medians of up to ``COLOUR_FRAMES`` frames before and after, in the
    same shot.
    """
    colours = measure_colours(reconstruction)
    before = [_median_around(colour, reconstruction.segment, range(-COLOUR_FRAMES, 0)) for colour in colours]
    after = [_median_around(colour, reconstruction.segment, range(COLOUR_FRAMES)) for colour in colours]
    last = [_last_seen(reconstruction, person) for person in range(reconstruction.num_people)]
    pelvis = reconstruction.joints[:, :, 0].astype(np.float64)
    found = []
    for one, other in combinations(range(reconstruction.num_people), 2):
        frames = np.flatnonzero(
            reconstruction.person_valid[[one, other]].all(0) & (last[one] >= 0) & (last[other] >= 0)
        )
        was = pelvis[one, last[one][frames]], pelvis[other, last[other][frames]]
        now = pelvis[one, frames], pelvis[other, frames]
        kept = np.maximum(_apart(now[0], was[0]), _apart(now[1], was[1]))
        swapped = np.maximum(_apart(now[0], was[1]), _apart(now[1], was[0]))
        colour = _compare_colours(
            (before[one][frames], before[other][frames]), (after[one][frames], after[other][frames])
        )
        found += [
            Swap(
                first=int(reconstruction.person_ids[one]),
                second=int(reconstruction.person_ids[other]),
                frame=int(frame),
                jump_m=float(kept[row]),
                swapped_m=float(swapped[row]),
                colour=float(colour[row]),
            )
            for row, frame in enumerate(frames)
        ]
    return found


def measure_colours(reconstruction: Reconstruction) -> Float[ndarray, "P T 6"]:
    """Mean RGB (0..1) of the upper and of the lower half of each person's own pixels; NaN where there are none."""
    num_people, num_frames = reconstruction.person_valid.shape
    colours = np.full((num_people, num_frames, 6), np.nan)
    # Frame by frame, so that each is read once.
    for frame, person in zip(*np.nonzero(reconstruction.person_valid.T), strict=True):
        rows, columns = np.nonzero(reconstruction.person_masks[frame] == person)
        if len(rows) < 2:
            continue
        pixels = reconstruction.images[frame, rows, columns] / 255.0
        # Rows come sorted, so that halves of the list are halves of the person.
        half = len(rows) // 2
        colours[person, frame] = np.concatenate([pixels[:half].mean(0), pixels[half:].mean(0)])
    return colours


def _last_seen(reconstruction: Reconstruction, person: int) -> Integer[ndarray, "T"]:
    """For every frame the last one before it in which the person was seen, −1 where that is too long ago or none."""
    index = np.arange(reconstruction.num_frames)
    seen = np.maximum.accumulate(np.where(reconstruction.person_valid[person], index, -1))
    last = np.concatenate([[-1], seen[:-1]])[: len(index)]
    times, segment = reconstruction.timestamps_s, reconstruction.segment
    near = (times - times[last] <= MAX_STEP_S) & (segment == segment[last])
    return np.where((last >= 0) & near, last, -1)


def _median_around(
    colours: Float[ndarray, "T 6"], segment: Integer[ndarray, "T"], offsets: range
) -> Float[ndarray, "T 6"]:
    """Median over the frames at some offsets, of those that have a colour and are in the same shot; NaN of too few."""
    index = np.arange(len(colours))[None] + np.array(offsets)[:, None]
    inside = (index >= 0) & (index < len(colours))
    index = np.clip(index, 0, len(colours) - 1)
    values = np.where((inside & (segment[index] == segment))[..., None], colours[index], np.nan)
    # NaN is sorted to the end, so that the known values are the first of each column.
    values, known = np.sort(values, axis=0), np.isfinite(values).all(-1).sum(0)
    rows = np.arange(len(colours))
    median = (values[np.maximum(known - 1, 0) // 2, rows] + values[known // 2, rows]) / 2
    return np.where((known >= MIN_COLOUR_FRAMES)[:, None], median, np.nan)


def _compare_colours(
    before: tuple[Float[ndarray, "K 6"], Float[ndarray, "K 6"]],
    after: tuple[Float[ndarray, "K 6"], Float[ndarray, "K 6"]],
) -> Float[ndarray, "K"]:
    kept = _apart(after[0], before[0]) + _apart(after[1], before[1])
    swapped = _apart(after[0], before[1]) + _apart(after[1], before[0])
    return (kept - swapped) / np.where(kept + swapped > 0, kept + swapped, np.nan)


def _apart(one: Float[ndarray, "K D"], other: Float[ndarray, "K D"]) -> Float[ndarray, "K"]:
    return np.linalg.norm(one - other, axis=-1)
