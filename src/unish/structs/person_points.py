"""Points of people at a resolution of their own: as many in each frame as a crop of the person shows."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import Float16, Float32, Int, Int16, UInt8
from numpy import ndarray

from unish.errors import InputError
from unish.io import read_frame, write_frame


@dataclass(frozen=True, kw_only=True)
class ReliefCrops:
    """Square crops of K people in one frame, and the relief that was seen in them (see ``unish.geometry.crop_box``).

    Attributes:
        person: index into the people axis.
        boxes: left, top, side in whole pixels of the picture that ``size`` (height, width) tells.
        relief: depth in sides of the crop, with any offset.
        colours: sRGB, of finer pixels than the relief, or the same.
    """

    person: Int16[ndarray, "K"]
    boxes: Int[ndarray, "K 3"]
    size: tuple[int, int]
    relief: Float32[ndarray, "K S S"]
    colours: UInt8[ndarray, "K G G 3"]


@dataclass(frozen=True, kw_only=True)
class PeopleCloud:
    """N points of all people in one frame.

    Attributes:
        points: world metres.
        colours: sRGB.
        normals: unit vectors in the world, towards the camera; 0 where a point has no neighbours.
        person: index into the people axis of each point.
    """

    points: Float32[ndarray, "N 3"]
    colours: UInt8[ndarray, "N 3"]
    normals: Float16[ndarray, "N 3"]
    person: Int16[ndarray, "N"]

    def of(self, person: int) -> PeopleCloud:
        """One person's points; none where the person has none in this frame."""
        own = self.person == person
        return PeopleCloud(**{name: values[own] for name, values in vars(self).items()})


NO_CLOUD = PeopleCloud(
    points=np.zeros((0, 3), np.float32),
    colours=np.zeros((0, 3), np.uint8),
    normals=np.zeros((0, 3), np.float16),
    person=np.zeros(0, np.int16),
)


class PersonPoints:
    """The clouds of D dense frames, read or computed one by one when they are asked for.

    Args:
        num_frames: D.
        read: dense frame → its cloud.
        folder: whose files are read, an npz for each frame with the arrays of ``PeopleCloud``; ``None`` without one.
    """

    def __init__(self, num_frames: int, read: Callable[[int], PeopleCloud], folder: Path | None = None) -> None:
        self.folder = folder
        self._num_frames, self._read = num_frames, read

    def __len__(self) -> int:
        return self._num_frames

    def __iter__(self) -> Iterator[PeopleCloud]:
        return (self._read(frame) for frame in range(len(self)))

    def __getitem__(self, dense_frame: int) -> PeopleCloud:
        if not 0 <= dense_frame < len(self):
            raise IndexError(f"dense frame {dense_frame} of {len(self)}")
        return self._read(dense_frame)

    @classmethod
    def open(cls, folder: Path, num_frames: int) -> PersonPoints:
        """Those that ``save`` wrote.

        Raises:
            InputError: the folder holds another number of frames.
        """
        if len(list(folder.glob("*.npz"))) != num_frames:
            raise InputError(f"{folder}: does not hold {num_frames} frames; copy it together with the npz beside it")
        return cls(num_frames, partial(_read_cloud, folder), folder)

    def save(
        self, folder: Path, *, before: Callable[[int], None] = lambda frame: None, like: Path | None = None
    ) -> PersonPoints:
        """The same in files of the folder, which takes the place of an older one when all are written.

        Args:
            before: called before each frame; what it reads of the frame need not be computed again for the points.
            like: a folder of an older result; what is the same in it is copied.
        """
        if self.folder is not None and folder.exists() and self.folder.samefile(folder):
            for frame in range(len(self)):
                before(frame)
            return self
        beside = folder.with_name(f".{folder.name}.new")
        shutil.rmtree(beside, ignore_errors=True)
        beside.mkdir(parents=True)
        with ThreadPoolExecutor(1) as writer:
            # A cloud is compressed while the next one is computed, and no more than these two are in memory.
            writing: Future[None] | None = None
            for frame in range(len(self)):
                before(frame)
                cloud = self._read(frame)
                if writing is not None:
                    writing.result()
                writing = writer.submit(write_frame, beside, frame, vars(cloud), like=like)
            if writing is not None:
                writing.result()
        shutil.rmtree(folder, ignore_errors=True)
        beside.rename(folder)
        return self.open(folder, len(self))

    def in_memory(self) -> PersonPoints:
        """The same with every cloud read."""
        return PersonPoints(len(self), list(self).__getitem__)


def _read_cloud(folder: Path, frame: int) -> PeopleCloud:
    return PeopleCloud(**read_frame(folder, frame))
