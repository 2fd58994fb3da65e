"""One picture from a car with laser depth: outdoors, where the scale cannot come from people."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from unish.datasets.sequences import read_image, read_values
from unish.evaluation.benchmarks.pictures import clip_of_pictures
from unish.evaluation.benchmarks.rgbd import score_depth_maps
from unish.evaluation.predictor import Predictor, Request
from unish.evaluation.results import Row, mean_of_rows

_METRES_PER_UNIT = 1 / 256


@dataclass(frozen=True, kw_only=True)
class DrivingBenchmark:
    """``rgb/NAME.png`` and ``depth/NAME.png`` (16 bits, ÷ 256 metres, 0 = unknown), as KITTI stores depth.

    Each picture is reconstructed alone, without intrinsics, and scored by ``score_depth_maps``.
    """

    needs: str = "rgb/NAME.png with depth/NAME.png"

    def sequences(self, data: Path) -> list[str]:
        return sorted(path.stem for path in (data / "rgb").glob("*.png") if (data / "depth" / path.name).is_file())

    def score(self, data: Path, sequence: str, predictor: Predictor) -> Row:
        picture = read_image(data / "rgb" / f"{sequence}.png")
        depth = torch.from_numpy(read_values(data / "depth" / f"{sequence}.png") * _METRES_PER_UNIT)
        clip = clip_of_pictures(picture[None], times_s=np.zeros(1), numbers=np.zeros(1, np.int64), name=sequence)
        answer = predictor.predict(Request(name=sequence, source=clip, settings={"people": 0}))
        return score_depth_maps(answer.reconstruction, depth[None])

    def summarise(self, rows: Mapping[str, Row]) -> Row:
        """Means over pictures."""
        return mean_of_rows(list(rows.values()))
