"""Benchmarks and metrics: the field's definitions, any method, one result file."""

from unish.evaluation.benchmarks import BENCHMARKS, Benchmark
from unish.evaluation.compare import compare_with_truth
from unish.evaluation.predictor import Answer, Predictor, Request
from unish.evaluation.results import Results
from unish.evaluation.runner import evaluate

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
