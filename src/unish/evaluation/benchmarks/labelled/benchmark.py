"""Many small labelled samples as one benchmark: a table per sample, one run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from unish.errors import InputError
from unish.evaluation.benchmarks.benchmark import Benchmark
from unish.evaluation.benchmarks.labelled.driving import DrivingBenchmark
from unish.evaluation.benchmarks.labelled.human36m import Human36mBenchmark
from unish.evaluation.benchmarks.labelled.keypoints import KeypointsBenchmark
from unish.evaluation.benchmarks.labelled.masks import MasksBenchmark
from unish.evaluation.benchmarks.labelled.pairs import PairsBenchmark
from unish.evaluation.benchmarks.labelled.room import RoomBenchmark
from unish.evaluation.benchmarks.pose2sim import POSE2SIM
from unish.evaluation.benchmarks.rgbd import SEVEN_SCENES, SLAMBOOK2
from unish.evaluation.predictor import Answer, Predictor, Request
from unish.evaluation.results import Row


@dataclass(frozen=True, kw_only=True)
class Part:
    """One sample.

    Attributes:
        name: what its sequences begin with.
        folder: under the labelled folder.
    """

    name: str
    folder: str
    benchmark: Benchmark


@dataclass(frozen=True, kw_only=True)
class _RenamingPredictor:
    """Asks for ``part/sequence``, so that finished files of two samples never meet."""

    predictor: Predictor
    part: str

    @property
    def fingerprint(self) -> str:
        return self.predictor.fingerprint

    def predict(self, request: Request) -> Answer:
        return self.predictor.predict(replace(request, name=f"{self.part}/{request.name}"))


@dataclass(frozen=True, kw_only=True)
class LabelledBenchmark:
    """A folder of samples, each in a sub-folder in the layout in which its authors publish it.

    A sequence is called ``part/sequence``. A sample whose folder is missing or holds nothing is left out, and the
    summary names it under ``not_measured``. Columns of the summary are called ``part/column``.
    """

    parts: tuple[Part, ...]

    @property
    def needs(self) -> str:
        return "one or more of the folders " + ", ".join(dict.fromkeys(part.folder for part in self.parts))

    def sequences(self, data: Path) -> list[str]:
        return [
            f"{part.name}/{name}"
            for part in self.parts
            if (data / part.folder).is_dir()
            for name in part.benchmark.sequences(data / part.folder)
        ]

    def score(self, data: Path, sequence: str, predictor: Predictor) -> Row:
        name, _, rest = sequence.partition("/")
        part = next((part for part in self.parts if part.name == name), None)
        if part is None:
            raise InputError(f"{sequence}: there is no labelled sample {name!r}")
        return part.benchmark.score(data / part.folder, rest, _RenamingPredictor(predictor=predictor, part=name))

    def summarise(self, rows: Mapping[str, Row]) -> Row:
        """The summary of each sample, and which samples had nothing to summarise."""
        summary: Row = {}
        for part in self.parts:
            own = {name: row for name, row in rows.items() if name.startswith(f"{part.name}/")}
            if own:
                summary |= {f"{part.name}/{column}": value for column, value in part.benchmark.summarise(own).items()}
        missing = [part.name for part in self.parts if not any(name.startswith(f"{part.name}/") for name in rows)]
        return summary | ({"not_measured": missing} if missing else {})


LABELLED = LabelledBenchmark(
    parts=(
        Part(name="7scenes", folder="7scenes_redkitchen", benchmark=SEVEN_SCENES),
        # The sample holds every 8th frame of its recording: every third file is every 24th frame.
        Part(name="7scenes_far", folder="7scenes_redkitchen", benchmark=replace(SEVEN_SCENES, every=3)),
        Part(name="slambook2", folder="slambook2_rgbd", benchmark=SLAMBOOK2),
        Part(name="pi3_room", folder="pi3_room", benchmark=RoomBenchmark()),
        Part(name="scannet_pairs", folder="scannet_pairs", benchmark=PairsBenchmark(give_intrinsics=False)),
        Part(name="scannet_pairs_k", folder="scannet_pairs", benchmark=PairsBenchmark(give_intrinsics=True)),
        Part(name="kitti", folder="kitti_demo", benchmark=DrivingBenchmark()),
        Part(name="h36m", folder="mmpose_h36m", benchmark=Human36mBenchmark()),
        Part(name="coco", folder="mmpose_coco_crowd/coco", benchmark=KeypointsBenchmark(listed="test_coco.json")),
        Part(
            name="crowdpose",
            folder="mmpose_coco_crowd/crowdpose",
            benchmark=KeypointsBenchmark(listed="test_crowdpose.json"),
        ),
        Part(name="pose2sim", folder="pose2sim_single", benchmark=POSE2SIM),
        Part(name="davis_masks", folder="davis_masks", benchmark=MasksBenchmark()),
    )
)
