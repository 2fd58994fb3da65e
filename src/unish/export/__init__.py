"""A finished reconstruction in other formats: one format per file."""

from unish.export.glb import write_glb
from unish.export.ply import write_ply
from unish.export.preview import write_preview

__all__ = ["write_glb", "write_ply", "write_preview"]
