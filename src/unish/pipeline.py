"""From a video to a metric reconstruction: observe, settle, write."""

from __future__ import annotations

import platform
import shutil
import tempfile
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch

from unish.body import Body
from unish.io import WorkFolder, peak_memory_mb, replaced_whole
from unish.passes import (
    OBSERVATIONS,
    Models,
    Network,
    Observations,
    PeopleFinder,
    RunFolder,
    Settled,
    describe_run,
    identify_task,
    keep_dense,
    know_poses,
    observe,
    save_observations,
    settle,
    write_files,
)
from unish.people import describe_unread
from unish.reconstruction import (
    ShotConstraints,
    describe_fallbacks,
    describe_grounds,
    describe_people,
    describe_sizes,
    describe_statures,
    fill_gaps,
    judge,
    measure_quality,
    read_facts,
)
from unish.settings import Settings
from unish.structs import Clip, PersonPoints, Reconstruction
from unish.structs.progress import Progress, StageClock
from unish.structs.reconstruction import PEOPLE_STORE
from unish.values import check_path
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


def reconstruct(path: str | Path, *, model: str = "small", **settings: Any) -> Reconstruction:
    """Video file or folder of images → metric scene, cameras and people.

    Keyword arguments are the fields of ``Settings``. For many videos, ``Reconstructor`` loads its models once.

    Raises:
        InputError: the input, a setting or the weights cannot give a result; the message says what to do.
    """
    return run(path, settings=Settings(model=model, **settings)).reconstruction


class Reconstructor:
    """``reconstruct`` for many videos, one after the other or from several threads: what it loads is loaded once.

    Args:
        model: see ``Settings``; loaded at once.
        device: see ``Settings``.
        body: see ``Settings``; loaded at once.
    """

    def __init__(self, model: str = "small", device: str = "auto", *, body: str = "free") -> None:
        self._defaults: dict[str, Any] = {"model": model, "device": device, "body": body}
        Settings(**self._defaults)  # says what is wrong with them
        self._models = Models()
        self._models.network(model, device)
        self._models.body(body)

    def run(self, path: str | Path, *, progress: Progress | None = None, **settings: Any) -> Reconstruction:
        """Keyword arguments are the fields of ``Settings``.

        Raises:
            InputError: see ``reconstruct``.
        """
        chosen = Settings(**(self._defaults | settings))
        return run(path, settings=chosen, models=self._models, progress=progress).reconstruction


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


def conclude(
    seen: Observations,
    body: Body,
    settings: Settings,
    clock: StageClock,
    kept: Path,
    *,
    network: str,
    shape_space: str,
    constraints: Sequence[ShotConstraints] | None = None,
) -> tuple[Reconstruction, dict[str, Any]]:
    """What follows from observations: the reconstruction, and what the report says of it.

    Args:
        kept: a folder for dense arrays that are too many for the memory.
        network, shape_space, constraints: see ``settle``.

    Raises:
        InputError: what the settings say of sizes does not fit what was seen.
    """
    with clock.stage("reconstruct"):
        settled = settle(
            seen, network, shape_space, body, feet=settings.settle, seed=settings.seed,
            person_height=settings.person_height, known_distance=settings.known_distance, constraints=constraints,
        )  # fmt: skip
        found = keep_dense(settled.in_whole_frames(), kept)
    with clock.stage("measure"):
        measured, judged = _measure(settled, found, body)
    fallbacks = describe_fallbacks(settled.shots, settled.grounds, seen.tracks.person_ids.tolist())
    unread = describe_unread(seen.tracks, seen.landmarks)
    raised = [*seen.clip.warnings, *seen.tracks.warnings, *unread, *seen.notes, *settled.notes, *fallbacks, *judged]
    # Measured was what was seen alone.
    return fill_gaps(found, body, settings.fill_gaps), {**measured, "warnings": list(dict.fromkeys(raised))}


def write_outputs(result: Result, out: str | Path, *, progress: Progress | None = None) -> list[Path]:
    """Write ``reconstruction.npz``, ``preview.mp4``, ``scene.glb``, ``report.json`` and ``report.html`` into ``out``.

    They appear together when all are whole; an older result stays until then. See ``unish.io.replaced_whole``.

    Raises:
        InputError: another run is writing there, or an older file cannot be replaced.
    """
    out = check_path("the folder for the results", out)
    out.mkdir(parents=True, exist_ok=True)
    with replaced_whole(out) as work:
        names = write_files(result.reconstruction, result.body, result.report, work.making, progress=progress)
    return [out / name for name in names]


@runtime_checkable
class LiveSource(Protocol):
    """A video that is still being made; ``unish.live`` has them."""

    @property
    def name(self) -> str:
        """For the report."""
        ...

    @property
    def notes(self) -> list[str]:
        """What was found that degrades the result, one sentence each."""
        ...

    def receive(self, out: Path, work: WorkFolder, settings: Settings, models: Models) -> Path:
        """The video, once all of it is in a file.

        Args:
            out: the folder of the result.
            work: the folder of the run into it.
        """
        ...


def reconstruct_into(
    source: str | Path | Clip | LiveSource,
    out: str | Path,
    *,
    settings: Settings,
    progress: Progress | None = None,
    people_finder: PeopleFinder | None = None,
    network: Network | None = None,
    models: Models | None = None,
    announce: Callable[[str], None] = lambda sentence: None,
) -> tuple[Result, list[Path]]:
    """``run`` and ``write_outputs`` in one. A run into the same folder that was ended goes on where it was.

    Returns:
        The result, and the files of it. Where these are frames beside ``reconstruction.npz``, ask that for them.

    Raises:
        InputError: see ``run`` and ``write_outputs``.
    """
    out = check_path("the folder for the results", out)
    out.mkdir(parents=True, exist_ok=True)
    models = models or Models()
    with replaced_whole(out) as work, _saying_what_is_kept(work.kept):
        # What comes only once cannot be gone on with.
        video = source.receive(out, work, settings, models) if isinstance(source, LiveSource) else source
        folder = work.scratch / "run" if isinstance(source, LiveSource) else work.kept
        result = run(
            video, settings=settings, progress=progress, people_finder=people_finder, network=network, models=models,
            work=folder, announce=announce,
        )  # fmt: skip
        if isinstance(source, LiveSource):
            warnings = [*source.notes, *result.report["warnings"]]
            result.report.update({"input": source.name, "task": None, "warnings": warnings})
        notes = source.notes if isinstance(source, LiveSource) else ()
        _keep_observations(result, out, work.making, notes, progress)
        names = write_files(
            result.reconstruction, result.body, result.report, work.making, kept=result.kept, progress=progress
        )
    return result.moved_to(out), [out / name for name in names]


def _keep_observations(
    result: Result, out: Path, making: Path, notes: Sequence[str], progress: Progress | None
) -> None:
    """Write what ``unish.refine`` works with; where it is not wanted, what an older result has left goes."""
    if not result.report["settings"]["keep_observations"]:
        if (out / OBSERVATIONS).exists():
            (making / OBSERVATIONS).mkdir()
        return
    clock = StageClock(progress)
    with clock.stage("keep observations"):
        result.report["observations"] = save_observations(
            making / OBSERVATIONS, result.observations, result.report, shape_space=result.shape_space,
            body=result.body.name, notes=notes,
        )  # fmt: skip
    result.report["seconds"] |= clock.seconds


@contextmanager
def _saying_what_is_kept(folder: Path) -> Iterator[None]:
    """Whatever ends the run is told, too, from where the next one can go on."""
    try:
        yield
    except BaseException as error:
        if frame := RunFolder(folder).next_frame:
            error.add_note(f"the work up to frame {frame} is kept, and the same command goes on there")
        raise


def _measure(settled: Settled, found: Reconstruction, body: Body) -> tuple[dict[str, Any], list[str]]:
    """``shots``, ``people`` and ``quality`` of the report, and the reasons of all verdicts.

    Args:
        found: what ``settled`` has found, its dense arrays computed.
    """
    inside = settled.inside_of(found)
    verdicts = judge(inside.at_dense_frames(), body, read_facts(settled.shots))
    people = describe_people(inside, settled.shots, body)
    grounds = describe_grounds(settled.shots, settled.grounds)
    betas = torch.from_numpy(inside.betas)
    sizes = describe_sizes(settled.shots, betas, body)
    statures = describe_statures(settled.shots, betas, body)
    measured = {
        "shots": [judged | ground | size for judged, ground, size in zip(verdicts.shots, grounds, sizes, strict=True)],
        "people": [
            person | stature | judged for person, stature, judged in zip(people, statures, verdicts.people, strict=True)
        ],
        "quality": measure_quality(inside.at_dense_frames(), settled.shots, body),
    }
    return measured, verdicts.warnings


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
