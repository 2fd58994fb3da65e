"""What is being measured: anything that turns a video into a reconstruction."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from unish.body import Body, load_body
from unish.errors import InputError
from unish.network import UniSH
from unish.pipeline import PeopleFinder, Settings, run
from unish.structs import Clip, Reconstruction
from unish.structs.progress import Progress

FILES_PREFIX = "files:"


@dataclass(frozen=True, kw_only=True)
class Request:
    """One sequence of a benchmark.

    Attributes:
        name: of the sequence, unique within the benchmark.
        source: a video, a folder of images, or frames that were already read.
        settings: fields of ``unish.pipeline.Settings`` that the benchmark prescribes; the rest stays at its default.
        people_finder: stands in for the detector where the benchmark gives the people.
    """

    name: str
    source: Path | Clip
    settings: dict[str, Any] = field(default_factory=dict)
    people_finder: PeopleFinder | None = None


@dataclass(frozen=True, kw_only=True)
class Answer:
    """A reconstruction, its report (empty where there is none) and the body that poses it."""

    reconstruction: Reconstruction
    report: dict[str, Any]
    body: Body


@runtime_checkable
class Predictor(Protocol):
    """A method under test. A rival is one small class with these two members."""

    @property
    def fingerprint(self) -> str:
        """Says which method and weights; scores of one fingerprint are never mixed with those of another."""

    def predict(self, request: Request) -> Answer:
        """Reconstruct one sequence.

        Raises:
            InputError: this sequence cannot give a result.
        """


class PipelinePredictor:
    """``unish.reconstruct`` with some model."""

    def __init__(self, model: str, *, progress: Progress | None = None) -> None:
        self.model = model
        self.progress = progress
        self._fingerprint = UniSH.from_pretrained(model, device="cpu").fingerprint

    @property
    def fingerprint(self) -> str:
        return self._fingerprint

    def predict(self, request: Request) -> Answer:
        result = run(
            request.source,
            settings=Settings(model=self.model, **request.settings),
            progress=self.progress,
            people_finder=request.people_finder,
        )
        return Answer(reconstruction=result.reconstruction, report=result.report, body=result.body)


class FilesPredictor:
    """Finished reconstructions, of any method: ``FOLDER/NAME.npz`` or ``FOLDER/NAME/reconstruction.npz``."""

    def __init__(self, folder: Path, *, body: str = "free") -> None:
        if not folder.is_dir():
            raise InputError(f"{folder}: no such folder; give files:DIR with finished reconstructions")
        self.folder = folder
        self.body = load_body(body)

    @property
    def fingerprint(self) -> str:
        """Path, size and time of every file, hashed."""
        digest = hashlib.sha256()
        for path in sorted(self.folder.rglob("*.npz")):
            stat = path.stat()
            digest.update(f"{path.relative_to(self.folder)} {stat.st_size} {stat.st_mtime_ns}\n".encode())
        return f"{FILES_PREFIX}{self.folder.name}@{digest.hexdigest()[:16]}"

    def predict(self, request: Request) -> Answer:
        path = self.folder / request.name / "reconstruction.npz"
        if not path.is_file():
            path = self.folder / f"{request.name}.npz"
        report = path.with_name("report.json")
        return Answer(
            reconstruction=Reconstruction.load(path),
            report=json.loads(report.read_text()) if report.is_file() else {},
            body=self.body,
        )


def make_predictor(method: str, *, progress: Progress | None = None) -> Predictor:
    """``files:DIR`` or whatever ``UniSH.from_pretrained`` accepts."""
    if method.startswith(FILES_PREFIX):
        return FilesPredictor(Path(method.removeprefix(FILES_PREFIX)))
    return PipelinePredictor(method, progress=progress)
