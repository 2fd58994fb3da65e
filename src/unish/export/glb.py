"""``glb``: coloured scene points, the camera's path, people as points and as skinned bodies that move.

glTF looks along −z with y up; the content keeps the OpenCV world of the record, and the node at the top of every scene
turns it. One glTF scene per shot: shots are worlds of their own, and viewers show one scene at a time.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pygltflib as gltf
import torch
from jaxtyping import Bool, Float, Float64, Int, UInt8
from numpy import ndarray
from scipy.spatial.transform import Rotation

from unish.body import JOINT_NAMES, Body
from unish.export.axes import FLIP_YZ, keep_hemisphere, to_quaternions, upright
from unish.export.fusion import fuse_scene
from unish.export.gltf_builder import GltfBuilder
from unish.export.options import ExportOptions
from unish.export.points import lift_pixels, select_pixels
from unish.render.colours import person_colour, sample_depth
from unish.render.scene import vertex_normals
from unish.structs import Reconstruction, pick_frames

_MAX_FRUSTA = 60
_FRUSTUM_SHARE = 0.06
"""Depth of a drawn camera as a share of the median depth of the scene."""
_MAX_PERSON_POINTS = 30_000


def write_glb(
    path: Path,
    reconstruction: Reconstruction,
    body: Body,
    options: ExportOptions | None = None,
    *,
    max_points: int = 400_000,
) -> dict[str, Any]:
    """An ``Exporter``: one scene per shot, with fused scene points, camera path, an animated camera, and the people.

    Lengths are metres. The longest shot is the scene that viewers show first. Every shot has an animation of its own
    that begins at 0 s; ``extras`` of the scene say where it begins in the source (``start_s``, seconds) and which used
    frames it holds (``first_frame``, ``num_frames``).

    A person is an animated body and a static cloud of the person's own points in one frame, the one that shows most of
    them; without animation the body stands as in that frame, so that any viewer shows both together. One cloud and not
    one per frame: clouds that take turns need animated scales, which many programs ignore, and would then show all of
    them at once. ``extras`` of the cloud say its frame (``frame``, ``time_s`` of the animation).

    A body is scaled to nothing in frames where its person is neither valid nor filled. Pose-dependent corrections of
    the shape, where a body model has them, are beyond glTF skins and left out. Vertex colours are linear floats, as the
    format has them: 8 bits would show bands, and not everything reads 16.

    Args:
        max_points: most scene points, over all shots; each has its share by the number of its frames.
    """
    shots = [np.arange(reconstruction.num_frames)[frames] for frames in reconstruction.shot_frames()]
    dense = reconstruction.at_dense_frames()
    longest = int(np.argmax([len(frames) for frames in shots]))
    builder = GltfBuilder(generator=f"unish {reconstruction.version}", default_scene=longest)
    for shot, frames in enumerate(shots):
        stage = _open_stage(
            builder, reconstruction, dense, shot, frames, suffix=f" of shot {shot}" if len(shots) > 1 else ""
        )
        share = max(1, max_points * len(frames) // reconstruction.num_frames)
        fused = fuse_scene(dense, stage.dense_frames, max_points=share)
        _add_points(stage, "scene points", fused.xyz, fused.colours, {})
        _add_path(stage)
        _add_camera(stage)
        for person in range(reconstruction.num_people):
            _add_person(stage, body, person)
    builder.save(path)
    return {"unit": "metres"}


@dataclass(frozen=True, kw_only=True)
class _Stage:
    """What one scene is built with: indices into the document, the frames of its shot, and what its names end with.

    Attributes:
        dense: the frames with dense arrays alone; ``dense_frames`` are those of the shot, counted in it.
        own_pixels: of each person in each of these, those with a depth to rely on.
    """

    builder: GltfBuilder
    record: Reconstruction
    frames: Int[ndarray, "T"]
    dense: Reconstruction
    dense_frames: Int[ndarray, "D"]
    own_pixels: Int[ndarray, "P D"]
    suffix: str
    scene: int
    world: int
    animation: int
    times: int

    def animate(self, node: int, path: str, values: ndarray, *, step: bool = False) -> None:
        self.builder.animate(self.animation, self.times, node, path, values, step=step)


def _open_stage(
    builder: GltfBuilder,
    record: Reconstruction,
    dense: Reconstruction,
    shot: int,
    frames: Int[ndarray, "T"],
    *,
    suffix: str,
) -> _Stage:
    dense_frames = np.flatnonzero(np.isin(record.dense_frames, frames))
    start_s = float(record.timestamps_s[frames[0]])
    extras = {"start_s": start_s, "first_frame": int(frames[0]), "num_frames": len(frames)}
    scene = builder.add_scene(f"shot {shot}", extras=extras)
    turn = to_quaternions(upright(record.gravity[shot]))
    return _Stage(
        builder=builder,
        record=record,
        frames=frames,
        dense=dense,
        dense_frames=dense_frames,
        own_pixels=_count_own_pixels(dense, dense_frames),
        suffix=suffix,
        scene=scene,
        world=builder.add_root(f"world{suffix}", scene=scene, rotation=turn.tolist()),
        animation=builder.add_animation(f"shot {shot}"),
        # glTF times are 32-bit: they count from the beginning of the shot, lest a late one lose its fractions.
        times=builder.add_array((record.timestamps_s[frames] - start_s).astype(np.float32)),
    )


def _count_own_pixels(record: Reconstruction, frames: Int[ndarray, "T"]) -> Int[ndarray, "P T"]:
    """Pixels of each person that ``select_pixels`` takes."""
    counts = np.zeros((record.num_people, len(frames)), np.int64)
    for column, frame in enumerate(frames.tolist() if record.num_people else ()):
        masks = record.person_masks[frame]
        if (masks >= 0).any():
            own = masks[select_pixels(record, frame) & (masks >= 0)]
            counts[:, column] = np.bincount(own, minlength=record.num_people)
    return counts


def _add_points(
    stage: _Stage,
    name: str,
    xyz: Float[ndarray, "N 3"],
    colours: UInt8[ndarray, "N 3"],
    extras: dict[str, float],
) -> None:
    if not len(xyz):
        return
    builder = stage.builder
    attributes = {
        "POSITION": builder.add_array(xyz.astype(np.float32), target=gltf.ARRAY_BUFFER),
        "COLOR_0": builder.add_array(_to_linear(colours / 255.0).astype(np.float32), target=gltf.ARRAY_BUFFER),
    }
    mesh = builder.add_mesh(attributes, mode=gltf.POINTS, name=f"{name}{stage.suffix}")
    builder.add_node(f"{name}{stage.suffix}", parent=stage.world, mesh=mesh, extras=extras)


def _add_path(stage: _Stage) -> None:
    """The way of the camera as a line, and a small pyramid for some of its frames."""
    builder, record, frames, suffix = stage.builder, stage.record, stage.frames, stage.suffix
    centres = record.c2w[frames, :3, 3].astype(np.float32)
    if len(frames) > 1:
        line = {"POSITION": builder.add_array(centres, target=gltf.ARRAY_BUFFER)}
        mesh = builder.add_mesh(line, mode=gltf.LINE_STRIP, name=f"camera path{suffix}")
        builder.add_node(f"camera path{suffix}", parent=stage.world, mesh=mesh)
    depth = sample_depth(pick_frames(stage.dense.depth, stage.dense_frames.tolist()))
    size = _FRUSTUM_SHARE * float(np.median(depth[depth > 0])) if (depth > 0).any() else 0.1
    some = frames[np.unique(np.linspace(0, len(frames) - 1, min(len(frames), _MAX_FRUSTA)).round().astype(int))]
    edges = np.concatenate([_frustum(record, frame, size) for frame in some.tolist()]).astype(np.float32)
    lines = {"POSITION": builder.add_array(edges, target=gltf.ARRAY_BUFFER)}
    mesh = builder.add_mesh(lines, mode=gltf.LINES, name=f"cameras{suffix}")
    builder.add_node(f"cameras{suffix}", parent=stage.world, mesh=mesh)


def _frustum(record: Reconstruction, frame: int, size: float) -> Float[ndarray, "16 3"]:
    """Ends of the eight edges of a camera's pyramid, in the world."""
    height, width = record.image_size.tolist()
    pixels = np.array([(0, 0, 1), (width, 0, 1), (width, height, 1), (0, height, 1)], np.float64)
    corners = size * pixels @ np.linalg.inv(record.intrinsics[frame].astype(np.float64)).T
    local = np.concatenate([np.zeros((1, 3)), corners])
    world = local @ record.c2w[frame, :3, :3].T.astype(np.float64) + record.c2w[frame, :3, 3]
    return world[[0, 1, 0, 2, 0, 3, 0, 4, 1, 2, 2, 3, 3, 4, 4, 1]]


def _add_camera(stage: _Stage) -> None:
    """A camera that flies along the path, so that a viewer can look through the one that filmed.

    Its lens is that of the shot's first frame; a principal point beside the middle is beyond glTF and left out.
    """
    record, frames = stage.record, stage.frames
    height, width = record.image_size.tolist()
    focal_x, focal_y = (float(record.intrinsics[frames[0], axis, axis]) for axis in (0, 1))
    lens = stage.builder.add_camera(2 * float(np.arctan(height / 2 / focal_y)), width / focal_x * focal_y / height)
    rotations = keep_hemisphere(to_quaternions(record.c2w[frames, :3, :3].astype(np.float64) @ FLIP_YZ))
    centres = record.c2w[frames, :3, 3]
    place = {"rotation": rotations[0].tolist(), "translation": centres[0].tolist()}
    node = stage.builder.add_node(f"camera{stage.suffix}", parent=stage.world, camera=lens, **place)
    stage.animate(node, "rotation", rotations)
    stage.animate(node, "translation", centres)


def _add_person(stage: _Stage, body: Body, person: int) -> None:
    """The body, where it is ever shown, and the person's own points in the frame that shows most of them."""
    record, frames = stage.record, stage.frames
    name = f"person {int(record.person_ids[person])}"
    shown = (record.person_valid[person] | record.person_filled[person])[frames]
    counts = stage.own_pixels[person]
    keys = record.dense_frames[stage.dense_frames] - frames[0]
    if shown[keys].any():
        counts = np.where(shown[keys], counts, -1)
    place = int(np.argmax(counts))
    best, seen = int(keys[place]), int(stage.dense_frames[place])
    rows, columns = np.nonzero(select_pixels(stage.dense, seen) & (stage.dense.person_masks[seen] == person))
    every = max(1, -(-len(rows) // _MAX_PERSON_POINTS))
    rows, columns = rows[::every], columns[::every]
    frame = int(frames[best])
    time_s = float(record.timestamps_s[frame] - record.timestamps_s[frames[0]])
    points, colours = lift_pixels(stage.dense, seen, rows, columns), stage.dense.images[seen][rows, columns]
    _add_points(stage, f"{name} points", points, colours, {"frame": frame, "time_s": time_s})
    if shown.any():
        _add_body(stage, body, person, shown, name=name, rest_key=best)


def _add_body(stage: _Stage, body: Body, person: int, shown: Bool[ndarray, "T"], *, name: str, rest_key: int) -> None:
    """A skinned mesh: joints at the rest skeleton of the person's shape, moved by the SMPL rotations.

    The mesh stands at the top of the scene, for the format lets nothing but its joints move it. ``rest_key`` is the
    frame, counted in the shot, that shows where animations do not play.
    """
    builder, suffix = stage.builder, stage.suffix
    rotations, roots, rest = _motion(stage, body, person, shown)
    top = builder.add_node(f"{name}{suffix}", parent=stage.world)
    joints: list[int] = []
    for joint, above in enumerate(body.parents):
        offset = roots[rest_key] if joint == 0 else rest[joint] - rest[above]
        joints.append(
            builder.add_node(
                f"{name} {JOINT_NAMES[joint]}{suffix}",
                parent=top if joint == 0 else joints[above],
                translation=offset.tolist(),
                rotation=rotations[rest_key, joint].tolist(),
            )
        )
        stage.animate(joints[joint], "rotation", rotations[:, joint])
    stage.animate(joints[0], "translation", roots)
    if not shown.all():
        stage.animate(joints[0], "scale", np.repeat(shown[:, None], 3, axis=1), step=True)
    inverse_bind = np.tile(np.eye(4), (len(joints), 1, 1))
    inverse_bind[:, :3, 3] = -rest
    skin = builder.add_skin(joints, inverse_bind, skeleton=joints[0])
    mesh = _add_body_mesh(builder, stage.record, body, person, f"{name}{suffix}")
    builder.add_root(f"{name} mesh{suffix}", scene=stage.scene, mesh=mesh, skin=skin)


def _motion(
    stage: _Stage, body: Body, person: int, shown: Bool[ndarray, "T"]
) -> tuple[Float64[ndarray, "T 24 4"], Float64[ndarray, "T 3"], Float64[ndarray, "24 3"]]:
    """Local joint quaternions and root places over the shot's frames, and the rest joints of the person's shape.

    The last known pose is held through frames without one, before the first that one; nothing of it is shown there.
    """
    record = stage.record
    first = np.argmax(shown)
    frames = stage.frames[np.maximum.accumulate(np.where(shown, np.arange(len(shown)), first))]
    axis_angle = np.concatenate([record.global_orient_aa[person], record.body_pose_aa[person]], axis=1)[frames]
    matrices = Rotation.from_rotvec(axis_angle.reshape(-1, 3).astype(np.float64)).as_matrix()
    rotations = keep_hemisphere(to_quaternions(matrices.reshape(len(frames), -1, 3, 3)))
    rest = body.rest_joints(torch.from_numpy(record.betas[person])).double().cpu().numpy()
    # SMPL turns about the rest pelvis and then adds transl, so the root joint stands at their sum.
    return rotations, record.transl[person][frames].astype(np.float64) + rest[0], rest


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


def _to_linear(colour: Float[ndarray, "*shape"]) -> Float[ndarray, "*shape"]:
    """sRGB in 0..1 to linear light, IEC 61966-2-1."""
    return np.where(colour <= 0.04045, colour / 12.92, ((colour + 0.055) / 1.055) ** 2.4)
