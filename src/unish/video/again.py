"""Pictures of a long video, decoded a second time when they are asked for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import UInt8
from numpy import ndarray
from torch import Tensor

from unish.video.fitting import place_picture


@runtime_checkable
class SourceFrame(Protocol):
    """What the file and the folder reader both yield: cheap to hold, converted on demand."""

    @property
    def index(self) -> int: ...
    @property
    def time_s(self) -> float: ...
    @property
    def size(self) -> tuple[int, int]: ...
    def pixels(self, long_side: int) -> UInt8[ndarray, "h w 3"]: ...
    def thumbnail(self) -> UInt8[ndarray, "h w 3"]: ...


@dataclass
class DecodedPictures:
    """The used frames of a source. Asked for in order, they cost one pass over it; a step back costs a new one.

    Attributes:
        source: gives the same frames whenever it is iterated over.
        positions: of the used frames among those of the source.
        size: (height, width) that all pictures are brought to.
        long_side: to which they are shrunk.
        held: pictures that are in memory, by their used frame.
    """

    source: Iterable[SourceFrame]
    positions: Sequence[int]
    size: tuple[int, int]
    long_side: int
    held: Mapping[int, UInt8[ndarray, "h w 3"]]
    _passing: Iterator[tuple[int, SourceFrame]] | None = None
    _next: int = 0

    def read(self, frame: int) -> UInt8[Tensor, "h w 3"]:
        """The picture of one used frame."""
        if frame in self.held:
            return torch.from_numpy(self.held[frame])
        wanted = self.positions[frame]
        if self._passing is None or wanted < self._next:
            self._passing = iter(enumerate(self.source))
        for position, one in self._passing:
            if position == wanted:
                self._next = position + 1
                return torch.from_numpy(place_picture(one.pixels(self.long_side), self.size)[0])
        raise RuntimeError(f"frame {wanted} of the video was there and is not any more; was the file changed?")
