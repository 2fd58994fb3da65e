"""Edits of a finished result: *settle* and *write* once more, from what the run has seen. No network, and no video."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from unish.body import Body
from unish.edits import Edit, describe_edits, read_edits
from unish.errors import InputError
from unish.io import peak_memory_mb, replaced_whole
from unish.passes import (
    FILE,
    OBSERVATIONS,
    PREVIEW,
    Films,
    Models,
    StoredRun,
    apply_edits,
    conclude,
    draw_preview,
    open_observations,
    write_files,
)
from unish.pipeline import Result
from unish.structs import FrameArray, Reconstruction
from unish.structs.progress import Progress, StageClock
from unish.values import check_path
from unish.version import __version__


def refine(
    folder: str | Path,
    edits: str | Path | Sequence[Edit],
    *,
    preview: bool = False,
    progress: Progress | None = None,
) -> Reconstruction:
    """Change a finished result as a user says, in its folder; see docs/refine.md.

    Args:
        folder: of a finished ``unish reconstruct``, or ``reconstruct_into``.
        edits: a file of them, or records of ``unish.edits``: always the complete list against the first run. An empty
            list gives back the first result, to the bit.
        preview: draw ``preview.mp4`` of the new result. Without, the film of another result goes; ``redraw_preview``
            makes one later.

    Raises:
        InputError: the folder does not hold what edits need, or an edit does not fit; nothing has changed then.
    """
    return refine_into(folder, edits, preview=preview, progress=progress)[0].reconstruction


def redraw_preview(folder: str | Path, *, progress: Progress | None = None, models: Models | None = None) -> Path:
    """Draw ``preview.mp4`` of a finished result as it is now, and put it beside the other files.

    Raises:
        InputError: no finished result is there.
    """
    out, models = _check_result(folder), models or Models()
    with replaced_whole(out, ends_run=False) as work:
        found = Reconstruction.load(out)
        try:
            report = json.loads((out / "report.json").read_text(encoding="utf-8"))
            name = str(report["settings"]["body"])
        except (OSError, ValueError, KeyError, TypeError):
            raise InputError(f"{out}: its report.json cannot be read; run `unish reconstruct` again") from None
        body = _load_body(models, name, found.body_model)
        draw_preview(work.making / PREVIEW, found, body, report, progress=progress)
    return out / PREVIEW


def refine_into(
    folder: str | Path,
    edits: str | Path | Sequence[Edit],
    *,
    preview: bool = False,
    progress: Progress | None = None,
    models: Models | None = None,
) -> tuple[Result, list[Path]]:
    """The same; the result with its report, and its files, which have taken the place of the old ones all at once.

    Raises:
        InputError: see ``refine``.
    """
    out = _check_result(folder)
    if isinstance(edits, str | Path):
        edits = read_edits(edits)
    clock, models, described = StageClock(progress), models or Models(), describe_edits(edits)
    with replaced_whole(out, ends_run=False) as work:
        with clock.stage("read observations"):
            report = _read_report(out)
            run = open_observations(
                out / OBSERVATIONS, _open_pictures(out), report["observations"], work.scratch / "maps"
            )
            applied = apply_edits(run, edits)
            body = _load_body(models, run.settings.body, run.body)
        with _as_many_threads(run.threads):
            found, concluded = conclude(
                applied.seen, body, applied.settings, clock, work.scratch / "result", network=run.report["model"],
                shape_space=run.shape_space, constraints=applied.constraints, like=out / FILE,
            )  # fmt: skip
        if edits:
            found = replace(found, extra=found.extra | {"edits": np.array(json.dumps(described))})
        told = {"edits": described["edits"], "observations": report["observations"], "peak_memory_mb": peak_memory_mb()}
        result = Result(
            reconstruction=found,
            body=body,
            report={**run.report, "seconds": run.report["seconds"] | clock.seconds, **concluded, **told},
            kept=work.scratch / "result",
            observations=applied.seen,
            shape_space=run.shape_space,
        )
        result.report["warnings"] += _warn_of_version(run)
        found.with_report(result.report)
        films = Films.of(out, report["edits"], run.version)
        film = None if preview else films.find(described["edits"])
        # Dense arrays are computed when they are written.
        with _as_many_threads(run.threads):
            names = write_files(
                found, body, result.report, work.making, kept=result.kept, like=out / FILE,
                preview=film is None and (preview or not edits), progress=progress,
            )  # fmt: skip
        names = films.put_beside(work, film, described["edits"], names)
    return result.moved_to(out), [out / name for name in names]


def find_old_exports(folder: Path, report: Mapping[str, Any]) -> list[str]:
    """Formats in the ``export`` of a result whose files show it with other edits than the report tells of."""
    try:
        found = json.loads((folder / "export" / "export.json").read_text(encoding="utf-8"))["formats"]
        told = {name: [one.get("edits", []) for one in entries] for name, entries in found.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return []
    return [name for name, edits in told.items() if any(one != report["edits"] for one in edits)]


def _check_result(folder: str | Path) -> Path:
    """Raises:
    InputError: no finished result is there."""
    out = check_path("the folder of the result", folder)
    if not (out / FILE).is_file():
        raise InputError(f"{out}: no finished result is there; give the --out folder of `unish reconstruct`")
    return out


def _load_body(models: Models, name: str, known_as: str) -> Body:
    """The body ``name``.

    Raises:
        InputError: it is another one than that of the result, which is ``known_as``.
    """
    body = models.body(name)
    if body.name != known_as:
        raise InputError(f"the result has the body {known_as}, and {name} is {body.name}; restore that file")
    return body


def _read_report(out: Path) -> dict[str, Any]:
    """Raises:
    InputError: it does not say which observations are those of the result."""
    try:
        report = json.loads((out / "report.json").read_text(encoding="utf-8"))
        known_as = report["observations"]
    except (OSError, ValueError, KeyError, TypeError):
        raise InputError(
            f"{out}: it does not hold what edits need, as results of earlier versions do not; "
            "run `unish reconstruct` again"
        ) from None
    if known_as is None:
        raise InputError(
            f"{out}: it was made with --keep-observations off, and edits need them; run `unish reconstruct` again"
        )
    return dict(report)


def _open_pictures(out: Path) -> FrameArray:
    """The processed frames of the result, which no edit changes."""
    try:
        # Nothing else of a file that holds all is needed, and to unpack the rest takes as long again.
        with np.load(out / FILE, allow_pickle=False) as file:
            images = file["images"]
    except Exception:
        images = Reconstruction.load(out).images  # they lie beside the file; or it says why they cannot be read
    return FrameArray(images.shape, np.dtype(np.uint8), lambda frame: images[frame])


@contextmanager
def _as_many_threads(number: int) -> Iterator[None]:
    """Sums over another number of threads round in another way."""
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _warn_of_version(run: StoredRun) -> list[str]:
    if run.version == __version__:
        return []
    return [f"version {run.version} made this result and {__version__} edited it: what no edit changes may differ, too"]
