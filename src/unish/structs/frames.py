"""Arrays with one entry per frame that need not be in memory: a frame is read, or computed, when it is asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy import ndarray
from torch import Tensor


class FrameArray:
    """T frames of one shape and type, indexed like an array: ``frames[3]``, ``frames[2:5]``, ``frames[[1, 4], :, 0]``.

    A single frame costs one read, and the last one that was read is remembered; anything else is put together from
    single frames. Frames are not to be written to. ``np.asarray`` reads them all.

    Args:
        shape: (T, ...) of all frames together.
        dtype: of numpy or of torch; ``read`` gives arrays of that library.
        read: frame number, 0 to T − 1 → that frame.
        at_hand: frames that cost little to read, for who wants some and does not mind which; all by default.
        remember: the last frame; not for arrays of which there are many, whose last frames would fill the memory.
        pick: frame number and an index into the frame → these elements of it, for frames of which some can be had for
            less than all. They are the same to the bit.
    """

    def __init__(
        self,
        shape: Sequence[int],
        dtype: np.dtype[Any] | torch.dtype,
        read: Callable[[int], Any],
        *,
        at_hand: Sequence[int] | None = None,
        remember: bool = True,
        pick: Callable[[int, tuple[Any, ...]], Any] | None = None,
    ) -> None:
        self.shape = tuple(int(side) for side in shape)
        self.dtype = dtype
        self.at_hand = range(self.shape[0]) if at_hand is None else at_hand
        self._read = read
        self._remember = remember
        self._pick = pick
        self._last: tuple[int, Any] = (-1, None)

    @classmethod
    def like(
        cls,
        other: Frames | Tensor,
        read: Callable[[int], Any],
        *,
        dtype: Any = None,
        pick: Callable[[int, tuple[Any, ...]], Any] | None = None,
    ) -> FrameArray:
        """As many frames of the same shape as ``other`` has, and of its type unless ``dtype`` is given."""
        return cls(other.shape, dtype or other.dtype, read, pick=pick)

    @classmethod
    def map(cls, change: Callable[..., Any], *others: Frames | Tensor) -> FrameArray:
        """``change`` of frames, or of the same elements of frames, that ``others`` have: of each element by itself."""
        return cls.like(
            others[0],
            lambda frame: change(*(other[frame] for other in others)),
            pick=lambda frame, place: change(*(other[(frame, *place)] for other in others)),
        )

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def nbytes(self) -> int:
        """Bytes that all frames would take in memory."""
        return int(np.prod(self.shape)) * int(self.dtype.itemsize)

    def __len__(self) -> int:
        return self.shape[0]

    def __iter__(self) -> Iterator[Any]:
        return (self[frame] for frame in range(len(self)))

    def __getitem__(self, key: Any) -> Any:
        first, rest = (key[0], key[1:]) if isinstance(key, tuple) else (key, ())
        if isinstance(first, int | np.integer) or (isinstance(first, ndarray | Tensor) and first.ndim == 0):
            return self._elements(int(first), rest) if rest else self._frame(int(first))
        if isinstance(first, ndarray | Tensor) and first.ndim > 1:
            return self._select(first)
        if not isinstance(first, slice) and any(isinstance(one, ndarray | Tensor | list) for one in rest):
            raise TypeError("pick the frames first, then elements of each")
        chosen = np.arange(len(self))[first.numpy() if isinstance(first, Tensor) else first]
        return self._join([self._frame(frame) for frame in chosen.tolist()], rest)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> ndarray:
        whole = np.asarray(self[:])
        return whole if dtype is None else whole.astype(dtype)

    def _elements(self, frame: int, place: tuple[Any, ...]) -> Any:
        index = self._index(frame)
        if self._pick is None or self._last[0] == index:
            return self._frame(index)[place]
        return self._pick(index, place)

    def _index(self, frame: int) -> int:
        index = frame + len(self) if frame < 0 else frame
        if not 0 <= index < len(self):
            raise IndexError(f"frame {frame} of {len(self)}")
        return index

    def _frame(self, frame: int) -> Any:
        index = self._index(frame)
        kept, value = self._last
        if kept != index:
            value = self._read(index)
            if self._remember:
                self._last = (index, value)
        return value

    def _select(self, mask: ndarray | Tensor) -> Any:
        """Elements of all frames, as arrays give them for a mask."""
        if tuple(mask.shape) != self.shape[: mask.ndim]:
            raise IndexError(f"a mask of {tuple(mask.shape)} for frames of {self.shape}")
        parts = [self._frame(frame)[mask[frame]] for frame in range(len(self))]
        return np.concatenate(parts) if isinstance(self.dtype, np.dtype) else torch.cat(parts)

    def _join(self, frames: list[Any], rest: tuple[Any, ...]) -> Any:
        """``rest`` is applied to every frame before they are put together, so that it saves memory."""
        parts = [frame[rest] if rest else frame for frame in frames]
        if not parts:
            none: Any = np.empty if isinstance(self.dtype, np.dtype) else torch.empty
            return none((0, *self.shape[1:]), dtype=self.dtype)[(slice(0), *rest)]
        return np.stack(parts) if isinstance(self.dtype, np.dtype) else torch.stack(parts)


def cut_frames(frames: Frames | Tensor, part: slice) -> FrameArray:
    """The frames ``part.start`` to ``part.stop``, without reading any."""
    return pick_frames(frames, range(len(frames))[part])


def pick_frames(frames: Frames | Tensor, chosen: Sequence[int]) -> FrameArray:
    """These frames, without reading any."""
    at_hand = None
    if isinstance(frames, FrameArray) and len(frames.at_hand) < len(frames):
        cheap = set(frames.at_hand)
        at_hand = [place for place, frame in enumerate(chosen) if frame in cheap]
    return FrameArray(
        (len(chosen), *frames.shape[1:]),
        frames.dtype,
        lambda frame: frames[chosen[frame]],
        at_hand=at_hand,
        pick=lambda frame, place: frames[(chosen[frame], *place)],
    )


def join_frames(parts: Sequence[Frames | Tensor]) -> FrameArray:
    """Several arrays one after the other along time, without reading any."""
    starts = np.cumsum([0, *(len(part) for part in parts)])

    def read(frame: int) -> Any:
        part = int(np.searchsorted(starts, frame, side="right")) - 1
        return parts[part][frame - int(starts[part])]

    return FrameArray((int(starts[-1]), *parts[0].shape[1:]), parts[0].dtype, read)


if TYPE_CHECKING:
    # Shapes and types are checked in every test; a static checker would ask for one of the two wherever they differ.
    Frames = Any
    FrameTensor = Any
else:
    Frames = ndarray | FrameArray
    """An array of numpy, or frames of one."""

    FrameTensor = Tensor | FrameArray
    """A tensor, or frames of one."""
