"""Bodies in one frame: pose errors of joints and vertices, the field's joint sets, and who is who.

Every error here belongs to one frame; a NaN among a frame's points makes the error of that frame NaN and no other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Float
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from unish.errors import InputError
from unish.geometry.alignment import align_similarity

HIPS = (1, 2)
"""SMPL joints whose middle is the root of MPJPE and PVE."""

JointSetName = Literal["smpl24", "h36m14", "h36m17"]
"""smpl24: the body's own joints (EMDB, RICH; the default). h36m14: the 14 joints of the H36M regressor that 3DPW is
scored on. h36m17: all 17 of the regressor, in the order of SPIN's evaluation (the 14, then pelvis, spine, head)."""


@dataclass(frozen=True, kw_only=True)
class JointSet:
    """Which joints are scored, and which two are the hips.

    Attributes:
        hips: left and right hip among the joints that are scored.
        regressed: rows of the 17-joint H36M regressor, in order; empty for the body's own joints.
    """

    hips: tuple[int, int]
    regressed: tuple[int, ...] = ()


JOINT_SETS: dict[JointSetName, JointSet] = {
    "smpl24": JointSet(hips=HIPS),
    "h36m14": JointSet(hips=(3, 2), regressed=(6, 5, 4, 1, 2, 3, 16, 15, 14, 11, 12, 13, 8, 10)),
    "h36m17": JointSet(hips=(3, 2), regressed=(6, 5, 4, 1, 2, 3, 16, 15, 14, 11, 12, 13, 8, 10, 0, 7, 9)),
}


def regress_joints(
    vertices: Float[Tensor, "*batch V 3"], regressor: Float[Tensor, "17 V"], *, joint_set: JointSetName = "h36m14"
) -> Float[Tensor, "*batch J 3"]:
    """Joints of a regressed set, in the unit of the vertices: rows of ``regressor`` @ vertices in the set's order.

    Args:
        regressor: the H36M joint regressor of the body in use; the field's has 6890 columns.

    Raises:
        InputError: a set that is not regressed, or a regressor for another number of vertices.
    """
    if not _joint_set(joint_set).regressed:
        raise InputError(f"{joint_set} is the body's own joints; take them from the body, or ask for h36m14 or h36m17")
    if regressor.shape[-1] != vertices.shape[-2]:
        raise InputError(
            f"the joint regressor is for {regressor.shape[-1]} vertices, the body has {vertices.shape[-2]}; "
            "use the regressor of this body"
        )
    return regressor[list(_joint_set(joint_set).regressed)].to(vertices) @ vertices


def find_root(joints: Float[Tensor, "*batch J 3"], *, joint_set: JointSetName = "smpl24") -> Float[Tensor, "*batch 3"]:
    """Middle of both hips: the point that MPJPE and PVE move to the origin."""
    return joints[..., list(_joint_set(joint_set).hips), :].mean(-2)


def joint_error(
    predicted: Float[Tensor, "*batch N 3"],
    true: Float[Tensor, "*batch N 3"],
    predicted_root: Float[Tensor, "*batch 3"],
    true_root: Float[Tensor, "*batch 3"],
) -> Float[Tensor, "*batch"]:
    """MPJPE of joints, PVE of vertices, mm: mean distance after both roots were moved to the origin.

    The root is the middle of both hips (``find_root``) by the convention of the field. Input in metres.
    """
    difference = (predicted - predicted_root[..., None, :]) - (true - true_root[..., None, :])
    return 1000 * difference.norm(dim=-1).mean(-1)


def joint_error_procrustes(
    predicted: Float[Tensor, "*batch N 3"], true: Float[Tensor, "*batch N 3"]
) -> Float[Tensor, "*batch"]:
    """PA-MPJPE, mm: mean distance after the best similarity of each frame by itself (never a reflection)."""
    predicted, true = predicted.double(), true.double()
    known = (predicted.isfinite() & true.isfinite()).all(-1)
    fit = align_similarity(predicted, true, known.double())
    return 1000 * (fit.apply(predicted) - true).norm(dim=-1).mean(-1)


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


def _joint_set(name: str) -> JointSet:
    if name not in JOINT_SETS:
        raise InputError(f"unknown joint set {name!r}; choose one of {', '.join(JOINT_SETS)}")
    return JOINT_SETS[name]  # type: ignore[index]
