"""The models of this package."""

from __future__ import annotations

from unish.lab.evaluation.predictor import Answer, Request
from unish.network import UniSH
from unish.pipeline import Settings, run
from unish.structs.progress import Progress

FAST_PREFIX = "fast:"
"""Before the name of a model: ``unish reconstruct --fast``."""


class PipelinePredictor:
    """``unish.reconstruct`` with some model; with ``fast`` in its settings after ``FAST_PREFIX``."""

    def __init__(self, model: str, *, body: str = "free", progress: Progress | None = None) -> None:
        self.fast = model.startswith(FAST_PREFIX)
        self.model = model.removeprefix(FAST_PREFIX)
        self.body = body
        self.progress = progress
        fingerprint = UniSH.from_pretrained(self.model, device="cpu").fingerprint
        self._fingerprint = f"{fingerprint} (fast)" if self.fast else fingerprint

    @property
    def fingerprint(self) -> str:
        return self._fingerprint

    def predict(self, request: Request) -> Answer:
        result = run(
            request.source,
            settings=Settings(model=self.model, fast=self.fast, **({"body": self.body} | request.settings)),
            progress=self.progress,
            people_finder=request.people_finder,
        )
        return Answer(reconstruction=result.reconstruction.in_memory(), report=result.report, body=result.body)
