"""What the parts of the people stage promise one another, so that any of them can be replaced by a better one."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Float32, UInt8
from numpy import ndarray
from torch import Tensor

from unish.people.regions import Region
from unish.structs import FrameTensor

MIN_EVIDENCE = 0.5
"""``Observation.score`` from which on a person counts who was not expected."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Detection:
    """A person, as a detector sees one.

    Attributes:
        box_xyxy: pixels of the picture, clipped to it.
        score: probability.
        region: where a landmark model should look, if the detector knows; else it follows from the box.
    """

    box_xyxy: Float[ndarray, "4"]
    score: float
    region: Region | None = None


@dataclass(frozen=True, kw_only=True)
class StoredMask:
    """A mask of ``side`` × ``side`` that lies in a file, deflated, between two bytes."""

    path: Path
    start: int
    stop: int
    side: int

    def read(self) -> UInt8[ndarray, "m m"]:
        with self.path.open("rb") as file:
            file.seek(self.start)
            deflated = file.read(self.stop - self.start)
        return np.frombuffer(zlib.decompress(deflated), np.uint8).reshape(self.side, self.side)


@dataclass(frozen=True, kw_only=True, eq=False)
class Pose:
    """Landmarks of one person in one picture.

    Attributes:
        px: x, y in pixels of the picture and visibility 0..1.
        world: metres around the middle of the hips, camera axes in the person's own viewing ray (see
            ``structs.Landmarks.world``).
        score: probability that a person is in the region.
        region: where the model looked.
        next_region: where to look for the same person again (centred and turned upright by the landmarks).
        mask: probability of belonging to the person × 255, over ``region``; ``None`` from models without masks. It may
            lie on the disk: see ``read_mask``.
        sigma_px: 1σ of each landmark in the picture, pixels; ``None`` where nobody has said (see ``fuse.sigma_alone``).
        facing: log odds that left and right are as read, and front and back with them; ``None`` where nobody has said.
    """

    px: Float32[ndarray, "33 3"]
    world: Float32[ndarray, "33 3"]
    score: float
    region: Region
    next_region: Region
    mask: UInt8[ndarray, "m m"] | StoredMask | None = None
    sigma_px: Float32[ndarray, "33"] | None = None
    facing: float | None = None

    def read_mask(self) -> UInt8[ndarray, "m m"] | None:
        """``mask``, from wherever it lies."""
        return self.mask.read() if isinstance(self.mask, StoredMask) else self.mask


@dataclass(frozen=True, kw_only=True, eq=False)
class Observation:
    """One person in one frame, before an identity is known.

    Attributes:
        box_xyxy: pixels of the picture, around what is visible of the person.
        score: how sure it is that this is a person, all evidence taken together, 0..1.
        appearance: unit-sum colour histogram (see ``appearance``).
        features: unit vector of image features of the person (see ``FeatureModel``); ``None`` where nobody has looked.
        pose: ``None`` when the landmarks are not to be trusted (too small, cut off).
        detected: a detector saw the person; otherwise only landmarks did, where the person was a moment ago.
    """

    box_xyxy: Float[ndarray, "4"]
    score: float
    appearance: Float[ndarray, "bins"]
    pose: Pose | None = None
    detected: bool = True
    features: Float32[ndarray, "D"] | None = None


Person = Mapping[int, Observation]
"""The observations of one person by frame number of the clip."""


@runtime_checkable
class Detector(Protocol):
    """Finds people in single pictures."""

    def detect(self, images: UInt8[Tensor, "T H W 3"]) -> list[list[Detection]]:
        """The people in each picture, best first, none of them twice."""
        ...


@runtime_checkable
class LandmarkModel(Protocol):
    """Reads the pose of the one person in a region."""

    def read_pose(self, picture: Float32[Tensor, "3 H W"], region: Region) -> Pose:
        """``picture`` is RGB in [0, 1]. Always answers; ``Pose.score`` says whether there is anybody."""
        ...


@runtime_checkable
class KeypointModel(Protocol):
    """Reads points in the picture, and no more than that, of the one person in each of some regions."""

    def read_points(self, picture: Float32[Tensor, "3 H W"], regions: Sequence[Region]) -> Float32[ndarray, "B 17 4"]:
        """x, y in pixels of the picture, which is RGB in [0, 1], and score, of the 17 key points of COCO: nose; left
        and right eye, ear, shoulder, elbow, wrist, hip, knee, ankle. Then the score that the same point of the other
        side of the body has in that place: what speaks for left and right being the other way round."""
        ...


@runtime_checkable
class FeatureModel(Protocol):
    """Describes what people look like."""

    def __call__(self, crops: Float[Tensor, "B 3 n n"], masks: Float[Tensor, "B n n"]) -> Float[Tensor, "B D"]:
        """Unit vectors whose cosines say how alike people are, from crops (RGB in [0, 1]) and the people's masks."""
        ...


@runtime_checkable
class RegionFinder(Protocol):
    """Finds how people lie in a part of a picture."""

    def find_regions(self, picture: Float32[Tensor, "3 H W"], around: Region) -> list[Region]:
        """Regions for a landmark model, best first, of the people in a part of a picture, which is RGB in [0, 1]."""
        ...


@runtime_checkable
class Segmenter(Protocol):
    """Says which pixels belong to which person."""

    def segment(
        self,
        images: UInt8[FrameTensor, "T H W 3"],
        frame: int,
        people: Sequence[Observation],
        size: tuple[int, int],
    ) -> Float32[ndarray, "P h w"]:
        """Probability of each person at each pixel of one of the pictures, shrunk to ``size`` = (h, w)."""
        ...


@runtime_checkable
class Tracker(Protocol):
    """Gives identities to observations, frame after frame."""

    def predict(self, time_s: float, segment: int) -> list[Region]:
        """Where to look for the people who were seen a moment ago, in case a detector misses them."""
        ...

    def update(self, time_s: float, segment: int, people: Sequence[Observation]) -> None:
        """Take in the observations of the next frame."""
        ...

    def identities(self) -> list[dict[int, Observation]]:
        """After the last frame: for each person the observations by frame number, in order of first appearance."""
        ...
