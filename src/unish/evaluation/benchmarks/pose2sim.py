"""Pose2Sim's single-person demo: metric bodies from one view, against landmarks triangulated from four."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float
from numpy import ndarray

from unish.errors import InputError
from unish.evaluation.metrics import joint_error, joint_error_procrustes
from unish.evaluation.predictor import Predictor, Request
from unish.evaluation.results import Row, mean_of_rows
from unish.reconstruction.report import JOINT_LANDMARKS
from unish.structs import Reconstruction

FPS = 12.0
TRUTH = "triangulated_truth.npz"
HIP_LANDMARKS = [23, 24]
HIP_JOINTS = [1, 2]


class Pose2SimBenchmark:
    """A folder with ``videos/`` (one per camera, in the order of the truth's cameras) and ``triangulated_truth.npz``.

    The truth holds ``landmarks_world`` (F, 33, 3) in metres and per camera ``w2c_R``, ``w2c_t`` and ``intrinsics``.
    Each view is reconstructed alone with its true intrinsics. Pose is compared on hips, knees, ankles, shoulders,
    elbows and wrists: SMPL joints against BlazePose landmarks, which do not mean exactly the same points. Distance is
    that of the middle of the hips from the camera.
    """

    needs = f"videos/ and {TRUTH}"

    def sequences(self, data: Path) -> list[str]:
        return [path.stem for path in _videos(data)] if (data / TRUTH).is_file() else []

    def score(self, data: Path, sequence: str, predictor: Predictor) -> Row:
        videos = _videos(data)
        camera = [path.stem for path in videos].index(sequence)
        with np.load(data / TRUTH, allow_pickle=False) as truth:
            k = truth["intrinsics"][camera]
            true = truth["landmarks_world"] @ truth["w2c_R"][camera].T + truth["w2c_t"][camera]
        answer = predictor.predict(
            Request(
                name=sequence,
                source=videos[camera],
                settings={"fps": FPS, "intrinsics": (float(k[0, 0]), float(k[1, 1]), float(k[0, 2]), float(k[1, 2]))},
            )
        )
        return _score_view(answer.reconstruction, true)

    def summarise(self, rows: Mapping[str, Row]) -> Row:
        """Means over views."""
        return mean_of_rows(list(rows.values()))


def _videos(data: Path) -> list[Path]:
    return sorted(path for path in (data / "videos").glob("*") if path.suffix.lower() in {".mp4", ".avi", ".mov"})


def _score_view(found: Reconstruction, true_landmarks: Float[ndarray, "F 33 3"]) -> Row:
    """The person whose hips are seen nearest to the true ones, in camera coordinates, against the same frames' truth.

    Only directions decide who is compared: the picture may show others (one view has a life-size figure in it).
    """
    known = found.frame_indices < len(true_landmarks)
    candidates = [_hips_and_joints(found, person, known, true_landmarks) for person in range(found.num_people)]
    candidates = [candidate for candidate in candidates if len(candidate[0])]
    if not candidates:
        raise InputError("nobody was found")
    joints, landmarks = min(candidates, key=_angle_between_hips)
    frames = len(joints)
    pelvis, true_pelvis = joints[:, HIP_JOINTS].mean(1), landmarks[:, HIP_LANDMARKS].mean(1)
    distance, true_distance = np.linalg.norm(pelvis, axis=-1), np.linalg.norm(true_pelvis, axis=-1)
    error = np.abs(distance / true_distance - 1)
    ours, theirs = (
        torch.from_numpy(points[:, [pair[side] for pair in JOINT_LANDMARKS]]).double()
        for side, points in enumerate((joints, landmarks))
    )
    roots = torch.from_numpy(pelvis).double(), torch.from_numpy(true_pelvis).double()
    return {
        "frames": frames,
        "people": found.num_people,
        "pelvis_distance_error_percent": float(100 * error.mean()),
        "pelvis_distance_bias_percent": float(100 * np.median(distance / true_distance - 1)),
        "mpjpe_mm": float(joint_error(ours, theirs, *roots).mean()),
        "pa_mpjpe_mm": float(joint_error_procrustes(ours, theirs).mean()),
    }


def _hips_and_joints(
    found: Reconstruction, person: int, known: Bool[ndarray, "T"], true_landmarks: Float[ndarray, "F 33 3"]
) -> tuple[Float[ndarray, "K 24 3"], Float[ndarray, "K 33 3"]]:
    """Joints of one person in camera coordinates and the true landmarks of the same frames."""
    frames = np.flatnonzero(found.person_valid[person] & known)
    w2c = np.linalg.inv(found.c2w[frames].astype(np.float64))
    joints = found.joints[person, frames] @ w2c[:, :3, :3].transpose(0, 2, 1) + w2c[:, None, :3, 3]
    return joints, true_landmarks[found.frame_indices[frames]].astype(np.float64)


def _angle_between_hips(candidate: tuple[Float[ndarray, "K 24 3"], Float[ndarray, "K 33 3"]]) -> float:
    joints, landmarks = candidate
    ours, theirs = joints[:, HIP_JOINTS].mean(1), landmarks[:, HIP_LANDMARKS].mean(1)
    cosine = (ours * theirs).sum(-1) / np.linalg.norm(ours, axis=-1) / np.linalg.norm(theirs, axis=-1)
    return float(np.median(np.arccos(np.clip(cosine, -1, 1))))


POSE2SIM = Pose2SimBenchmark()
