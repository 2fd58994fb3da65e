"""Several sources as one, each with its share."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

import numpy as np

from unish.errors import InputError
from unish.lab.datasets.source import CLIP_ARRAYS, ClipArrays, ClipSource, SourceNotes


class MixedSource:
    """A weighted mixture: a training batch takes each of its clips from part k with probability weights[k] / Σ weights.

    By number, the clips of the parts follow one another. Its clips may lack whatever some part lacks.

    Raises:
        InputError: no parts, not one weight for each, or a weight that is not positive.
    """

    def __init__(self, parts: Sequence[ClipSource], weights: Sequence[float] | None = None) -> None:
        weights = [1.0] * len(parts) if weights is None else list(weights)
        if not parts or len(parts) != len(weights) or min(weights) <= 0:
            raise InputError(f"a mixture of {len(parts)} sources has weights {weights}; give each one positive weight")
        self.parts = tuple(parts)
        self.shares = tuple(float(weight) / float(sum(weights)) for weight in weights)
        self._ends = list(accumulate(len(part) for part in parts))

    def __len__(self) -> int:
        return self._ends[-1]

    def describe(self) -> SourceNotes:
        notes = [part.describe() for part in self.parts]
        return SourceNotes(
            name=" + ".join(f"{share:.0%} {note.name}" for share, note in zip(self.shares, notes, strict=True)),
            licence="; ".join(f"{note.name}: {note.licence}" for note in notes),
            trains_shipped_weights=all(note.trains_shipped_weights for note in notes),
            arrays=tuple(name for name in CLIP_ARRAYS if all(name in note.arrays for note in notes)),
        )

    def size(self, index: int) -> tuple[int, int]:
        part, number = self._find(index)
        return part.size(number)

    def load(
        self,
        index: int,
        rng: np.random.Generator,
        *,
        num_frames: int,
        size: tuple[int, int] | None = None,
        max_stride: int = 1,
    ) -> ClipArrays:
        part, number = self._find(index)
        return part.load(number, rng, num_frames=num_frames, size=size, max_stride=max_stride)

    def _find(self, index: int) -> tuple[ClipSource, int]:
        """The part that holds clip ``index``, and its number there."""
        if not 0 <= index < len(self):
            raise IndexError(f"clip {index} of {len(self)}")
        part = next(k for k, end in enumerate(self._ends) if index < end)
        return self.parts[part], index - (self._ends[part - 1] if part else 0)
