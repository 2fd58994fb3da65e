"""Quality numbers that need no ground truth, as defined for ``report.json``."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from numpy import ndarray
from scipy.ndimage import binary_erosion

from unish.body import JOINT_LANDMARKS, Body
from unish.geometry.mesh_distance import distance_to_mesh
from unish.reconstruction.feet_plane import AGREE
from unish.reconstruction.ground import Ground
from unish.reconstruction.joint_certainty import SEEN
from unish.reconstruction.shot import MetricShot
from unish.structs import FrameArray, Frames, Reconstruction, join_frames

JOINT_PAIRS = tuple((joint, landmark) for landmark, joint in JOINT_LANDMARKS.items())
"""(SMPL joint, BlazePose landmark) of shoulders, elbows, wrists, hips, knees and ankles."""

GROUND_SOURCES = {
    "feet": "feet",
    "given": "given floor",
    "scene": "found floor",
    "people": "height of upright people's feet",
    "directions": "directions of the scene's surfaces",
    "none": "unknown",
}
"""What report.json says for ``Ground.source``."""

SAME_LEVEL_M = 0.1
"""Heights that are no farther apart are listed as one level."""

MIN_VISIBILITY = 0.6
EROSION_PX = 2
MAX_POINTS = 100
MAX_FRAMES = 16


def measure_reprojection(reconstruction: Reconstruction) -> dict[int, float]:
    """Per person id: median distance of projected joints to seen landmarks, percent of the longer box side."""
    joints = [joint for joint, _ in JOINT_PAIRS]
    landmarks = [landmark for _, landmark in JOINT_PAIRS]
    w2c = np.linalg.inv(reconstruction.c2w.astype(np.float64))
    result = {}
    for person, person_id in enumerate(reconstruction.person_ids.tolist()):
        seen = reconstruction.landmarks_px[person][:, landmarks]
        world = reconstruction.joints[person][:, joints]
        camera = world @ w2c[:, :3, :3].transpose(0, 2, 1) + w2c[:, None, :3, 3]
        projected = camera @ reconstruction.intrinsics.transpose(0, 2, 1)
        error = np.linalg.norm(projected[..., :2] / projected[..., 2:] - seen[..., :2], axis=-1)
        box = reconstruction.boxes_xyxy[person]
        side = np.maximum(box[:, 2] - box[:, 0], box[:, 3] - box[:, 1])[:, None]
        keep = (seen[..., 2] > MIN_VISIBILITY) & np.isfinite(error) & reconstruction.person_valid[person][:, None]
        result[person_id] = float(np.median((100 * error / side)[keep])) if keep.any() else float("nan")
    return result


def measure_body_to_points(reconstruction: Reconstruction, body: Body, depth: Frames) -> dict[int, float]:
    """Per person id: median unsigned distance (cm) from the person's own points to their body mesh.

    The mask is eroded by ``EROSION_PX``, since depth is a mixture of person and scene at its border. ``depth``
    (T, H, W), metres, stands in for the reconstruction's own, so that the number before the correction can be measured
    too. At most ``MAX_POINTS`` points of ``MAX_FRAMES`` frames are used, evenly spread.
    """
    return compare_body_to_points(reconstruction, body, [depth])[0]


def compare_body_to_points(
    reconstruction: Reconstruction, body: Body, depths: Sequence[Frames]
) -> list[dict[int, float]]:
    """``measure_body_to_points`` for several depths of the same frames: bodies are posed and searched once."""
    results: list[dict[int, float]] = [{} for _ in depths]
    faces = reconstruction.faces
    for person, person_id in enumerate(reconstruction.person_ids.tolist()):
        frames = np.flatnonzero(reconstruction.person_valid[person])
        frames = frames[np.linspace(0, len(frames) - 1, min(len(frames), MAX_FRAMES)).round().astype(int)]
        posed = body.vertices_from_axis_angle(
            np.repeat(reconstruction.betas[person][None], len(frames), 0),
            reconstruction.global_orient_aa[person, frames],
            reconstruction.body_pose_aa[person, frames],
            reconstruction.transl[person, frames],
        )
        distances: list[list[ndarray]] = [[] for _ in depths]
        for vertices, frame in zip(posed, frames, strict=True):
            mask = _erode(reconstruction.person_masks[frame] == person)
            worlds = [_pick_points(reconstruction, int(frame), mask, depth[frame]) for depth in depths]
            found = distance_to_mesh(np.concatenate(worlds), vertices, faces)
            ends = np.cumsum([len(world) for world in worlds])[:-1]
            for own, part in zip(distances, np.split(found, ends), strict=True):
                own.append(part)
        for result, own in zip(results, distances, strict=True):
            together = np.concatenate([*own, np.zeros(0)])
            result[person_id] = float(100 * np.median(together)) if len(together) else float("nan")
    return results


def _pick_points(
    reconstruction: Reconstruction, frame: int, mask: Bool[ndarray, "H W"], depth: Float[ndarray, "H W"]
) -> Float[ndarray, "N 3"]:
    """World points of the pixels of a mask, evenly spread."""
    rows, columns = np.nonzero(mask & (depth > 0))
    pick = np.linspace(0, len(rows) - 1, min(len(rows), MAX_POINTS)).round().astype(int)
    rows, columns = rows[pick], columns[pick]
    pixels = np.stack([columns + 0.5, rows + 0.5, np.ones(len(rows))], -1)
    local = pixels @ np.linalg.inv(reconstruction.intrinsics[frame]).T * depth[rows, columns][:, None]
    return np.asarray(local @ reconstruction.c2w[frame, :3, :3].T + reconstruction.c2w[frame, :3, 3])


def median_or_nan(values: dict[int, float]) -> float:
    """Median over people, NaN entries left out."""
    finite = [value for value in values.values() if np.isfinite(value)]
    return float(np.median(finite)) if finite else float("nan")


def measure_quality(reconstruction: Reconstruction, shots: list[MetricShot], body: Body) -> dict[str, float]:
    """The ``quality`` part of the report; NaN where a number has no meaning (nobody seen, one window)."""
    joined = join_frames([shot.depth_before for shot in shots])
    before = FrameArray.like(joined, lambda frame: joined[frame].numpy(), dtype=np.dtype(np.float32))
    after_cm, before_cm = compare_body_to_points(reconstruction, body, [reconstruction.depth, before])
    steps = [torch.linalg.norm(shot.c2w[1:, :3, 3] - shot.c2w[:-1, :3, 3], dim=-1).sum() for shot in shots]
    return {
        "valid_pixels": float(np.mean([(depth > 0).mean() for depth in reconstruction.depth])),
        "reprojection_percent": median_or_nan(measure_reprojection(reconstruction)),
        "body_to_points_cm": median_or_nan(after_cm),
        "body_to_points_before_cm": median_or_nan(before_cm),
        "scale_uncertainty": float(np.mean([shot.scale.uncertainty for shot in shots])),
        "stitching_residual": float(max(shot.residual for shot in shots)),
        "camera_path_m": float(sum(steps)),
    }


def describe_people(reconstruction: Reconstruction, shots: list[MetricShot], body: Body) -> list[dict[str, Any]]:
    """One row per person: frames, standing height, how certain their distance is, and the depth correction they got."""
    sigma = torch.cat([shot.distance_sigma for shot in shots], dim=1).numpy()
    corrections = torch.cat([shot.correction.as_table() for shot in shots], dim=1).numpy()
    heights = body.standing_height(torch.from_numpy(reconstruction.betas)).numpy()
    reprojection = measure_reprojection(reconstruction)
    rows = []
    for person, person_id in enumerate(reconstruction.person_ids.tolist()):
        valid = reconstruction.person_valid[person]
        known = corrections[person][valid & np.isfinite(corrections[person, :, 0])]
        factor, lean, relief = (
            (known[:, 0], np.linalg.norm(known[:, 1:3], axis=-1), known[:, 3]) if len(known) else ([np.nan],) * 3
        )
        rows.append(
            {
                "id": person_id,
                "frames": int(valid.sum()),
                "height_m": float(heights[person]),
                # 1 for a person seen from head to ankles, falling as the ruler gets worse.
                "certainty": min(float(np.median(0.05 / sigma[person][valid])), 1.0) if valid.any() else 0.0,
                # Share of the joints, over all frames, that do not follow from the pose prior alone.
                "joints_seen": _share_seen(reconstruction, person),
                # Medians of what reconstruction.npz records per frame: see ``DepthComparison``.
                "correction": float(np.median(factor)),
                "correction_tilt": float(np.median(lean)),
                "correction_relief": float(np.median(relief)),
                "reprojection_percent": reprojection[person_id],
            }
        )
    return rows


def _share_seen(reconstruction: Reconstruction, person: int) -> float:
    certainty = reconstruction.joint_certainty
    if certainty is None or not reconstruction.person_valid[person].any():
        return 0.0
    return float((certainty[person, reconstruction.person_valid[person]] >= SEEN).mean())


def describe_grounds(shots: Sequence[MetricShot], grounds: Sequence[Ground]) -> list[dict[str, Any]]:
    """What every shot of report.json says of its ground: who told it, and what that did to the scene; and of its loops.

    ``ground`` is one of ``GROUND_SOURCES``, and why the feet were refused where one plane does not explain them;
    ``supports_m`` are the heights over the floor of what else people stand on.
    """
    return [
        {
            "ground": GROUND_SOURCES[ground.source] + _say_of_feet(ground.refusal),
            "contacts": ground.num_contacts,
            "scene_resized_percent": 0.0 if shot.curve is None else 100 * math.expm1(shot.curve.mean),
            "gravity_error_deg": math.degrees(ground.sigma),
            "supports_m": _group_levels(ground.levels),
            "loops_closed": shot.num_loops,
        }
        for shot, ground in zip(shots, grounds, strict=True)
    ]


def _erode(mask: np.ndarray) -> np.ndarray:
    return binary_erosion(mask, np.ones((3, 3), bool), iterations=EROSION_PX)


def _group_levels(heights: Sequence[float]) -> list[float]:
    """Means of the heights that follow one another within ``SAME_LEVEL_M``, rising."""
    groups: list[list[float]] = []
    for height in sorted(heights):
        if groups and height - groups[-1][-1] < SAME_LEVEL_M:
            groups[-1].append(height)
        else:
            groups.append([height])
    return [math.fsum(group) / len(group) for group in groups]


def _say_of_feet(refusal: str) -> str:
    if not refusal:
        return ""
    return "; feet agree" if refusal == AGREE else f"; feet refused: {refusal}"
