"""The frames of a video that are used, with their true times."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float64, Int64, UInt8
from numpy import ndarray
from torch import Tensor

from unish.structs.camera import Lens
from unish.structs.frames import FrameTensor


@dataclass(frozen=True, kw_only=True)
class Clip:
    """Sampled frames of one video.

    Attributes:
        images: (T, H, W, 3) RGB at the *clip size*: the source after its rotation tag, shrunk (never enlarged) so that
            the long side stays within the reader's limit. Boxes and landmarks of the people stage are in these pixels.
            Those of a long video are decoded when they are asked for.
        timestamps_s: (T,) presentation times in seconds from the start of the source, strictly increasing.
        frame_indices: (T,) index of each used frame in the source.
        segment: (T,) shot number, 0-based and non-decreasing; a change of shots starts a new one. Frames within a
            soft change (a dissolve, a wipe) are not used.
        source_size: (height, width) of the source after its rotation tag, pixels.
        picture_area: (T, 4) top, left, bottom, right of each picture in its frame, pixels: what lies outside is padding
            and no scene. ``None`` where every picture fills its frame.
        source_area: (top, left, bottom, right) of what ``images`` show, pixels of the source: the picture inside of its
            bars. ``None`` where they show all of it.
        surrounded: that picture is a film amid what never changes, as in a recording of a screen: another camera than
            the recorder filmed it, so whatever is told of a lens is about the film alone.
        inset_area: top, left, bottom, right of a picture in the picture, pixels: ``images`` are filled there from what
            is around it, and it is no scene. ``None`` where there is none.
        lens: what the source says of its lens; ``None`` where it says nothing.
        frame_names: file names of the used frames, where the source is a folder of pictures; ``None`` elsewhere.
        name: short name of the source, for messages and file names.
        warnings: everything that degraded the reading, one sentence each.
    """

    images: UInt8[FrameTensor, "T H W 3"]
    timestamps_s: Float64[Tensor, "T"]
    frame_indices: Int64[Tensor, "T"]
    segment: Int64[Tensor, "T"]
    source_size: tuple[int, int]
    picture_area: Int64[Tensor, "T 4"] | None = None
    source_area: tuple[float, float, float, float] | None = None
    surrounded: bool = False
    inset_area: tuple[int, int, int, int] | None = None
    lens: Lens | None = None
    frame_names: tuple[str, ...] | None = None
    name: str = "clip"
    warnings: tuple[str, ...] = ()

    @property
    def num_frames(self) -> int:
        return int(self.images.shape[0])

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of ``images``."""
        return int(self.images.shape[1]), int(self.images.shape[2])

    def from_source(self, points: Float[ndarray, "*batch 2"]) -> Float[ndarray, "*batch 2"]:
        """x, y in pixels of the source → pixels of ``images``."""
        corner, factor = self._source_frame()
        return (points - corner) * factor

    def to_source(self, points: Float[ndarray, "*batch 2"]) -> Float[ndarray, "*batch 2"]:
        """Inverse of ``from_source``."""
        corner, factor = self._source_frame()
        return points / factor + corner

    def _source_frame(self) -> tuple[Float[ndarray, "2"], Float[ndarray, "2"]]:
        """Left and top of what ``images`` show, and pixels of ``images`` per pixel of the source, in x and y."""
        top, left, bottom, right = self.source_area or (0.0, 0.0, *self.source_size)
        height, width = self.size
        return np.array([left, top]), np.array([width / (right - left), height / (bottom - top)])
