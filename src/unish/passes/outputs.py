"""Third pass: the files of a result, a frame at a time."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

from unish.body import Body
from unish.export.faces import blur_faces
from unish.export.glb import write_glb
from unish.export.preview import write_preview
from unish.export.report_page import write_report_page
from unish.io import peak_memory_mb, write_json
from unish.structs import PersonPoints, Reconstruction
from unish.structs.progress import Progress, StageClock
from unish.structs.reconstruction import PEOPLE_STORE, STORE

FILE, PREVIEW = "reconstruction.npz", "preview.mp4"
MAX_FRAMES_IN_FILE = 360
"""Used frames, a minute of them at the default rate: dense arrays of more lie in a folder beside reconstruction.npz."""


def keep_dense(reconstruction: Reconstruction, folder: Path, *, like: Path | None = None) -> Reconstruction:
    """The same, its dense arrays computed once: in memory where they are few, else in files of the folder.

    Points of people are in files of the folder in any case.

    Args:
        like: see ``Reconstruction.save``.
    """
    folder.mkdir(exist_ok=True)
    if len(reconstruction.dense_frames) > MAX_FRAMES_IN_FILE:
        reconstruction.save(folder / FILE, beside=True, like=like)
        return Reconstruction.load(folder / FILE)
    return reconstruction.in_memory(people=folder / PEOPLE_STORE, like=like)


def write_files(
    reconstruction: Reconstruction,
    body: Body,
    report: dict[str, Any],
    folder: Path,
    *,
    kept: Path | None = None,
    like: Path | None = None,
    preview: bool = True,
    keep: Callable[[], None] = lambda: None,
    progress: Progress | None = None,
) -> list[str]:
    """The files of a result in an existing folder; their names. The film is drawn beside the others.

    With ``blur_faces`` in the settings of the report, faces are blurred in all but ``reconstruction.npz``.

    Args:
        kept: the folder of ``keep_dense``, if its files are no longer needed there: they are moved.
        like: see ``Reconstruction.save``.
        preview: whether the film is among them.
        keep: what else is to be written, beside the film; what it adds to the report is in the file.
    """
    clock = StageClock(progress)
    names = ["scene.glb", FILE, "report.json", "report.html"]
    scene, result, described, page = (folder / name for name in names)
    if reconstruction.person_points is not None and kept is not None:
        shutil.move(kept / PEOPLE_STORE, folder / PEOPLE_STORE)
        moved = PersonPoints.open(folder / PEOPLE_STORE, len(reconstruction.dense_frames))
        reconstruction = replace(reconstruction, person_points=moved)
    shown = _as_shown(reconstruction, report)
    moves = bool(reconstruction.dense) and kept is not None
    with ThreadPoolExecutor(1) as beside:
        # Compressing and drawing keep a core each busy. Frames that are moved would be gone from under the film.
        saving = (
            None if moves else beside.submit(reconstruction.save, result, beside=bool(reconstruction.dense), like=like)
        )
        keeping = beside.submit(keep)
        if preview:
            with clock.stage("preview"):
                _draw(folder / PREVIEW, shown, body, report, progress)
        with clock.stage("export scene"):
            write_glb(scene, shown, body)
        with clock.stage("report page"):
            write_report_page(page, shown, body, report)
        with clock.stage("save"):
            if saving is not None:
                saving.result()
            elif kept is not None:
                for name in (STORE, FILE):
                    shutil.move(kept / name, folder / name)
            keeping.result()
    spent = {"seconds": report["seconds"] | clock.seconds, "peak_memory_mb": peak_memory_mb()}
    write_json(described, report | spent)
    stores = {STORE: bool(reconstruction.dense), PEOPLE_STORE: reconstruction.person_points is not None}
    film = [PREVIEW] if preview else []
    return [*film, *names, *(name for name, is_there in stores.items() if is_there)]


def draw_preview(
    path: Path, reconstruction: Reconstruction, body: Body, report: dict[str, Any], *, progress: Progress | None = None
) -> None:
    """The film of a finished result, the same as ``write_files`` draws with it.

    Args:
        path: the name of the film; it appears there whole or not at all.
        report: of the result.
    """
    _draw(path, _as_shown(reconstruction, report), body, report, progress)


def _as_shown(reconstruction: Reconstruction, report: dict[str, Any]) -> Reconstruction:
    return blur_faces(reconstruction) if report["settings"].get("blur_faces") else reconstruction


def _draw(path: Path, shown: Reconstruction, body: Body, report: dict[str, Any], progress: Progress | None) -> None:
    fps = min(report["settings"]["fps"], report["settings"]["scene_fps"])
    write_preview(path, shown.at_dense_frames(), body, fps=fps, progress=progress)
