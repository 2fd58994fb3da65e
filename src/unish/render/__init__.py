"""Rasterisers for triangle meshes: a plain one in numpy (slow, needs nothing) and one in OpenGL (fast, needs EGL)."""

from unish.render.renderer import Renderer, make_renderer
from unish.render.scene import SCENE_ID, SKY_ID, Frame, Lighting, Mesh, Scene

__all__ = ["SCENE_ID", "SKY_ID", "Frame", "Lighting", "Mesh", "Renderer", "Scene", "make_renderer"]
