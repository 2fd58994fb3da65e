"""What a dataset is: numbered clips with truth, all with the same names, shapes and units."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Int
from numpy import ndarray

from unish.errors import InputError

ClipArrays = dict[str, ndarray]
"""Arrays of one clip by name, as ``CLIP_ARRAYS`` describes them."""


@dataclass(frozen=True, kw_only=True)
class ArrayKind:
    """Shape (names of axes: N frames, P people, H×W pixels), type, and which axis the frames are on."""

    shape: str
    dtype: str
    frame_axis: int | None


CLIP_ARRAYS: Mapping[str, ArrayKind] = {
    "images": ArrayKind(shape="N H W 3", dtype="u1", frame_axis=0),
    "depth": ArrayKind(shape="N H W", dtype="f4", frame_axis=0),
    "ids": ArrayKind(shape="N H W", dtype="i1", frame_axis=0),
    "intrinsics": ArrayKind(shape="N 3 3", dtype="f4", frame_axis=0),
    "c2w": ArrayKind(shape="N 4 4", dtype="f4", frame_axis=0),
    "timestamps": ArrayKind(shape="N", dtype="f4", frame_axis=0),
    "gravity": ArrayKind(shape="3", dtype="f4", frame_axis=None),
    "floor": ArrayKind(shape="4", dtype="f4", frame_axis=None),
    "person_valid": ArrayKind(shape="P N", dtype="b1", frame_axis=1),
    "betas": ArrayKind(shape="P 10", dtype="f4", frame_axis=None),
    "global_orient_aa": ArrayKind(shape="P N 3", dtype="f4", frame_axis=1),
    "body_pose_aa": ArrayKind(shape="P N 69", dtype="f4", frame_axis=1),
    "transl": ArrayKind(shape="P N 3", dtype="f4", frame_axis=1),
    "joints": ArrayKind(shape="P N 24 3", dtype="f4", frame_axis=1),
    "landmarks_px": ArrayKind(shape="P N 33 3", dtype="f4", frame_axis=1),
    "landmarks_world": ArrayKind(shape="P N 33 3", dtype="f4", frame_axis=1),
    "landmark_score": ArrayKind(shape="P N", dtype="f4", frame_axis=1),
    "boxes_xyxy": ArrayKind(shape="P N 4", dtype="f4", frame_axis=1),
}
"""Everything that a clip may hold; ``images`` is always there.

Depth is z in metres, 0 = unknown; ids are indices into the people axis, −1 = nobody, P = somebody who has no row there;
people who are not there are zero. Else as in the table of training shards (docs/data.md) and in ``structs.Landmarks``.
"""


@dataclass(frozen=True, kw_only=True)
class SourceNotes:
    """What there is to know about a dataset before it is used.

    Attributes:
        name: for messages and logs.
        licence: what the data may be used for, in a sentence.
        trains_shipped_weights: the licence allows weights trained on it to be shipped under the package's own.
        arrays: names of ``CLIP_ARRAYS`` that its clips hold.
    """

    name: str
    licence: str
    trains_shipped_weights: bool
    arrays: tuple[str, ...]

    @property
    def missing(self) -> tuple[str, ...]:
        """Names of ``CLIP_ARRAYS`` that the dataset does not have."""
        return tuple(name for name in CLIP_ARRAYS if name not in self.arrays)


@runtime_checkable
class ClipSource(Protocol):
    """A dataset: clips numbered from 0, of which ``load`` cuts and returns N frames."""

    def __len__(self) -> int:
        """Number of clips."""
        ...

    def describe(self) -> SourceNotes:
        """Name, licence, and which arrays there are."""
        ...

    def size(self, index: int) -> tuple[int, int]:
        """(height, width) in pixels of clip ``index`` as it is stored, without reading it."""
        ...

    def load(
        self,
        index: int,
        rng: np.random.Generator,
        *,
        num_frames: int,
        size: tuple[int, int] | None = None,
        max_stride: int = 1,
    ) -> ClipArrays:
        """N frames of clip ``index``, evenly spaced 1 … ``max_stride`` stored frames apart, in their order.

        Where they start and how far apart they are is drawn from ``rng``; nothing else may be. All poses of a clip are
        in one world, of which nothing else is promised. Arrays that the dataset lacks are absent.

        Args:
            size: (height, width) to resize to (see ``resize_clip``); ``None`` keeps the stored one.

        Raises:
            InputError: the clip has fewer than ``num_frames`` frames, or its files cannot be read.
        """
        ...


@runtime_checkable
class ClipStream(ClipSource, Protocol):
    """A source that moves on: batch i is drawn from a window of its clips, which holds for a few batches.

    Attributes:
        steps_per_window: for how many consecutive steps the window stays.
    """

    steps_per_window: int

    def window(self, step: int, *, first: int, last: int) -> range:
        """Numbers of the clips that batch ``step`` may use.

        Of every twenty windows only those numbered first … last − 1 are used, so that training (0, 19) and
        validation (19, 20) never share a clip.
        """
        ...


def sample_frames(stored: int, wanted: int, max_stride: int, rng: np.random.Generator) -> Int[ndarray, "N"]:
    """``wanted`` evenly spaced numbers below ``stored``, 1 … ``max_stride`` apart as far as there is room.

    Raises:
        InputError: there are not so many.
    """
    if stored < wanted:
        raise InputError(f"a clip has {stored} frames, but {wanted} are asked for; ask for fewer")
    room = max(1, (stored - 1) // max(wanted - 1, 1))
    stride = int(rng.integers(1, min(max_stride, room) + 1))
    start = int(rng.integers(0, stored - (wanted - 1) * stride))
    return start + stride * np.arange(wanted)
