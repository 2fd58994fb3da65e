"""The frames of a video that are used, with their true times."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float64, Int64, UInt8
from torch import Tensor

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
