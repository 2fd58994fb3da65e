"""One file per benchmark. A new one fits ``Benchmark`` and takes a line in ``BENCHMARKS``."""

from unish.evaluation.benchmarks.benchmark import Benchmark
from unish.evaluation.benchmarks.clips import CLIPS
from unish.evaluation.benchmarks.pose2sim import POSE2SIM
from unish.evaluation.benchmarks.seven_scenes import SEVEN_SCENES
from unish.evaluation.benchmarks.synthetic import SYNTHETIC

BENCHMARKS: dict[str, Benchmark] = {
    "synthetic": SYNTHETIC,
    "7scenes": SEVEN_SCENES,
    "pose2sim": POSE2SIM,
    "clips": CLIPS,
}

__all__ = ["BENCHMARKS", "Benchmark"]
