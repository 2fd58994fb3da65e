"""What a user may choose."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from unish.errors import InputError
from unish.values import check_count, check_number, check_path, check_sampling, shorten

DEVICES = ("auto", "cpu", "cuda", "mps")
CAMERA_UNITS = ("m", "unknown")
_CAMERA = ("fx", "fy", "cx", "cy")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Everything that a user may choose. The meanings are those of the command line (``unish reconstruct --help``).

    Attributes:
        model: name, path or hub id of the weights.
        fps: frames used per second of video: people and cameras are given for each.
        scene_fps: of these, frames per second with depth; all where it is not below ``fps``.
        source_fps: of a folder of images or a raw stream, which have no times of their own; ``None`` lets the reader
            decide and say what it assumed.
        size: long side of the processed frames in pixels; ``None`` takes the model's own.
        start, end: seconds.
        people: the most people to reconstruct, ``None`` for all, 0 for the scene alone.
        tracks: npz with the user's own boxes instead of the detector.
        intrinsics: (fx, fy, cx, cy) of the source in pixels, when known.
        cameras: known poses: folder of a COLMAP model, ``transforms.json``, or a TUM trajectory.
        refine_cameras: start from ``cameras`` instead of keeping them.
        camera_unit: of the places in ``cameras``, ``m`` or ``unknown``; by the kind of the file if ``None``.
        body: ``free`` or the path of a licensed SMPL file.
        window, overlap: frames that the network sees at once, and how many of them two neighbouring windows share.
        sky: look for the sky and leave it out of everything. Off until it is found well enough everywhere.
        settle: bring scene, ground and people together where feet stand; off gives what the network says alone.
        seed: of everything random; results repeat bit for bit on the same machine.

    Raises:
        InputError: a value has another type, or is outside of what it may be; the message says what is wanted.
    """

    model: str = "small"
    fps: float = 6.0
    scene_fps: float = 6.0
    source_fps: float | None = None
    size: int | None = None
    start: float | None = None
    end: float | None = None
    max_frames: int | None = None
    device: str = "auto"
    people: int | None = None
    tracks: Path | None = None
    intrinsics: tuple[float, float, float, float] | None = None
    cameras: Path | None = None
    refine_cameras: bool = False
    camera_unit: str | None = None
    body: str = "free"
    window: int = 30
    overlap: int = 6
    sky: bool = False
    settle: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        check_number("scene fps", self.scene_fps, above=0)
        check_sampling(self.fps, self.source_fps, self.start, self.end, self.max_frames)
        for name, lowest in (("window", 1), ("overlap", 0), ("seed", 0)):
            check_count(name, getattr(self, name), at_least=lowest)
        for name, lowest in (("size", 32), ("people", 0)):
            if getattr(self, name) is not None:
                check_count(name, getattr(self, name), at_least=lowest)
        if self.overlap >= self.window:
            raise InputError(f"overlap ({self.overlap}) is not below window ({self.window}); lower it")
        if self.device not in DEVICES:
            raise InputError(f"device is {shorten(self.device)}; give one of {', '.join(DEVICES)}")
        for name in ("sky", "settle", "refine_cameras"):
            if not isinstance(getattr(self, name), bool):
                raise InputError(f"{name} is {shorten(getattr(self, name))}; give True or False")
        for name in ("model", "body"):
            check_path(name, getattr(self, name))
        if self.tracks is not None:
            object.__setattr__(self, "tracks", check_path("tracks", self.tracks))
        if self.cameras is not None:
            object.__setattr__(self, "cameras", check_path("cameras", self.cameras))
        elif self.refine_cameras or self.camera_unit is not None:
            raise InputError("there are no cameras to refine or to state the unit of; give --cameras")
        if self.camera_unit not in (None, *CAMERA_UNITS):
            raise InputError(f"camera unit is {shorten(self.camera_unit)}; give {' or '.join(CAMERA_UNITS)}")
        if self.intrinsics is not None:
            object.__setattr__(self, "intrinsics", _check_intrinsics(self.intrinsics))


def _check_intrinsics(given: object) -> tuple[float, float, float, float]:
    values: list[object] = list(given) if isinstance(given, Iterable) else []
    if len(values) != len(_CAMERA):
        raise InputError(f"intrinsics is {shorten(given)}; give (fx, fy, cx, cy) in source pixels")
    fx, fy, cx, cy = (check_number(name, value, above=0) for name, value in zip(_CAMERA, values, strict=True))
    return fx, fy, cx, cy
