"""People's own points against the truth: their normals, and whether they keep to the people."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32
from numpy import ndarray
from scipy.ndimage import distance_transform_edt
from scipy.spatial import cKDTree
from torch import Tensor

from unish.lab.evaluation.compared_views import SharedFrames
from unish.lab.evaluation.metrics import human_normals, score_normals
from unish.structs import Reconstruction

REACH_PX = 3.0
"""A true pixel without a predicted point within this many pixels has none."""

OUTLINE_PX = 4.0
"""Pixels of a person no farther than this from the outline, where depth may be mixed with that of the background."""

BEHIND_M = 0.15
"""A point at the outline hangs between the person and what is behind when it lies so much farther behind the inner
surface that it borders on than it truly does."""


def score_person_points(prediction: Reconstruction, shared: SharedFrames) -> dict[str, float]:
    """Of a prediction that has ``person_points``, in the frames that both sides have; nothing of others.

    ``person_points_normal_error_deg`` and ``person_points_fine_percent`` are those of ``score_human_normals`` for the
    normals that stand in the file. ``person_points_between_percent`` is the share of points that hang between a person
    and what is behind (``BEHIND_M``), after one scale for each person and frame.
    """
    if prediction.person_points is None:
        return {}
    dense = {int(frame): row for row, frame in enumerate(prediction.dense_frames)}
    wanted, there = human_normals(shared.true.depth, shared.true.intrinsics, shared.people)
    found = torch.zeros_like(wanted)
    counts = np.zeros(2)
    for place, frame in enumerate(shared.ours.tolist()):
        if frame not in dense:
            continue
        row = dense[frame]
        w2c, camera = (
            matrix[place].numpy() for matrix in (shared.predicted.c2w.inverse(), shared.predicted.intrinsics)
        )
        cloud = prediction.person_points[row]
        pixels, depth = _project(cloud.points, w2c, camera)
        found[place] = _paint(pixels, cloud.normals.astype(np.float64) @ w2c[:3, :3].T, there[place])
        surface = torch.where(shared.people[place] >= 0, shared.true.depth[place], 0.0).numpy()
        for person in np.unique(cloud.person):
            own = cloud.person == person
            counts += _count_between(pixels[own], depth[own], surface)
    scores = score_normals(found, wanted, there)
    return {
        "person_points_normal_error_deg": float(scores.mean_angle_deg),
        "person_points_fine_percent": float(scores.fine_percent),
        "person_points_between_percent": float(100 * counts[0] / counts[1]) if counts[1] else float("nan"),
    }


def _project(
    points: Float32[ndarray, "N 3"], w2c: Float[ndarray, "4 4"], camera: Float[ndarray, "3 3"]
) -> tuple[Float[ndarray, "N 2"], Float[ndarray, "N"]]:
    """Pixels and depth."""
    local = points.astype(np.float64) @ w2c[:3, :3].T + w2c[:3, 3]
    return (local @ camera.T)[:, :2] / local[:, 2:], local[:, 2]


def _paint(
    pixels: Float[ndarray, "N 2"], normals: Float[ndarray, "N 3"], wanted: Bool[Tensor, "H W"]
) -> Float[Tensor, "H W 3"]:
    """The normal of the point nearest to each pixel that is wanted; 0 where none is within ``REACH_PX``."""
    out = torch.zeros(*wanted.shape, 3, dtype=torch.float64)
    rows, columns = wanted.nonzero(as_tuple=True)
    if len(pixels) and len(rows):
        centres = torch.stack([columns, rows], dim=-1).numpy() + 0.5
        distance, nearest = cKDTree(pixels).query(centres, distance_upper_bound=REACH_PX)
        some = np.isfinite(distance)
        out[rows[some], columns[some]] = torch.from_numpy(normals[nearest[some]])
    return out


def _count_between(
    pixels: Float[ndarray, "N 2"], depth: Float[ndarray, "N"], surface: Float[ndarray, "H W"]
) -> Float[ndarray, "2"]:
    """How many of the points hang behind the outline (see ``BEHIND_M``), and how many there are.

    Where a whole arm is too far away its outline is, too, and nothing hangs.

    Args:
        surface: true depth of people, 0 elsewhere.
    """
    height, width = surface.shape
    columns, rows = np.floor(pixels).astype(int).T
    inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    pixels, rows, columns, depth = pixels[inside], rows[inside], columns[inside], depth[inside]
    true = surface[rows, columns]
    inner = distance_transform_edt(surface > 0)[rows, columns] > OUTLINE_PX
    if not inner.any():
        return np.zeros(2)
    scale = np.median(true[inner] / depth[inner])
    outer = ~inner
    _, nearest = cKDTree(pixels[inner]).query(pixels[outer])
    borders = true[inner][nearest]
    # Off the person, the truth is that of the surface beside it.
    true_step = np.where(true[outer] > 0, true[outer], borders) - borders
    step = scale * (depth[outer] - depth[inner][nearest])
    return np.array([(step - true_step > BEHIND_M).sum(), len(depth)], np.float64)
