"""Bodies: pose in the camera, pose in the world, and the quality of motion."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Float
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from unish.geometry.alignment import align_rigid, align_similarity

HIPS = (1, 2)
"""SMPL joints whose middle is the root of MPJPE and PVE."""

CHUNK_FRAMES = 100

Leftover = Literal["alone", "merged", "dropped"]
"""What happens to the frames after the last whole chunk: scored alone (WHAM, GVHMR, JOSH; the default), merged into the
last chunk (TRAM), or left out."""


def joint_error(
    predicted: Float[Tensor, "*batch N 3"],
    true: Float[Tensor, "*batch N 3"],
    predicted_root: Float[Tensor, "*batch 3"],
    true_root: Float[Tensor, "*batch 3"],
) -> Float[Tensor, "*batch"]:
    """MPJPE of joints, PVE of vertices, mm: mean distance after both roots were moved to the origin.

    The root is the middle of both hips (``HIPS``) by the convention of the field. Input in metres.
    """
    difference = (predicted - predicted_root[..., None, :]) - (true - true_root[..., None, :])
    return 1000 * difference.norm(dim=-1).mean(-1)


def joint_error_procrustes(
    predicted: Float[Tensor, "*batch N 3"], true: Float[Tensor, "*batch N 3"]
) -> Float[Tensor, "*batch"]:
    """PA-MPJPE, mm: mean distance after the best similarity of each frame by itself (never a reflection)."""
    predicted, true = predicted.double(), true.double()
    fit = align_similarity(predicted, true, torch.ones_like(true[..., 0]))
    return 1000 * (fit.apply(predicted) - true).norm(dim=-1).mean(-1)


def world_joint_error(
    predicted: Float[Tensor, "T N 3"],
    true: Float[Tensor, "T N 3"],
    *,
    first_frames: int | None,
    chunk_frames: int = CHUNK_FRAMES,
    leftover: Leftover = "alone",
) -> Float[Tensor, "T"]:
    """W-MPJPE (``first_frames=2``) or WA-MPJPE (``None``: all), mm per frame, of one person's valid frames.

    Frames are cut into chunks; in each, one similarity with scale is fitted on the joints of its first frames (or of
    all) and applied to the whole chunk (WHAM, Shin et al. 2024). Frames that were left out are NaN.
    """
    predicted, true = predicted.double(), true.double()
    errors = torch.full(true.shape[:1], torch.nan, dtype=torch.float64)
    starts = list(range(0, len(true), chunk_frames))
    if len(starts) > 1 and len(true) - starts[-1] < chunk_frames and leftover != "alone":
        last = starts.pop()
        if leftover == "dropped":
            predicted, true = predicted[:last], true[:last]
    for start, stop in zip(starts, [*starts[1:], len(true)], strict=True):
        fitted = stop if first_frames is None else min(start + first_frames, stop)
        source, target = predicted[start:fitted].flatten(0, 1), true[start:fitted].flatten(0, 1)
        fit = align_similarity(source, target, torch.ones_like(target[:, 0]))
        moved = fit.apply(predicted[start:stop].flatten(0, 1)).unflatten(0, (stop - start, -1))
        errors[start:stop] = 1000 * (moved - true[start:stop]).norm(dim=-1).mean(-1)
    return errors


def root_trajectory_error(predicted: Float[Tensor, "T 3"], true: Float[Tensor, "T 3"]) -> Float[Tensor, ""]:
    """RTE, %: mean distance of roots after one rigid alignment without scale, ÷ length of the true path.

    NaN for a path shorter than a centimetre: the quotient explodes for people who stand.
    """
    predicted, true = predicted.double(), true.double()
    length = true.diff(dim=0).norm(dim=-1).sum()
    fit = align_rigid(predicted, true, torch.ones_like(true[:, 0]))
    error = (fit.apply(predicted) - true).norm(dim=-1).mean()
    return 100 * torch.where(length > 0.01, error / length.clamp_min(0.01), torch.nan)


def acceleration_error(
    predicted: Float[Tensor, "T N 3"], true: Float[Tensor, "T N 3"], *, fps: float
) -> Float[Tensor, ""]:
    """Accel, m/s²: mean length of the difference of the second differences × fps². Input root-aligned, evenly timed."""
    return (predicted.double().diff(n=2, dim=0) - true.double().diff(n=2, dim=0)).norm(dim=-1).mean() * fps**2


def jitter(joints: Float[Tensor, "T N 3"], *, fps: float) -> Float[Tensor, ""]:
    """Mean length of the third difference × fps³ ÷ 10, in 10 m/s³. Needs no truth: lower is smoother, not better."""
    return joints.double().diff(n=3, dim=0).norm(dim=-1).mean() * fps**3 / 10


def foot_sliding(
    predicted_contacts: Float[Tensor, "T C 3"], true_contacts: Float[Tensor, "T C 3"]
) -> Float[Tensor, ""]:
    """Mean movement, mm per frame, of predicted foot points while the true ones move less than a centimetre per frame.

    NaN when no foot ever rests.
    """
    resting = true_contacts.diff(dim=0).norm(dim=-1) < 0.01
    moved = 1000 * predicted_contacts.double().diff(dim=0).norm(dim=-1)
    return torch.where(resting.any(), (moved * resting).sum() / resting.sum().clamp_min(1), torch.nan)


def match_people(
    predicted_boxes: Float[Tensor, "P T 4"],
    true_boxes: Float[Tensor, "Q T 4"],
    predicted_valid: Bool[Tensor, "P T"],
    true_valid: Bool[Tensor, "Q T"],
    *,
    min_overlap: float = 0.1,
) -> list[tuple[int, int]]:
    """Pairs (predicted, true) of people whose boxes overlap most over all frames; each person once.

    The overlap of two people is the sum of the intersection over union in the frames where both are valid, ÷ the number
    of frames where either is. Pairs below ``min_overlap`` are not made.
    """
    both = predicted_valid[:, None] & true_valid[None]
    either = predicted_valid[:, None] | true_valid[None]
    a, b = predicted_boxes[:, None], true_boxes[None]
    shared = (torch.minimum(a[..., 2:], b[..., 2:]) - torch.maximum(a[..., :2], b[..., :2])).clamp_min(0).prod(-1)
    union = (a[..., 2:] - a[..., :2]).prod(-1) + (b[..., 2:] - b[..., :2]).prod(-1) - shared
    overlap = torch.where(both, shared / union, 0.0).nan_to_num(0.0).sum(-1) / either.sum(-1).clamp_min(1)
    rows, columns = linear_sum_assignment(-np.asarray(overlap))
    return [(int(i), int(j)) for i, j in zip(rows, columns, strict=True) if overlap[i, j] >= min_overlap]
