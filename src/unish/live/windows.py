"""Used frames of a video that is still being read, a window of them at a time."""

from __future__ import annotations

import math
import queue
import threading
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import UInt8
from numpy import ndarray

from unish.settings import Settings
from unish.structs import Clip
from unish.video import TickSampler
from unish.video.again import SourceFrame
from unish.video.fitting import place_picture
from unish.video.read import LONG_SIDE
from unish.video.shots.transitions import ShotFinder

MAX_WAITING = 2
"""Windows that are whole and wait to be looked at."""
_SECONDS_TO_LOOK_UP = 0.05


@dataclass(frozen=True, kw_only=True)
class LiveWindow:
    """Neighbouring used frames as a clip, with hard cuts between its shots.

    Attributes:
        num_new: how many of them, the last ones, no window before it has shown.
        arrived_s: of the monotonic clock, when the last of them was there.
    """

    clip: Clip
    num_new: int
    arrived_s: float


@dataclass(frozen=True, kw_only=True)
class _Used:
    index: int
    time_s: float
    position: int
    picture: UInt8[ndarray, "h w 3"]


class WindowFeed:
    """Takes every frame of a source from one thread and gives windows of the used ones to another.

    Frames are chosen by time as ``unish.read_clip`` chooses them. No more than ``MAX_WAITING`` windows wait: then the
    source is held back, or, if it cannot wait, its frames are left out until one was taken.

    Args:
        settings: ``fps``, ``start``, ``end``, ``max_frames``, ``window`` and ``overlap`` count.
        waits: the source can be held back.

    Attributes:
        num_left_out: used frames that nobody will see here because the source could not wait.
    """

    def __init__(self, settings: Settings, *, waits: bool, name: str) -> None:
        self.num_left_out = 0
        self._settings, self._waits, self._name = settings, waits, name
        self._sampler: TickSampler[tuple[int, SourceFrame]] = TickSampler(
            fps=settings.fps, start=settings.start or 0.0, end=math.inf if settings.end is None else settings.end
        )
        self._frames: deque[_Used] = deque(maxlen=settings.window)
        self._thumbnails: deque[tuple[float, UInt8[ndarray, "h w 3"]]] = deque()
        self._first_position = self._position = 0
        self._num_used, self._num_new, self._num_wanted = 0, 0, settings.window
        self._size: tuple[int, int] | None = None
        self._source_size = (0, 0)
        self._waiting: queue.Queue[LiveWindow | None] = queue.Queue()
        self._room = threading.Semaphore(MAX_WAITING)
        self._closed = threading.Event()

    def push(self, frame: SourceFrame) -> bool:
        """Take the next frame; whether more are wanted."""
        self._thumbnails.append((frame.time_s, frame.thumbnail()))
        for _, chosen in self._sampler.push(frame.time_s, (self._position, frame)):
            self._use(*chosen)
        self._position += 1
        most = self._settings.max_frames
        ended = self._closed.is_set() or frame.time_s > self._sampler.end
        return not ended and (most is None or self._num_used < most)

    def finish(self) -> None:
        """There are no more frames."""
        most = self._settings.max_frames
        for _, chosen in self._sampler.finish():
            if most is None or self._num_used < most:
                self._use(*chosen)
        if self._num_new:
            self._send(wait=True)
        self._waiting.put(None)

    def close(self) -> None:
        """Nobody takes windows any more: hold nothing back."""
        self._closed.set()

    def __iter__(self) -> Iterator[LiveWindow]:
        """Windows as they become whole, until ``finish``."""
        while (window := self._waiting.get()) is not None:
            self._room.release()
            yield window

    def _use(self, position: int, frame: SourceFrame) -> None:
        # A window that is whole may still be here because it found no room.
        if self._num_new >= self._num_wanted and not self._send(wait=self._waits):
            self.num_left_out += 1
            return
        picture = frame.pixels(LONG_SIDE)
        if self._size is None:
            self._size, self._source_size = (int(picture.shape[0]), int(picture.shape[1])), frame.size
        picture, _ = place_picture(picture, self._size)
        self._frames.append(_Used(index=frame.index, time_s=frame.time_s, position=position, picture=picture.copy()))
        self._num_used, self._num_new = self._num_used + 1, self._num_new + 1
        if self._num_new == self._num_wanted:
            self._send(wait=self._waits)

    def _send(self, *, wait: bool) -> bool:
        """Hand the window over if there is room for it, or when there is; whether it was."""
        while not self._room.acquire(blocking=False):
            if not wait or self._closed.wait(_SECONDS_TO_LOOK_UP):
                return False
        self._waiting.put(LiveWindow(clip=self._clip(), num_new=self._num_new, arrived_s=time.monotonic()))
        self._num_new, self._num_wanted = 0, self._settings.window - self._settings.overlap
        return True

    def _clip(self) -> Clip:
        frames = list(self._frames)
        for _ in range(frames[0].position - self._first_position):
            self._thumbnails.popleft()
        self._first_position = frames[0].position
        shots = ShotFinder()
        for time_s, thumbnail in self._thumbnails:
            shots.push(time_s, thumbnail)
        starts = [self._first_position + change.last for change in shots.finish()]
        segment = np.searchsorted(starts, [frame.position for frame in frames], side="right")
        return Clip(
            images=torch.from_numpy(np.stack([frame.picture for frame in frames])),
            timestamps_s=torch.tensor([frame.time_s for frame in frames], dtype=torch.float64),
            frame_indices=torch.tensor([frame.index for frame in frames], dtype=torch.int64),
            segment=torch.from_numpy(np.unique(segment, return_inverse=True)[1].reshape(-1).astype(np.int64)),
            source_size=self._source_size,
            name=self._name,
        )
