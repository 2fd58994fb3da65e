"""Detail of people's surfaces: normals, and depth after a fit of each body part by itself."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from scipy.spatial import cKDTree
from torch import Tensor

from unish.body import JOINT_NAMES
from unish.errors import InputError
from unish.geometry.camera import unproject
from unish.geometry.surfaces import link_neighbours, normals_from_points
from unish.lab.evaluation.metrics.depth import DepthAlignment, align_depth

BODY_PARTS = {
    "head": ("neck", "head"),
    "torso": ("pelvis", "spine1", "spine2", "spine3", "left_collar", "right_collar"),
    "left_upper_arm": ("left_shoulder",),
    "right_upper_arm": ("right_shoulder",),
    "left_forearm": ("left_elbow", "left_wrist", "left_hand"),
    "right_forearm": ("right_elbow", "right_wrist", "right_hand"),
    "left_thigh": ("left_hip",),
    "right_thigh": ("right_hip",),
    "left_shin": ("left_knee", "left_ankle", "left_foot"),
    "right_shin": ("right_knee", "right_ankle", "right_foot"),
}
"""Parts that are aligned one by one, each with the joints that carry it; hands and feet belong to the limb above."""

FINE_ANGLE_DEG = 11.25
MISSING_ANGLE_DEG = 90.0
"""What a pixel without a predicted normal scores."""

MIN_PART_PIXELS = 20
SAME_SURFACE = 0.04
"""Neighbouring depths that differ by more than this share of the nearer one belong to different surfaces."""


@dataclass(frozen=True, kw_only=True)
class NormalScores:
    """Normals of one or many sequences; NaN without a pixel.

    Attributes:
        mean_angle_deg: mean angle between predicted and true normals.
        fine_percent: share of pixels with an angle below 11.25°, percent.
        num_pixels: pixels that count.
    """

    mean_angle_deg: Float[Tensor, "*batch"]
    fine_percent: Float[Tensor, "*batch"]
    num_pixels: Float[Tensor, "*batch"]


def human_normals(
    depth: Float[Tensor, "*batch H W"], intrinsics: Float[Tensor, "*batch 3 3"], people: Int[Tensor, "*batch H W"]
) -> tuple[Float[Tensor, "*batch H W 3"], Bool[Tensor, "*batch H W"]]:
    """Unit normals of human pixels towards the camera, camera axes, from depth; and where they exist.

    Only neighbours of the same person and surface (``SAME_SURFACE``) take part, so that a person's outline has the
    person's normals.

    Args:
        depth: z, metres (any unit does); 0 or NaN where unknown.
        people: index of the person at each pixel, −1 where there is none.
    """
    known = depth.isfinite() & (depth > 0) & (people >= 0)
    points = unproject(torch.where(known, depth, 0.0), intrinsics)
    normals, exist = torch.zeros_like(points), torch.zeros_like(known)
    for person in people[known].unique().tolist():
        mask = known & (people == person)
        found, there = normals_from_points(points, mask, links=link_neighbours(depth, mask, relative_step=SAME_SURFACE))
        normals, exist = normals + found, exist | there
    return normals, exist


def score_normals(
    predicted: Float[Tensor, "*batch T H W 3"],
    true: Float[Tensor, "*batch T H W 3"],
    valid: Bool[Tensor, "*batch T H W"],
) -> NormalScores:
    """Mean angle and share below 11.25° over the valid pixels of a sequence.

    Vectors of any length. A valid pixel whose predicted normal is 0 or NaN scores 90°; one whose true normal is does
    not count.
    """
    predicted, true = predicted.double(), true.double()
    counted = valid & true.isfinite().all(-1) & (true != 0).any(-1)
    made = predicted.isfinite().all(-1) & (predicted != 0).any(-1)
    sine = torch.linalg.cross(predicted, true, dim=-1).norm(dim=-1)
    angle = torch.rad2deg(torch.atan2(sine, (predicted * true).sum(-1)))
    angle = torch.where(made, angle, MISSING_ANGLE_DEG)
    total = counted.sum((-3, -2, -1)).double()
    count = torch.where(total > 0, total, torch.nan)
    return NormalScores(
        mean_angle_deg=torch.where(counted, angle, 0.0).sum((-3, -2, -1)) / count,
        fine_percent=100 * (counted & (angle < FINE_ANGLE_DEG)).sum((-3, -2, -1)) / count,
        num_pixels=total,
    )


def label_body_parts(
    points: Float[Tensor, "N 3"], vertices: Float[Tensor, "V 3"], skin_weights: Float[Tensor, "V 24"]
) -> Int[Tensor, "N"]:
    """Index into ``BODY_PARTS`` of each surface point: the part of the joint that carries the nearest vertex most.

    Raises:
        InputError: the body or a point is NaN.
    """
    if not (points.isfinite().all() and vertices.isfinite().all()):
        raise InputError("points or vertices hold NaN; label the points of posed bodies only")
    part_of = {name: part for part, names in enumerate(BODY_PARTS.values()) for name in names}
    of_joint = torch.tensor([part_of[name] for name in JOINT_NAMES])
    _, nearest = cKDTree(vertices.double().numpy()).query(points.double().numpy())
    return of_joint[skin_weights.argmax(-1)[torch.from_numpy(nearest)]]


def local_depth_error(
    predicted: Float[Tensor, "*batch H W"],
    true: Float[Tensor, "*batch H W"],
    parts: Int[Tensor, "*batch H W"],
    *,
    alignment: DepthAlignment = "scale_shift",
    min_pixels: int = MIN_PART_PIXELS,
) -> Float[Tensor, "*batch"]:
    """Mean |aligned − true| depth, mm, after each part of each frame was aligned by itself (scale and shift).

    It sees relief that is missing or wrong, not where a part stands. In a part without any prediction, and at single
    pixels without one, the part's true median stands in, so that leaving pixels out is never rewarded.

    Args:
        parts: label of each pixel, −1 where there is none; parts of different people need different labels. A part
            with fewer than ``min_pixels`` pixels of known true depth in a frame is left out.
        alignment: of a part, see ``align_depth``.

    Returns:
        Per frame, over the pixels of all its parts; NaN without any.
    """
    batch, size = true.shape[:-2], true.shape[-2] * true.shape[-1]
    ours, theirs = predicted.double().reshape(-1, size), true.double().reshape(-1, size)
    errors = [
        _mean_part_error(found, wanted, labels, alignment, min_pixels)
        for found, wanted, labels in zip(ours, theirs, parts.reshape(-1, size), strict=True)
    ]
    return torch.tensor(errors, dtype=torch.float64).reshape(batch)


def _mean_part_error(
    predicted: Float[Tensor, "N"],
    true: Float[Tensor, "N"],
    parts: Int[Tensor, "N"],
    alignment: DepthAlignment,
    least: int,
) -> float:
    known = (true > 0) & true.isfinite()
    errors = []
    for part in parts[known & (parts >= 0)].unique():
        at = known & (parts == part)
        if int(at.sum()) < least:
            continue
        found, wanted = predicted[at], true[at]
        made = found.isfinite() & (found > 0)
        aligned = align_depth(torch.where(made, found, 0.0), wanted, made, alignment)
        errors.append((torch.where(made, aligned, wanted.median()) - wanted).abs())
    return 1000 * float(torch.cat(errors).mean()) if errors else float("nan")
