"""Four pictures of Human3.6M: a person's pose and distance from one calibrated view."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float32, Float64
from numpy import ndarray
from torch import Tensor

from unish.body import Body
from unish.body.restricted_pickle import read_pickled_arrays
from unish.errors import InputError
from unish.geometry.rotation import axis_angle_to_matrix
from unish.lab.evaluation.benchmarks.landmark_truth import source_pixels
from unish.lab.evaluation.metrics import find_root, joint_error, joint_error_procrustes, match_people
from unish.lab.evaluation.predictor import Answer, Predictor, Request
from unish.lab.evaluation.results import Row, mean_of_rows
from unish.structs import Reconstruction

_TRUTH, _CAMERAS = "test_h36m.npz", "cameras.pkl"
_SHARED = (
    (1, 3), (2, 2), (4, 4), (5, 1), (7, 5), (8, 0), (16, 9), (17, 8), (18, 10), (19, 7), (20, 11), (21, 6),
)  # fmt: skip
"""(SMPL joint, row of ``S``) of hips, knees, ankles, shoulders, elbows, wrists; ``S`` counts from the right ankle."""


@dataclass(frozen=True, kw_only=True)
class _Truth:
    """Of one picture: joints in the camera (metres) and in the picture, SMPL pose (axis-angle, camera frame)."""

    joints: Float64[ndarray, "12 3"]
    pixels: Float64[ndarray, "12 2"]
    pose: Float32[ndarray, "24 3"]
    intrinsics: tuple[float, float, float, float]


@dataclass(frozen=True, kw_only=True)
class Human36mBenchmark:
    """MMPose's sample: pictures, ``test_h36m.npz`` and ``cameras.pkl``.

    Each picture is reconstructed alone with its true intrinsics (its slight distortion is left in). Columns:
    ``mpjpe_mm`` and ``pa_mpjpe_mm`` on the twelve joints that motion capture and SMPL both have, which differ by some
    centimetres at hips and shoulders: ``true_pose_pa_mpjpe_mm``, our body in the true SMPL pose, is as low as PA-MPJPE
    can sensibly get, and ``rest_pose_pa_mpjpe_mm``, our body with its arms out, is what no method should exceed;
    ``smpl_mpjpe_mm`` on all 24 joints of our body, in the true SMPL pose against ours; distance of the middle of the
    hips.
    """

    needs: str = f"{_TRUTH}, {_CAMERAS} and the pictures that they name"

    def sequences(self, data: Path) -> list[str]:
        if not ((data / _TRUTH).is_file() and (data / _CAMERAS).is_file()):
            return []
        with np.load(data / _TRUTH, allow_pickle=False) as truth:
            return sorted(Path(name).stem for name in truth["imgname"].tolist() if _find_picture(data, name))

    def score(self, data: Path, sequence: str, predictor: Predictor) -> Row:
        truth, picture = _read_truth(data, sequence)
        answer = predictor.predict(
            Request(name=sequence, source=picture, settings={"intrinsics": truth.intrinsics, "max_frames": 1})
        )
        return _score_person(answer, truth)

    def summarise(self, rows: Mapping[str, Row]) -> Row:
        """Means over pictures."""
        return mean_of_rows(list(rows.values()))


def _find_picture(data: Path, name: str) -> Path | None:
    return next(data.rglob(name), None)


def _read_truth(data: Path, sequence: str) -> tuple[_Truth, Path]:
    with np.load(data / _TRUTH, allow_pickle=False) as file:
        names = [str(name) for name in file["imgname"]]
        row = [Path(name).stem for name in names].index(sequence)
        joints, pixels, pose = file["S"][row], file["part"][row], file["pose"][row]
    picture = _find_picture(data, names[row])
    subject, camera = sequence.split("_")[0], sequence.split(".")[1].split("_")[0]
    known: dict[str, Any] = read_pickled_arrays(data / _CAMERAS)
    if picture is None or str((subject, camera)) not in known:
        raise InputError(f"{sequence}: its picture or its camera is missing; copy the sample again")
    (fx, fy), (cx, cy) = (np.ravel(known[str((subject, camera))][name]) for name in ("f", "c"))
    rows = [row for _, row in _SHARED]
    truth = _Truth(
        joints=joints[rows, :3],
        pixels=pixels[rows, :2],
        pose=pose.reshape(24, 3).astype(np.float32),
        intrinsics=(float(fx), float(fy), float(cx), float(cy)),
    )
    return truth, picture


def _score_person(answer: Answer, truth: _Truth) -> Row:
    found = answer.reconstruction
    person = _find_person(found, truth)
    c2w = torch.from_numpy(found.c2w[0]).double()
    ours = (torch.from_numpy(found.joints[person, 0]).double() - c2w[:3, 3]) @ c2w[:3, :3]
    shared, true = ours[[joint for joint, _ in _SHARED]], torch.from_numpy(truth.joints)
    hips, true_hips = find_root(ours), true[:2].mean(0)
    ratio = float(hips.norm() / true_hips.norm())
    smpl, ours_again, rest = _pose_bodies(answer.body, found, person, c2w[:3, :3].float(), truth)
    by_rest, by_true_pose = (x[[joint for joint, _ in _SHARED]].double() for x in (rest, smpl))
    return {
        "people": found.num_people,
        "pelvis_distance_error_percent": 100 * abs(ratio - 1),
        "pelvis_distance_bias_percent": 100 * (ratio - 1),
        "mpjpe_mm": float(joint_error(shared, true, hips, true_hips)),
        "pa_mpjpe_mm": float(joint_error_procrustes(shared, true)),
        "rest_pose_pa_mpjpe_mm": float(joint_error_procrustes(by_rest, true)),
        "true_pose_pa_mpjpe_mm": float(joint_error_procrustes(by_true_pose, true)),
        "smpl_mpjpe_mm": float(joint_error(ours_again, smpl, find_root(ours_again), find_root(smpl))),
    }


def _find_person(found: Reconstruction, truth: _Truth) -> int:
    """The person whose box overlaps most with that of the true joints."""
    corners = np.stack([truth.pixels.min(0), truth.pixels.max(0)]) / source_pixels(found)
    box = corners.reshape(-1).astype(np.float32)
    pairs = match_people(
        torch.from_numpy(found.boxes_xyxy[:, :1]),
        torch.from_numpy(box)[None, None],
        torch.from_numpy(found.person_valid[:, :1]),
        torch.ones(1, 1, dtype=torch.bool),
    )
    if not pairs:
        raise InputError("nobody was found where the person is")
    return pairs[0][0]


def _pose_bodies(
    body: Body, found: Reconstruction, person: int, camera_axes: Float[Tensor, "3 3"], truth: _Truth
) -> tuple[Float[Tensor, "24 3"], Float[Tensor, "24 3"], Float[Tensor, "24 3"]]:
    """Our body in the camera frame, in the true pose, in our pose and at rest; positions up to a shift."""
    rest = body.rest_joints(torch.from_numpy(found.betas[person]))
    true = axis_angle_to_matrix(torch.from_numpy(truth.pose))
    ours = axis_angle_to_matrix(torch.from_numpy(found.body_pose_aa[person, 0].reshape(23, 3)))
    turned = camera_axes.mT @ axis_angle_to_matrix(torch.from_numpy(found.global_orient_aa[person, 0]))
    return body.pose(rest, true[0], true[1:]).positions, body.pose(rest, turned, ours).positions, rest
