"""``mesh``: what stands still in a shot as one coloured triangle mesh."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pygltflib as gltf

from unish.body import Body
from unish.errors import InputError
from unish.export.fusion import fuse_surfaces
from unish.export.gltf_builder import GltfBuilder
from unish.export.options import ExportOptions
from unish.export.scene_frames import open_scene
from unish.render.colours import to_linear
from unish.structs import Reconstruction


def write_mesh(
    path: Path,
    reconstruction: Reconstruction,
    body: Body,
    options: ExportOptions | None = None,
    *,
    max_views: int = 48,
) -> dict[str, Any]:
    """An ``Exporter`` of one shot: a GLB with the surfaces of the scene, each once; people and sky are left out.

    Colours are those of the vertices, without light or texture. Holes are where no frame has seen anything.
    """
    # glTF has y up.
    options = options or ExportOptions(up="y", gravity=True)
    frames = open_scene(reconstruction, body, options)
    surface = fuse_surfaces(frames.record, frames.rows, max_views=max_views)
    if not len(surface.faces):
        raise InputError("the scene has no surface with a depth to rely on; there is no mesh to write")
    xyz = surface.xyz @ frames.placement[:3, :3].T + frames.placement[:3, 3]
    builder = GltfBuilder(generator=f"unish {reconstruction.version}")
    builder.add_scene("scene", extras={"unit": "metres", "axes": frames.facts["axes"]})
    attributes = {
        "POSITION": builder.add_array(xyz.astype(np.float32), target=gltf.ARRAY_BUFFER),
        "COLOR_0": builder.add_array(to_linear(surface.colours / 255.0).astype(np.float32), target=gltf.ARRAY_BUFFER),
    }
    indices = builder.add_array(surface.faces.reshape(-1).astype(np.uint32), target=gltf.ELEMENT_ARRAY_BUFFER)
    material = builder.add_material((1.0, 1.0, 1.0), name="colours of the pictures")
    mesh = builder.add_mesh(attributes, mode=gltf.TRIANGLES, name="scene", indices=indices, material=material)
    builder.add_root("scene", scene=0, mesh=mesh)
    builder.save(path)
    return frames.facts | {"vertices": len(xyz), "triangles": len(surface.faces)}
