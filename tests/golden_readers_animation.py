"""Readers of the golden scene: programs for animation."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
import trimesh

from bvh_text import read_bvh
from gltf_player import GltfPlayer
from golden_scene import PERSON_IDS, SOURCE_SIZE, ReadBack, from_export, reads, turn_from_export
from unish.body import JOINT_NAMES

OPENGL = np.diag([1.0, -1.0, -1.0])
"""OpenCV axes of a camera to those of glTF, Blender and USD."""

Y_UP = np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])
"""Blender's axes (z up) to those of files with y up."""

BLENDER_PYTHON = "UNISH_BLENDER_PYTHON"
"""Names an interpreter that has ``bpy``."""


@reads("glb")
def glb_by_pygltflib(folder: Path, facts: dict) -> ReadBack:
    """Evaluated by the rules of the format; its lens is that of the source, the principal point in the middle."""
    player = GltfPlayer(folder / "scene.glb")
    turn = turn_from_export("y")
    frames = range(facts["num_frames"])
    joints, turned = {}, {}
    for person in PERSON_IDS:
        bones = player.bones(f"person {person} mesh")
        placed = np.stack([[player.placed(bones[name], key) for name in JOINT_NAMES] for key in frames])
        joints[person] = from_export(placed[..., :3, 3], "y")
        with np.errstate(divide="ignore", invalid="ignore"):
            turned[person] = turn @ placed[..., :3, :3]
    camera = np.stack([player.placed(player.names["camera"], key) for key in frames])
    aspect = player.document.cameras[0].perspective.aspectRatio
    fovs = np.broadcast_to(player.vertical_fovs(0), len(frames))
    return ReadBack(
        times_s=next(iter(player.channels(0).values()))[0],
        joints=joints,
        turned=turned,
        c2w=_camera_back(camera, "y"),
        intrinsics=np.stack([_lens(fov, aspect) for fov in fovs]),
    )


@reads("glb", "trimesh")
def glb_by_trimesh(folder: Path, facts: dict) -> ReadBack:
    """Points in their places; colours are linear light there."""
    scene = trimesh.load(folder / "scene.glb")
    points = []
    for name in scene.graph.nodes_geometry:
        if name.endswith("points"):
            matrix, geometry = scene.graph[name]
            points.append(np.asarray(scene.geometry[geometry].vertices) @ matrix[:3, :3].T + matrix[:3, 3])
    # Where a cube holds points of several frames, they are their mean; the L is flat, and it stays on it.
    return ReadBack(points=from_export(np.concatenate(points), "y"), tolerance_m=0.03)


@reads("glb")
def glb_by_blender(folder: Path, facts: dict) -> ReadBack:
    """Bones keep their names, their rest pose is that of the skin."""
    return _scene_of_blender(folder / "scene.glb", facts["fps"], "person {}")


@reads("usd", "pxr")
def usd_by_blender(folder: Path, facts: dict) -> ReadBack:
    return _scene_of_blender(folder / "scene.usdc", facts["fps"], "person_{}_skeleton")


@reads("blender")
def blender_by_its_script(folder: Path, facts: dict) -> ReadBack:
    return _scene_of_blender(folder / "blender" / "open_in_blender.py", facts["fps"], "person {}")


def _scene_of_blender(path: Path, fps: float, pattern: str) -> ReadBack:
    """Armatures by name, and the camera; Blender has turned y up into z up."""
    found = read_by_blender(path, fps)
    joints, turned = {}, {}
    for person in PERSON_IDS:
        joints[person], turned[person] = _person_of_blender(found, pattern.format(person))
    camera = found["camera"].copy()
    camera[:, :3] = Y_UP @ camera[:, :3]
    return ReadBack(
        times_s=found["times_s"],
        joints=joints,
        turned=turned,
        c2w=_camera_back(camera, "y"),
        intrinsics=np.stack([_lens_of_view(view) for view in found["view"]]),
    )


def _person_of_blender(found: dict[str, np.ndarray], armature: str) -> tuple[np.ndarray, np.ndarray]:
    """Joints and global rotations in the world of the scene."""
    names = found[f"bones/{armature}"].tolist()
    order = [names.index(name) for name in JOINT_NAMES]
    turned = turn_from_export("y") @ (Y_UP @ found[f"turned/{armature}"][:, order] @ Y_UP.T)
    return from_export(found[f"joints/{armature}"][:, order] @ Y_UP.T, "y"), turned


def read_by_blender(path: Path, fps: float) -> dict[str, np.ndarray]:
    """What ``blender_reader`` finds in a file."""
    python = os.environ.get(BLENDER_PYTHON)
    if not python:
        pytest.skip(f"{BLENDER_PYTHON} names no interpreter that has bpy")
    script, out = Path(__file__).with_name("blender_reader.py"), path.parent / "blender.npz"
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    command = [python, str(script), str(path), str(out), str(fps)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, env=environment)
    assert done.returncode == 0 and out.exists(), done.stdout[-2000:] + done.stderr[-2000:]
    with np.load(out) as file:
        return {name: file[name] for name in file.files}


def _camera_back(camera: np.ndarray, up: str) -> np.ndarray:
    """Camera to world with OpenCV axes, in the world of the scene."""
    out = np.tile(np.eye(4), (len(camera), 1, 1))
    out[:, :3, :3] = turn_from_export(up) @ camera[:, :3, :3] @ OPENGL
    out[:, :3, 3] = from_export(camera[:, :3, 3], up)
    return out


def _lens_of_view(view: np.ndarray) -> np.ndarray:
    """Intrinsics of the source from an OpenGL projection: −1 to 1 over the picture, y up, z backwards."""
    height, width = SOURCE_SIZE
    middle = [width / 2 * (1 - view[0, 2]), height / 2 * (1 + view[1, 2])]
    return np.array([[view[0, 0] * width / 2, 0, middle[0]], [0, view[1, 1] * height / 2, middle[1]], [0, 0, 1]])


def _lens(vertical: float, aspect: float) -> np.ndarray:
    height, width = SOURCE_SIZE
    focal = height / 2 / np.tan(vertical / 2)
    return np.array([[width / aspect * focal / height, 0, width / 2], [0, focal, height / 2], [0, 0, 1.0]])


@reads("bvh")
def bvh_by_its_words(folder: Path, facts: dict) -> ReadBack:
    """A reader of the text alone, for where none of the libraries is installed; see ``bvh_text``."""
    joints, turned, times = {}, {}, None
    for person in PERSON_IDS:
        names, placed, turns, seconds = read_bvh(folder / "bvh" / f"person-{person}.bvh")
        order = [names.index(name) for name in JOINT_NAMES]
        joints[person] = from_export(placed[:, order] / 100, "y")
        turned[person] = turn_from_export("y") @ turns[:, order]
        times = np.arange(len(placed)) * seconds
    return ReadBack(times_s=times, joints=joints, turned=turned)


@reads("bvh", "bvhio")
def bvh_by_bvhio(folder: Path, facts: dict) -> ReadBack:
    """Centimetres."""
    import bvhio

    joints, count = {}, 0
    for person in PERSON_IDS:
        root = bvhio.readAsHierarchy(str(folder / "bvh" / f"person-{person}.bvh"))
        bones = {joint.Name: joint for joint, _, _ in root.layout()}
        count = len(root.Keyframes)
        here = []
        for frame in range(count):
            root.loadPose(frame)
            here.append([bones[name].PositionWorld.to_tuple() for name in JOINT_NAMES])
        joints[person] = from_export(np.array(here) / 100, "y")
    return ReadBack(times_s=np.arange(count) / facts["fps"], joints=joints)


@reads("bvh", "bvhTools")
def bvh_by_bvhtools(folder: Path, facts: dict) -> ReadBack:
    """Rotations are about the axes of the world in the rest pose."""
    from bvhTools.bvhIO import readBvh

    joints, turned, times = {}, {}, None
    for person in PERSON_IDS:
        data = readBvh(str(folder / "bvh" / f"person-{person}.bvh"))
        poses = [data.getFKAtFrame(frame) for frame in range(data.motion.numFrames)]
        joints[person] = from_export(np.array([[pose[name][1] for name in JOINT_NAMES] for pose in poses]) / 100, "y")
        turned[person] = turn_from_export("y") @ np.array([[pose[name][0] for name in JOINT_NAMES] for pose in poses])
        times = np.arange(len(poses)) * data.motion.frameTime
    return ReadBack(times_s=times, joints=joints, turned=turned)


@reads("bvh")
def bvh_by_blender(folder: Path, facts: dict) -> ReadBack:
    """The importer turns y up into z up by itself, and is told that the file has centimetres."""
    joints, turned, times = {}, {}, None
    for person in PERSON_IDS:
        found = read_by_blender(folder / "bvh" / f"person-{person}.bvh", facts["fps"])
        joints[person], turned[person] = _person_of_blender(found, f"person-{person}")
        times = found["times_s"]
    return ReadBack(times_s=times, joints=joints, turned=turned)


@reads("usd", "pxr")
def usd_by_usd_core(folder: Path, facts: dict) -> ReadBack:
    """Metres, y up, and everything under the default prim."""
    from pxr import Usd, UsdGeom, UsdSkel

    stage = Usd.Stage.Open(str(folder / "scene.usdc"))
    assert UsdGeom.GetStageMetersPerUnit(stage) == 1.0 and UsdGeom.GetStageUpAxis(stage) == "Y"
    assert stage.GetDefaultPrim().GetPath() == "/World"
    frames = np.arange(stage.GetStartTimeCode(), stage.GetEndTimeCode() + 1)
    cache, joints, turned, camera = UsdSkel.Cache(), {}, {}, []
    lens = UsdGeom.Camera(stage.GetPrimAtPath("/World/camera"))
    for person in PERSON_IDS:
        query = cache.GetSkelQuery(
            UsdSkel.Skeleton(stage.GetPrimAtPath(f"/World/person_{person}/person_{person}_skeleton"))
        )
        names = [token.split("/")[-1] for token in query.GetJointOrder()]
        order = [names.index(name) for name in JOINT_NAMES]
        placed = np.stack([np.array(query.ComputeJointWorldTransforms(UsdGeom.XformCache(frame))) for frame in frames])[
            :, order
        ].mT  # rows are multiplied from the left
        joints[person] = from_export(placed[..., :3, 3], "y")
        turned[person] = turn_from_export("y") @ placed[..., :3, :3]
    for frame in frames:
        camera.append(np.array(UsdGeom.XformCache(frame).GetLocalToWorldTransform(lens.GetPrim())).T)
    views = [np.array(lens.GetCamera(frame).frustum.ComputeProjectionMatrix()).T for frame in frames]
    cloud = UsdGeom.Points(stage.GetPrimAtPath("/World/scene_points"))
    return ReadBack(
        times_s=frames / stage.GetTimeCodesPerSecond(),
        joints=joints,
        turned=turned,
        c2w=_camera_back(np.array(camera), "y"),
        intrinsics=np.stack([_lens_of_view(view) for view in views]),
        points=from_export(np.array(cloud.GetPointsAttr().Get()), "y"),
        tolerance_m=2e-3,
    )
