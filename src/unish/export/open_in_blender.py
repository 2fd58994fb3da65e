"""Opens this folder in Blender 4.2 or newer: characters, moving camera with the film behind it, and scene points.

    blender --python open_in_blender.py                          # look at it
    blender --background --python open_in_blender.py -- --save scene.blend --fbx characters.fbx

In a running Blender: open this file in the text editor and run it. ``--video FILE`` shows the original film behind the
scene instead of the small copy; its frame rate must be that of the export (``unish export --fps source``).
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any


def main() -> None:
    import bpy

    folder = Path(__file__).resolve().parent
    options = _read_options()
    about = json.loads((folder / "scene.json").read_text(encoding="utf-8"))
    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene = bpy.context.scene
    # Blender has whole rates with a divisor: 29.97 is 30 / 1.001.
    scene.render.fps = round(about["fps"])
    scene.render.fps_base = round(about["fps"]) / about["fps"]
    bpy.ops.import_scene.gltf(filepath=str(folder / "scene.glb"))
    scene.frame_start, scene.frame_end = 0, about["num_frames"] - 1
    scene.frame_set(0)
    scene.render.resolution_x, scene.render.resolution_y = about["width"], about["height"]
    camera = next(thing for thing in scene.objects if thing.type == "CAMERA")
    scene.camera = camera
    _set_lens(camera.data, about)
    _show_film(camera.data, options.video or folder / "plate.mp4", about, original=options.video is not None)
    for thing in scene.objects:
        if thing.name.startswith("person") and thing.name.endswith("points"):
            thing.hide_set(True)  # the person's own points in one frame, beside the character that moves
    if options.fbx:
        _export_fbx(options.fbx)
    if options.save:
        bpy.ops.wm.save_as_mainfile(filepath=str(Path(options.save).absolute()))


def _read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--save", help="write a .blend file")
    parser.add_argument("--fbx", help="write the characters as .fbx")
    parser.add_argument("--video", type=Path, help="the original film")
    return parser.parse_args(sys.argv[sys.argv.index("--") + 1 :] if "--" in sys.argv else [])


def _set_lens(camera: Any, about: dict[str, Any]) -> None:
    """The principal point, which glTF cannot say, and a lens that zooms, which not every version reads from there.

    A shift is in units of the side that the lens is stated for.
    """
    width, height = about["width"], about["height"]
    side = {"HORIZONTAL": width, "VERTICAL": height}.get(camera.sensor_fit, max(width, height))
    camera.shift_x = (width / 2 - about["cx"]) / side
    camera.shift_y = (about["cy"] - height / 2) / side
    focal = about["focal_px"]
    if min(focal) < max(focal):
        camera.animation_data_clear()
        first = camera.lens
        for frame, value in enumerate(focal):
            camera.lens = first * value / focal[0]
            camera.keyframe_insert("lens", frame=frame)


def _show_film(camera: Any, path: Path, about: dict[str, Any], *, original: bool) -> None:
    import bpy

    clip = bpy.data.movieclips.load(str(Path(path).absolute()))
    # Frame 0 of the scene is the first frame of the copy, and this one of the original.
    clip.frame_start = -about["first_source_frame"] if original else 0
    camera.show_background_images = True
    behind = camera.background_images.new()
    behind.source, behind.clip, behind.alpha = "MOVIE_CLIP", clip, 1.0


def _export_fbx(path: str) -> None:
    """Blender takes the pose at rest from the armature; every frame of the motion is baked."""
    import bpy

    for thing in bpy.context.scene.objects:
        character = thing.type == "ARMATURE" or any(part.type == "ARMATURE" for part in thing.modifiers)
        thing.select_set(character)
    bpy.ops.export_scene.fbx(
        filepath=str(Path(path).absolute()),
        use_selection=True,
        object_types={"ARMATURE", "MESH"},
        add_leaf_bones=False,
        bake_anim_use_nla_strips=False,
        bake_anim_use_all_actions=False,
        bake_anim_simplify_factor=0.0,
    )


if __name__ == "__main__":
    main()
