"""The glTF file, read back by independent libraries; its skins evaluated here and compared with the body."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pygltflib
import pytest
import trimesh
from scipy.spatial.transform import Rotation

from small_record import make_figure, make_record
from unish.body import Body
from unish.export import write_glb

_TYPES = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT4": 16}
_COMPONENTS = {5121: np.uint8, 5123: np.uint16, 5125: np.uint32, 5126: np.float32}


@pytest.fixture(scope="module")
def body() -> Body:
    return make_figure()


class Reader:
    """Just enough of a glTF player: arrays, animated local transforms, global transforms, skins."""

    def __init__(self, path: Path) -> None:
        self.document = pygltflib.GLTF2().load(str(path))
        self.names = {node.name: index for index, node in enumerate(self.document.nodes)}
        self.parents = {child: i for i, node in enumerate(self.document.nodes) for child in node.children or []}

    def array(self, accessor: int) -> np.ndarray:
        entry = self.document.accessors[accessor]
        view = self.document.bufferViews[entry.bufferView]
        data = self.document.binary_blob()[view.byteOffset : view.byteOffset + view.byteLength]
        values = np.frombuffer(data, _COMPONENTS[entry.componentType]).reshape(entry.count, _TYPES[entry.type])
        if entry.min:
            np.testing.assert_allclose(entry.min, values.min(axis=0), rtol=1e-6)
        return values

    def local(self, index: int, key: int) -> np.ndarray:
        """The transform of a node relative to its parent at the ``key``-th key of the animation."""
        node = self.document.nodes[index]
        parts = {
            "translation": node.translation or [0, 0, 0],
            "rotation": node.rotation or [0, 0, 0, 1],
            "scale": node.scale or [1, 1, 1],
        }
        animation = self.document.animations[0]
        for channel in animation.channels:
            if channel.target.node == index:
                parts[channel.target.path] = self.array(animation.samplers[channel.sampler].output)[key]
        matrix = np.eye(4)
        matrix[:3, :3] = Rotation.from_quat(parts["rotation"]).as_matrix() * np.asarray(parts["scale"])
        matrix[:3, 3] = parts["translation"]
        return matrix

    def placed(self, index: int, key: int) -> np.ndarray:
        matrix = self.local(index, key)
        return self.placed(self.parents[index], key) @ matrix if index in self.parents else matrix

    def skinned(self, name: str, key: int) -> np.ndarray:
        """Vertices of a skinned mesh: Σ w · joint · inverse bind · v (glTF 2.0, 3.7.3.1)."""
        node = self.document.nodes[self.names[name]]
        skin = self.document.skins[node.skin]
        attributes = self.document.meshes[node.mesh].primitives[0].attributes
        inverse_bind = self.array(skin.inverseBindMatrices).reshape(-1, 4, 4).transpose(0, 2, 1)
        joints = np.stack([self.placed(joint, key) for joint in skin.joints]) @ inverse_bind
        vertices = self.array(attributes.POSITION)
        points = np.concatenate([vertices, np.ones((len(vertices), 1))], axis=1)
        weights, chosen = self.array(attributes.WEIGHTS_0), self.array(attributes.JOINTS_0)
        np.testing.assert_allclose(weights.sum(axis=1), 1.0, atol=1e-5)
        return np.einsum("vk,vkij,vj->vi", weights, joints[chosen], points)[:, :3]


def test_skins_pose_like_the_body(tmp_path: Path, body: Body) -> None:
    record = make_record(body)
    write_glb(tmp_path / "scene.glb", record, body)
    reader = Reader(tmp_path / "scene.glb")
    world = reader.local(reader.names["world"], 0)[:3, :3]
    expected = record.vertices(body) @ world.T
    for person, person_id in enumerate(record.person_ids):
        for frame in range(record.num_frames):
            found = reader.skinned(f"person {person_id} mesh", frame)
            if record.person_valid[person, frame]:
                np.testing.assert_allclose(found, expected[person, frame], atol=1e-4)
            else:
                assert np.ptp(found, axis=0).max() < 1e-6  # nothing to see


def test_up_is_up(tmp_path: Path, body: Body) -> None:
    """Down points down, the first camera looks ahead along −z, and nothing is mirrored."""
    record = make_record(body)
    for gravity in (record.gravity[0], np.full(3, np.nan, np.float32), np.array([0.1, 0.95, 0.3], np.float32)):
        write_glb(tmp_path / "scene.glb", replace(record, gravity=gravity[None]), body)
        world = Reader(tmp_path / "scene.glb").local(0, 0)[:3, :3]
        assert np.linalg.det(world) == pytest.approx(1.0)
        down = gravity / np.linalg.norm(gravity) if np.isfinite(gravity).all() else np.array([0.0, 1.0, 0.0])
        np.testing.assert_allclose(world @ down, [0.0, -1.0, 0.0], atol=1e-6)
        ahead = world @ [0.0, 0.0, 1.0]
        assert ahead[2] < -0.9 and abs(ahead[0]) < 1e-6


def test_read_by_trimesh(tmp_path: Path, body: Body) -> None:
    record = make_record(body)
    write_glb(tmp_path / "scene.glb", record, body, max_points=1500)
    scene = trimesh.load(tmp_path / "scene.glb")
    clouds = [item for item in scene.geometry.values() if isinstance(item, trimesh.PointCloud)]
    meshes = [item for item in scene.geometry.values() if isinstance(item, trimesh.Trimesh)]
    assert sum(len(cloud.vertices) for cloud in clouds) <= 1500 and len(clouds) >= 1
    assert sorted(len(mesh.faces) for mesh in meshes) == [len(record.faces)] * 2
    assert scene.bounds[0, 1] == pytest.approx(-1.4, abs=0.02)  # the floor, 1.4 m below the camera


def test_camera_flies_along_the_path(tmp_path: Path, body: Body) -> None:
    record = make_record(body)
    write_glb(tmp_path / "scene.glb", record, body)
    reader = Reader(tmp_path / "scene.glb")
    world = reader.local(0, 0)[:3, :3]
    for frame in range(record.num_frames):
        placed = reader.placed(reader.names["camera"], frame)
        np.testing.assert_allclose(placed[:3, 3], world @ record.c2w[frame, :3, 3], atol=1e-5)
        np.testing.assert_allclose(-placed[:3, 2], world @ record.c2w[frame, :3, 2], atol=1e-5)  # looks along −z
    view = reader.document.cameras[0].perspective
    assert np.tan(view.yfov / 2) == pytest.approx(24 / 60) and view.aspectRatio == pytest.approx(64 / 48)


@pytest.mark.parametrize(("num_people", "num_frames"), [(0, 1), (0, 4), (1, 1)])
def test_small_records(tmp_path: Path, body: Body, num_people: int, num_frames: int) -> None:
    record = make_record(body, num_people=num_people, num_frames=num_frames)
    write_glb(tmp_path / "scene.glb", record, body)
    assert len(Reader(tmp_path / "scene.glb").document.skins) == num_people
    trimesh.load(tmp_path / "scene.glb")


def test_each_shot_is_shown_while_it_lasts(tmp_path: Path, body: Body) -> None:
    write_glb(tmp_path / "scene.glb", make_record(body, num_shots=2), body)
    reader = Reader(tmp_path / "scene.glb")
    for frame in range(6):
        sizes = [np.linalg.det(reader.local(reader.names[f"shot {shot}"], frame)[:3, :3]) for shot in (0, 1)]
        assert sizes == ([1.0, 0.0] if frame < 3 else [0.0, 1.0])


def test_nobody_ever_valid_and_no_depth(tmp_path: Path, body: Body) -> None:
    record = make_record(body)
    empty = replace(record, person_valid=np.zeros_like(record.person_valid), depth=np.zeros_like(record.depth))
    write_glb(tmp_path / "scene.glb", empty, body)
    assert not Reader(tmp_path / "scene.glb").document.skins


def test_nothing_half_written(tmp_path: Path, body: Body, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: Path, data: bytes) -> int:
        raise OSError(28, "No space left on device", str(self))

    monkeypatch.setattr(Path, "write_bytes", fail)
    with pytest.raises(OSError):
        write_glb(tmp_path / "scene.glb", make_record(body), body)
    assert list(tmp_path.iterdir()) == []
