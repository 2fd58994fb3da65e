"""Slow twins of the metrics of people: definitions in plain loops over one sample, without the package's own code."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np

Array = np.ndarray
H36M_14 = (6, 5, 4, 1, 2, 3, 16, 15, 14, 11, 12, 13, 8, 10)


def length(vector: Array) -> float:
    return math.sqrt(sum(float(value) ** 2 for value in vector))


def finite(*arrays: Array) -> bool:
    return all(bool(np.isfinite(array).all()) for array in arrays)


def mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else math.nan


def umeyama(source: list[Array], target: list[Array], *, with_scale: bool = True) -> tuple[float, Array, Array]:
    """Scale, rotation and translation of Umeyama's paper: sums of outer products, one point after the other."""
    number = len(source)
    if number == 0:
        return 1.0, np.eye(3), np.zeros(3)
    middle, goal = sum(source) / number, sum(target) / number
    covariance, spread = np.zeros((3, 3)), 0.0
    for point, wanted in zip(source, target, strict=True):
        covariance += np.outer(wanted - goal, point - middle) / number
        spread += length(point - middle) ** 2 / number
    left, sizes, right = np.linalg.svd(covariance)
    signs = np.array([1.0, 1.0, np.sign(np.linalg.det(left) * np.linalg.det(right))])
    rotation = left @ np.diag(signs) @ right
    scale = float((sizes * signs).sum() / spread) if with_scale and spread > 0 else 1.0
    return scale, rotation, goal - scale * rotation @ middle


def move(fit: tuple[float, Array, Array], point: Array) -> Array:
    return fit[0] * fit[1] @ point + fit[2]


def find_root(joints: Array, *, joint_set: str = "smpl24") -> Array:
    left, right = (1, 2) if joint_set == "smpl24" else (3, 2)
    return (joints[left] + joints[right]) / 2


def regress_joints(vertices: Array, regressor: Array, *, joint_set: str = "h36m14") -> Array:
    rows = H36M_14 if joint_set == "h36m14" else (*H36M_14, 0, 7, 9)
    return np.array([sum(regressor[row, v] * vertices[v] for v in range(len(vertices))) for row in rows])


def joint_error(predicted: Array, true: Array, predicted_root: Array, true_root: Array) -> float:
    pairs = zip(predicted, true, strict=True)
    return 1000 * mean([length((p - predicted_root) - (t - true_root)) for p, t in pairs])


def joint_error_procrustes(predicted: Array, true: Array) -> float:
    if not finite(predicted, true):
        return math.nan
    fit = umeyama(list(predicted), list(true))
    return 1000 * mean([length(move(fit, p) - t) for p, t in zip(predicted, true, strict=True)])


def match_people(
    predicted_boxes: Array, true_boxes: Array, predicted_valid: Array, true_valid: Array, *, min_overlap: float = 0.1
) -> list[tuple[int, int]]:
    """The best of all assignments, tried one by one."""

    def overlap(i: int, j: int) -> float:
        total, frames = 0.0, 0
        for frame in range(predicted_valid.shape[1]):
            frames += bool(predicted_valid[i, frame] or true_valid[j, frame])
            if predicted_valid[i, frame] and true_valid[j, frame]:
                a, b = predicted_boxes[i, frame], true_boxes[j, frame]
                width, height = (max(0.0, min(a[k + 2], b[k + 2]) - max(a[k], b[k])) for k in (0, 1))
                areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (a, b)]
                union = areas[0] + areas[1] - width * height
                total += width * height / union
        return total / max(frames, 1)

    num_predicted, num_true = len(predicted_boxes), len(true_boxes)
    fewer = min(num_predicted, num_true)
    best: tuple[float, list[tuple[int, int]]] = (-1.0, [])
    for ours in itertools.combinations(range(num_predicted), fewer):
        for theirs in itertools.permutations(range(num_true), fewer):
            pairs = list(zip(ours, theirs, strict=True))
            best = max(best, (sum(overlap(i, j) for i, j in pairs), pairs), key=lambda option: option[0])
    return [(i, j) for i, j in best[1] if overlap(i, j) >= min_overlap]


def counted_frames(valid: Array | None, *points: Array) -> list[int]:
    num = len(points[0])
    return [t for t in range(num) if finite(*(p[t] for p in points)) and (valid is None or valid[t])]


def root_path(joints: Array, transl: Array | None = None, *, reference: str = "pelvis") -> Array:
    if reference == "transl":
        assert transl is not None
        return transl
    return np.array([frame[0] if reference == "pelvis" else (frame[1] + frame[2]) / 2 for frame in joints])


def smooth_root(points: Array, root: Array, *, sigma: float = 3.0) -> Array:
    num, reach = len(root), int(4 * sigma + 0.5)
    moved = points.copy()
    for t in range(num):
        total, weight = np.zeros(3), 0.0
        for shift in range(-reach, reach + 1):
            at = (t + shift) % (2 * num)
            at = at if at < num else 2 * num - 1 - at
            kernel = math.exp(-0.5 * (shift / sigma) ** 2)
            total, weight = total + kernel * root[at], weight + kernel
        moved[t] += total / weight - root[t]
    return moved


def world_joint_error(
    predicted: Array,
    true: Array,
    *,
    first_frames: int | None,
    chunk_frames: int = 100,
    leftover: str = "alone",
    valid: Array | None = None,
) -> Array:
    frames = counted_frames(valid, predicted, true)
    chunks = [frames[start : start + chunk_frames] for start in range(0, len(frames), chunk_frames)]
    if len(chunks) > 1 and len(chunks[-1]) < chunk_frames and leftover != "alone":
        last = chunks.pop()
        if leftover == "merged":
            chunks[-1] = chunks[-1] + last
    errors = np.full(len(true), np.nan)
    for chunk in chunks:
        fitted = chunk[:first_frames]
        fit = umeyama([p for t in fitted for p in predicted[t]], [p for t in fitted for p in true[t]])
        for t in chunk:
            errors[t] = 1000 * mean([length(move(fit, p) - q) for p, q in zip(predicted[t], true[t], strict=True)])
    return errors


def root_trajectory_error(
    predicted: Array, true: Array, *, valid: Array | None = None, min_path_m: float = 0.01
) -> float:
    frames = counted_frames(valid, predicted, true)
    path = sum(length(true[b] - true[a]) for a, b in itertools.pairwise(frames))
    if not path > min_path_m:
        return math.nan
    fit = umeyama([predicted[t] for t in frames], [true[t] for t in frames], with_scale=False)
    return 100 * mean([length(move(fit, predicted[t]) - true[t]) for t in frames]) / path


def runs(valid: Array | None, num: int, order: int, *points: Array) -> list[int]:
    """First frames of ``order`` + 1 frames in a row that all count."""
    counted = set(counted_frames(valid, *points))
    return [t for t in range(num - order) if all(t + k in counted for k in range(order + 1))]


def acceleration_error(predicted: Array, true: Array, *, fps: float, valid: Array | None = None) -> float:
    def second(points: Array, t: int, joint: int) -> Array:
        return (points[t + 2, joint] - 2 * points[t + 1, joint] + points[t, joint]) * fps**2

    frames, joints = runs(valid, len(true), 2, predicted, true), range(true.shape[1])
    return mean([length(second(predicted, t, j) - second(true, t, j)) for t in frames for j in joints])


def jitter(joints: Array, *, fps: float, valid: Array | None = None) -> float:
    def third(t: int, j: int) -> Array:
        return joints[t + 3, j] - 3 * joints[t + 2, j] + 3 * joints[t + 1, j] - joints[t, j]

    frames = runs(valid, len(joints), 3, joints)
    return mean([length(third(t, j)) * fps**3 / 10 for t in frames for j in range(joints.shape[1])])


def foot_points(vertices: Array, body: Any) -> Array:
    if len(vertices) == 6890:
        return np.array([vertices[v] for v in (3216, 3387, 6617, 6787)])
    regions = [
        body.contact_vertices[f"{side}_{part}"].tolist() for side in ("left", "right") for part in ("toe", "heel")
    ]
    return np.array([sum(vertices[v] for v in region) / len(region) for region in regions])


def foot_sliding(
    predicted_contacts: Array,
    true_contacts: Array,
    *,
    fps: float = 30.0,
    resting_mm: float = 10.0,
    valid: Array | None = None,
    touching: Array | None = None,
) -> float:
    slid = []
    for t, foot in itertools.product(range(len(true_contacts) - 1), range(true_contacts.shape[1])):
        if valid is not None and not (valid[t] and valid[t + 1]):
            continue
        if touching is not None and not (touching[t, foot] and touching[t + 1, foot]):
            continue
        truly, found = (length(p[t + 1, foot] - p[t, foot]) * fps for p in (true_contacts, predicted_contacts))
        if math.isfinite(found) and truly / 30 * 1000 < resting_mm:
            slid.append(found / 30 * 1000)
    return mean(slid)


def foot_floor_gap(points: Array, floor: Array) -> float:
    return (
        100 * min(float(floor[:3] @ p + floor[3]) / length(floor[:3]) for p in points)
        if finite(floor, points)
        else math.nan
    )


def human_scene_distance(points: Array, vertices: Array, faces: Array) -> float:
    if not finite(vertices):
        return math.nan
    distances = [min(triangle_distance(p, *vertices[face]) for face in faces) for p in points if finite(p)]
    return 100 * float(np.median(distances)) if distances else math.nan


def triangle_distance(p: Array, a: Array, b: Array, c: Array) -> float:
    """Over the face where the foot of the perpendicular lies in it, else over the nearest edge."""
    normal = np.cross(b - a, c - a)
    foot = p - normal * ((p - a) @ normal) / (normal @ normal)
    turns = [np.cross(end - start, foot - start) @ normal for start, end in ((a, b), (b, c), (c, a))]
    if all(turn >= 0 for turn in turns):
        return length(p - foot)
    nearest = math.inf
    for start, end in ((a, b), (b, c), (c, a)):
        along = min(1.0, max(0.0, float((p - start) @ (end - start) / ((end - start) @ (end - start)))))
        nearest = min(nearest, length(p - start - along * (end - start)))
    return nearest
