"""Two pictures of a room from far apart: how well is the second camera found?"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float64
from numpy import ndarray

from unish.datasets.sequences import read_image
from unish.errors import InputError
from unish.evaluation.benchmarks.pictures import clip_of_pictures
from unish.evaluation.benchmarks.rgbd import turn_error
from unish.evaluation.predictor import Predictor, Request
from unish.evaluation.results import Row, mean_of_rows

_LISTED = "pairs_with_gt.txt"
_NUM_NUMBERS = 2 + 9 + 9 + 16
_SAME_CAMERA = 0.01
NO_DIRECTION_DEG = 90.0
"""Error of a camera that is said not to have moved: what a direction drawn at random misses on average."""


@dataclass(frozen=True, kw_only=True)
class _ListedPair:
    pictures: tuple[str, str]
    intrinsics: Float64[ndarray, "2 3 3"]
    c2w: Float64[ndarray, "2 4 4"]


@dataclass(frozen=True, kw_only=True)
class PairsBenchmark:
    """Pictures and ``pairs_with_gt.txt``: name0 name1 rot0 rot1 K0 (9) K1 (9) T_0to1 (16, metres) a line.

    The layout of SuperGlue's evaluation pairs; pairs whose pictures are stored turned (rot not 0) or are missing are
    left out. The direction is that of the second camera's centre seen from the first camera, so that a wrong rotation
    does not spoil it, and it has a sign: the opposite direction is 180° off (epipolar evaluations fold it to 0°).

    Attributes:
        give_intrinsics: whether the method is told the true camera.
    """

    give_intrinsics: bool
    needs: str = f"{_LISTED} and the pictures that it names"

    def sequences(self, data: Path) -> list[str]:
        return sorted(_read_pairs(data))

    def score(self, data: Path, sequence: str, predictor: Predictor) -> Row:
        pair = _read_pairs(data)[sequence]
        pictures = [read_image(data / name) for name in pair.pictures]
        if pictures[0].shape != pictures[1].shape:
            raise InputError(f"{sequence}: the two pictures have different sizes")
        clip = clip_of_pictures(
            np.stack(pictures), times_s=np.arange(2) / 1.0, numbers=np.arange(2), name=sequence.split("_frame")[0]
        )
        given = {"intrinsics": _shared_camera(pair, sequence)} if self.give_intrinsics else {}
        answer = predictor.predict(Request(name=sequence, source=clip, settings={"people": 0, **given}))
        found = answer.reconstruction
        if found.num_frames != 2:
            raise InputError(f"{found.num_frames} frames came back instead of 2")
        c2w, true = torch.from_numpy(found.c2w).double(), torch.from_numpy(pair.c2w)
        move, true_move = (np.linalg.inv(poses[0])[:3] @ poses[1][:, 3] for poses in (c2w.numpy(), true.numpy()))
        return {
            "turn_error_deg": turn_error(c2w, true),
            "identity_turn_error_deg": turn_error(torch.eye(4).expand_as(true), true),
            "direction_error_deg": _angle_deg(move, true_move),
            "move_length_ratio": float(np.linalg.norm(move) / np.linalg.norm(true_move)),
        }

    def summarise(self, rows: Mapping[str, Row]) -> Row:
        """Means over pairs."""
        return mean_of_rows(list(rows.values()))


def _angle_deg(move: Float64[ndarray, "3"], true_move: Float64[ndarray, "3"]) -> float:
    length = float(np.linalg.norm(move))
    if length < 1e-6:
        return NO_DIRECTION_DEG
    cosine = float(move @ true_move) / length / float(np.linalg.norm(true_move))
    return math.degrees(math.acos(min(1.0, max(-1.0, cosine))))


def _shared_camera(pair: _ListedPair, sequence: str) -> tuple[float, float, float, float]:
    first, second = pair.intrinsics
    if np.abs(second - first).max() > _SAME_CAMERA * first[0, 0]:
        raise InputError(f"{sequence}: the two pictures have different cameras, and one clip has one")
    return float(first[0, 0]), float(first[1, 1]), float(first[0, 2]), float(first[1, 2])


def _read_pairs(data: Path) -> dict[str, _ListedPair]:
    listed = data / _LISTED
    pairs = {}
    for line in listed.read_text().splitlines() if listed.is_file() else []:
        first, second, *words = line.split() or ("", "")
        try:
            numbers = np.array(words, np.float64)
        except ValueError:
            raise InputError(f"{listed}: a line holds words where numbers belong; copy the file again") from None
        usable = (data / first).is_file() and (data / second).is_file()
        if len(numbers) != _NUM_NUMBERS or not usable or numbers[:2].any():
            continue
        first_to_second = numbers[20:].reshape(4, 4)
        pairs[f"{Path(first).stem}-{Path(second).stem}"] = _ListedPair(
            pictures=(first, second),
            intrinsics=numbers[2:20].reshape(2, 3, 3),
            c2w=np.stack([np.eye(4), np.linalg.inv(first_to_second)]),
        )
    return pairs
