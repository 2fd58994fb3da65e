"""Methods under test, each behind ``Predictor``: our models, finished files, other people's outputs, baselines."""

from __future__ import annotations

from pathlib import Path

from unish.lab.evaluation.methods.adapters import ADAPTER_PREFIX, AdapterPredictor
from unish.lab.evaluation.methods.baselines import BASELINE_PREFIX, BASELINES, BaselinePredictor
from unish.lab.evaluation.methods.files import FILES_PREFIX, FilesPredictor
from unish.lab.evaluation.methods.pipeline import PipelinePredictor
from unish.lab.evaluation.methods.records import People, make_record
from unish.lab.evaluation.predictor import Predictor
from unish.structs.progress import Progress

__all__ = [
    "BASELINES",
    "AdapterPredictor",
    "BaselinePredictor",
    "FilesPredictor",
    "People",
    "PipelinePredictor",
    "make_predictor",
    "make_record",
]


def make_predictor(method: str, *, body: str = "free", progress: Progress | None = None) -> Predictor:
    """The method of a name.

    Args:
        method: ``files:DIR``, ``adapter:KIND:DIR``, ``baseline:NAME``, or whatever ``UniSH.from_pretrained`` accepts,
            also after ``fast:``.
        body: ``free`` or the path of a licensed SMPL file, for whatever the method has to pose.

    Raises:
        InputError: there is no such method.
    """
    if method.startswith(FILES_PREFIX):
        return FilesPredictor(Path(method.removeprefix(FILES_PREFIX)), body=body)
    if method.startswith(ADAPTER_PREFIX):
        kind, _, folder = method.removeprefix(ADAPTER_PREFIX).partition(":")
        return AdapterPredictor(kind, Path(folder), body=body)
    if method.startswith(BASELINE_PREFIX):
        return BaselinePredictor(method.removeprefix(BASELINE_PREFIX), body=body, progress=progress)
    return PipelinePredictor(method, body=body, progress=progress)
