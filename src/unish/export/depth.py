"""``depth``: the depth of every frame as 16-bit PNG in millimetres and, with the extra ``exr``, as EXR in metres."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32
from numpy import ndarray
from PIL import Image

from unish.body import Body
from unish.export.options import ExportOptions
from unish.export.scene_frames import new_folder, open_scene
from unish.io import write_json
from unish.structs import Reconstruction

FARTHEST_M = 65.535
"""What 16 bits hold in millimetres. Depth beyond is written as this."""


def write_depth(
    path: Path, reconstruction: Reconstruction, body: Body, options: ExportOptions | None = None
) -> dict[str, Any]:
    """An ``Exporter`` of one shot: z in the camera, people included, 0 where there is none; ``cameras.json`` beside.

    ``cameras.json`` has, for each frame, its file, its time, ``intrinsics`` (3×3, pixels of the maps) and ``c2w`` (4×4,
    OpenCV axes), and the share of its pixels that the PNG clips.
    """
    frames = open_scene(reconstruction, body, options or ExportOptions())
    with_exr, cameras = find_spec("OpenEXR") is not None, []
    with new_folder(path) as folder:
        for number, name in enumerate(frames.names):
            depth = frames.record.depth[int(frames.rows[number])]
            millimetres = np.rint(np.minimum(depth.astype(np.float64), FARTHEST_M) * 1000).astype(np.uint16)
            Image.fromarray(millimetres).save(folder / f"{name}.png")
            if with_exr:
                _write_exr(folder / f"{name}.exr", depth)
            cameras.append(
                {
                    "file": f"{name}.png",
                    "time_s": float(frames.times_s[number]),
                    "intrinsics": frames.intrinsics[number].tolist(),
                    "c2w": frames.c2w[number].tolist(),
                    "clipped_share": float((depth > FARTHEST_M).mean()),
                }
            )
        height, width = frames.size
        write_json(folder / "cameras.json", {"height": height, "width": width, "frames": cameras})
    without = "EXR files in metres need OpenEXR: pip install 'unish[exr]'."
    return frames.facts | {
        "unit": "PNG: millimetres; EXR: metres" if with_exr else "millimetres",
        "clipped_at_m": FARTHEST_M,
        "no_depth": 0,
        "notes": [*frames.facts["notes"], *([] if with_exr else [without])],
    }


def _write_exr(path: Path, depth: Float32[ndarray, "H W"]) -> None:
    """One channel ``Z`` of 32-bit floats."""
    import OpenEXR

    header = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}
    with OpenEXR.File(header, {"Z": np.ascontiguousarray(depth, np.float32)}) as file:
        file.write(str(path))
