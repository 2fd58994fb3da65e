"""A run whose files end up in a folder, all of them or none; one that was ended goes on there."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Protocol, runtime_checkable

from unish.io import WorkFolder, replaced_whole
from unish.passes import (
    OBSERVATIONS,
    Models,
    Network,
    PeopleFinder,
    RunFolder,
    save_observations,
    write_files,
)
from unish.pipeline import Result, run
from unish.settings import Settings
from unish.structs import Clip
from unish.structs.progress import Progress
from unish.values import check_path


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
        names = write_files(
            result.reconstruction, result.body, result.report, work.making, kept=result.kept,
            keep=partial(_keep_observations, result, out, work.making, notes), progress=progress,
        )  # fmt: skip
    return result.moved_to(out), [out / name for name in names]


def _keep_observations(result: Result, out: Path, making: Path, notes: Sequence[str]) -> None:
    """Write what ``unish.refine`` works with; where it is not wanted, what an older result has left goes."""
    if not result.report["settings"]["keep_observations"]:
        if (out / OBSERVATIONS).exists():
            (making / OBSERVATIONS).mkdir()
        return
    result.report["observations"] = save_observations(
        making / OBSERVATIONS, result.observations, result.report, shape_space=result.shape_space,
        body=result.body.name, notes=notes,
    )  # fmt: skip


@contextmanager
def _saying_what_is_kept(folder: Path) -> Iterator[None]:
    """Whatever ends the run is told, too, from where the next one can go on."""
    try:
        yield
    except BaseException as error:
        if frame := RunFolder(folder).next_frame:
            error.add_note(f"the work up to frame {frame} is kept, and the same command goes on there")
        raise
