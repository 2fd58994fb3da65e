"""Just enough of a glTF player to look into a file: arrays, animated transforms, skins, what a scene shows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pygltflib
from scipy.spatial.transform import Rotation

_TYPES = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT4": 16}
_COMPONENTS = {5121: np.uint8, 5123: np.uint16, 5125: np.uint32, 5126: np.float32}


class GltfPlayer:
    """Reads a ``.glb``; keys count the key frames of one animation, None is the file without animation."""

    def __init__(self, path: Path) -> None:
        self.document = pygltflib.GLTF2().load(str(path))
        # Bones have the names of their rig, those of every character the same ones.
        joints = {joint for skin in self.document.skins for joint in skin.joints}
        self.names = {node.name: index for index, node in enumerate(self.document.nodes) if index not in joints}
        assert len(self.names) == len(self.document.nodes) - len(joints)
        assert [buffer.byteLength for buffer in self.document.buffers] == [len(self.document.binary_blob())]
        self._blob = self.document.binary_blob()
        self._channels: dict[int, dict[tuple[int, str], tuple[np.ndarray, np.ndarray, str]]] = {}
        self.parents = {child: i for i, node in enumerate(self.document.nodes) for child in node.children or []}

    def array(self, accessor: int) -> np.ndarray:
        entry = self.document.accessors[accessor]
        view = self.document.bufferViews[entry.bufferView]
        assert view.buffer == 0 and view.byteOffset % 4 == 0
        data = self._blob[view.byteOffset : view.byteOffset + view.byteLength]
        values = np.frombuffer(data, _COMPONENTS[entry.componentType]).reshape(entry.count, _TYPES[entry.type])
        if entry.min:
            np.testing.assert_array_equal(np.float32(entry.min), values.min(axis=0))
            np.testing.assert_array_equal(np.float32(entry.max), values.max(axis=0))
        return values

    def nodes_of(self, scene: int) -> set[int]:
        """All nodes of a scene."""
        waiting, found = list(self.document.scenes[scene].nodes), set()
        while waiting:
            index = waiting.pop()
            found.add(index)
            waiting += self.document.nodes[index].children or []
        return found

    def channels(self, animation: int) -> dict[tuple[int, str], tuple[np.ndarray, np.ndarray, str]]:
        """Times, values and interpolation by (node, path)."""
        if animation not in self._channels:
            moving = self.document.animations[animation]
            self._channels[animation] = {
                (channel.target.node, channel.target.path): (
                    self.array(moving.samplers[channel.sampler].input)[:, 0],
                    self.array(moving.samplers[channel.sampler].output),
                    moving.samplers[channel.sampler].interpolation,
                )
                for channel in moving.channels
                if channel.target.path != "pointer"
            }
        return self._channels[animation]

    def vertical_fovs(self, camera: int, animation: int = 0) -> np.ndarray:
        """Of a camera at every key, radians: one value where it is not animated (``KHR_animation_pointer``)."""
        moving, wanted = self.document.animations[animation], f"/cameras/{camera}/perspective/yfov"
        for channel in moving.channels:
            if channel.target.path == "pointer":
                assert channel.target.node is None and "KHR_animation_pointer" in self.document.extensionsUsed
                if channel.target.extensions["KHR_animation_pointer"]["pointer"] == wanted:
                    return self.array(moving.samplers[channel.sampler].output)[:, 0]
        return np.array([self.document.cameras[camera].perspective.yfov])

    def local(self, index: int, key: int | None, animation: int = 0) -> np.ndarray:
        """The transform of a node relative to its parent."""
        node = self.document.nodes[index]
        parts = {
            "translation": node.translation or [0, 0, 0],
            "rotation": node.rotation or [0, 0, 0, 1],
            "scale": node.scale or [1, 1, 1],
        }
        if key is not None:
            for path in parts:
                if (index, path) in self.channels(animation):
                    parts[path] = self.channels(animation)[index, path][1][key]
        matrix = np.eye(4)
        matrix[:3, :3] = Rotation.from_quat(parts["rotation"]).as_matrix() * np.asarray(parts["scale"])
        matrix[:3, 3] = parts["translation"]
        return matrix

    def placed(self, index: int, key: int | None, animation: int = 0) -> np.ndarray:
        matrix = self.local(index, key, animation)
        return self.placed(self.parents[index], key, animation) @ matrix if index in self.parents else matrix

    def points(self, name: str) -> np.ndarray:
        """Places of a node's vertices in its scene."""
        index = self.names[name]
        places = self.array(self.attributes(name).POSITION)
        matrix = self.placed(index, None)
        return places @ matrix[:3, :3].T + matrix[:3, 3]

    def attributes(self, name: str) -> pygltflib.Attributes:
        node = self.document.nodes[self.names[name]]
        return self.document.meshes[node.mesh].primitives[0].attributes

    def bones(self, name: str) -> dict[str, int]:
        """Nodes of the bones that move a skinned mesh, by name."""
        skin = self.document.skins[self.document.nodes[self.names[name]].skin]
        return {self.document.nodes[joint].name: joint for joint in skin.joints}

    def skinned(self, name: str, key: int | None, animation: int = 0) -> np.ndarray:
        """Vertices of a skinned mesh: Σ w · joint · inverse bind · v (glTF 2.0, 3.7.3.1)."""
        skin = self.document.skins[self.document.nodes[self.names[name]].skin]
        attributes = self.attributes(name)
        inverse_bind = self.array(skin.inverseBindMatrices).reshape(-1, 4, 4).transpose(0, 2, 1)
        joints = np.stack([self.placed(joint, key, animation) for joint in skin.joints]) @ inverse_bind
        vertices = self.array(attributes.POSITION)
        points = np.concatenate([vertices, np.ones((len(vertices), 1))], axis=1)
        weights, chosen = self.array(attributes.WEIGHTS_0), self.array(attributes.JOINTS_0)
        np.testing.assert_allclose(weights.sum(axis=1), 1.0, atol=1e-6)
        assert (chosen[weights == 0] == 0).all()
        return np.einsum("vk,vkij,vj->vi", weights, joints[chosen], points)[:, :3]
