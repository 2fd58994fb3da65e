"""What a user may choose."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Everything that a user may choose. The meanings are those of the command line (``unish reconstruct --help``).

    Attributes:
        model: name, path or hub id of the weights.
        fps: frames used per second of video.
        source_fps: of a folder of images or a raw stream, which have no times of their own; ``None`` lets the reader
            decide and say what it assumed.
        size: long side of the processed frames in pixels; ``None`` takes the model's own.
        start, end: seconds.
        people: the most people to reconstruct, ``None`` for all, 0 for the scene alone.
        tracks: npz with the user's own boxes instead of the detector.
        intrinsics: (fx, fy, cx, cy) of the source in pixels, when known.
        body: ``free`` or the path of a licensed SMPL file.
        window, overlap: frames that the network sees at once, and how many of them two neighbouring windows share.
        sky: look for the sky and leave it out of everything. Off until it is found well enough everywhere.
        seed: of everything random; results repeat bit for bit on the same machine.
    """

    model: str = "small"
    fps: float = 6.0
    source_fps: float | None = None
    size: int | None = None
    start: float | None = None
    end: float | None = None
    max_frames: int | None = None
    device: str = "auto"
    people: int | None = None
    tracks: Path | None = None
    intrinsics: tuple[float, float, float, float] | None = None
    body: str = "free"
    window: int = 30
    overlap: int = 6
    sky: bool = False
    seed: int = 0
