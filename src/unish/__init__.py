"""UniSH: scene, cameras and metric human bodies from one monocular video, in one feed-forward pass.

The public names below are loaded on first use, so that ``import unish`` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from unish.version import __version__

if TYPE_CHECKING:
    from unish.api import Reconstructor, reconstruct
    from unish.network import UniSH
    from unish.refinement import refine
    from unish.structs import Reconstruction
    from unish.video import read_clip

__all__ = ["Reconstruction", "Reconstructor", "UniSH", "__version__", "read_clip", "reconstruct", "refine"]

_HOMES = {
    "Reconstruction": "unish.structs",
    "Reconstructor": "unish.api",
    "UniSH": "unish.network",
    "read_clip": "unish.video",
    "reconstruct": "unish.api",
    "refine": "unish.refinement",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'unish' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
