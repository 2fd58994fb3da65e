"""``usd``: characters, camera and scene points of one shot for Pixar's USD; needs the extra ``usd``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64, Int32
from numpy import ndarray

from unish.body import Body
from unish.export.axes import AXES, FLIP_YZ, Y_UP_TO_Z_UP, keep_hemisphere, to_quaternions
from unish.export.characters import MAX_INFLUENCES, Character, make_character
from unish.export.fusion import fuse_scene
from unish.export.options import ExportOptions
from unish.export.sidecar import describe_body, describe_take
from unish.export.take import Take, make_take
from unish.io import written_beside
from unish.render.colours import person_colour, to_linear
from unish.render.scene import vertex_normals
from unish.structs import Reconstruction

_FILM_WIDTH_M = 0.036
"""Of the camera that is written; only its ratio to the focal length matters."""

_SAME_LENS = 1e-6
"""Share of the film by which lengths of a lens differ from frame to frame through rounding alone."""

_POINT_M = 0.01


def write_usd(
    path: Path, reconstruction: Reconstruction, body: Body, options: ExportOptions, *, max_points: int = 400_000
) -> dict[str, Any]:
    """An ``Exporter``: a binary USD file in metres, one time code per frame.

    ``/World`` is the default prim; under it are a SkelRoot for each person, ``camera`` and ``scene_points``. A mesh is
    invisible in frames without a body. Inside, y is up; with z up, ``/World`` is turned as a whole, so that the rest
    pose of every skeleton stands.
    """
    from pxr import Sdf, Usd, UsdGeom

    take = make_take(reconstruction, body, replace(options, up="y"))
    stage = Usd.Stage.CreateInMemory()
    UsdGeom.SetStageMetersPerUnit(stage, 1.0)
    UsdGeom.SetStageUpAxis(stage, UsdGeom.Tokens.z if options.up == "z" else UsdGeom.Tokens.y)
    stage.SetTimeCodesPerSecond(take.fps)
    stage.SetFramesPerSecond(take.fps)
    stage.SetStartTimeCode(0)
    stage.SetEndTimeCode(take.num_frames - 1)
    layer = stage.GetRootLayer()
    layer.comment = "; ".join(describe_body(body).values())
    layer.customLayerData = {"creator": f"unish {reconstruction.version}", **describe_body(body)}
    world = UsdGeom.Xform.Define(stage, Sdf.Path("/World"))
    stage.SetDefaultPrim(world.GetPrim())
    if options.up == "z":
        world.AddTransformOp().Set(_matrix(Y_UP_TO_Z_UP, np.zeros(3)))
    for person in take.people:
        _add_character(stage, make_character(person, body, options.rig), reconstruction.faces)
    _add_camera(stage, take)
    _add_points(stage, take, reconstruction, max_points)
    _save(layer, path)
    facts = describe_take(take, unit="metres", gaps="the mesh is invisible")
    return facts | {"axes": AXES[options.up]}


def _save(layer: Any, path: Path) -> None:
    """USD tells the kind of a file from the end of its name, which that of an unfinished file is not."""
    with written_beside(path) as beside:
        named = beside.with_name(beside.name + path.suffix)
        try:
            if not layer.Export(str(named)):
                raise OSError(f"{path}: USD could not write the file")
            named.replace(beside)
        finally:
            named.unlink(missing_ok=True)


def _matrix(rotation: Float64[ndarray, "3 3"], place: Float64[ndarray, "3"]) -> Any:
    """USD multiplies rows from the left: its matrices are transposed."""
    from pxr import Gf

    matrix = np.eye(4)
    matrix[:3, :3], matrix[3, :3] = rotation.T, place
    return Gf.Matrix4d(matrix)


def _name_joints(character: Character) -> list[str]:
    """Joints are named by the way to them; names in it may not hold a colon."""
    paths: list[str] = []
    for bone, above in zip(character.bones, character.parents, strict=True):
        own = bone.replace(":", "_")
        paths.append(own if above < 0 else f"{paths[above]}/{own}")
    return paths


def _add_character(stage: Any, character: Character, faces: Int32[ndarray, "F 3"]) -> None:
    from pxr import Gf, UsdSkel, Vt

    # Programs name what they read after the last part of a path, so each part names the person.
    name = character.name.replace(" ", "_")
    top = f"/World/{name}"
    UsdSkel.Root.Define(stage, top)
    skeleton = UsdSkel.Skeleton.Define(stage, f"{top}/{name}_skeleton")
    joints = _name_joints(character)
    skeleton.CreateJointsAttr(joints)
    offsets = character.offsets()
    bind = [Gf.Matrix4d().SetTranslate(Gf.Vec3d(*place)) for place in character.rest.tolist()]
    rest = [Gf.Matrix4d().SetTranslate(Gf.Vec3d(*offset)) for offset in offsets.tolist()]
    skeleton.CreateBindTransformsAttr(Vt.Matrix4dArray(bind))
    skeleton.CreateRestTransformsAttr(Vt.Matrix4dArray(rest))
    motion = UsdSkel.Animation.Define(stage, f"{top}/{name}_skeleton/motion")
    motion.CreateJointsAttr(joints)
    motion.CreateScalesAttr(Vt.Vec3hArray([Gf.Vec3h(1, 1, 1)] * len(joints)))
    turns, places = motion.CreateRotationsAttr(), motion.CreateTranslationsAttr()
    rotations = keep_hemisphere(to_quaternions(character.rotations)).astype(np.float32)
    translations = np.tile(offsets.astype(np.float32), (len(rotations), 1, 1))
    translations[:, character.hips] = character.travel
    for frame in range(len(rotations)):
        turns.Set(Vt.QuatfArray.FromNumpy(rotations[frame]), frame)
        places.Set(Vt.Vec3fArray.FromNumpy(translations[frame]), frame)
    binding = UsdSkel.BindingAPI.Apply(skeleton.GetPrim())
    binding.CreateAnimationSourceRel().SetTargets([motion.GetPath()])
    _add_mesh(stage, f"{top}/{name}_mesh", character, faces, skeleton)


def _add_mesh(stage: Any, path: str, character: Character, faces: Int32[ndarray, "F 3"], skeleton: Any) -> None:
    from pxr import Gf, UsdGeom, UsdSkel, Vt

    mesh = UsdGeom.Mesh.Define(stage, path)
    vertices = Vt.Vec3fArray.FromNumpy(np.ascontiguousarray(character.vertices))
    mesh.CreatePointsAttr(vertices)
    mesh.CreateExtentAttr(UsdGeom.PointBased.ComputeExtent(vertices))
    mesh.CreateFaceVertexCountsAttr(Vt.IntArray.FromNumpy(np.full(len(faces), 3, np.int32)))
    mesh.CreateFaceVertexIndicesAttr(Vt.IntArray.FromNumpy(np.ascontiguousarray(faces.ravel())))
    mesh.CreateNormalsAttr(Vt.Vec3fArray.FromNumpy(vertex_normals(character.vertices, faces)))
    mesh.SetNormalsInterpolation(UsdGeom.Tokens.vertex)
    mesh.CreateSubdivisionSchemeAttr(UsdGeom.Tokens.none)
    mesh.CreateDoubleSidedAttr(True)
    colour = to_linear(person_colour(character.person.person_id) / 255.0)
    mesh.CreateDisplayColorAttr([Gf.Vec3f(*colour.tolist())])
    binding = UsdSkel.BindingAPI.Apply(mesh.GetPrim())
    binding.CreateSkeletonRel().SetTargets([skeleton.GetPath()])
    binding.CreateGeomBindTransformAttr(Gf.Matrix4d(1))
    influences = Vt.IntArray.FromNumpy(character.influences.astype(np.int32).ravel())
    binding.CreateJointIndicesPrimvar(False, MAX_INFLUENCES).Set(influences)
    binding.CreateJointWeightsPrimvar(False, MAX_INFLUENCES).Set(Vt.FloatArray.FromNumpy(character.weights.ravel()))
    valid = character.person.valid
    if not valid.all():
        shown = mesh.CreateVisibilityAttr()
        for frame in np.flatnonzero(np.diff(valid, prepend=~valid[0])).tolist():
            shown.Set(UsdGeom.Tokens.inherited if valid[frame] else UsdGeom.Tokens.invisible, frame)


def _add_camera(stage: Any, take: Take) -> None:
    """It looks along −z with y up; lengths of its lens are in tenths of the unit, as the format has them."""
    from pxr import Gf, UsdGeom

    camera = UsdGeom.Camera.Define(stage, "/World/camera")
    (height, width), lenses = take.source_size, take.intrinsics
    film = 10 * _FILM_WIDTH_M
    focal = film * lenses[:, 0, 0] / width
    camera.CreateHorizontalApertureAttr(float(film))
    for attribute, values in (
        (camera.CreateFocalLengthAttr(), focal),
        (camera.CreateVerticalApertureAttr(), focal * height / lenses[:, 1, 1]),
        (camera.CreateHorizontalApertureOffsetAttr(), focal * (width / 2 - lenses[:, 0, 2]) / lenses[:, 0, 0]),
        (camera.CreateVerticalApertureOffsetAttr(), focal * (lenses[:, 1, 2] - height / 2) / lenses[:, 1, 1]),
    ):
        attribute.Set(float(values[0]))
        for frame, value in enumerate(values.tolist() if np.ptp(values) > _SAME_LENS * film else ()):
            attribute.Set(value, frame)
    camera.CreateClippingRangeAttr(Gf.Vec2f(0.01, 10_000.0))
    place = camera.AddTransformOp()
    for frame, c2w in enumerate(take.c2w):
        place.Set(_matrix(c2w[:3, :3] @ FLIP_YZ, c2w[:3, 3]), frame)


def _add_points(stage: Any, take: Take, reconstruction: Reconstruction, max_points: int) -> None:
    from pxr import UsdGeom, Vt

    dense_frames = np.flatnonzero(np.isin(reconstruction.dense_frames, take.frames))
    fused = fuse_scene(reconstruction.at_dense_frames(), dense_frames, max_points=max_points)
    if not len(fused.xyz):
        return
    points = UsdGeom.Points.Define(stage, "/World/scene_points")
    places = Vt.Vec3fArray.FromNumpy(take.place(fused.xyz).astype(np.float32))
    points.CreatePointsAttr(places)
    points.CreateExtentAttr(UsdGeom.PointBased.ComputeExtent(places))
    points.CreateWidthsAttr([_POINT_M])
    points.SetWidthsInterpolation(UsdGeom.Tokens.constant)
    colours = to_linear(fused.colours / 255.0).astype(np.float32)
    points.CreateDisplayColorPrimvar(UsdGeom.Tokens.vertex).Set(Vt.Vec3fArray.FromNumpy(colours))
