"""People against triangulated landmarks, in the axes of one calibrated camera."""

from __future__ import annotations

import math

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64
from numpy import ndarray

from unish.lab.evaluation.metrics import joint_error, joint_error_procrustes
from unish.lab.evaluation.results import Row
from unish.reconstruction.report import JOINT_PAIRS
from unish.structs import Reconstruction

HIP_LANDMARKS = [23, 24]
HIP_JOINTS = [1, 2]
SAME_PERSON_DEG = 10.0
"""Somebody whose hips are seen farther from the true ones is somebody else: half a metre at three metres."""


def source_pixels(found: Reconstruction) -> Float64[ndarray, "2"]:
    """How many pixels of the source one pixel of the processed picture is wide and high.

    The sides of processed pictures are rounded to whole cells of the network, each by itself: by up to 2 % unalike.
    """
    return (found.source_size[::-1] / found.image_size[::-1]).astype(np.float64)


def score_against_landmarks(
    found: Reconstruction, true_landmarks: Float[ndarray, "F 33 3"], known: Bool[ndarray, "T"], rows: ndarray
) -> Row:
    """The person whose hips are seen nearest to the true ones, in camera coordinates, against the same frames' truth.

    Only directions decide who is compared: the picture may show others. Pose is compared on hips, knees, ankles,
    shoulders, elbows and wrists: SMPL joints against BlazePose landmarks, which do not mean exactly the same points.
    Distance is that of the middle of the hips from the camera.

    Args:
        true_landmarks: BlazePose landmarks in the camera's axes, metres; NaN where unknown (hips must be known).
        known: which used frames have a truth.
        rows: (T,) for each used frame its row in ``true_landmarks``.

    Returns:
        ``people_found_share`` 0 where nobody is seen within ``SAME_PERSON_DEG`` of the true person; otherwise 1, and
        errors.
    """
    candidates = [_person(found, person, known, true_landmarks, rows) for person in range(found.num_people)]
    candidates = [candidate for candidate in candidates if len(candidate[0])]
    best = min(candidates, key=_angle_between_hips, default=None)
    if best is None or _angle_between_hips(best) > math.radians(SAME_PERSON_DEG):
        return {"people_found_share": 0}
    joints, landmarks = best
    pelvis, true_pelvis = joints[:, HIP_JOINTS].mean(1), landmarks[:, HIP_LANDMARKS].mean(1)
    ratio = np.linalg.norm(pelvis, axis=-1) / np.linalg.norm(true_pelvis, axis=-1)
    pairs = [pair for pair in JOINT_PAIRS if np.isfinite(landmarks[:, pair[1]]).all()]
    ours, theirs = (
        torch.from_numpy(points[:, [pair[side] for pair in pairs]]).double()
        for side, points in enumerate((joints, landmarks))
    )
    roots = torch.from_numpy(pelvis).double(), torch.from_numpy(true_pelvis).double()
    return {
        "people_found_share": 1,
        "frames": len(joints),
        "pelvis_distance_error_percent": float(100 * np.abs(ratio - 1).mean()),
        "pelvis_distance_bias_percent": float(100 * np.median(ratio - 1)),
        "mpjpe_mm": float(joint_error(ours, theirs, *roots).mean()),
        "pa_mpjpe_mm": float(joint_error_procrustes(ours, theirs).mean()),
    }


def joints_in_camera(found: Reconstruction, person: int, frames: ndarray) -> Float[ndarray, "K 24 3"]:
    """Joints of one person in the camera of each of these frames, metres."""
    w2c = np.linalg.inv(found.c2w[frames].astype(np.float64))
    return found.joints[person, frames] @ w2c[:, :3, :3].transpose(0, 2, 1) + w2c[:, None, :3, 3]


def _person(
    found: Reconstruction,
    person: int,
    known: Bool[ndarray, "T"],
    true_landmarks: Float[ndarray, "F 33 3"],
    rows: ndarray,
) -> tuple[Float[ndarray, "K 24 3"], Float[ndarray, "K 33 3"]]:
    """Joints of one person in camera coordinates and the true landmarks of the same frames."""
    frames = np.flatnonzero(found.person_valid[person] & known)
    return joints_in_camera(found, person, frames), true_landmarks[rows[frames]].astype(np.float64)


def _angle_between_hips(candidate: tuple[Float[ndarray, "K 24 3"], Float[ndarray, "K 33 3"]]) -> float:
    joints, landmarks = candidate
    ours, theirs = joints[:, HIP_JOINTS].mean(1), landmarks[:, HIP_LANDMARKS].mean(1)
    cosine = (ours * theirs).sum(-1) / np.linalg.norm(ours, axis=-1) / np.linalg.norm(theirs, axis=-1)
    return float(np.median(np.arccos(np.clip(cosine, -1, 1))))
