"""Slow twins of the people stage: what the formulas say, in plain loops, without the package's own code."""

from __future__ import annotations

import math

import numpy as np

Array = np.ndarray
# COCO's sigmas: head, shoulders, elbows, wrists, hips, knees, ankles.
_HEAD, _SHOULDER, _ELBOW, _WRIST, _HIP, _KNEE, _ANKLE = 0.026, 0.079, 0.072, 0.062, 0.107, 0.087, 0.089


def overlap_area(a: Array, b: Array) -> float:
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    return float(width * height) if width > 0 and height > 0 else 0.0


def area(box: Array) -> float:
    return float((box[2] - box[0]) * (box[3] - box[1])) if box[2] > box[0] and box[3] > box[1] else 0.0


def iou(a: Array, b: Array) -> float:
    union = area(a) + area(b) - overlap_area(a, b)
    return overlap_area(a, b) / union if union > 0 else 0.0


def containment(a: Array, b: Array) -> float:
    return overlap_area(a, b) / area(a) if area(a) > 0 else 0.0


def sigma_of(landmark: int) -> float:
    if landmark <= 10:
        return _HEAD
    if landmark <= 12:
        return _SHOULDER
    if landmark <= 14:
        return _ELBOW
    if landmark <= 22:
        return _WRIST
    if landmark <= 24:
        return _HIP
    return _KNEE if landmark <= 26 else _ANKLE


def object_keypoint_similarity(first: Array, second: Array, shared: Array, person_area: float) -> float:
    """COCO: mean over the points of exp(−d² ∕ (2 · s² · (2σ)²)), s² = area."""
    terms = []
    for index in range(33):
        if shared[index]:
            squared = (first[index][0] - second[index][0]) ** 2 + (first[index][1] - second[index][1]) ** 2
            terms.append(math.exp(-squared / (2 * max(person_area, 1.0) * (2 * sigma_of(index)) ** 2)))
    return sum(terms) / len(terms) if terms else 0.0


def likeness(first: Array, second: Array) -> float:
    """Bhattacharyya coefficient."""
    return sum(math.sqrt(a * b) for a, b in zip(first, second, strict=True))


def centre(box: Array) -> tuple[float, float]:
    return (box[0] + box[2]) / 2, (box[1] + box[3]) / 2


def moved_on(boxes: list[Array], times: list[float], time_s: float) -> Array:
    """The last box at 0.8 of the speed of the last two, for at most as long as lies between those."""
    if len(boxes) < 2:
        return boxes[-1]
    (x0, y0), (x1, y1) = centre(boxes[-2]), centre(boxes[-1])
    share = 0.8 * min((time_s - times[-1]) / (times[-1] - times[-2]), 1.0)
    return boxes[-1] + share * np.array([x1 - x0, y1 - y0, x1 - x0, y1 - y0])


def link_cost(
    boxes: list[Array], times: list[float], looks: list[Array], marks: Array | None,
    box: Array, time_s: float, look: Array, new_marks: Array | None,
) -> float | None:  # fmt: skip
    """What it costs to go on with a box; ``None`` where it is out of reach."""
    gap, last = time_s - times[-1], boxes[-1]
    expected = moved_on(boxes, times, time_s)
    (x0, y0), (x1, y1) = centre(expected), centre(box)
    way, diagonal = math.hypot(x1 - x0, y1 - y0), math.hypot(last[2] - last[0], last[3] - last[1])
    reach = diagonal * (0.25 + 1.5 * gap)
    sizes = max(area(last), 1.0), max(area(box), 1.0)
    if way > reach or abs(math.log(math.sqrt(sizes[1] / sizes[0]))) > 0.7 + gap:
        return None
    place = max(iou(expected, box), 0.5 - 0.5 * way / reach)
    mean_look = sum(looks) / len(looks)
    colour = min(max((likeness(mean_look, look) - 0.7) / 0.3, 0.0), 1.0)
    if marks is None or new_marks is None:
        return 1 - 0.6 * place - 0.4 * colour
    shift = expected[:2] - last[:2]
    shared = np.array([marks[i][2] > 0.5 and new_marks[i][2] > 0.5 for i in range(33)])
    pose = object_keypoint_similarity(marks[:, :2] + shift, new_marks[:, :2], shared, sizes[1])
    return 1 - 0.4 * place - 0.3 * pose - 0.3 * colour


def smoothed_histogram(values: list[float], low: float, high: float) -> list[float]:
    """Twelve bins, a thousandth in each beforehand, then neighbours share 1 : 2 : 1; sum 1."""
    counts = [1e-3] * 12
    for value in values:
        position = (min(max(value, low), high) - low) / (high - low) * 12
        counts[min(int(position), 11)] += 1
    padded = [0.0, *counts, 0.0]
    smooth = [padded[i] / 4 + padded[i + 1] / 2 + padded[i + 2] / 4 for i in range(12)]
    return [value / sum(smooth) for value in smooth]


def describe_pixels(upper: list[tuple[float, ...]], lower: list[tuple[float, ...]]) -> list[float]:
    """Luma, blue and red chroma of ITU-R BT.601 of the pixels above and below the hips."""
    out: list[float] = []
    for pixels in (upper, lower):
        luma = [0.299 * r + 0.587 * g + 0.114 * b for r, g, b in pixels]
        out += smoothed_histogram(luma, 0.0, 1.0)
        out += smoothed_histogram([0.564 * (p[2] - y) for p, y in zip(pixels, luma, strict=True)], -0.25, 0.25)
        out += smoothed_histogram([0.713 * (p[0] - y) for p, y in zip(pixels, luma, strict=True)], -0.25, 0.25)
    return [value / 6 for value in out]


def distance_to_segment(point: tuple[float, float], start: Array, end: Array) -> float:
    dx, dy = end[0] - start[0], end[1] - start[1]
    length = dx * dx + dy * dy
    share = ((point[0] - start[0]) * dx + (point[1] - start[1]) * dy) / length if length > 0 else 0.0
    share = min(max(share, 0.0), 1.0)
    return math.hypot(point[0] - start[0] - share * dx, point[1] - start[1] - share * dy)


def region_point(region: tuple[float, float, float, float], u: float, v: float) -> tuple[float, float]:
    """Picture position of the point (u, v) of the unit square that a turned region is."""
    x, y, side, angle = region
    across, down = (u - 0.5) * side, (v - 0.5) * side
    return (
        x + math.cos(angle) * across - math.sin(angle) * down,
        y + math.sin(angle) * across + math.cos(angle) * down,
    )


def bilinear(grid: Array, x: float, y: float) -> float:
    """Value at a position in pixels (centres at +0.5), zero beyond the border."""
    x, y = x - 0.5, y - 0.5
    left, top = math.floor(x), math.floor(y)
    total = 0.0
    for row in (top, top + 1):
        for column in (left, left + 1):
            if 0 <= row < grid.shape[0] and 0 <= column < grid.shape[1]:
                weight = (1 - abs(x - column)) * (1 - abs(y - row))
                total += weight * float(grid[row, column])
    return total
