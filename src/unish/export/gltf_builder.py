"""Assembles a binary glTF: arrays in one buffer, nodes in the trees of one or more scenes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pygltflib as gltf
from numpy import ndarray

from unish.io import written_beside

_COMPONENTS = {
    np.dtype(np.float32): gltf.FLOAT,
    np.dtype(np.uint32): gltf.UNSIGNED_INT,
    np.dtype(np.uint8): gltf.UNSIGNED_BYTE,
}
_POINTER = "KHR_animation_pointer"
_TYPES = {(): gltf.SCALAR, (2,): gltf.VEC2, (3,): gltf.VEC3, (4,): gltf.VEC4, (4, 4): gltf.MAT4}


class GltfBuilder:
    """Collects content; every ``add_*`` returns the index by which other parts refer to it.

    Args:
        generator: the program that writes the file.
        default_scene: the one that viewers show first.
        copyright: what the file says of its licence.
    """

    def __init__(self, generator: str, *, default_scene: int = 0, copyright: str | None = None) -> None:
        self.document = gltf.GLTF2(asset=gltf.Asset(version="2.0", generator=generator, copyright=copyright))
        self.document.scene = default_scene
        self._chunks: list[bytes] = []
        self._length = 0

    def add_array(self, array: ndarray, *, target: int | None = None) -> int:
        """An accessor of its own for one array: (N,), (N, 2..4) or (N, 4, 4) *column-major*."""
        array = np.ascontiguousarray(array)
        view = gltf.BufferView(buffer=0, byteOffset=self._length, byteLength=array.nbytes, target=target)
        self.document.bufferViews.append(view)
        accessor = gltf.Accessor(
            bufferView=len(self.document.bufferViews) - 1,
            componentType=_COMPONENTS[array.dtype],
            count=len(array),
            type=_TYPES[array.shape[1:]],
        )
        if array.dtype != np.uint8:  # the format demands bounds for positions and times; they harm nowhere else
            flat = array.reshape(len(array), -1)
            accessor.min, accessor.max = flat.min(axis=0).tolist(), flat.max(axis=0).tolist()
        self.document.accessors.append(accessor)
        padding = -array.nbytes % 4
        self._chunks.append(array.tobytes() + b"\0" * padding)
        self._length += array.nbytes + padding
        return len(self.document.accessors) - 1

    def add_material(self, colour: Sequence[float], *, name: str) -> int:
        """A rough double-sided surface of one *linear* RGB colour."""
        surface = gltf.PbrMetallicRoughness(baseColorFactor=[*colour, 1.0], metallicFactor=0.0, roughnessFactor=0.8)
        self.document.materials.append(gltf.Material(name=name, pbrMetallicRoughness=surface, doubleSided=True))
        return len(self.document.materials) - 1

    def add_mesh(
        self,
        attributes: dict[str, int],
        *,
        mode: int,
        name: str,
        indices: int | None = None,
        material: int | None = None,
    ) -> int:
        """One primitive: points, lines or triangles (``mode``) over accessors by attribute name."""
        primitive = gltf.Primitive(
            attributes=gltf.Attributes(**attributes), indices=indices, mode=mode, material=material
        )
        self.document.meshes.append(gltf.Mesh(name=name, primitives=[primitive]))
        return len(self.document.meshes) - 1

    def add_scene(self, name: str, *, extras: dict[str, Any]) -> int:
        """An empty scene; viewers show one at a time. ``extras`` is what the format has no word for, as plain JSON."""
        self.document.scenes.append(gltf.Scene(name=name, nodes=[], extras=extras))
        return len(self.document.scenes) - 1

    def add_root(self, name: str, *, scene: int, **fields: Any) -> int:
        """A node at the top of a scene; ``fields`` are those of a glTF node."""
        self.document.nodes.append(gltf.Node(name=name, **fields))
        index = len(self.document.nodes) - 1
        self.document.scenes[scene].nodes.append(index)
        return index

    def add_node(self, name: str, *, parent: int, **fields: Any) -> int:
        """A node under ``parent``; ``fields`` are those of a glTF node."""
        self.document.nodes.append(gltf.Node(name=name, **fields))
        index = len(self.document.nodes) - 1
        self.document.nodes[parent].children.append(index)
        return index

    def add_skin(self, joints: list[int], inverse_bind: ndarray, *, skeleton: int) -> int:
        """``inverse_bind`` (J, 4, 4) row-major, as mathematics writes it."""
        matrices = self.add_array(inverse_bind.transpose(0, 2, 1).astype(np.float32))
        self.document.skins.append(gltf.Skin(joints=joints, inverseBindMatrices=matrices, skeleton=skeleton))
        return len(self.document.skins) - 1

    def add_camera(self, vertical_fov: float, aspect: float) -> int:
        """A pinhole: ``vertical_fov`` in radians, ``aspect`` the width of its view over the height at any distance."""
        view = gltf.Perspective(yfov=vertical_fov, aspectRatio=aspect, znear=0.01)
        self.document.cameras.append(gltf.Camera(type=gltf.PERSPECTIVE, perspective=view))
        return len(self.document.cameras) - 1

    def add_animation(self, name: str) -> int:
        """An empty animation, to be filled by ``animate``; viewers play all channels of one together."""
        self.document.animations.append(gltf.Animation(name=name))
        return len(self.document.animations) - 1

    def animate(self, animation: int, times: int, node: int, path: str, values: ndarray, *, step: bool) -> None:
        """Key values (K, 3 or 4) for ``translation``, ``rotation`` (x, y, z, w) or ``scale`` of a node.

        ``times`` is an accessor of seconds; between two of them values are blended, or held when ``step`` is true.
        """
        kind = gltf.ANIM_STEP if step else gltf.ANIM_LINEAR
        self._add_channel(animation, times, gltf.AnimationChannelTarget(node=node, path=path), values, kind)

    def animate_view(self, animation: int, times: int, camera: int, vertical_fovs: ndarray) -> None:
        """Key values (K,), radians, for the vertical field of view of a camera.

        The format itself moves nothing but nodes; its extension ``KHR_animation_pointer`` names any property.
        """
        pointer = {"pointer": f"/cameras/{camera}/perspective/yfov"}
        target = gltf.AnimationChannelTarget(path="pointer", extensions={_POINTER: pointer})
        self._add_channel(animation, times, target, vertical_fovs, gltf.ANIM_LINEAR)
        if _POINTER not in self.document.extensionsUsed:
            self.document.extensionsUsed.append(_POINTER)

    def _add_channel(
        self, animation: int, times: int, target: gltf.AnimationChannelTarget, values: ndarray, interpolation: str
    ) -> None:
        filled = self.document.animations[animation]
        output = self.add_array(values.astype(np.float32))
        filled.samplers.append(gltf.AnimationSampler(input=times, output=output, interpolation=interpolation))
        filled.channels.append(gltf.AnimationChannel(sampler=len(filled.samplers) - 1, target=target))

    def save(self, path: Path) -> None:
        """Write a ``.glb``, whole or not at all."""
        self.document.buffers = [gltf.Buffer(byteLength=self._length)]
        self.document.set_binary_blob(b"".join(self._chunks))
        with written_beside(path) as beside:
            beside.write_bytes(b"".join(self.document.save_to_bytes()))
