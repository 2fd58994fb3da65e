"""``colmap``: pictures, masks and a sparse model, ready for COLMAP and for programs that train Gaussian splats.

It lies here, above the stages, since its points come from the network's matching.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from unish.body import Body
from unish.export.colmap import write_sparse_model
from unish.export.options import ExportOptions
from unish.export.scene_frames import new_folder, open_scene, write_masks, write_pictures
from unish.passes.track_adjustment import adjust_tracks
from unish.passes.tracks import LEAST_SEEN, MAX_ERROR_PX, find_tracks
from unish.structs import Reconstruction

MAX_PICTURES = 200
_FEW_POINTS = 100


def write_colmap(
    path: Path,
    reconstruction: Reconstruction,
    body: Body,
    options: ExportOptions | None = None,
    *,
    max_pictures: int = MAX_PICTURES,
) -> dict[str, Any]:
    """An ``Exporter`` of one shot: ``images``, ``sparse/0`` (text and binary), and masks in both conventions.

    Cameras are adjusted to the points (``refine_cameras``), so that programs which do so themselves find nothing to do.
    ``masks/NNNNNN.jpg.png`` is how COLMAP names the mask of ``images/NNNNNN.jpg``; trainers ask for the same stem, as
    ``masks_same_stem/NNNNNN.png``. Both are black at people and at what is no scene.
    """
    options = options or ExportOptions()
    found = open_scene(reconstruction, body, options).pick(max_pictures)
    frames, points = found, find_tracks(found)
    if options.refine_cameras:
        frames, points = adjust_tracks(found, points, max_error_px=MAX_ERROR_PX, least_seen=LEAST_SEEN)
    with new_folder(path) as folder:
        write_pictures(frames, folder)
        write_masks(frames, folder / "masks", "{}.jpg.png")
        write_masks(frames, folder / "masks_same_stem", "{}.png")
        model = folder / "sparse" / "0"
        model.mkdir(parents=True, exist_ok=True)
        write_sparse_model(frames, points, model)
    notes = [*frames.facts["notes"]]
    if len(points.xyz) < _FEW_POINTS:
        notes.append(
            f"Only {len(points.xyz)} points are shown alike by three frames: the camera hardly moved, or saw little."
        )
    moved_m = float(np.linalg.norm(frames.c2w[:, :3, 3] - found.c2w[:, :3, 3], axis=1).max())
    if moved_m > 0:
        notes.append(f"Cameras were adjusted to the points, by up to {100 * moved_m:.1f} cm from those of the result.")
    length = len(points.point) / max(1, len(points.xyz))
    return frames.facts | {
        "pictures": len(frames.rows),
        "points": len(points.xyz),
        "mean_track_length": round(length, 2),
        "mean_error_px": round(float(np.mean(points.error_px)), 3) if len(points.point) else None,
        "max_error_px": MAX_ERROR_PX,
        "cameras_moved_m": round(moved_m, 5),
        "masks": "black where people are, with a margin",
        "notes": notes,
    }
