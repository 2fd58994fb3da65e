"""Readers of the golden scene: point clouds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import trimesh

from golden_scene import ReadBack, reads


@reads("ply", "trimesh")
def ply_by_trimesh(folder: Path, facts: dict) -> ReadBack:
    """The world of the first camera, in metres."""
    cloud = trimesh.load(folder / "scene.ply")
    return ReadBack(points=np.asarray(cloud.vertices), colours=np.asarray(cloud.colors)[:, :3])
