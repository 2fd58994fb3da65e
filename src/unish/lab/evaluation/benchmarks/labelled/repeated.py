"""One picture over and over: a camera that cannot have moved."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from unish.lab.evaluation.benchmarks.labelled.places import read_views
from unish.lab.evaluation.benchmarks.stillness import score_stillness
from unish.lab.evaluation.benchmarks.views import ask_about_views
from unish.lab.evaluation.predictor import Predictor
from unish.lab.evaluation.results import Row, mean_of_rows

NUM_FRAMES = 6
FPS = 6.0


@dataclass(frozen=True, kw_only=True)
class RepeatedBenchmark:
    """A folder of places (see ``PlaceBenchmark``): the first picture of each, ``NUM_FRAMES`` times.

    Whatever a method makes of it, its cameras must all be the same: ``score_stillness`` must be exactly 0.

    Attributes:
        places: which folders; pictures of several shapes and lenses.
        give_camera: whether the method is told the true camera.
    """

    places: tuple[str, ...]
    give_camera: bool = False

    @property
    def needs(self) -> str:
        return "one or more of " + ", ".join(self.places)

    def sequences(self, data: Path) -> list[str]:
        return [place for place in self.places if (data / place / "rgb").is_dir()]

    def score(self, data: Path, sequence: str, predictor: Predictor) -> Row:
        one = read_views(data / sequence, sequence, [0])
        views = replace(
            one,
            pictures=np.repeat(one.pictures, NUM_FRAMES, 0),
            times_s=np.arange(NUM_FRAMES) / FPS,
            numbers=np.arange(NUM_FRAMES),
            depth=None,
            c2w=None,
        )
        return score_stillness(ask_about_views(predictor, views, give_camera=self.give_camera))

    def summarise(self, rows: Mapping[str, Row]) -> Row:
        """Means over places."""
        return mean_of_rows(list(rows.values()))
