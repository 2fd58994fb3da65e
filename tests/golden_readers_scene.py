"""Readers of the golden scene: sparse models, pictures with poses, depth maps, meshes and paths of the camera."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import trimesh
from numpy import ndarray
from PIL import Image
from scipy.spatial.transform import Rotation

from golden_scene import SIZE, SOURCE_FPS, SOURCE_SIZE, START_S, ReadBack, from_export, reads, turn_from_export

TO_SOURCE = np.diag([SOURCE_SIZE[1] / SIZE[1], SOURCE_SIZE[0] / SIZE[0], 1.0])
FROM_OPENGL = np.diag([1.0, -1.0, -1.0, 1.0])


def _times(names: list[str]) -> ndarray:
    """Pictures are named by their number in the source, which is a film of even rate."""
    return np.array([int(Path(name).stem) for name in names]) / SOURCE_FPS - START_S


def _unturn(c2w: ndarray, up: str) -> ndarray:
    """Cameras of a levelled world in that of the scene."""
    out = c2w.copy()
    out[:, :3, :3] = turn_from_export(up) @ c2w[:, :3, :3]
    out[:, :3, 3] = from_export(c2w[:, :3, 3], up)
    return out


def read_colmap_text(folder: Path) -> tuple[list[str], ndarray, ndarray]:
    """By the description of the format: names, c2w and intrinsics."""
    lenses = {}
    for row in (folder / "cameras.txt").read_text().split("\n")[1:-1]:
        camera, *_, fx, fy, cx, cy = row.split()
        lenses[camera] = np.array([[float(fx), 0, float(cx)], [0, float(fy), float(cy)], [0, 0, 1]])
    names, poses, found = [], [], []
    for line in (folder / "images.txt").read_text().split("\n")[1::2]:
        if row := line.split():
            w, x, y, z, *place = (float(value) for value in row[1:8])
            w2c = np.eye(4)
            w2c[:3, :3], w2c[:3, 3] = Rotation.from_quat([x, y, z, w]).as_matrix(), place
            names.append(row[9])
            poses.append(np.linalg.inv(w2c))
            found.append(lenses[row[8]])
    return names, np.stack(poses), np.stack(found)


@reads("colmap")
def colmap_by_its_text(folder: Path, facts: dict) -> ReadBack:
    names, c2w, lenses = read_colmap_text(folder / "colmap" / "sparse" / "0")
    return ReadBack(times_s=_times(names), c2w=c2w, intrinsics=TO_SOURCE @ lenses)


@reads("colmap", "pycolmap")
def colmap_by_pycolmap(folder: Path, facts: dict) -> ReadBack:
    """The binary files."""
    import pycolmap

    model = pycolmap.Reconstruction()
    model.read_binary(str(folder / "colmap" / "sparse" / "0"))
    images = sorted(model.images.values(), key=lambda image: image.name)
    c2w = np.tile(np.eye(4), (len(images), 1, 1))
    c2w[:, :3] = [image.cam_from_world().inverse().matrix() for image in images]
    lens = [TO_SOURCE @ model.cameras[image.camera_id].calibration_matrix() for image in images]
    return ReadBack(times_s=_times([image.name for image in images]), c2w=c2w, intrinsics=np.stack(lens))


@reads("nerfstudio", "trimesh")
def nerfstudio_by_its_words(folder: Path, facts: dict) -> ReadBack:
    folder = folder / "nerfstudio"
    content = json.loads((folder / "transforms.json").read_text())
    frames = content["frames"]
    c2w = np.array([frame["transform_matrix"] for frame in frames]) @ FROM_OPENGL
    lens = np.array([[[f["fl_x"], 0, f["cx"]], [0, f["fl_y"], f["cy"]], [0, 0, 1]] for f in frames])
    cloud = trimesh.load(folder / content["ply_file_path"])
    assert all((folder / frame[key]).is_file() for frame in frames for key in ("file_path", "mask_path"))
    return ReadBack(
        times_s=_times([frame["file_path"] for frame in frames]),
        c2w=_unturn(c2w, "z"),
        intrinsics=TO_SOURCE @ lens,
        points=from_export(np.asarray(cloud.vertices), "z"),
        colours=np.asarray(cloud.colors)[:, :3],
        tolerance_m=0.08,  # of the points: they are fused, and lie between the pixels of the scene
    )


@reads("mesh", "trimesh")
def mesh_by_trimesh(folder: Path, facts: dict) -> ReadBack:
    (mesh,) = trimesh.load(folder / "scene_mesh.glb", process=False).geometry.values()
    linear = np.asarray(mesh.visual.vertex_attributes["color"], float)[:, :3]
    linear = linear / 255 if linear.max() > 1 else linear
    srgb = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055) * 255
    # Every triangle shows its front to the first camera, which stands over the origin.
    towards = (np.array([0.0, 1.45, 0.0]) - mesh.triangles_center) * mesh.face_normals
    assert (towards.sum(axis=1) > 0).mean() > 0.99
    return ReadBack(points=from_export(np.asarray(mesh.vertices), "y"), colours=srgb)


def _lift(depth: ndarray, camera: dict) -> ndarray:
    rows, columns = np.nonzero(depth)
    rays = np.stack([columns + 0.5, rows + 0.5, np.ones(len(rows))], -1) @ np.linalg.inv(camera["intrinsics"]).T
    c2w = np.array(camera["c2w"])
    return rays * depth[rows, columns, None] @ c2w[:3, :3].T + c2w[:3, 3]


@reads("depth")
def depth_by_pillow(folder: Path, facts: dict) -> ReadBack:
    """Pixels of the 16-bit maps, through the cameras beside them."""
    cameras = json.loads((folder / "depth" / "cameras.json").read_text())["frames"]
    maps = [np.array(Image.open(folder / "depth" / camera["file"])) / 1000 for camera in cameras]
    points = np.concatenate([_lift(*one) for one in zip(maps, cameras, strict=True)])
    times = np.array([camera["time_s"] for camera in cameras]) - START_S
    c2w, lens = (np.array([camera[key] for camera in cameras]) for key in ("c2w", "intrinsics"))
    return ReadBack(times_s=times, c2w=c2w, intrinsics=TO_SOURCE @ lens, points=points)


@reads("depth", "cv2", "OpenEXR")
def depth_by_opencv_and_openexr(folder: Path, facts: dict) -> ReadBack:
    """Both kinds of maps, which agree."""
    import cv2
    import OpenEXR

    cameras = json.loads((folder / "depth" / "cameras.json").read_text())["frames"]
    points = []
    for camera in cameras:
        path = folder / "depth" / camera["file"]
        with OpenEXR.File(str(path.with_suffix(".exr"))) as file:
            metres = file.channels()["Z"].pixels
        np.testing.assert_allclose(cv2.imread(str(path), cv2.IMREAD_UNCHANGED) / 1000, metres, atol=5.1e-4)
        points.append(_lift(metres, camera))
    return ReadBack(points=np.concatenate(points))


@reads("cameras")
def cameras_as_tum(folder: Path, facts: dict) -> ReadBack:
    """TUM, with the lens of the csv, whose poses are those of TUM and KITTI."""
    folder = folder / "cameras"
    rows = np.loadtxt(folder / "trajectory_tum.txt")
    c2w = np.tile(np.eye(4), (len(rows), 1, 1))
    c2w[:, :3, :3], c2w[:, :3, 3] = Rotation.from_quat(rows[:, 4:]).as_matrix(), rows[:, 1:4]
    np.testing.assert_allclose(np.loadtxt(folder / "trajectory_kitti.txt").reshape(-1, 3, 4), c2w[:, :3], atol=1e-8)
    table = np.genfromtxt(folder / "cameras.csv", delimiter=",", names=True)
    np.testing.assert_allclose(np.stack([table[name] for name in ("x", "y", "z")], -1), rows[:, 1:4])
    zero, one = np.zeros(len(rows)), np.ones(len(rows))
    lens = [[table["fx"], zero, table["cx"]], [zero, table["fy"], table["cy"]], [zero, zero, one]]
    return ReadBack(times_s=rows[:, 0] - START_S, c2w=c2w, intrinsics=np.array(lens).transpose(2, 0, 1))


@reads("cameras")
def cameras_as_chan(folder: Path, facts: dict) -> ReadBack:
    """As Nuke turns a camera whose rotation order is ZXY: about z first, about y last; its world has y up."""
    rows = np.loadtxt(folder / "cameras" / "camera.chan")
    assert rows[:, 0].tolist() == list(range(1, len(rows) + 1))
    x, y, z = (Rotation.from_euler(axis, rows[:, 4 + number, None], degrees=True) for number, axis in enumerate("xyz"))
    c2w = np.tile(np.eye(4), (len(rows), 1, 1))
    c2w[:, :3, :3], c2w[:, :3, 3] = (y * x * z).as_matrix(), rows[:, 1:4]
    focal = SOURCE_SIZE[0] / 2 / np.tan(np.radians(rows[:, 7]) / 2)
    lens = np.tile(np.diag([1.0, 1.0, 1.0]), (len(rows), 1, 1))
    lens[:, [0, 1], [0, 1]], lens[:, :2, 2] = focal[:, None], np.array(SOURCE_SIZE)[::-1] / 2
    # The first camera looks along −z.
    return ReadBack(times_s=np.arange(len(rows)) * 5 / SOURCE_FPS, c2w=FROM_OPENGL @ c2w @ FROM_OPENGL, intrinsics=lens)


@reads("cameras", "evo", "rosbags")
def cameras_by_evo(folder: Path, facts: dict) -> ReadBack:
    from evo.tools import file_interface

    path = file_interface.read_tum_trajectory_file(folder / "cameras" / "trajectory_tum.txt")
    return ReadBack(times_s=path.timestamps - START_S, c2w=np.stack(path.poses_se3))
