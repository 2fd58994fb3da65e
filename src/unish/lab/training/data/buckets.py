"""Batches of one shape: clips sorted by aspect ratio and length, working sizes, and how many clips of a shape fit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Int
from numpy import ndarray

from unish.lab.datasets.source import ClipSource

SAME_SHAPE = 1.1
"""Clips whose aspects differ by less than this ratio share a batch."""

_MULTIPLE = 16
"""Of working sizes, in pixels."""


@dataclass(frozen=True, kw_only=True)
class BatchShape:
    """B clips of N frames of H×W pixels."""

    num_clips: int
    num_frames: int
    height: int
    width: int


@runtime_checkable
class KnowsLengths(Protocol):
    """A source that can say how long a clip is."""

    def num_frames(self, index: int) -> int:
        """Frames of clip ``index`` as it is stored."""
        ...


@dataclass(frozen=True, kw_only=True)
class ClipBuckets:
    """Clips of one source that may be used: number, stored (height, width), stored frames (many, where unknown)."""

    numbers: Int[ndarray, "n"]
    sizes: Int[ndarray, "n 2"]
    lengths: Int[ndarray, "n"]

    @classmethod
    def of(cls, source: ClipSource, numbers: Int[ndarray, "n"]) -> ClipBuckets:
        """Nothing is read but sizes and, from sources that tell, lengths."""
        sizes = np.array([source.size(int(number)) for number in numbers], np.int64)
        if isinstance(source, KnowsLengths):
            lengths = np.array([source.num_frames(int(number)) for number in numbers], np.int64)
        else:
            lengths = np.full(len(numbers), np.iinfo(np.int64).max)
        return cls(numbers=numbers, sizes=sizes, lengths=lengths)

    def fitting(self, size: Int[ndarray, "2"], *, num_frames: int) -> Int[ndarray, "m"]:
        """Numbers of the clips that are long enough and have about this shape.

        Where no clip has the shape, those that come nearest; where none is long enough, all lengths (loading one then
        says what is wrong).
        """
        long_enough = self.lengths >= num_frames
        if not long_enough.any():
            long_enough[:] = True
        logs = np.log(self.sizes[:, 0] / self.sizes[:, 1])
        off = np.where(long_enough, np.abs(logs - np.log(size[0] / size[1])), np.inf)
        return self.numbers[off < max(float(np.log(SAME_SHAPE)), float(off.min()) + 1e-9)]


def sample_shape(
    stored: Int[ndarray, "2"],
    generator: np.random.Generator,
    *,
    long_sides: tuple[int, ...],
    frame_counts: tuple[int, ...],
    num_clips: int,
    num_frames: int,
) -> BatchShape:
    """A shape with sides that are multiples of 16 and about the aspect of ``stored``; one of each choice, evenly.

    Args:
        stored: (height, width) of the clip that leads the batch.
        frame_counts: choices for the number of frames; none = always ``num_frames``.
        num_clips: of a batch with ``num_frames`` frames. Batches of other lengths have about as many frames in all, and
            at least one clip.
    """
    long_side = long_sides[generator.integers(len(long_sides))]
    factor = long_side / int(stored.max())
    height, width = (max(2, round(int(side) * factor / _MULTIPLE)) * _MULTIPLE for side in stored)
    if not frame_counts:
        return BatchShape(num_clips=num_clips, num_frames=num_frames, height=height, width=width)
    drawn = frame_counts[generator.integers(len(frame_counts))]
    fitting = max(1, round(num_clips * num_frames / drawn))
    return BatchShape(num_clips=fitting, num_frames=drawn, height=height, width=width)
