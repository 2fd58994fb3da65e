"""Places with true depth, true cameras or both: one layout for all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float64
from numpy import ndarray

from unish.errors import InputError
from unish.io.depth_maps import read_values
from unish.lab.datasets.sequences import read_image
from unish.lab.evaluation.benchmarks.rgbd import CLIP_FRAMES
from unish.lab.evaluation.benchmarks.views import TrueViews, as_pair, ask_about_views, score_views
from unish.lab.evaluation.predictor import Predictor
from unish.lab.evaluation.results import Row, mean_of_rows

_METRES_PER_UNIT = 1 / 1000
_CLIP, _PAIR, _PICTURE = "clip", "pair", "picture"


@dataclass(frozen=True, kw_only=True)
class PlaceBenchmark:
    """One place: ``rgb/NNN.jpg``, ``intrinsics.txt``, and as far as they are known ``depth/``, ``poses.txt``, pairs.

    ``depth/NNN.png`` holds millimetres (0 = unknown; it may be as sparse as a laser's); ``poses.txt`` a 4×4 matrix
    camera to world a line (row by row, OpenCV axes); ``intrinsics.txt`` fx fy cx cy of the stored pictures, one line
    for all or one each; ``pairs.txt`` the names of two pictures far apart at the start of each line.

    With poses there are sequences of two kinds. ``clip-NNN``: about four pictures in a row of one camera, all pictures
    in some clip; depth, cameras and field of view are scored. ``pair-NNN-MMM``: two pictures from far apart, of which
    the cameras alone are scored, under names that begin with ``pair_``. Without poses every ``picture-NNN`` is
    reconstructed alone. A pair of two cameras is left out: one clip has one.

    Attributes:
        give_camera: whether the method is told the true camera.
        is_metric: poses are in metres.
    """

    give_camera: bool = False
    is_metric: bool = True
    needs: str = "rgb/NNN.jpg and intrinsics.txt"

    def sequences(self, data: Path) -> list[str]:
        if not ((data / "rgb").is_dir() and (data / "intrinsics.txt").is_file()):
            return []
        return list(_list_sequences(data))

    def score(self, data: Path, sequence: str, predictor: Predictor) -> Row:
        views = self.read_views(data, sequence)
        row = score_views(ask_about_views(predictor, views, give_camera=self.give_camera), views)
        return as_pair(row) if sequence.startswith(_PAIR) else row

    def read_views(self, data: Path, sequence: str) -> TrueViews:
        """The pictures of a sequence, and what is true of them."""
        return read_views(data, sequence, _list_sequences(data)[sequence], is_metric=self.is_metric)

    def summarise(self, rows: Mapping[str, Row]) -> Row:
        """Means over the sequences of each kind."""
        return mean_of_rows(list(rows.values()))


def read_views(data: Path, name: str, chosen: Sequence[int], *, is_metric: bool = True) -> TrueViews:
    """Pictures of one camera of a place, by their numbers from 0, and all that is known about them."""
    pictures = _list_pictures(data)
    depths = [data / "depth" / f"{pictures[number].stem}.png" for number in chosen]
    depth = None
    if all(path.is_file() for path in depths):
        depth = torch.from_numpy(np.stack([read_values(path) for path in depths]) * _METRES_PER_UNIT)
    poses = _read_poses(data)
    fx, fy, cx, cy = _read_cameras(data)[chosen[0]]
    return TrueViews(
        name=name,
        pictures=np.stack([read_image(pictures[number]) for number in chosen]),
        times_s=np.arange(len(chosen)) / 1.0,
        numbers=np.array(chosen),
        depth=depth,
        c2w=None if poses is None else torch.from_numpy(poses[list(chosen)]),
        camera=(float(fx), float(fy), float(cx), float(cy)),
        is_metric=is_metric,
    )


def _list_pictures(data: Path) -> list[Path]:
    return sorted((data / "rgb").glob("*.jpg"))


def _list_sequences(data: Path) -> dict[str, tuple[int, ...]]:
    """By name, which pictures (from 0) belong to it."""
    names = [path.stem for path in _list_pictures(data)]
    if _read_poses(data) is None:
        return {f"{_PICTURE}-{name}": (number,) for number, name in enumerate(names)}
    cameras = _read_cameras(data)
    _, kinds = np.unique(cameras, axis=0, return_inverse=True)
    clips = {}
    for kind in range(kinds.max() + 1):
        same = np.flatnonzero(kinds.reshape(-1) == kind).tolist()
        borders = np.linspace(0, len(same), max(1, len(same) // CLIP_FRAMES) + 1).round().astype(int).tolist()
        for start, end in pairwise(borders):
            if end - start > 1:
                clips[f"{_CLIP}-{names[same[start]]}"] = tuple(same[start:end])
    pairs = {
        f"{_PAIR}-{names[i]}-{names[j]}": (i, j)
        for i, j in _read_pairs(data / "pairs.txt", names)
        if (cameras[i] == cameras[j]).all()
    }
    return dict(sorted(clips.items())) | pairs


def _read_pairs(path: Path, names: list[str]) -> list[tuple[int, int]]:
    lines = path.read_text().splitlines() if path.is_file() else []
    words = [line.split()[:2] for line in lines if line.strip() and not line.startswith("#")]
    try:
        return [(names.index(Path(first).stem), names.index(Path(second).stem)) for first, second in words]
    except ValueError:
        raise InputError(f"{path}: names a picture that is not in rgb/; copy the sample again") from None


def _read_table(path: Path, columns: int) -> Float64[ndarray, "R C"]:
    try:
        return np.loadtxt(path, ndmin=2, dtype=np.float64).reshape(-1, columns)
    except (OSError, ValueError):
        raise InputError(f"{path}: does not hold {columns} numbers a line; copy the sample again") from None


def _read_cameras(data: Path) -> Float64[ndarray, "N 4"]:
    """fx, fy, cx, cy of every picture."""
    count, table = len(_list_pictures(data)), _read_table(data / "intrinsics.txt", 4)
    if len(table) not in (1, count):
        raise InputError(f"{data / 'intrinsics.txt'}: {len(table)} cameras for {count} pictures; copy the sample again")
    return np.broadcast_to(table, (count, 4))


def _read_poses(data: Path) -> Float64[ndarray, "N 4 4"] | None:
    """Camera to world; ``None`` where nothing is known."""
    path = data / "poses.txt"
    if not path.is_file():
        return None
    poses, count = _read_table(path, 16).reshape(-1, 4, 4), len(_list_pictures(data))
    if len(poses) != count:
        raise InputError(f"{path}: {len(poses)} poses for {count} pictures; copy the sample again")
    return poses
