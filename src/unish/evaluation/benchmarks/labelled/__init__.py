"""The labelled samples that lie beside the project, each a small benchmark of its own, run as one."""

from unish.evaluation.benchmarks.labelled.benchmark import LABELLED, LabelledBenchmark, Part

__all__ = ["LABELLED", "LabelledBenchmark", "Part"]
