"""Settings of the people stage."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from unish.errors import InputError

FAST_PEOPLE: dict[str, Any] = {"landmarks_2d": "lightning", "mirror": False}
"""Settings of ``PeopleConfig`` that cost least for the time that they save."""


@dataclass(frozen=True, kw_only=True)
class PeopleConfig:
    """How people are found and followed.

    Attributes:
        model: landmark model: ``full`` (comes with one download from the package index) or ``heavy`` (needs npm).
        landmarks_2d: a second model, whose points in the picture are the better ones: MoveNet ``thunder``, its faster
            ``lightning``, or ``none``.
        mirror: read every pose a second time from the mirrored picture and average: a fifth less 2-D error
            for twice the time of the landmarks.
        max_people: keep the N people who take up most of the video; ``None`` = all, 0 = do not look for anybody.
        detector_long_side: pixels of the longer side that the person detector sees.
        detector_coarse_side: the same of its second look, for people who fill the picture.
        spares_detector: of every four frames the detector sees the two between as far as it has to (see ``between``).
        min_detector_score: weakest detection that is looked at; weak ones need landmarks that agree (see ``observe``).
        min_followed_score: weakest detection that is looked at where somebody was a moment ago.
        min_landmark_score: below it, the person keeps a box but has no landmarks.
        min_seconds, min_frames: shorter tracks are dropped, as far as the clip itself is not shorter.
        num_threads: of the landmark model.
    """

    model: str = "full"
    landmarks_2d: str = "thunder"
    mirror: bool = True
    max_people: int | None = None
    detector_long_side: int = 608
    detector_coarse_side: int = 320
    spares_detector: bool = True
    min_detector_score: float = 0.25
    min_followed_score: float = 0.1
    min_landmark_score: float = 0.5
    min_seconds: float = 0.5
    min_frames: int = 3
    num_threads: int = 2

    def __post_init__(self) -> None:
        if self.model not in ("full", "heavy"):
            raise InputError(f"landmark model is {self.model!r}; choose full or heavy")
        if self.landmarks_2d not in ("thunder", "lightning", "none"):
            raise InputError(f"second landmark model is {self.landmarks_2d!r}; choose thunder, lightning or none")
        if self.max_people is not None and self.max_people < 0:
            raise InputError(f"number of people is {self.max_people}; give 0 (scene only) or more, or all")
