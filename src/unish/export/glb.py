"""``glb``: coloured scene points, the camera's path, and skinned bodies that move, for any glTF viewer.

glTF looks along −z with y up; the content keeps the OpenCV world of the record, and one node at the top, "world", turns
it.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pygltflib as gltf
import torch
from jaxtyping import Float, Float64, Int
from numpy import ndarray
from scipy.spatial.transform import Rotation

from unish.body import JOINT_NAMES, Body
from unish.export.gltf_builder import GltfBuilder
from unish.export.points import choose_points
from unish.render.colours import person_colour
from unish.render.scene import vertex_normals
from unish.structs import Reconstruction

_MAX_FRUSTA = 60
_FRUSTUM_SHARE = 0.06
"""Depth of a drawn camera as a share of the median depth of the scene."""
_FLIP_YZ = np.diag([1.0, -1.0, -1.0])
"""OpenCV camera axes (y down, z forward) to glTF's (y up, z backward), and back."""


def write_glb(path: Path, reconstruction: Reconstruction, body: Body, *, max_points: int = 400_000) -> None:
    """Write scene points (people left out), camera path, an animated camera, and one animated body per person.

    Lengths are metres. Several shots are several worlds in one place, so each is shown only while it lasts; a body is
    scaled to nothing in frames where its person is not valid. Pose-dependent corrections of the shape, where a body
    model has them, are beyond glTF skins and left out.
    """
    builder = GltfBuilder(generator=f"unish {reconstruction.version}")
    seconds = (reconstruction.timestamps_s - reconstruction.timestamps_s[0]).astype(np.float32)
    times = builder.add_array(seconds)
    world = builder.add_node(
        "world", parent=None, rotation=_quaternions(_upright(reconstruction.gravity[0]))[0].tolist()
    )
    points = choose_points(reconstruction, max_points=max_points, keep_people=False)
    several = len(np.unique(reconstruction.segment)) > 1
    for shot in np.unique(reconstruction.segment).tolist():
        during = reconstruction.segment == shot
        node = builder.add_node(f"shot {shot}", parent=world)
        if several:
            builder.animate(times, node, "scale", np.repeat(during[:, None], 3, axis=1), step=True)
        inside = during[points.frame]
        _add_points(builder, node, points.xyz[inside], points.colours[inside])
        _add_path(builder, node, reconstruction, np.flatnonzero(during))
    _add_camera(builder, world, times, reconstruction)
    for person in range(reconstruction.num_people):
        if reconstruction.person_valid[person].any():
            _add_body(builder, world, times, reconstruction, body, person)
    builder.save(path)


def _upright(gravity: Float[ndarray, "3"]) -> Float64[ndarray, "1 3 3"]:
    """Rotation from the record's world to y up, looking along −z; from gravity where it is known."""
    down = gravity.astype(np.float64)
    if not np.isfinite(down).all():
        return _FLIP_YZ[None]
    up = -down / np.linalg.norm(down)
    ahead = np.array([0.0, 0.0, 1.0])
    backward = -(ahead - up * (ahead @ up))
    if np.linalg.norm(backward) < 1e-3:  # the first camera looks straight up or down: any heading will do
        backward = np.cross([1.0, 0.0, 0.0], up)
    backward /= np.linalg.norm(backward)
    return np.stack([np.cross(up, backward), up, backward])[None]


def _add_points(builder: GltfBuilder, parent: int, xyz: Float[ndarray, "N 3"], colours: ndarray) -> None:
    if not len(xyz):
        return
    opaque = np.concatenate([colours, np.full((len(colours), 1), 255, np.uint8)], axis=1)
    attributes = {
        "POSITION": builder.add_array(xyz.astype(np.float32), target=gltf.ARRAY_BUFFER),
        "COLOR_0": builder.add_array(_to_linear_u16(opaque), target=gltf.ARRAY_BUFFER, normalized=True),
    }
    builder.add_node("scene points", parent=parent, mesh=builder.add_mesh(attributes, mode=gltf.POINTS, name="points"))


def _add_path(builder: GltfBuilder, parent: int, record: Reconstruction, frames: Int[ndarray, "N"]) -> None:
    """The way of the camera as a line, and a small pyramid for some of its frames."""
    centres = record.c2w[frames, :3, 3].astype(np.float32)
    if len(frames) > 1:
        line = {"POSITION": builder.add_array(centres, target=gltf.ARRAY_BUFFER)}
        mesh = builder.add_mesh(line, mode=gltf.LINE_STRIP, name="camera path")
        builder.add_node("camera path", parent=parent, mesh=mesh)
    depth = record.depth[frames]
    size = _FRUSTUM_SHARE * float(np.median(depth[depth > 0])) if (depth > 0).any() else 0.1
    some = frames[np.unique(np.linspace(0, len(frames) - 1, min(len(frames), _MAX_FRUSTA)).round().astype(int))]
    segments = np.concatenate([_frustum(record, frame, size) for frame in some.tolist()]).astype(np.float32)
    lines = {"POSITION": builder.add_array(segments, target=gltf.ARRAY_BUFFER)}
    mesh = builder.add_mesh(lines, mode=gltf.LINES, name="cameras")
    builder.add_node("cameras", parent=parent, mesh=mesh)


def _frustum(record: Reconstruction, frame: int, size: float) -> Float[ndarray, "16 3"]:
    """Ends of the eight edges of a camera's pyramid, in the world."""
    height, width = record.image_size.tolist()
    pixels = np.array([(0, 0, 1), (width, 0, 1), (width, height, 1), (0, height, 1)], np.float64)
    corners = size * pixels @ np.linalg.inv(record.intrinsics[frame].astype(np.float64)).T
    local = np.concatenate([np.zeros((1, 3)), corners])
    world = local @ record.c2w[frame, :3, :3].T.astype(np.float64) + record.c2w[frame, :3, 3]
    return world[[0, 1, 0, 2, 0, 3, 0, 4, 1, 2, 2, 3, 3, 4, 4, 1]]


def _add_camera(builder: GltfBuilder, parent: int, times: int, record: Reconstruction) -> None:
    """A camera that flies along the path, so that a viewer can look through the one that filmed."""
    height, width = record.image_size.tolist()
    lens = builder.add_camera(float(2 * np.arctan(height / 2 / record.intrinsics[0, 1, 1])), width / height)
    rotations = _quaternions(record.c2w[:, :3, :3].astype(np.float64) @ _FLIP_YZ)
    centres = record.c2w[:, :3, 3]
    node = builder.add_node(
        "camera", parent=parent, camera=lens, rotation=rotations[0].tolist(), translation=centres[0].tolist()
    )
    builder.animate(times, node, "rotation", rotations)
    builder.animate(times, node, "translation", centres)


def _add_body(builder: GltfBuilder, world: int, times: int, record: Reconstruction, body: Body, person: int) -> None:
    """A skinned mesh: joints at the rest skeleton of the person's shape, moved by the SMPL rotations."""
    person_id = int(record.person_ids[person])
    name = f"person {person_id}"
    valid = record.person_valid[person]
    rotations, roots, rest = _motion(record, body, person)
    first = int(np.argmax(valid))
    top = builder.add_node(name, parent=world)
    joints: list[int] = []
    for joint, above in enumerate(body.parents):
        offset = roots[first] if joint == 0 else rest[joint] - rest[above]
        joints.append(
            builder.add_node(
                f"{name} {JOINT_NAMES[joint]}",
                parent=top if joint == 0 else joints[above],
                translation=offset.tolist(),
                rotation=rotations[first, joint].tolist(),
            )
        )
        builder.animate(times, joints[joint], "rotation", rotations[:, joint])
    builder.animate(times, joints[0], "translation", roots)
    if not valid.all():
        builder.animate(times, joints[0], "scale", np.repeat(valid[:, None], 3, axis=1), step=True)
    inverse_bind = np.tile(np.eye(4), (len(joints), 1, 1))
    inverse_bind[:, :3, 3] = -rest
    skin = builder.add_skin(joints, inverse_bind, skeleton=joints[0])
    builder.add_node(f"{name} mesh", parent=top, mesh=_add_body_mesh(builder, record, body, person, name), skin=skin)


def _motion(
    record: Reconstruction, body: Body, person: int
) -> tuple[Float64[ndarray, "T 24 4"], Float64[ndarray, "T 3"], Float64[ndarray, "24 3"]]:
    """Local joint quaternions and root places over all frames, and the rest joints of the person's shape.

    The last known pose is held through frames that are not valid; nothing of it is shown there.
    """
    valid = record.person_valid[person]
    source = np.maximum.accumulate(np.where(valid, np.arange(len(valid)), -1))
    source[source < 0] = int(np.argmax(valid))
    axis_angle = np.concatenate([record.global_orient_aa[person], record.body_pose_aa[person]], axis=1)[source]
    matrices = Rotation.from_rotvec(axis_angle.reshape(-1, 3).astype(np.float64)).as_matrix()
    rotations = _quaternions(matrices).reshape(len(valid), -1, 4)
    for frame in range(1, len(rotations)):  # q and −q are one rotation; blending between frames must not cross over
        flipped = (rotations[frame] * rotations[frame - 1]).sum(axis=-1, keepdims=True) < 0
        rotations[frame] = np.where(flipped, -rotations[frame], rotations[frame])
    rest = body.rest_joints(torch.from_numpy(record.betas[person])).double().cpu().numpy()
    # SMPL turns about the rest pelvis and then adds transl, so the root joint stands at their sum.
    return rotations, record.transl[person][source].astype(np.float64) + rest[0], rest


def _add_body_mesh(builder: GltfBuilder, record: Reconstruction, body: Body, person: int, name: str) -> int:
    vertices = body.shape(torch.from_numpy(record.betas[person])).vertices.float().cpu().numpy()
    joints, weights = _strongest(body.skin_weights.cpu().numpy())
    attributes = {
        "POSITION": builder.add_array(vertices, target=gltf.ARRAY_BUFFER),
        "NORMAL": builder.add_array(_unit_normals(vertices, record.faces), target=gltf.ARRAY_BUFFER),
        "JOINTS_0": builder.add_array(joints, target=gltf.ARRAY_BUFFER),
        "WEIGHTS_0": builder.add_array(weights, target=gltf.ARRAY_BUFFER),
    }
    indices = builder.add_array(record.faces.astype(np.uint32).ravel(), target=gltf.ELEMENT_ARRAY_BUFFER)
    colour = _to_linear(person_colour(int(record.person_ids[person])) / 255.0)
    material = builder.add_material(colour.tolist(), name=name)
    return builder.add_mesh(attributes, mode=gltf.TRIANGLES, name=name, indices=indices, material=material)


def _strongest(weights: Float[ndarray, "V J"]) -> tuple[ndarray, ndarray]:
    """The four largest weights of each vertex, all that viewers can be relied on to use, brought to a sum of one."""
    joints = np.argsort(-weights, axis=1, kind="stable")[:, :4]
    kept = np.take_along_axis(weights, joints, axis=1)
    # The format wants joint 0 where the weight is 0.
    return np.where(kept > 0, joints, 0).astype(np.uint8), (kept / kept.sum(axis=1, keepdims=True)).astype(np.float32)


def _unit_normals(vertices: Float[ndarray, "V 3"], faces: Int[ndarray, "F 3"]) -> Float[ndarray, "V 3"]:
    normals = vertex_normals(vertices.astype(np.float32), faces.astype(np.int32))
    return np.where(np.linalg.norm(normals, axis=1, keepdims=True) > 0.5, normals, np.array([0, 1, 0], np.float32))


def _quaternions(matrices: Float[ndarray, "N 3 3"]) -> Float64[ndarray, "N 4"]:
    """(x, y, z, w), as glTF wants them."""
    return Rotation.from_matrix(matrices).as_quat()


def _to_linear(colour: Float[ndarray, "*shape"]) -> Float[ndarray, "*shape"]:
    """sRGB in 0..1 to linear light, IEC 61966-2-1."""
    return np.where(colour <= 0.04045, colour / 12.92, ((colour + 0.055) / 1.055) ** 2.4)


def _to_linear_u16(rgba: ndarray) -> ndarray:
    """8-bit sRGB with alpha to 16-bit linear light: vertex colours of glTF are linear, and 8 bits would show bands."""
    values = rgba / 255.0
    values[:, :3] = _to_linear(values[:, :3])
    return (values * 65535).round().astype(np.uint16)
