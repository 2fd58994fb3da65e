"""Characters in a glTF document: bones as nodes that move, and a mesh that follows them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pygltflib as gltf
from jaxtyping import Float, Int, Int32
from numpy import ndarray

from unish.export.axes import keep_hemisphere, to_quaternions
from unish.export.characters import Character
from unish.export.gltf_builder import GltfBuilder
from unish.render.colours import person_colour, to_linear
from unish.render.scene import vertex_normals

Animate = Callable[..., None]
"""``(node, path, values, step=False)``: keys of one property of a node."""


def add_character(
    builder: GltfBuilder,
    scene: int,
    character: Character,
    faces: Int32[ndarray, "F 3"],
    animate: Animate,
    *,
    pose_of: int | None,
    suffix: str,
) -> None:
    """A node with the person's name, under it the bones and the mesh.

    A character is scaled to nothing in frames without a body. The mesh lies beside the bones, for the format lets
    nothing but its joints move it.

    Args:
        pose_of: the frame that shows where animations do not play; ``None`` for the rest pose.
        suffix: what the names of the person's node and mesh end with. Bones have the names of the rig, as they are.
    """
    top = builder.add_root(f"{character.name}{suffix}", scene=scene)
    bones = _add_bones(builder, top, character, animate, pose_of)
    inverse_bind = np.tile(np.eye(4), (len(bones), 1, 1))
    inverse_bind[:, :3, 3] = -character.rest
    skin = builder.add_skin(bones, inverse_bind, skeleton=bones[0])
    mesh = _add_mesh(builder, character, faces, f"{character.name} mesh{suffix}")
    builder.add_root(f"{character.name} mesh{suffix}", scene=scene, mesh=mesh, skin=skin)


def _add_bones(
    builder: GltfBuilder, top: int, character: Character, animate: Animate, pose_of: int | None
) -> list[int]:
    rotations = keep_hemisphere(to_quaternions(character.rotations))
    offsets = character.offsets()
    bones: list[int] = []
    for bone, (name, above) in enumerate(zip(character.bones, character.parents, strict=True)):
        place = {"translation": offsets[bone].tolist()}
        if pose_of is not None:
            place["rotation"] = rotations[pose_of, bone].tolist()
            if bone == character.hips:
                place["translation"] = character.travel[pose_of].tolist()
        bones.append(builder.add_node(name, parent=top if above < 0 else bones[above], **place))
        animate(bones[bone], "rotation", rotations[:, bone])
    animate(bones[character.hips], "translation", character.travel)
    if not character.person.valid.all():
        animate(bones[0], "scale", np.repeat(character.person.valid[:, None], 3, axis=1), step=True)
    return bones


def _add_mesh(builder: GltfBuilder, character: Character, faces: Int32[ndarray, "F 3"], name: str) -> int:
    vertices = character.vertices
    attributes = {
        "POSITION": builder.add_array(vertices, target=gltf.ARRAY_BUFFER),
        "NORMAL": builder.add_array(_unit_normals(vertices, faces), target=gltf.ARRAY_BUFFER),
        "JOINTS_0": builder.add_array(character.influences, target=gltf.ARRAY_BUFFER),
        "WEIGHTS_0": builder.add_array(character.weights, target=gltf.ARRAY_BUFFER),
    }
    indices = builder.add_array(faces.astype(np.uint32).ravel(), target=gltf.ELEMENT_ARRAY_BUFFER)
    colour = to_linear(person_colour(character.person.person_id) / 255.0)
    material = builder.add_material(colour.tolist(), name=name)
    return builder.add_mesh(attributes, mode=gltf.TRIANGLES, name=name, indices=indices, material=material)


def _unit_normals(vertices: Float[ndarray, "V 3"], faces: Int[ndarray, "F 3"]) -> Float[ndarray, "V 3"]:
    """Of every vertex, for the format wants unit vectors of all; of one without a face, up."""
    normals = vertex_normals(vertices.astype(np.float32), faces.astype(np.int32))
    return np.where(np.linalg.norm(normals, axis=1, keepdims=True) > 0.5, normals, np.array([0, 1, 0], np.float32))
