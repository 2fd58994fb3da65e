"""A finished reconstruction in other formats: one format per file, all of them in ``formats``.

The public names below are loaded on first use: who lists the formats need not load what writes them.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from unish.export.glb import write_glb
    from unish.export.ply import write_ply
    from unish.export.preview import write_preview

__all__ = ["write_glb", "write_ply", "write_preview"]

_HOMES = {"write_glb": "unish.export.glb", "write_ply": "unish.export.ply", "write_preview": "unish.export.preview"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'unish.export' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
