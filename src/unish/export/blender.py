"""``blender``: a folder that one script opens in Blender, and through it everything that Blender writes (FBX)."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import av
import numpy as np

from unish.body import Body
from unish.export import open_in_blender
from unish.export.glb import NOTE_ZOOM, write_glb
from unish.export.options import ExportOptions
from unish.export.preview import add_stream, open_film
from unish.export.take import Take, make_take
from unish.io import write_json, written_beside
from unish.structs import Reconstruction


def write_blender(path: Path, reconstruction: Reconstruction, body: Body, options: ExportOptions) -> dict[str, Any]:
    """An ``Exporter``: a folder with ``open_in_blender.py``, ``scene.glb``, ``plate.mp4`` and ``scene.json``.

    ``scene.json`` is what the script has to know: frame rate, size of the picture, principal point, and the focal
    length of every frame. ``plate.mp4`` has the processed frames, each as long as it is the newest, a picture for every
    frame of the export.
    """
    path.mkdir(exist_ok=True)
    facts = write_glb(path / "scene.glb", reconstruction, body, options, shots=[options.shot])
    # The script moves the lens itself.
    facts["notes"] = [note for note in facts["notes"] if note != NOTE_ZOOM]
    take = make_take(reconstruction, body, options)
    height, width = take.source_size
    write_json(
        path / "scene.json",
        {
            "fps": take.fps,
            "num_frames": take.num_frames,
            "width": width,
            "height": height,
            "cx": take.intrinsics[0, 0, 2],
            "cy": take.intrinsics[0, 1, 2],
            "focal_px": take.intrinsics[:, 0, 0].tolist(),
            "first_source_frame": int(reconstruction.frame_indices[take.frames[0]]),
        },
    )
    _write_plate(path / "plate.mp4", reconstruction, take)
    shutil.copyfile(open_in_blender.__file__, path / "open_in_blender.py")
    del facts["files"]  # everything in the folder
    return facts


def _write_plate(path: Path, reconstruction: Reconstruction, take: Take) -> None:
    """A film with one picture for each frame of the take."""
    shown_s = reconstruction.timestamps_s[reconstruction.dense_frames] - take.start_s
    # Half a millisecond later, lest rounding hide a picture that is due.
    newest = np.maximum(np.searchsorted(shown_s, take.times_s + 5e-4, side="right") - 1, 0)
    height, width = (2 * (side // 2) for side in reconstruction.image_size.tolist())
    with written_beside(path) as beside, open_film(beside) as container:
        stream = add_stream(container, (height, width), take.fps)
        for frame, time_s in enumerate(take.times_s):
            image = np.ascontiguousarray(reconstruction.images[int(newest[frame])][:height, :width])
            picture = av.VideoFrame.from_ndarray(image, format="rgb24")
            picture.pts, picture.duration = round(1000 * time_s), round(1000 / take.fps)
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
