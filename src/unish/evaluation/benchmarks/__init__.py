"""One file per benchmark. A new one fits ``Benchmark`` and takes a line in ``BENCHMARKS``."""

from unish.evaluation.benchmarks.benchmark import Benchmark
from unish.evaluation.benchmarks.clips import CLIPS
from unish.evaluation.benchmarks.labelled import LABELLED
from unish.evaluation.benchmarks.pose2sim import POSE2SIM
from unish.evaluation.benchmarks.rgbd import SEVEN_SCENES, SLAMBOOK2
from unish.evaluation.benchmarks.synthetic import SYNTHETIC

BENCHMARKS: dict[str, Benchmark] = {
    "synthetic": SYNTHETIC,
    "7scenes": SEVEN_SCENES,
    "slambook2": SLAMBOOK2,
    "pose2sim": POSE2SIM,
    "labelled": LABELLED,
    "clips": CLIPS,
}

__all__ = ["BENCHMARKS", "Benchmark"]
