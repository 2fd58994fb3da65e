"""Slow twins of the metrics of cameras, depth, points and surfaces; see ``twins_people``."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
from twins_people import Array, finite, length, mean, move, umeyama

PARTS = [  # the part of each SMPL joint, in the order head, torso, arms (left, right), forearms, thighs, shins
    1, 6, 7, 1, 8, 9, 1, 8, 9, 1, 8, 9, 0, 1, 1, 0, 2, 3, 4, 5, 4, 5, 4, 5,
]  # fmt: skip


# Cameras.


def counted_poses(predicted: Array, true: Array, valid: Array | None) -> list[int]:
    return [i for i in range(len(true)) if finite(predicted[i], true[i]) and (valid is None or valid[i])]


def root_mean_square(values: list[float]) -> float:
    return math.sqrt(mean([value**2 for value in values])) if values else math.nan


def align_camera_path(
    predicted: Array, true: Array, *, alignment: str = "similarity", valid: Array | None = None
) -> Array:
    if alignment == "none":
        return predicted
    used = counted_poses(predicted, true, valid)
    source, target = ([path[i, :3, 3] for i in used] for path in (predicted, true))
    fit = umeyama(source, target, with_scale=alignment == "similarity")
    aligned = predicted.copy()
    for pose in aligned:
        pose[:3, :3], pose[:3, 3] = fit[1] @ pose[:3, :3], move(fit, pose[:3, 3])
    return aligned


def absolute_trajectory_error(
    predicted: Array, true: Array, *, alignment: str = "similarity", valid: Array | None = None
) -> float:
    used = counted_poses(predicted, true, valid)
    aligned = align_camera_path(predicted, true, alignment=alignment, valid=valid)
    return root_mean_square([length(aligned[i, :3, 3] - true[i, :3, 3]) for i in used]) if len(used) > 1 else math.nan


def relative_errors(predicted: Array, true: Array, step: int) -> list[Array]:
    return [
        np.linalg.inv(np.linalg.inv(true[i]) @ true[i + step]) @ np.linalg.inv(predicted[i]) @ predicted[i + step]
        for i in range(len(true) - step)
    ]


def relative_rotation_errors(predicted: Array, true: Array, *, step: int = 1) -> Array:
    """From the chord of the rotation: ‖R − I‖ = 2·√2·sin(angle / 2)."""
    chords = [np.linalg.norm(error[:3, :3] - np.eye(3)) for error in relative_errors(predicted, true, step)]
    return np.array([math.degrees(2 * math.asin(min(1.0, chord / math.sqrt(8)))) for chord in chords])


def relative_translation_errors(
    predicted: Array, true: Array, *, step: int = 1, alignment: str = "similarity", valid: Array | None = None
) -> Array:
    used = set(counted_poses(predicted, true, valid))
    aligned = align_camera_path(predicted, true, alignment=alignment, valid=valid)
    lengths = []
    for i in range(len(true) - step):
        pair = [i, i + step]
        lengths.append(
            length(relative_errors(aligned[pair], true[pair], 1)[0][:3, 3]) if used.issuperset(pair) else math.nan
        )
    return np.array(lengths)


def world_size_ratio(predicted: Array, true: Array, *, measure: str = "spread", valid: Array | None = None) -> float:
    used = counted_poses(predicted, true, valid)
    if len(used) < 2:
        return math.nan
    ours, theirs = ([path[i, :3, 3] for i in used] for path in (predicted, true))

    def size(centres: list[Array]) -> float:
        if measure == "length":
            return sum(length(b - a) for a, b in itertools.pairwise(centres))
        return root_mean_square([length(centre - sum(centres) / len(centres)) for centre in centres])

    if not size(theirs) > 1e-3:
        return math.nan
    return umeyama(theirs, ours)[0] if measure == "alignment" else size(ours) / size(theirs)


def size_error(ratio: float) -> float:
    return abs(ratio - 1)


def score_camera_path(
    predicted: Array, true: Array, *, step: int = 1, alignment: str = "similarity", valid: Array | None = None
) -> dict[str, float]:
    moves = relative_translation_errors(predicted, true, step=step, alignment=alignment, valid=valid)
    used = [i for i in range(len(moves)) if math.isfinite(moves[i])]
    turns = {i: relative_rotation_errors(predicted[[i, i + step]], true[[i, i + step]])[0] for i in used}
    return {
        "ate_m": absolute_trajectory_error(predicted, true, alignment=alignment, valid=valid),
        "rigid_error_m": absolute_trajectory_error(predicted, true, alignment="rigid", valid=valid),
        "world_size_ratio": world_size_ratio(predicted, true, valid=valid),
        "world_size_error": abs(1 - world_size_ratio(predicted, true, valid=valid)),
        "rpe_rotation_deg": root_mean_square([float(turns[i]) for i in used]),
        "rpe_translation_m": root_mean_square([float(moves[i]) for i in used]),
    }


# Depth.


def align_depth(predicted: Array, true: Array, valid: Array, alignment: str) -> Array:
    pairs = [(float(p), float(t)) for p, t, used in zip(predicted, true, valid, strict=True) if used]
    scale, shift = 1.0, 0.0
    if alignment == "median":
        ratios = sorted(t / p for p, t in pairs if p > 0)
        scale = ratios[(len(ratios) - 1) // 2]
    elif alignment == "scale":
        scale = sum(t for _, t in pairs) / sum(p for p, _ in pairs)
        for _ in range(10):
            weights = [1 / (abs(scale * p - t) + 1e-8) for p, t in pairs]
            above = sum(w * p * t for w, (p, t) in zip(weights, pairs, strict=True))
            scale = above / sum(w * p * p for w, (p, _) in zip(weights, pairs, strict=True))
    elif alignment == "scale_exact":
        scale = min((t / p for p, t in pairs if p), key=lambda s: sum(abs(s * p - t) for p, t in pairs))
    elif alignment == "scale_shift":
        scale, shift = line_by_weights(pairs)
    return np.array([scale * float(p) + shift for p in predicted])


def line_by_weights(pairs: list[tuple[float, float]]) -> tuple[float, float]:
    """Least squares, then ten times with each pair ÷ its residual, at least a thousandth of the mean deviation."""
    source, target = (np.array(values) for values in zip(*pairs, strict=True))
    if np.ptp(source) == 0:
        return 1.0, weighted_level(target - source)
    floor = 1e-3 * (abs(target - target.mean()).mean() or 1.0)
    weights = np.ones(len(pairs))
    for _ in range(11):
        rows = np.stack([source, np.ones_like(source)], 1) * np.sqrt(weights)[:, None]
        (scale, shift), *_ = np.linalg.lstsq(rows, target * np.sqrt(weights), rcond=None)
        weights = np.array([1 / max(abs(scale * p + shift - t), floor) for p, t in pairs])
    return float(scale), float(shift)


def weighted_level(values: Array) -> float:
    floor = 1e-3 * (abs(values - values.mean()).mean() or 1.0)
    level = values.mean()
    for _ in range(10):
        weights = 1 / np.maximum(abs(level - values), floor)
        level = (weights * values).sum() / weights.sum()
    return float(level)


def score_depth(
    predicted: Array, true: Array, *, alignment: str, max_depth: float = 70.0, clip_predicted: float | None = None
) -> dict[str, float]:
    pixels = [(p, t) for p, t in zip(predicted.ravel(), true.ravel(), strict=True) if 0 < t < max_depth]
    made = [math.isfinite(p) and p > 0 for p, _ in pixels]
    filled = np.array([p if ok else 0.0 for (p, _), ok in zip(pixels, made, strict=True)])
    wanted = np.array([t for _, t in pixels])
    if not pixels:
        return {"abs_rel": math.nan, "delta": math.nan, "log_rmse": math.nan, "num_pixels": 0.0}
    aligned = align_depth(filled, wanted, np.array(made), alignment) if any(made) else filled
    aligned = [value if ok else 0.0 for value, ok in zip(aligned, made, strict=True)]
    aligned = [min(value, clip_predicted or math.inf) for value in aligned]
    both = list(zip(aligned, wanted, strict=True))
    return {
        "abs_rel": mean([abs(p - t) / t for p, t in both]),
        "delta": mean([float(p > 0 and max(p / t, t / p) < 1.25) for p, t in both]),
        "log_rmse": root_mean_square([math.log(max(p, 1e-3)) - math.log(t) for p, t in both]),
        "num_pixels": float(len(pixels)),
    }


def average_depth_scores(scores: list[Any]) -> dict[str, Array]:
    total = sum(np.asarray(score.num_pixels) for score in scores)
    averages = {"num_pixels": total}
    for name in ("abs_rel", "delta", "log_rmse"):
        above = np.zeros_like(total)
        for score in scores:
            above = above + np.where(
                score.num_pixels > 0, np.asarray(getattr(score, name)) * np.asarray(score.num_pixels), 0
            )
        averages[name] = np.where(total > 0, above / np.maximum(total, 1), np.nan)
    return averages


def metric_scale_error(predicted: Array, true: Array, *, max_depth: float = 70.0) -> float:
    pairs = zip(predicted.ravel(), true.ravel(), strict=True)
    ratios = sorted(p / t for p, t in pairs if 0 < t < max_depth and math.isfinite(p) and p > 0)
    return abs(ratios[(len(ratios) - 1) // 2] - 1) if ratios else math.nan


# Points.


def align_point_maps(
    predicted: Array, true: Array, valid: Array, *, with_scale: bool = True
) -> tuple[float, Array, Array]:
    pixels = zip(predicted.reshape(-1, 3), true.reshape(-1, 3), valid.ravel(), strict=True)
    pairs = [(p, t) for p, t, used in pixels if used and finite(p, t)]
    return umeyama([p for p, _ in pairs], [t for _, t in pairs], with_scale=with_scale)


def nearest(point: Array, cloud: Array) -> tuple[float, int]:
    distances = [length(point - other) for other in cloud]
    return min(distances), int(np.argmin(distances))


def refine_by_icp(source: Array, target: Array, *, max_distance: float = 0.1) -> tuple[float, Array, Array]:
    fit, before = (1.0, np.eye(3), np.zeros(3)), (math.nan, math.nan)
    for _ in range(30):
        found = [(p, *nearest(move(fit, p), target)) for p in source]
        near = [(p, distance, index) for p, distance, index in found if distance <= max_distance]
        if not near:
            break
        now = len(near) / len(source), root_mean_square([distance for _, distance, _ in near])
        if all(abs(a - b) <= 1e-6 * a for a, b in zip(now, before, strict=True)):
            break
        before = now
        fit = umeyama([p for p, _, _ in near], [target[index] for _, _, index in near], with_scale=False)
    return fit


def estimate_normals(points: Array, *, num_neighbours: int = 30, at: Array | None = None) -> Array:
    normals = []
    for index in range(len(points)) if at is None else at:
        order = sorted(range(len(points)), key=lambda other: length(points[other] - points[index]))
        around = points[order[:num_neighbours]]
        normals.append(np.linalg.svd(around - around.mean(0))[2][-1])
    return np.array(normals)


def spread_out(num: int, limit: int | None) -> list[int]:
    return (
        list(range(num))
        if limit is None or num <= limit
        else [round(k * (num - 1) / (limit - 1)) for k in range(limit)]
    )


def score_point_clouds(predicted: Array, true: Array, *, max_points: int | None = None) -> dict[str, float]:
    measured = []
    for source, target in ((predicted, true), (true, predicted)):
        normals, wanted = estimate_normals(source), estimate_normals(target)
        found = [(index, *nearest(source[index], target)) for index in spread_out(len(source), max_points)]
        cosines = [abs(float(normals[index] @ wanted[other])) for index, _, other in found]
        measured.append(([distance for _, distance, _ in found], cosines))
    (accuracy, there), (completeness, back) = measured
    return {
        "accuracy_mean_m": mean(accuracy),
        "accuracy_median_m": float(np.median(accuracy)),
        "completeness_mean_m": mean(completeness),
        "completeness_median_m": float(np.median(completeness)),
        "normal_consistency_mean": (mean(there) + mean(back)) / 2,
        "normal_consistency_median": float(np.median(there) + np.median(back)) / 2,
    }


def score_point_maps(
    predicted: Array,
    true: Array,
    valid: Array,
    *,
    with_scale: bool = True,
    icp_distance: float | None = 0.1,
    max_points: int | None = None,
) -> dict[str, float]:
    fit = align_point_maps(predicted, true, valid, with_scale=with_scale)
    ours = np.array([move(fit, p) for p in predicted[valid] if finite(p)])
    theirs = np.array([p for p in true[valid] if finite(p)])
    if icp_distance is not None:
        rigid = refine_by_icp(ours[spread_out(len(ours), max_points)], theirs, max_distance=icp_distance)
        ours = np.array([move(rigid, p) for p in ours])
    return score_point_clouds(ours, theirs, max_points=max_points)


# Surfaces.


def human_normals(depth: Array, intrinsics: Array, people: Array) -> tuple[Array, Array]:
    """Pixel by pixel: the sum of the triangles with two neighbours that follow one another around the pixel."""
    height, width = depth.shape
    normals, exist = np.zeros((height, width, 3)), np.zeros((height, width), bool)
    back = np.linalg.inv(intrinsics)

    def known(row: int, column: int) -> bool:
        inside = 0 <= row < height and 0 <= column < width
        return inside and people[row, column] >= 0 and math.isfinite(depth[row, column]) and depth[row, column] > 0

    def point(row: int, column: int) -> Array:
        return depth[row, column] * back @ np.array([column + 0.5, row + 0.5, 1.0])

    for row, column in itertools.product(range(height), range(width)):
        if not known(row, column):
            continue
        here, edges = depth[row, column], []
        for down, right in ((-1, 0), (0, 1), (1, 0), (0, -1)):
            other = row + down, column + right
            same = known(*other) and people[other] == people[row, column]
            linked = same and abs(depth[other] - here) <= 0.04 * min(depth[other], here)
            edges.append(point(*other) - point(row, column) if linked else None)
        total = np.zeros(3)
        for first, second in zip(edges, edges[1:] + edges[:1], strict=True):
            if first is not None and second is not None:
                total += np.cross(second, first)
        if length(total) > 0:
            normals[row, column], exist[row, column] = total / length(total), True
    return normals, exist


def score_normals(predicted: Array, true: Array, valid: Array) -> dict[str, float]:
    angles = []
    for found, wanted, used in zip(predicted.reshape(-1, 3), true.reshape(-1, 3), valid.ravel(), strict=True):
        if not used or not finite(wanted) or length(wanted) == 0:
            continue
        made = finite(found) and length(found) > 0
        cosine = float(found @ wanted) / (length(found) * length(wanted)) if made else 0.0
        angles.append(math.degrees(math.acos(max(-1.0, min(1.0, cosine)))))
    fine = 100 * mean([float(angle < 11.25) for angle in angles])
    return {"mean_angle_deg": mean(angles), "fine_percent": fine, "num_pixels": float(len(angles))}


def label_body_parts(points: Array, vertices: Array, skin_weights: Array) -> Array:
    return np.array([PARTS[int(np.argmax(skin_weights[nearest(p, vertices)[1]]))] for p in points])


def local_depth_error(
    predicted: Array, true: Array, parts: Array, *, alignment: str = "scale_shift", min_pixels: int = 20
) -> float:
    errors = []
    for part in sorted(set(parts[parts >= 0].tolist())):
        at = [i for i in range(true.size) if parts.flat[i] == part and true.flat[i] > 0 and math.isfinite(true.flat[i])]
        if len(at) < min_pixels:
            continue
        wanted = np.array([true.flat[i] for i in at])
        found = np.array([predicted.flat[i] for i in at])
        made = np.array([math.isfinite(p) and p > 0 for p in found])
        aligned = align_depth(found[made], wanted[made], np.ones(made.sum(), bool), alignment) if made.any() else []
        stand_in = np.full(len(at), sorted(wanted)[(len(wanted) - 1) // 2])
        stand_in[made] = aligned
        errors += [1000 * abs(a - t) for a, t in zip(stand_in, wanted, strict=True)]
    return mean(errors)
