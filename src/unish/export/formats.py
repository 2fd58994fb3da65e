"""The formats that a result can be written in, by name. Importing this costs nothing: a writer is loaded when used."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from unish.errors import InputError
from unish.export.options import SMOOTH, WHOLE, ExportOptions

if TYPE_CHECKING:
    from unish.body import Body
    from unish.structs import Reconstruction


@runtime_checkable
class Exporter(Protocol):
    """Writes one format."""

    def __call__(
        self, path: Path, reconstruction: Reconstruction, body: Body, options: ExportOptions
    ) -> dict[str, Any]:
        """Write the file, whole or not at all, or the files of a folder that is made if need be.

        Args:
            body: the model that poses the parameters of ``reconstruction``.
            options: see ``Format.choose``; those that the format has no use for are ignored.

        Returns:
            What ``export.json`` says about the files (see ``sidecar.describe_take``). ``files``, where it is given, are
            their names from the folder of ``path``; else they are ``path``, or everything in it.

        Raises:
            InputError: the reconstruction has not what the format is made of.
        """


@dataclass(frozen=True, kw_only=True)
class Format:
    """One format.

    Attributes:
        file: its name in the folder of the export; that of a folder where there are several files.
        writer: ``module:function`` of its ``Exporter``.
        summary: what it is and who reads it, a few words.
        uses: names of the ``ExportOptions`` that mean something to it.
        defaults: options that differ from those of ``ExportOptions``.
        of_people: it holds people and nothing else.
        all_shots: one file holds every shot; other formats have a folder ``shot-N`` for each where there are several.
        extra: name of the extra of this package that brings ``module``, which the writer needs.
    """

    file: str
    writer: str
    summary: str
    uses: frozenset[str] = frozenset()
    defaults: ExportOptions = field(default_factory=ExportOptions)
    of_people: bool = False
    all_shots: bool = False
    extra: str = ""
    module: str = ""

    def load(self) -> Exporter:
        """Its writer.

        Raises:
            InputError: what it needs is not installed.
        """
        if self.module and find_spec(self.module) is None:
            raise InputError(f"{self.file}: {self.module} is not installed; pip install 'unish[{self.extra}]'")
        module, name = self.writer.split(":")
        exporter: Exporter = getattr(import_module(module), name)
        return exporter

    def choose(self, asked: Mapping[str, Any]) -> tuple[ExportOptions, list[str]]:
        """The options to write with, and the names of those asked for that mean nothing here."""
        used = {name: value for name, value in asked.items() if name in self.uses}
        if used.get("gravity") and self.defaults.up is None:
            used = {"up": "y"} | used  # a level world has an axis that points up
        return replace(self.defaults, **used), sorted(asked.keys() - self.uses)


_MOTION = frozenset({"fps", "up", "gravity", "people", "in_place", "lock_feet"})
_SCENE = frozenset({"up", "gravity"})
_LABORATORY = _MOTION - {"in_place"}
_RIGGED = _MOTION | {"rig"}
_ANIMATION = ExportOptions(fps=SMOOTH, up="y", gravity=True)
_NUMBERS = ExportOptions(fps=WHOLE, up="z", gravity=True)

FORMATS = {
    "glb": Format(
        file="scene.glb",
        writer="unish.export.glb:write_glb",
        summary="glTF: animated characters, moving camera and scene points",
        uses=_RIGGED - {"up"} | {"per_person"},
        defaults=_ANIMATION,
        all_shots=True,
    ),
    "bvh": Format(
        file="bvh",
        writer="unish.export.bvh:write_bvh",
        summary="skeletal motion, a file for each person, in centimetres",
        uses=_RIGGED - {"up"},
        defaults=_ANIMATION,
        of_people=True,
    ),
    "blender": Format(
        file="blender",
        writer="unish.export.blender:write_blender",
        summary="a folder with a script that opens characters, camera, film and points in Blender",
        uses=_RIGGED - {"up"},
        defaults=_ANIMATION,
    ),
    "usd": Format(
        file="scene.usdc",
        writer="unish.export.usd:write_usd",
        summary="USD: animated characters, moving camera and scene points",
        uses=_RIGGED,
        defaults=_ANIMATION,
        extra="usd",
        module="pxr",
    ),
    "amass": Format(
        file="amass",
        writer="unish.export.smplx_files:write_amass",
        summary="npz with the keys of AMASS, for robots and the SMPL add-on of Blender",
        uses=_MOTION,
        defaults=_NUMBERS,
        of_people=True,
    ),
    "smplx": Format(
        file="smplx",
        writer="unish.export.smplx_files:write_smplx",
        summary="npz with the arguments of smplx.SMPLX",
        uses=_MOTION,
        defaults=replace(_NUMBERS, up="y"),
        of_people=True,
    ),
    "ply": Format(
        file="scene.ply", writer="unish.export.ply:write_ply", summary="point cloud of all frames", all_shots=True
    ),
    "colmap": Format(
        file="colmap",
        writer="unish.passes.sparse_model:write_colmap",
        summary="pictures, masks without people and sparse model, for COLMAP and Gaussian splatting",
        uses=_SCENE | {"refine_cameras"},
    ),
    "nerfstudio": Format(
        file="nerfstudio",
        writer="unish.export.nerfstudio:write_nerfstudio",
        summary="transforms.json with pictures, masks and points, for nerfstudio",
        uses=_SCENE,
        defaults=ExportOptions(up="z", gravity=True),
    ),
    "mesh": Format(
        file="scene_mesh.glb",
        writer="unish.export.mesh:write_mesh",
        summary="glTF: the scene without people as a coloured mesh",
        uses=frozenset({"gravity"}),
        defaults=ExportOptions(up="y", gravity=True),
    ),
    "depth": Format(
        file="depth",
        writer="unish.export.depth:write_depth",
        summary="16-bit PNG in millimetres, EXR in metres",
        uses=_SCENE,
    ),
    "cameras": Format(
        file="cameras",
        writer="unish.export.cameras:write_cameras",
        summary="TUM, KITTI, Nuke .chan and csv",
        uses=_SCENE | {"fps"},
    ),
    "trc": Format(
        file="trc",
        writer="unish.export.trc:write_trc",
        summary="markers and joint centres for OpenSim",
        uses=_LABORATORY,
        defaults=_ANIMATION,
        of_people=True,
    ),
    "c3d": Format(
        file="c3d",
        writer="unish.export.c3d:write_c3d",
        summary="the same for motion laboratories",
        uses=_LABORATORY,
        defaults=_ANIMATION,
        of_people=True,
        extra="bio",
        module="ezc3d",
    ),
    "angles": Format(
        file="angles",
        writer="unish.export.angles:write_angles",
        summary="joint angles as csv and OpenSim .mot",
        uses=_LABORATORY,
        defaults=_ANIMATION,
        of_people=True,
    ),
}
