"""What was observed in each frame, kept in files: it is not looked at again, and masks take no memory."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import astuple, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy import ndarray

from unish.io import write_npz
from unish.people.protocols import Observation, Pose, StoredMask
from unish.people.regions import Region
from unish.structs import NUM_LANDMARKS

BLOCK = 24
"""Frames whose observations make one file."""


class ObservationLog:
    """Observations by frame, in the order of time, in a folder that is made if need be.

    Masks go to the end of one file at once, all else into a file for each block of frames when the block is complete.
    A process that is killed in between leaves masks that no block speaks of; they are written over.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self._masks = folder, folder / "masks.bin"
        self._waiting: list[list[Observation]] = []
        self._next, self._end = 0, 0

    @staticmethod
    def count_frames(folder: Path) -> int:
        """Frames whose observations are kept there."""
        blocks = sorted(folder.glob("*.npz"))
        if not blocks:
            return 0
        with np.load(blocks[-1], allow_pickle=False) as file:
            return int(blocks[-1].stem) + len(file["counts"])

    def stored(self) -> Iterator[list[Observation]]:
        """The observations of the frames that are kept, one after the other; ``add`` goes on after the last of them."""
        while self._path(self._next).exists():
            with np.load(self._path(self._next), allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files}
            people = [self._unpack(arrays, row) for row in range(int(arrays["counts"].sum()))]
            self._end = max([self._end, *arrays["masks"][:, 1].tolist()])
            ends = np.cumsum([0, *arrays["counts"].tolist()]).tolist()
            self._next += len(arrays["counts"])
            yield from (people[start:stop] for start, stop in pairwise(ends))

    def add(self, people: Sequence[Observation], *, last: bool) -> list[Observation]:
        """Keep the observations of the next frame (the ``last`` of all?); the same, their masks on the disk."""
        kept = [self._keep(person) for person in people]
        self._waiting.append(kept)
        if last or len(self._waiting) == BLOCK:
            counts = np.array([len(frame) for frame in self._waiting])
            write_npz(
                self._path(self._next), {"counts": counts} | _pack([one for frame in self._waiting for one in frame])
            )
            self._next += len(self._waiting)
            self._waiting = []
        return kept

    def _keep(self, person: Observation) -> Observation:
        """With its mask on the disk, and numbers as precise as those that come back from there."""
        pose = person.pose
        if pose is not None and isinstance(pose.mask, ndarray):
            pose = replace(pose, mask=self._store(pose.mask))
        return replace(
            person,
            box_xyxy=np.asarray(person.box_xyxy, np.float64),
            appearance=np.asarray(person.appearance, np.float64),
            pose=pose,
        )

    def _store(self, mask: ndarray) -> StoredMask:
        deflated = zlib.compress(np.ascontiguousarray(mask).tobytes(), level=1)
        with self._masks.open("r+b" if self._end else "wb") as file:
            file.seek(self._end)
            file.write(deflated)
        start, self._end = self._end, self._end + len(deflated)
        return StoredMask(path=self._masks, start=start, stop=self._end, side=len(mask))

    def _unpack(self, arrays: dict[str, ndarray], row: int) -> Observation:
        start, stop, side = arrays["masks"][row].tolist()
        mask = StoredMask(path=self._masks, start=start, stop=stop, side=side) if side else None
        pose = None
        if arrays["has_pose"][row]:
            region, next_region = (
                Region(x=x, y=y, side=side_px, angle=angle) for x, y, side_px, angle in arrays["regions"][row].tolist()
            )
            pose = Pose(
                px=arrays["px"][row],
                world=arrays["world"][row],
                score=float(arrays["pose_score"][row]),
                region=region,
                next_region=next_region,
                mask=mask,
                sigma_px=None if np.isnan(arrays["sigma_px"][row]).any() else arrays["sigma_px"][row],
                facing=None if np.isnan(arrays["facing"][row]) else float(arrays["facing"][row]),
            )
        return Observation(
            box_xyxy=arrays["box_xyxy"][row],
            score=float(arrays["score"][row]),
            appearance=arrays["appearance"][row],
            pose=pose,
            detected=bool(arrays["detected"][row]),
            features=arrays["features"][row].astype(np.float32) if arrays["has_features"][row] else None,
        )

    def _path(self, first_frame: int) -> Path:
        return self._folder / f"{first_frame:08d}.npz"


def _pack(people: Sequence[Observation]) -> dict[str, Any]:
    """One row for each observation; zeros where there is no pose, and no mask; NaN for what nobody has said."""
    poses = [person.pose for person in people]
    masks = [None if pose is None or not isinstance(pose.mask, StoredMask) else pose.mask for pose in poses]
    no_regions, no_points = ((0.0,) * 4,) * 2, np.zeros((NUM_LANDMARKS, 3), np.float32)
    sigmas = [None if pose is None else pose.sigma_px for pose in poses]
    unknown = np.full(NUM_LANDMARKS, np.nan, np.float32)
    regions = [no_regions if pose is None else (astuple(pose.region), astuple(pose.next_region)) for pose in poses]
    features = [person.features for person in people]
    size = max((len(one) for one in features if one is not None), default=0)
    return {
        "features": np.array([np.zeros(size) if one is None else one for one in features], np.float16),
        "has_features": np.array([one is not None for one in features], bool),
        "box_xyxy": np.array([person.box_xyxy for person in people], np.float64),
        "score": np.array([person.score for person in people], np.float64),
        "appearance": np.array([person.appearance for person in people], np.float64),
        "detected": np.array([person.detected for person in people], bool),
        "has_pose": np.array([pose is not None for pose in poses], bool),
        "px": np.array([no_points if pose is None else pose.px for pose in poses], np.float32),
        "world": np.array([no_points if pose is None else pose.world for pose in poses], np.float32),
        "sigma_px": np.array([unknown if sigma is None else sigma for sigma in sigmas], np.float32),
        "facing": np.array(
            [np.nan if pose is None or pose.facing is None else pose.facing for pose in poses], np.float64
        ),
        "pose_score": np.array([0.0 if pose is None else pose.score for pose in poses], np.float64),
        "regions": np.array(regions, np.float64),
        "masks": np.array(
            [(0, 0, 0) if mask is None else (mask.start, mask.stop, mask.side) for mask in masks], np.int64
        ).reshape(-1, 3),
    }
