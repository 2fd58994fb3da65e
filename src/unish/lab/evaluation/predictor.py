"""What is being measured: anything that turns a video into a reconstruction."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from unish.body import Body
from unish.passes import PeopleFinder
from unish.structs import Clip, Reconstruction
from unish.video import read_clip

_READING = ("fps", "source_fps", "start", "end", "max_frames")


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

    def read(self) -> Clip:
        """The frames that are to be reconstructed: those which the models of this package would use.

        Raises:
            InputError: the video or folder cannot be read.
        """
        if isinstance(self.source, Clip):
            return self.source
        return read_clip(self.source, **{name: self.settings[name] for name in _READING if name in self.settings})


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
