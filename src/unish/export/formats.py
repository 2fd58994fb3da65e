"""The formats that a result can be written in, by name. Importing this costs nothing: a writer is loaded when used."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from unish.body import Body
    from unish.structs import Reconstruction


@runtime_checkable
class Exporter(Protocol):
    """Writes one format. A format may have options of its own, with defaults."""

    def __call__(self, path: Path, reconstruction: Reconstruction, body: Body) -> None:
        """Write the file whole or not at all.

        Args:
            body: the model that poses the parameters of ``reconstruction``.
        """


@dataclass(frozen=True, kw_only=True)
class Format:
    """One format.

    Attributes:
        file: its name in the folder of the export.
        writer: ``module:function`` of its ``Exporter``.
    """

    file: str
    writer: str

    def load(self) -> Exporter:
        module, name = self.writer.split(":")
        exporter: Exporter = getattr(import_module(module), name)
        return exporter


FORMATS = {
    "glb": Format(file="scene.glb", writer="unish.export.glb:write_glb"),
    "ply": Format(file="scene.ply", writer="unish.export.ply:write_ply"),
}
