"""The models of this package."""

from __future__ import annotations

from unish.lab.evaluation.predictor import Answer, Request
from unish.network import UniSH
from unish.pipeline import Settings, run
from unish.structs.progress import Progress


class PipelinePredictor:
    """``unish.reconstruct`` with some model."""

    def __init__(self, model: str, *, body: str = "free", progress: Progress | None = None) -> None:
        self.model = model
        self.body = body
        self.progress = progress
        self._fingerprint = UniSH.from_pretrained(model, device="cpu").fingerprint

    @property
    def fingerprint(self) -> str:
        return self._fingerprint

    def predict(self, request: Request) -> Answer:
        result = run(
            request.source,
            settings=Settings(model=self.model, **({"body": self.body} | request.settings)),
            progress=self.progress,
            people_finder=request.people_finder,
        )
        return Answer(reconstruction=result.reconstruction.in_memory(), report=result.report, body=result.body)
