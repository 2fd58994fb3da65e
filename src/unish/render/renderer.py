"""The interface that both renderers have, and the choice between them."""

from __future__ import annotations

import warnings
from typing import Literal, Protocol, runtime_checkable

from jaxtyping import Float, Float32
from numpy import ndarray

from unish.errors import DegradedResultWarning
from unish.render.scene import Frame, Scene


@runtime_checkable
class Renderer(Protocol):
    """Draws one scene at a time. ``load`` once per clip, ``render`` once per frame."""

    name: str

    def load(self, scene: Scene) -> None:
        """Take the scene; whatever was loaded before is forgotten."""

    def render(
        self,
        people_vertices: Float32[ndarray, "V 3"],
        people_normals: Float32[ndarray, "V 3"],
        w2c: Float[ndarray, "4 4"],
        intrinsics: Float[ndarray, "3 3"],
        size: tuple[int, int],
    ) -> Frame:
        """Draw a frame of ``size`` (height, width); vertices, normals and ``w2c`` are in the axes of the scene."""


def make_renderer(kind: Literal["auto", "egl", "plain"] = "auto", *, samples: int = 4) -> Renderer:
    """The OpenGL renderer if this machine can, the plain one otherwise (``auto``, with a warning), or the one named.

    ``samples`` per pixel smooth the edges of the colours (OpenGL only; 1 = not at all).

    Raises:
        InputError: ``egl`` was asked for and moderngl or the system's EGL is missing.
    """
    from unish.errors import InputError
    from unish.render.plain import PlainRenderer

    if kind == "plain":
        return PlainRenderer()
    from unish.render.egl import EglRenderer

    try:
        return EglRenderer(samples=samples)
    except InputError as error:
        if kind == "egl":
            raise
        message = f"{error}; drawing with the plain renderer, which is many times slower"
        warnings.warn(message, DegradedResultWarning, stacklevel=2)
        return PlainRenderer()
