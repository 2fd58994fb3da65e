"""Pose2Sim's single-person demo: metric bodies from one view that stands still, against four views together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from unish.errors import InputError
from unish.lab.evaluation.benchmarks.landmark_truth import score_against_landmarks
from unish.lab.evaluation.benchmarks.stillness import score_stillness
from unish.lab.evaluation.predictor import Predictor, Request
from unish.lab.evaluation.results import Row, mean_of_rows

FPS = 12.0
TRUTH = "triangulated_truth.npz"


@dataclass(frozen=True, kw_only=True)
class Pose2SimBenchmark:
    """A folder with ``videos/`` (one per camera, in the order of the truth's cameras) and ``triangulated_truth.npz``.

    The truth holds ``landmarks_world`` (F, 33, 3) in metres and per camera ``w2c_R``, ``w2c_t`` and ``intrinsics``.
    Each view is reconstructed alone, and scored by ``score_against_landmarks``. That compares in the camera's axes and
    cannot see a camera that drifts: these stand on tripods, so ``score_stillness`` is scored too.

    Attributes:
        give_camera: whether the method is told the true intrinsics (their slight distortion is left in).
    """

    give_camera: bool = True
    needs: str = f"videos/ and {TRUTH}"

    def sequences(self, data: Path) -> list[str]:
        return [path.stem for path in _videos(data)] if (data / TRUTH).is_file() else []

    def score(self, data: Path, sequence: str, predictor: Predictor) -> Row:
        videos = _videos(data)
        camera = [path.stem for path in videos].index(sequence)
        with np.load(data / TRUTH, allow_pickle=False) as truth:
            k = truth["intrinsics"][camera]
            true = truth["landmarks_world"] @ truth["w2c_R"][camera].T + truth["w2c_t"][camera]
        given = {"intrinsics": (float(k[0, 0]), float(k[1, 1]), float(k[0, 2]), float(k[1, 2]))}
        settings = {"fps": FPS} | (given if self.give_camera else {})
        found = predictor.predict(Request(name=sequence, source=videos[camera], settings=settings)).reconstruction
        known = found.frame_indices < len(true)
        row = {"people": found.num_people} | score_against_landmarks(found, true, known, found.frame_indices)
        if not row["people_found_share"]:
            raise InputError("nobody was found where the person is")
        return row | score_stillness(found)

    def summarise(self, rows: Mapping[str, Row]) -> Row:
        """Means over views."""
        return mean_of_rows(list(rows.values()))


def _videos(data: Path) -> list[Path]:
    return sorted(path for path in (data / "videos").glob("*") if path.suffix.lower() in {".mp4", ".avi", ".mov"})


POSE2SIM = Pose2SimBenchmark()
