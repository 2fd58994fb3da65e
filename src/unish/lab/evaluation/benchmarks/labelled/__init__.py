"""The labelled samples that lie beside the project, each a small benchmark of its own, run as one."""

from unish.lab.evaluation.benchmarks.labelled.benchmark import Fold, LabelledBenchmark, Part
from unish.lab.evaluation.benchmarks.labelled.samples import KNOWN_CAMERA, LABELLED

__all__ = ["KNOWN_CAMERA", "LABELLED", "Fold", "LabelledBenchmark", "Part"]
