"""Pose2Sim's single-person demo: metric bodies from one view, against landmarks triangulated from four."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray

from unish.errors import InputError
from unish.evaluation.metrics import joint_error, joint_error_procrustes
from unish.evaluation.predictor import Predictor, Request
from unish.evaluation.results import Row, mean_of_rows
from unish.reconstruct.report import JOINT_LANDMARKS
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
    """The person who is there in most frames, in camera coordinates, against the truth of the same frames."""
    known = found.frame_indices < len(true_landmarks)
    if found.num_people == 0:
        raise InputError("nobody was found")
    person = int(np.argmax(found.person_valid.sum(1)))
    frames = np.flatnonzero(found.person_valid[person] & known)
    w2c = np.linalg.inv(found.c2w[frames].astype(np.float64))
    joints = found.joints[person, frames] @ w2c[:, :3, :3].transpose(0, 2, 1) + w2c[:, None, :3, 3]
    landmarks = true_landmarks[found.frame_indices[frames]]
    pelvis, true_pelvis = joints[:, HIP_JOINTS].mean(1), landmarks[:, HIP_LANDMARKS].mean(1)
    distance, true_distance = np.linalg.norm(pelvis, axis=-1), np.linalg.norm(true_pelvis, axis=-1)
    error = np.abs(distance / true_distance - 1)
    ours, theirs = (
        torch.from_numpy(points[:, [pair[side] for pair in JOINT_LANDMARKS]]).double()
        for side, points in enumerate((joints, landmarks))
    )
    roots = torch.from_numpy(pelvis).double(), torch.from_numpy(true_pelvis).double()
    return {
        "frames": len(frames),
        "people": found.num_people,
        "pelvis_distance_error_percent": float(100 * error.mean()),
        "pelvis_distance_bias_percent": float(100 * np.median(distance / true_distance - 1)),
        "mpjpe_mm": float(joint_error(ours, theirs, *roots).mean()),
        "pa_mpjpe_mm": float(joint_error_procrustes(ours, theirs).mean()),
    }


POSE2SIM = Pose2SimBenchmark()
