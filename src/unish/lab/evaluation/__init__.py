"""Benchmarks and metrics: the field's definitions, any method, one result file."""

from unish.lab.evaluation.benchmarks import BENCHMARKS, Benchmark
from unish.lab.evaluation.compare import compare_with_truth
from unish.lab.evaluation.predictor import Answer, Predictor, Request
from unish.lab.evaluation.results import Results
from unish.lab.evaluation.runner import evaluate

__all__ = [
    "BENCHMARKS",
    "Answer",
    "Benchmark",
    "Predictor",
    "Request",
    "Results",
    "compare_with_truth",
    "evaluate",
]
