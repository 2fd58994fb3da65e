"""From a video to a metric reconstruction: observe, settle, write."""

from __future__ import annotations

import platform
import shutil
import tempfile
import weakref
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from unish.body import Body
from unish.io import peak_memory_mb
from unish.passes import (
    Models,
    Network,
    Observations,
    PeopleFinder,
    RunFolder,
    conclude,
    describe_run,
    identify_task,
    know_poses,
    observe,
)
from unish.settings import Settings
from unish.structs import Clip, PersonPoints, Reconstruction
from unish.structs.progress import Progress, StageClock
from unish.structs.reconstruction import PEOPLE_STORE
from unish.version import __version__
from unish.video import read_inside_bars, show_inside_bars

MAX_PICTURES_MB = 256
"""Memory for decoded frames; those of a longer video are decoded again when they are looked at."""


@dataclass(frozen=True, kw_only=True)
class Result:
    """A reconstruction, the body that poses it, and what ``report.json`` says.

    Attributes:
        kept: where the dense arrays lie that are too many for the memory.
        observations: what it was settled from.
        shape_space: whose shapes the network predicts.
    """

    reconstruction: Reconstruction
    body: Body
    report: dict[str, Any]
    kept: Path
    observations: Observations
    shape_space: str

    def moved_to(self, out: Path) -> Result:
        """The same, once its files have been moved to ``out``."""
        found = self.reconstruction
        if found.person_points is None:
            return self
        there = PersonPoints.open(out / PEOPLE_STORE, len(found.dense_frames))
        return replace(self, reconstruction=replace(found, person_points=there).with_report(self.report))


def run(
    source: str | Path | Clip,
    *,
    settings: Settings,
    progress: Progress | None = None,
    people_finder: PeopleFinder | None = None,
    network: Network | None = None,
    models: Models | None = None,
    work: Path | None = None,
    announce: Callable[[str], None] = lambda sentence: None,
) -> Result:
    """The same, with the body and the report; and from a clip that is already read, or people found in another way.

    Args:
        network: takes the place of the weights that ``settings.model`` names.
        models: what has been loaded before.
        work: a folder in which the run keeps what it has done; one that was ended goes on there. ``None`` takes a
            temporary one.
        announce: told in a sentence where a run goes on.
    """
    clock, models = StageClock(progress), models or Models()
    with ExitStack() as cleaning:
        temporary = work is None
        if work is None:
            work = Path(tempfile.mkdtemp(prefix="unish-"))
            cleaning.callback(shutil.rmtree, work, ignore_errors=True)
        folder = RunFolder(work)
        # Reading comes first: a video that cannot be read should not cost the loading of a network.
        with clock.stage("read video"):
            whole, clip = show_inside_bars(source) if isinstance(source, Clip) else _read(source, settings, progress)
        with clock.stage("load model"):
            model = network or models.network(settings.model, settings.device, fast=settings.fast)
            body = models.body(settings.body)
            experts = models.experts(settings).announced(announce)
        cameras = know_poses(settings, whole, clip, takes_cameras=model.config.takes_cameras)
        described = source if isinstance(source, Clip) else Path(source)
        if frame := folder.begin(describe_run(described, settings, model.fingerprint, body.name, experts.fingerprints)):
            announce(f"resuming at frame {frame}")
        cleaning.callback(folder.remove_if_useless)
        finder = people_finder or models.people_finder(settings, folder.people_log(), progress)
        seen = observe(whole, clip, model, finder, settings, folder, clock, cameras, experts.depth_prior)
        found, concluded = conclude(
            seen, body, settings, clock, work / "result", network=model.fingerprint, shape_space=model.config.body
        )
        report = {
            "input": clip.name if isinstance(source, Clip) else str(source),
            "task": None if isinstance(source, Clip) else identify_task(Path(source), settings),
            "settings": {key: str(v) if isinstance(v, Path) else v for key, v in asdict(settings).items()},
            "seconds": clock.seconds,
            "peak_memory_mb": peak_memory_mb(),
            "model": model.fingerprint,
            "experts": experts.describe(),
            "versions": {"unish": __version__, "torch": torch.__version__, "python": platform.python_version()},
            **concluded,
            "edits": [],
            "observations": None,
        }
        found = found.with_report(report)
        if temporary and (found.dense or found.person_points is not None):
            # Its files are needed as long as it is there, those of points alone as long as any record has these.
            weakref.finalize(found if found.dense else found.person_points, cleaning.pop_all().close)
    return Result(
        reconstruction=found,
        body=body,
        report=report,
        kept=work / "result",
        observations=seen,
        shape_space=model.config.body,
    )


def _read(path: str | Path, settings: Settings, progress: Progress | None) -> tuple[Clip, Clip]:
    """The whole frames, and the picture inside of their bars."""
    return read_inside_bars(
        path,
        fps=settings.fps,
        source_fps=settings.source_fps,
        start=settings.start,
        end=settings.end,
        max_frames=settings.max_frames,
        max_memory_mb=MAX_PICTURES_MB,
        progress=progress,
    )
