"""One picture from a car with laser depth: outdoors, where the scale cannot come from people."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from unish.errors import InputError
from unish.io.depth_maps import read_values
from unish.lab.datasets.sequences import read_image
from unish.lab.evaluation.benchmarks.registration import Camera
from unish.lab.evaluation.benchmarks.views import TrueViews, ask_about_views, score_views
from unish.lab.evaluation.predictor import Predictor
from unish.lab.evaluation.results import Row, mean_of_rows

_METRES_PER_UNIT = 1 / 256
_LISTED = "test_annotations.json"


@dataclass(frozen=True, kw_only=True)
class DrivingBenchmark:
    """``rgb/NAME.png``, ``depth/NAME.png`` (16 bits, ÷ 256 metres, 0 = unknown, as KITTI stores it) and their cameras.

    Each picture is reconstructed alone and scored by ``score_views``. ``test_annotations.json`` names for each picture
    ``cam_in``: fx, fy, cx, cy.

    Attributes:
        give_camera: whether the method is told the true camera.
    """

    give_camera: bool = False
    needs: str = f"rgb/NAME.png with depth/NAME.png, and {_LISTED}"

    def sequences(self, data: Path) -> list[str]:
        return sorted(path.stem for path in (data / "rgb").glob("*.png") if (data / "depth" / path.name).is_file())

    def score(self, data: Path, sequence: str, predictor: Predictor) -> Row:
        depth = torch.from_numpy(read_values(data / "depth" / f"{sequence}.png") * _METRES_PER_UNIT)
        views = TrueViews(
            name=sequence,
            pictures=read_image(data / "rgb" / f"{sequence}.png")[None],
            times_s=np.zeros(1),
            numbers=np.zeros(1, np.int64),
            depth=depth[None],
            camera=_read_camera(data / _LISTED, sequence),
        )
        return score_views(ask_about_views(predictor, views, give_camera=self.give_camera), views)

    def summarise(self, rows: Mapping[str, Row]) -> Row:
        """Means over pictures."""
        return mean_of_rows(list(rows.values()))


def _read_camera(path: Path, sequence: str) -> Camera:
    try:
        listed = json.loads(path.read_text())["files"]
        fx, fy, cx, cy = next(one["cam_in"] for one in listed if Path(one["rgb"]).stem == sequence)
        return float(fx), float(fy), float(cx), float(cy)
    except (OSError, ValueError, KeyError, TypeError, StopIteration):
        raise InputError(f"{path}: names no camera for {sequence}; copy the sample again") from None
