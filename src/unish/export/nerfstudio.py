"""``nerfstudio``: ``transforms.json`` with pictures, masks and a point cloud to start from.

Cameras map to the world, with OpenGL axes (y up, z backward), as nerfstudio's data format has them; by default the
world is level with z up. See https://docs.nerf.studio/quickstart/data_conventions.html.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from unish.body import Body
from unish.export.axes import FLIP_YZ
from unish.export.fusion import fuse_scene
from unish.export.options import ExportOptions
from unish.export.ply import write_points
from unish.export.scene_frames import SceneFrames, new_folder, open_scene, write_masks, write_pictures
from unish.io import write_json
from unish.structs import Reconstruction

MAX_PICTURES = 300
_FILE, _CLOUD = "transforms.json", "sparse_pc.ply"


def write_nerfstudio(
    path: Path,
    reconstruction: Reconstruction,
    body: Body,
    options: ExportOptions | None = None,
    *,
    max_pictures: int = MAX_PICTURES,
    max_points: int = 200_000,
) -> dict[str, Any]:
    """An ``Exporter`` of one shot.

    Masks are black where people are (``mask_path``): nerfstudio trains on what is white. ``sparse_pc.ply`` holds the
    fused scene without people, in the world of the cameras.
    """
    frames = open_scene(reconstruction, body, options or ExportOptions(up="z", gravity=True)).pick(max_pictures)
    cloud = fuse_scene(frames.record, frames.rows, max_points=max_points)
    xyz = cloud.xyz @ frames.placement[:3, :3].T + frames.placement[:3, 3]
    with new_folder(path) as folder:
        write_pictures(frames, folder)
        write_masks(frames, folder / "masks", "{}.png")
        write_points(folder / _CLOUD, xyz.astype(np.float32), cloud.colours)
        write_json(folder / _FILE, _describe(frames))
    return frames.facts | {"pictures": len(frames.rows), "points": len(xyz), "camera_axes": "OpenGL: y up, z backward"}


def _describe(frames: SceneFrames) -> dict[str, Any]:
    height, width = frames.size
    opengl = frames.c2w.copy()
    opengl[:, :3, :3] = opengl[:, :3, :3] @ FLIP_YZ
    rows = []
    for name, pose, lens in zip(frames.names, opengl, frames.intrinsics, strict=True):
        rows.append(
            {
                "file_path": f"images/{name}.jpg",
                "mask_path": f"masks/{name}.png",
                "transform_matrix": pose.tolist(),
                "fl_x": float(lens[0, 0]), "fl_y": float(lens[1, 1]), "cx": float(lens[0, 2]), "cy": float(lens[1, 2]),
            }
        )  # fmt: skip
    return {"camera_model": "OPENCV", "w": width, "h": height, "ply_file_path": _CLOUD, "frames": rows}
