"""Vertex buffers of meshes: a static one with culling of blocks outside the view, and a dynamic one."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int32
from numpy import ndarray

from unish.render.scene import Mesh

BLOCK = 64
"""Faces that are kept or left out together. Neighbours in a mesh are mostly neighbours in space."""


class Drawable:
    """Vertex buffers and vertex arrays of a mesh: appearance (which never changes) apart from geometry."""

    def __init__(self, gl: Any, mesh: Mesh, faces: Int32[ndarray, "F 3"], programs: tuple[Any, ...]) -> None:
        self._items: list[Any] = []
        self._arrays: dict[Any, Any] = {}
        self.num_vertices = len(mesh.vertices)
        if len(faces) == 0:
            return
        geometry = np.concatenate([mesh.vertices, mesh.normals], axis=1).astype(np.float32)
        gloss = np.zeros(len(mesh.vertices), np.float32) if mesh.gloss is None else mesh.gloss
        appearance = [mesh.colours, gloss[:, None], mesh.uv, mesh.layers[:, None], mesh.ids[:, None]]
        self.geometry = gl.buffer(geometry.tobytes(), dynamic=True)
        appearance_buffer = gl.buffer(np.concatenate(appearance, axis=1).astype(np.float32).tobytes())
        self.index = gl.buffer(np.ascontiguousarray(faces, np.int32).tobytes(), dynamic=True)
        self._items = [self.geometry, appearance_buffer, self.index]
        for program in programs:
            if "normal" in program:
                content = [
                    (self.geometry, "3f 3f", "position", "normal"),
                    (appearance_buffer, "4f 2f 2f", "paint", "uv", "tags"),
                ]
            else:
                content = [(self.geometry, "3f 3x4", "position")]
            self._arrays[program] = gl.vertex_array(program, content, self.index)

    def draw(self, program: Any, num_faces: int = -1) -> None:
        """Draw the first faces of the index, all of them by default."""
        if self._arrays and num_faces:
            self._arrays[program].render(vertices=3 * num_faces if num_faces > 0 else -1)

    def release(self) -> None:
        for item in (*self._arrays.values(), *self._items):
            item.release()


class StaticDrawable(Drawable):
    """A mesh that does not move. Its faces are drawn in blocks, near ones first, and only those that may be visible."""

    def __init__(self, gl: Any, mesh: Mesh, programs: tuple[Any, ...]) -> None:
        num_blocks = -(-len(mesh.faces) // BLOCK)
        # Repeats of the last face fill up the last block: they draw the same pixels again.
        filled = mesh.faces[np.minimum(np.arange(num_blocks * BLOCK), len(mesh.faces) - 1)]
        super().__init__(gl, mesh, filled, programs)
        self._blocks = filled.reshape(num_blocks, BLOCK * 3)
        corners = mesh.vertices[self._blocks.T]  # the long axis last but one: reduced many times faster
        low, high = corners.min(0), corners.max(0)
        self._centres, self._halves = (low + high) / 2, (high - low) / 2
        self._num_drawn = num_blocks * BLOCK

    def select(self, planes: Float[ndarray, "K 4"], forward: Float[ndarray, "3"]) -> None:
        """Choose the blocks whose bounds reach into all half-spaces n·x + d ≥ 0, in the order of ``forward``."""
        chosen = np.flatnonzero(self.reach(planes))
        order = chosen[np.argsort(self._centres[chosen] @ forward)]
        if len(order):
            self.index.write(self._blocks[order].tobytes())
        self._num_drawn = len(order) * BLOCK

    def reach(self, planes: Float[ndarray, "K 4"]) -> Bool[ndarray, "B"]:
        """Which blocks' bounds reach into all half-spaces."""
        nearest = self._centres @ planes[:, :3].T + self._halves @ np.abs(planes[:, :3]).T + planes[:, 3]
        return (nearest >= 0).all(1)

    def draw_selected(self, program: Any) -> None:
        """Draw what was chosen last."""
        self.draw(program, self._num_drawn)


class DynamicDrawable(Drawable):
    """A mesh whose vertices and normals come anew for every frame."""

    def __init__(self, gl: Any, mesh: Mesh, programs: tuple[Any, ...]) -> None:
        # In the order of their vertices, so that a vertex that was computed is used again soon.
        super().__init__(gl, mesh, mesh.faces[np.argsort(mesh.faces.min(1), kind="stable")], programs)

    def move(self, vertices: Float[ndarray, "V 3"], normals: Float[ndarray, "V 3"]) -> None:
        """Upload positions and normals."""
        if len(vertices) != self.num_vertices:
            raise ValueError(f"{len(vertices)} vertices given for a mesh of {self.num_vertices}")
        if self._items:
            self.geometry.write(np.concatenate([vertices, normals], axis=1).astype(np.float32).tobytes())
