"""Calibrated cameras on a wall around a man with a board: do they stand still, and where are his hands?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from unish.lab.evaluation.benchmarks.landmark_truth import joints_in_camera
from unish.lab.evaluation.benchmarks.lenses import undistort
from unish.lab.evaluation.benchmarks.stillness import score_stillness
from unish.lab.evaluation.predictor import Predictor, Request
from unish.lab.evaluation.results import Row, mean_of_rows
from unish.structs import Reconstruction
from unish.video import read_clip

_TRUTH = "cameras_and_board.npz"
NUM_FRAMES = 12
FPS = 6.0
_WRISTS = [20, 21]


@dataclass(frozen=True, kw_only=True)
class FixedViewsBenchmark:
    """Caliscope's session: ``cam_N.mp4`` and ``cameras_and_board.npz`` with the corners of a board by frame, metres.

    The pictures are freed of their strong distortion. Nobody's joints are known, but the man holds the board, so his
    nearer wrist is beside it: ``hand_to_board_cm`` from the nearest corner (a hand's width is right), and
    ``hand_distance_error_percent``, the distance of that wrist from the camera against that of that corner. Two of the
    cameras are mounted turned: who finds nobody there is not to blame, and only the stillness of the camera counts.

    Attributes:
        give_camera: whether the method is told the true camera.
    """

    give_camera: bool = False
    needs: str = f"cam_N.mp4 and {_TRUTH}"

    def sequences(self, data: Path) -> list[str]:
        return sorted(path.stem for path in data.glob("cam_*.mp4")) if (data / _TRUTH).is_file() else []

    def score(self, data: Path, sequence: str, predictor: Predictor) -> Row:
        number = int(sequence.rsplit("_", 1)[1])
        with np.load(data / _TRUTH, allow_pickle=False) as truth:
            k, distortion = truth["K"][number], truth["dist"][number]
            board = truth["board_corners_world"] @ truth["w2c_R"][number].T + truth["w2c_t"][number]
        clip = read_clip(data / f"{sequence}.mp4", fps=FPS, max_frames=NUM_FRAMES)
        clip = replace(clip, images=undistort(clip.images, k, distortion))
        camera = (float(k[0, 0]), float(k[1, 1]), float(k[0, 2]), float(k[1, 2]))
        settings = {"intrinsics": camera} if self.give_camera else {}
        found = predictor.predict(Request(name=sequence, source=clip, settings=settings)).reconstruction
        return {"people": found.num_people, **score_stillness(found), **_score_hands(found, board)}

    def summarise(self, rows: Mapping[str, Row]) -> Row:
        """Means over views; of hands, over those in which somebody was found."""
        return mean_of_rows(list(rows.values()))


def _score_hands(found: Reconstruction, board: Float[ndarray, "F 12 3"]) -> Row:
    """Medians over the frames of the person who is nearest to the board; nothing without a person."""
    gaps = []
    for person in range(found.num_people):
        frames = np.flatnonzero(found.person_valid[person] & (found.frame_indices < len(board)))
        if len(frames):
            wrists = joints_in_camera(found, person, frames)[:, _WRISTS]
            gaps.append(_nearest(wrists, board[found.frame_indices[frames]]))
    gaps = [gap for gap in gaps if len(gap)]
    if not gaps:
        return {}
    best = min(gaps, key=lambda gap: float(np.median(gap[:, 0])))
    return {
        "hand_to_board_cm": float(100 * np.median(best[:, 0])),
        "hand_distance_error_percent": float(100 * np.median(np.abs(best[:, 1] - 1))),
    }


def _nearest(wrists: Float[ndarray, "K 2 3"], corners: Float[ndarray, "K 12 3"]) -> Float[ndarray, "M 2"]:
    """Of each frame with a board: distance (m) from wrist to corner, and their ratio of distances from the camera."""
    rows = []
    for hands, points in zip(wrists, corners, strict=True):
        seen = points[np.isfinite(points).all(1)]
        if len(seen):
            between = np.linalg.norm(hands[:, None] - seen[None], axis=-1)
            hand, corner = np.unravel_index(between.argmin(), between.shape)
            rows.append((between.min(), np.linalg.norm(hands[hand]) / np.linalg.norm(seen[corner])))
    return np.array(rows, np.float64).reshape(-1, 2)
