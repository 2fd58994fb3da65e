"""``glb``: coloured scene points, the camera's path, people as points and as skinned characters that move.

glTF has y up. What does not move keeps the OpenCV world of the record, under a node that places it;
camera and characters are in the world of the take. One glTF scene per shot: shots are worlds of their own, and viewers
show one scene at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pygltflib as gltf
from jaxtyping import Float, Float32, Int, UInt8
from numpy import ndarray

from unish.body import Body
from unish.export.axes import FLIP_YZ, keep_hemisphere, to_quaternions
from unish.export.characters import make_character
from unish.export.fusion import fuse_scene
from unish.export.gltf_builder import GltfBuilder
from unish.export.gltf_character import add_character
from unish.export.options import ExportOptions
from unish.export.points import lift_pixels, select_pixels
from unish.export.sidecar import describe_body, describe_take
from unish.export.take import Take, TakePerson, make_take
from unish.render.colours import sample_depth, to_linear
from unish.structs import Reconstruction, pick_frames

_MAX_FRUSTA = 60
_FRUSTUM_SHARE = 0.06
"""Depth of a drawn camera as a share of the median depth of the scene."""
_MAX_PERSON_POINTS = 30_000

NOTE_ZOOM = (
    "The lens zooms: glTF says so by its extension KHR_animation_pointer; a program that does not know it shows "
    "the lens of the first frame."
)

_AS_RECONSTRUCTED = ExportOptions(up="y", gravity=True)


def write_glb(
    path: Path,
    reconstruction: Reconstruction,
    body: Body,
    options: ExportOptions = _AS_RECONSTRUCTED,
    *,
    shots: Sequence[int] | None = None,
    max_points: int = 400_000,
) -> dict[str, Any]:
    """An ``Exporter``: one scene per shot, with fused scene points, camera path, an animated camera, and the people.

    Lengths are metres. The longest shot is the scene that viewers show first. Every shot has an animation of its own
    that begins at 0 s; ``extras`` of the scene say where it begins in the source (``start_s``, seconds) and which used
    frames it holds (``first_frame``, ``num_frames``).

    A person is an animated character and a static cloud of the person's own points in one frame, the one that shows
    most of them; without animation the character of the rig ``smpl`` stands as in that frame, so that any viewer shows
    both together, and that of another rig in its rest pose, as programs that retarget want it. One cloud and not one
    per frame: clouds that take turns need animated scales, which many programs ignore, and would then show all of them
    at once. ``extras`` of the cloud say its frame (``frame``, ``time_s`` of the animation).

    A body is scaled to nothing in frames where its person is neither valid nor filled. Pose-dependent corrections of
    the shape, where a body model has them, are beyond glTF skins and left out. Vertex colours are linear floats, as the
    format has them: 8 bits would show bands, and not everything reads 16.

    Args:
        options: y is up, and ``shots`` tells the shots. By default the frames of the reconstruction
            with their own times, the floor at height 0. With ``per_person``, characters are in files of their own
            beside this one.
        shots: those to write; all by default.
        max_points: most scene points, over all shots; each has its share by the number of its frames.
    """
    chosen = range(reconstruction.num_shots) if shots is None else shots
    takes = [make_take(reconstruction, body, replace(options, up="y", shot=shot)) for shot in chosen]
    dense = reconstruction.at_dense_frames()
    builder = _open_builder(reconstruction, body, takes)
    for take in takes:
        suffix = f" of shot {take.options.shot}" if len(takes) > 1 else ""
        stage = _open_stage(builder, reconstruction, dense, take, suffix=suffix)
        share = max(1, max_points * len(take.frames) // sum(len(other.frames) for other in takes))
        fused = fuse_scene(dense, stage.dense_frames, max_points=share)
        _add_points(stage, "scene points", fused.xyz, fused.colours, {})
        _add_path(stage)
        _add_camera(stage)
        _add_people(stage, body)
    builder.save(path)
    files = [path.name]
    if options.per_person:
        files += _write_people(path.parent, reconstruction, body, takes)
    return _describe(takes, files)


def _open_builder(record: Reconstruction, body: Body, takes: Sequence[Take]) -> GltfBuilder:
    longest = int(np.argmax([len(take.frames) for take in takes]))
    about = "; ".join(describe_body(body).values())
    return GltfBuilder(generator=f"unish {record.version}", default_scene=longest, copyright=about)


def _describe(takes: Sequence[Take], files: list[str]) -> dict[str, Any]:
    """Of one shot what it is, of several each by itself."""
    shots = [describe_take(take, unit="metres", gaps="the character is scaled to nothing") for take in takes]
    for shot, take in zip(shots, takes, strict=True):
        shot["notes"] += [NOTE_ZOOM] if take.zooms else []
    if len(shots) == 1:
        return shots[0] | {"files": files}
    notes = [f"shot {shot['shot']}: {note}" for shot in shots for note in shot["notes"]]
    return {"unit": "metres", "shots": shots, "files": files, "notes": notes}


def _write_people(folder: Path, record: Reconstruction, body: Body, takes: Sequence[Take]) -> list[str]:
    """A file for each person in each shot, with the character and nothing else; their names."""
    files = []
    for take in takes:
        for person in take.people:
            builder = _open_builder(record, body, takes[:1])
            scene = builder.add_scene(f"person {person.person_id}", extras={"start_s": take.start_s})
            stage = _Mover(builder, builder.add_animation("motion"), _add_times(builder, take))
            character = make_character(person, body, take.options.rig)
            add_character(builder, scene, character, record.faces, stage.animate, pose_of=None, suffix="")
            shot = f"-shot-{take.options.shot}" if len(takes) > 1 else ""
            files.append(f"person-{person.person_id}{shot}.glb")
            builder.save(folder / files[-1])
    return files


def _add_times(builder: GltfBuilder, take: Take) -> int:
    # glTF times are 32-bit: they count from the beginning of the shot, lest a late one lose its fractions.
    return builder.add_array(take.times_s.astype(np.float32))


@dataclass(frozen=True)
class _Mover:
    """One animation that is being filled: the keys of all its channels are at the same times."""

    builder: GltfBuilder
    animation: int
    times: int

    def animate(self, node: int, path: str, values: ndarray, *, step: bool = False) -> None:
        self.builder.animate(self.animation, self.times, node, path, values, step=step)


@dataclass(frozen=True, kw_only=True)
class _Stage:
    """What one scene is built with: indices into the document, the take of its shot, and what its names end with.

    Attributes:
        dense: the frames with dense arrays alone; ``dense_frames`` are those of the shot, counted in it.
        own_pixels: of each person in each of these, those with a depth to rely on.
        world: the node over everything that is in the world of the reconstruction.
    """

    builder: GltfBuilder
    record: Reconstruction
    take: Take
    dense: Reconstruction
    dense_frames: Int[ndarray, "D"]
    own_pixels: Int[ndarray, "P D"]
    suffix: str
    scene: int
    world: int
    mover: _Mover


def _open_stage(
    builder: GltfBuilder, record: Reconstruction, dense: Reconstruction, take: Take, *, suffix: str
) -> _Stage:
    shot, frames = take.options.shot, take.frames
    dense_frames = np.flatnonzero(np.isin(record.dense_frames, frames))
    extras = {"start_s": take.start_s, "first_frame": int(frames[0]), "num_frames": len(frames)}
    scene = builder.add_scene(f"shot {shot}", extras=extras)
    place = {
        "rotation": to_quaternions(take.placement[:3, :3]).tolist(),
        "translation": take.placement[:3, 3].tolist(),
    }
    return _Stage(
        builder=builder,
        record=record,
        take=take,
        dense=dense,
        dense_frames=dense_frames,
        own_pixels=_count_own_pixels(dense, dense_frames),
        suffix=suffix,
        scene=scene,
        world=builder.add_root(f"world{suffix}", scene=scene, **place),
        mover=_Mover(builder, builder.add_animation(f"shot {shot}"), _add_times(builder, take)),
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
        "COLOR_0": builder.add_array(to_linear(colours / 255.0).astype(np.float32), target=gltf.ARRAY_BUFFER),
    }
    mesh = builder.add_mesh(attributes, mode=gltf.POINTS, name=f"{name}{stage.suffix}")
    builder.add_node(f"{name}{stage.suffix}", parent=stage.world, mesh=mesh, extras=extras)


def _add_path(stage: _Stage) -> None:
    """The way of the camera as a line, and a small pyramid for some of its frames."""
    builder, record, frames, suffix = stage.builder, stage.record, stage.take.frames, stage.suffix
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

    A lens that zooms is animated; who does not know how sees that of the first frame. A principal point beside the
    middle is beyond glTF, and stands in the ``extras`` of the node as ``intrinsics`` of the first frame: fx, fy, cx, cy
    in pixels of a picture of ``size`` (width, height).
    """
    take = stage.take
    (height, width), lens = take.source_size, take.intrinsics[0]
    focal_x, focal_y = float(lens[0, 0]), float(lens[1, 1])
    vertical_fovs = 2 * np.arctan(height / 2 / take.intrinsics[:, 1, 1])
    camera = stage.builder.add_camera(float(vertical_fovs[0]), width / focal_x * focal_y / height)
    if take.zooms:
        stage.builder.animate_view(stage.mover.animation, stage.mover.times, camera, vertical_fovs)
    rotations = keep_hemisphere(to_quaternions(take.c2w[:, :3, :3] @ FLIP_YZ))
    centres = take.c2w[:, :3, 3]
    place = {"rotation": rotations[0].tolist(), "translation": centres[0].tolist()}
    extras = {"intrinsics": [focal_x, focal_y, float(lens[0, 2]), float(lens[1, 2])], "size": [width, height]}
    node = stage.builder.add_root(f"camera{stage.suffix}", scene=stage.scene, camera=camera, extras=extras, **place)
    stage.mover.animate(node, "rotation", rotations)
    stage.mover.animate(node, "translation", centres)


def _add_people(stage: _Stage, body: Body) -> None:
    record, take = stage.record, stage.take
    known = {person.person_id: person for person in take.people}
    wanted = take.options.people
    for row, person_id in enumerate(record.person_ids.tolist()):
        if wanted is not None and person_id not in wanted:
            continue
        frame = _add_person_points(stage, row)
        if person_id in known and not take.options.per_person:
            pose_of = int(np.abs(take.times_s + take.start_s - record.timestamps_s[frame]).argmin())
            _add_character(stage, body, known[person_id], pose_of)


def _add_person_points(stage: _Stage, person: int) -> int:
    """The person's own points in the frame that shows most of them, if possible with a body; that frame."""
    record, frames = stage.record, stage.take.frames
    shown = (record.person_valid[person] | record.person_filled[person])[frames]
    counts = stage.own_pixels[person]
    keys = record.dense_frames[stage.dense_frames] - frames[0]
    if shown[keys].any():
        counts = np.where(shown[keys], counts, -1)
    place = int(np.argmax(counts))
    frame, seen = int(frames[keys[place]]), int(stage.dense_frames[place])
    points, colours = _read_person_points(stage.dense, person, seen)
    every = max(1, -(-len(points) // _MAX_PERSON_POINTS))
    points, colours = points[::every], colours[::every]
    extras = {"frame": frame, "time_s": float(record.timestamps_s[frame]) - stage.take.start_s}
    _add_points(stage, f"person {int(record.person_ids[person])} points", points, colours, extras)
    return frame


def _read_person_points(
    dense: Reconstruction, person: int, frame: int
) -> tuple[Float32[ndarray, "N 3"], UInt8[ndarray, "N 3"]]:
    """Points of a person in a dense frame and their colours, at the person's own resolution where there are such."""
    if dense.person_points is not None:
        cloud = dense.person_points[frame].of(person)
        if len(cloud.points):
            return cloud.points, cloud.colours
    rows, columns = np.nonzero(select_pixels(dense, frame) & (dense.person_masks[frame] == person))
    return lift_pixels(dense, frame, rows, columns), dense.images[frame][rows, columns]


def _add_character(stage: _Stage, body: Body, person: TakePerson, pose_of: int) -> None:
    rig = stage.take.options.rig
    add_character(
        stage.builder,
        stage.scene,
        make_character(person, body, rig),
        stage.record.faces,
        stage.mover.animate,
        pose_of=pose_of if rig == "smpl" else None,
        suffix=stage.suffix,
    )
