"""From a video to a metric reconstruction: observe, settle, write."""

from __future__ import annotations

import platform
import shutil
import tempfile
import weakref
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from unish.body import Body
from unish.errors import InputError
from unish.io import peak_memory_mb, replaced_whole
from unish.passes import (
    Models,
    Network,
    PeopleFinder,
    RunFolder,
    describe_run,
    keep_dense,
    observe,
    settle,
    write_files,
)
from unish.reconstruction import (
    describe_fallbacks,
    describe_grounds,
    describe_people,
    judge,
    measure_quality,
    read_facts,
)
from unish.settings import Settings
from unish.structs import Clip, KnownCameras, Reconstruction
from unish.structs.progress import Progress, StageClock
from unish.values import check_path
from unish.version import __version__
from unish.video import read_inside_bars, read_known_cameras, show_inside_bars

MAX_PICTURES_MB = 256
"""Memory for decoded frames; those of a longer video are decoded again when they are looked at."""


@dataclass(frozen=True, kw_only=True)
class Result:
    """A reconstruction, the body that poses it, and what ``report.json`` says.

    Attributes:
        kept: where the dense arrays lie that are too many for the memory.
    """

    reconstruction: Reconstruction
    body: Body
    report: dict[str, Any]
    kept: Path


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
        model, device, body: see ``Settings``; loaded at once.
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
            model, body = network or models.network(settings.model, settings.device), models.body(settings.body)
        cameras = _know_cameras(settings, clip, model)
        described = source if isinstance(source, Clip) else Path(source)
        if frame := folder.begin(describe_run(described, settings, model.fingerprint, body.name)):
            announce(f"resuming at frame {frame}")
        cleaning.callback(folder.remove_if_useless)
        finder = people_finder or models.people_finder(settings, folder.people_log(), progress)
        seen = observe(whole, clip, model, finder, settings, folder, clock, cameras)
        with clock.stage("reconstruct"):
            settled = settle(seen, model.fingerprint, model.config.body, body, feet=settings.settle, seed=settings.seed)
            found = keep_dense(settled.in_whole_frames(), work / "result")
        with clock.stage("measure"):
            inside = settled.inside_of(found)
            quality = measure_quality(inside.at_dense_frames(), settled.shots, body)
            verdicts = judge(inside.at_dense_frames(), body, read_facts(settled.shots))
            people = describe_people(inside, settled.shots, body)
            grounds = describe_grounds(settled.shots, settled.grounds)
        fallbacks = describe_fallbacks(settled.shots, settled.grounds, seen.tracks.person_ids.tolist())
        raised = [*clip.warnings, *seen.tracks.warnings, *seen.notes, *settled.notes, *fallbacks, *verdicts.warnings]
        report = {
            "input": clip.name if isinstance(source, Clip) else str(source),
            "settings": {key: str(v) if isinstance(v, Path) else v for key, v in asdict(settings).items()},
            "seconds": clock.seconds,
            "peak_memory_mb": peak_memory_mb(),
            "model": model.fingerprint,
            "versions": {"unish": __version__, "torch": torch.__version__, "python": platform.python_version()},
            "shots": [judged | ground for judged, ground in zip(verdicts.shots, grounds, strict=True)],
            "people": [person | judged for person, judged in zip(people, verdicts.people, strict=True)],
            "quality": quality,
            "warnings": list(dict.fromkeys(raised)),
        }
        if temporary and found.dense:
            # Its frames are needed as long as it is there.
            weakref.finalize(found, cleaning.pop_all().close)
    return Result(reconstruction=found, body=body, report=report, kept=work / "result")


def write_outputs(result: Result, out: str | Path, *, progress: Progress | None = None) -> list[Path]:
    """Write ``reconstruction.npz``, ``preview.mp4``, ``scene.glb`` and ``report.json`` into the folder ``out``.

    They appear together when all are whole; an older result stays until then. See ``unish.io.replaced_whole``.

    Raises:
        InputError: another run is writing there, or an older file cannot be replaced.
    """
    out = check_path("the folder for the results", out)
    out.mkdir(parents=True, exist_ok=True)
    with replaced_whole(out) as work:
        names = write_files(result.reconstruction, result.body, result.report, work.making, progress=progress)
    return [out / name for name in names]


def _know_cameras(settings: Settings, clip: Clip, network: Network) -> KnownCameras | None:
    """Raises:
    InputError: the file does not fit the clip, nobody says what the lens is, or the network cannot take cameras.
    """
    if settings.cameras is None:
        return None
    in_metres = None if settings.camera_unit is None else settings.camera_unit == "m"
    known = read_known_cameras(settings.cameras, clip, in_metres=in_metres, refine=settings.refine_cameras)
    if known.intrinsics is None and settings.intrinsics is None:
        raise InputError(f"{settings.cameras}: it does not say what the lens is; give --intrinsics, too")
    if not network.config.takes_cameras:
        raise InputError("this network takes no known cameras; leave out --cameras, or give --model small")
    return known


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
