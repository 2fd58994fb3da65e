"""Two pictures of a room from far apart: how well is the second camera found?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float64
from numpy import ndarray

from unish.errors import InputError
from unish.lab.datasets.sequences import read_image
from unish.lab.evaluation.benchmarks.registration import Camera
from unish.lab.evaluation.benchmarks.views import TrueViews, as_pair, ask_about_views, score_views
from unish.lab.evaluation.predictor import Predictor
from unish.lab.evaluation.results import Row, mean_of_rows

_LISTED = "pairs_with_gt.txt"
_NUM_NUMBERS = 2 + 9 + 9 + 16
_SAME_CAMERA = 0.01


@dataclass(frozen=True, kw_only=True)
class _ListedPair:
    pictures: tuple[str, str]
    intrinsics: Float64[ndarray, "2 3 3"]
    c2w: Float64[ndarray, "2 4 4"]


@dataclass(frozen=True, kw_only=True)
class PairsBenchmark:
    """Pictures and ``pairs_with_gt.txt``: name0 name1 rot0 rot1 K0 (9) K1 (9) T_0to1 (16, metres) a line.

    The layout of SuperGlue's evaluation pairs; pairs whose pictures are stored turned (rot not 0) or are missing are
    left out. The cameras are scored, by ``score_views``.

    Attributes:
        give_camera: whether the method is told the true camera.
    """

    give_camera: bool = False
    needs: str = f"{_LISTED} and the pictures that it names"

    def sequences(self, data: Path) -> list[str]:
        return sorted(_read_pairs(data))

    def score(self, data: Path, sequence: str, predictor: Predictor) -> Row:
        pair = _read_pairs(data)[sequence]
        pictures = [read_image(data / name) for name in pair.pictures]
        if pictures[0].shape != pictures[1].shape:
            raise InputError(f"{sequence}: the two pictures have different sizes")
        views = TrueViews(
            name=sequence,
            pictures=np.stack(pictures),
            times_s=np.arange(2) / 1.0,
            numbers=np.arange(2),
            c2w=torch.from_numpy(pair.c2w),
            camera=_shared_camera(pair, sequence),
        )
        row = score_views(ask_about_views(predictor, views, give_camera=self.give_camera), views)
        return {"fov_error_deg": row["fov_error_deg"]} | as_pair(row)

    def summarise(self, rows: Mapping[str, Row]) -> Row:
        """Means over pairs."""
        return mean_of_rows(list(rows.values()))


def _shared_camera(pair: _ListedPair, sequence: str) -> Camera:
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
