"""What Blender makes of a file, for tests: run by an interpreter that has ``bpy``, which is GPL and no part of this.

    python blender_reader.py FILE OUT.npz FPS

OUT.npz holds, in Blender's axes (z up, metres): ``times_s`` (N,); for each armature ``joints/NAME`` (N, J, 3),
``turned/NAME`` (N, J, 3, 3) from the rest pose, ``bones/NAME`` and ``rest/NAME`` (J, 3), ``scale/NAME`` (N,) of the
first bone; ``camera`` (N, 4, 4) with Blender's axes of a camera, ``view`` (N, 4, 4) its projections, ``points/NAME``
(M, 3).
"""

import runpy
import sys

import bpy
import numpy as np


def main(path: str, out: str, fps: float) -> None:
    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene = bpy.context.scene
    scene.render.fps, scene.render.fps_base = round(fps), round(fps) / fps
    scene.render.resolution_x, scene.render.resolution_y = 640, 480
    if path.endswith(".bvh"):
        bpy.ops.import_anim.bvh(filepath=path, update_scene_fps=False, update_scene_duration=True, global_scale=0.01)
    elif path.endswith(".py"):
        runpy.run_path(path, run_name="__main__")
    elif path.endswith(".usdc"):
        bpy.ops.wm.usd_import(filepath=path)
    else:
        bpy.ops.import_scene.gltf(filepath=path)
    scene = bpy.context.scene  # a script may have made a new one
    actions = list(bpy.data.actions)
    first = min(round(action.frame_range[0]) for action in actions)
    frames = range(first, max(round(action.frame_range[1]) for action in actions) + 1)
    armatures = [thing for thing in scene.objects if thing.type == "ARMATURE"]
    found: dict[str, list] = {"times_s": [(frame - first) / fps for frame in frames]}
    for frame in frames:
        scene.frame_set(frame)
        for armature in armatures:
            read_pose(armature, found)
        if scene.camera is None:
            scene.camera = next((thing for thing in scene.objects if thing.type == "CAMERA"), None)
        if scene.camera is not None:
            found.setdefault("camera", []).append(np.array(scene.camera.matrix_world))
            seen = scene.camera.calc_matrix_camera(bpy.context.evaluated_depsgraph_get(), x=640, y=480)
            found.setdefault("view", []).append(np.array(seen))
    for armature in armatures:
        found[f"bones/{armature.name}"] = [bone.name for bone in armature.data.bones]
        found[f"rest/{armature.name}"] = [armature.matrix_world @ bone.head_local for bone in armature.data.bones]
    for thing in scene.objects:
        if thing.type == "MESH" and not thing.data.polygons and "points" in thing.name:
            found[f"points/{thing.name}"] = [thing.matrix_world @ vertex.co for vertex in thing.data.vertices]
    np.savez(out, **{name: np.array(values) for name, values in found.items()})


def read_pose(armature, found: dict[str, list]) -> None:
    world = np.array(armature.matrix_world)
    joints, turned = [], []
    for bone in armature.data.bones:
        posed = world @ np.array(armature.pose.bones[bone.name].matrix)
        rest = world @ np.array(bone.matrix_local)
        joints.append(posed[:3, 3])
        turned.append(posed[:3, :3] @ np.linalg.inv(rest[:3, :3]))
    found.setdefault(f"joints/{armature.name}", []).append(np.array(joints))
    found.setdefault(f"turned/{armature.name}", []).append(np.array(turned))
    scale = armature.pose.bones[armature.data.bones[0].name].scale
    found.setdefault(f"scale/{armature.name}", []).append(float(scale[0]))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], float(sys.argv[3]))
