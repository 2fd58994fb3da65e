"""Recorded sequences as a source of clips: each is cut into stretches, and a clip is a few frames of one stretch."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float64, Int, UInt8
from numpy import ndarray
from PIL import Image

from unish.errors import InputError
from unish.lab.datasets.resize import resize_clip
from unish.lab.datasets.source import ClipArrays, SourceNotes, sample_frames

STRETCH = 32
"""Frames of a stretch. Training and validation take whole stretches, so neighbours of these only meet at their ends."""


@runtime_checkable
class FrameSequence(Protocol):
    """Frames that can be read in any choice and order."""

    @property
    def num_frames(self) -> int: ...
    @property
    def size(self) -> tuple[int, int]:
        """(height, width) in pixels of all of its pictures."""
        ...

    def read(self, frames: Int[ndarray, "N"]) -> ClipArrays:
        """The chosen frames with all arrays that the dataset has; world = the first of them."""
        ...


class SequenceSource:
    """A ``ClipSource`` of the stretches of some sequences, one sequence after the other.

    Args:
        sequences: the recordings.
        notes: what to tell about them.
        stretch: frames of one stretch, about (a sequence is divided evenly).

    Raises:
        InputError: no frames at all.
    """

    def __init__(self, sequences: Sequence[FrameSequence], notes: SourceNotes, *, stretch: int = STRETCH) -> None:
        self.sequences = tuple(sequences)
        self.notes = notes
        self._stretches: list[tuple[int, int, int]] = []
        for number, sequence in enumerate(self.sequences):
            total = sequence.num_frames
            borders = np.linspace(0, total, max(1, total // stretch) + 1).round().astype(int).tolist()
            self._stretches += [(number, a, b) for a, b in pairwise(borders) if b > a]
        if not self._stretches:
            raise InputError(f"{notes.name} holds no frames; check the folder")

    def __len__(self) -> int:
        return len(self._stretches)

    def describe(self) -> SourceNotes:
        return self.notes

    def size(self, index: int) -> tuple[int, int]:
        return self.sequences[self._stretches[index][0]].size

    def load(
        self,
        index: int,
        rng: np.random.Generator,
        *,
        num_frames: int,
        size: tuple[int, int] | None = None,
        max_stride: int = 1,
    ) -> ClipArrays:
        number, start, end = self._stretches[index]
        frames = start + sample_frames(end - start, num_frames, max_stride, rng)
        arrays = self.sequences[number].read(frames)
        return arrays if size is None else resize_clip(arrays, size)


def read_image(path: Path) -> UInt8[ndarray, "H W 3"]:
    """An RGB picture.

    Raises:
        InputError: it cannot be read.
    """
    try:
        with Image.open(path) as image:
            return np.array(image.convert("RGB"))
    except (OSError, ValueError, SyntaxError) as error:
        raise InputError(f"{path}: cannot be read as a picture ({error}); delete or replace it") from None


def read_image_size(path: Path) -> tuple[int, int]:
    """(height, width) of a picture, from its header.

    Raises:
        InputError: it cannot be read.
    """
    try:
        with Image.open(path) as image:
            return image.size[1], image.size[0]
    except (OSError, ValueError, SyntaxError) as error:
        raise InputError(f"{path}: cannot be read as a picture ({error}); delete or replace it") from None


def read_numbers(path: Path, shape: tuple[int, ...]) -> Float64[ndarray, "..."]:
    """Numbers of a text file, separated by blanks or commas, in the asked shape.

    Raises:
        InputError: no such file, or other contents.
    """
    try:
        values = np.array(path.read_text().replace(",", " ").split(), np.float64)
        return values.reshape(shape)
    except (OSError, ValueError):
        wanted = "×".join(str(side) for side in shape)
        raise InputError(f"{path}: does not hold {wanted} numbers; write them in plain text") from None


def rebase_poses(c2w: Float64[ndarray, "N 4 4"]) -> Float64[ndarray, "N 4 4"]:
    """The same poses in the world of the first camera. World coordinates may be too large for float32."""
    return np.linalg.inv(c2w[0]) @ c2w
