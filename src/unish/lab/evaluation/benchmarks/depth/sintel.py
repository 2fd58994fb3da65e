"""MPI Sintel (Butler et al. 2012): scenes of an animated film, with exact depth and cameras in the film's own unit.

http://sintel.is.tue.mpg.de: ``training/final/NAME/frame_NNNN.png``, ``training/depth/NAME/frame_NNNN.dpt`` and
``training/camdata_left/NAME/frame_NNNN.cam``. A ``.dpt`` file is the number 202021.25 (float32), width and height
(int32), and rows of float32; a ``.cam`` file the same number, then 3×3 intrinsics and 3×4 world to camera (float64).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Float64, Int
from numpy import ndarray

from unish.errors import InputError
from unish.lab.datasets.sequences import FrameSequence, read_image, read_image_size, rebase_poses
from unish.lab.datasets.source import ClipArrays
from unish.lab.evaluation.benchmarks.depth.video import VideoDepthBenchmark
from unish.lab.evaluation.metrics.depth import MAX_DEPTH_M

FPS = 24.0
SEQUENCES = (
    "alley_2", "ambush_4", "ambush_5", "ambush_6", "cave_2", "cave_4", "market_2", "market_5", "market_6", "shaman_3",
    "sleeping_1", "sleeping_2", "temple_2", "temple_3",
)  # fmt: skip
"""The fourteen that published camera and video-depth scores use: the others' cameras stand still or run straight."""
_TAG = np.float32(202021.25)


@dataclass(frozen=True, kw_only=True, eq=False)
class SintelSequence:
    """Pictures of one scene; depth and cameras lie beside them under the same names."""

    root: Path
    name: str
    stems: tuple[str, ...]

    @property
    def num_frames(self) -> int:
        return len(self.stems)

    @property
    def size(self) -> tuple[int, int]:
        return read_image_size(self._file("final", self.stems[0], "png"))

    def read(self, frames: Int[ndarray, "N"]) -> ClipArrays:
        stems = [self.stems[number] for number in frames]
        cameras = [read_cam(self._file("camdata_left", stem, "cam")) for stem in stems]
        return {
            "images": np.stack([read_image(self._file("final", stem, "png")) for stem in stems]),
            "depth": np.stack([read_dpt(self._file("depth", stem, "dpt")) for stem in stems]),
            "intrinsics": np.stack([k for k, _ in cameras]).astype(np.float32),
            "c2w": rebase_poses(np.linalg.inv(np.stack([w2c for _, w2c in cameras]))).astype(np.float32),
            "timestamps": ((frames - frames[0]) / FPS).astype(np.float32),
        }

    def _file(self, kind: str, stem: str, suffix: str) -> Path:
        return self.root / kind / self.name / f"{stem}.{suffix}"


def list_sintel(data: Path) -> list[str]:
    """Those of the fourteen scenes that are there."""
    return [name for name in SEQUENCES if (_find_root(data) / "final" / name).is_dir()]


def open_sintel(data: Path, name: str) -> FrameSequence:
    root = _find_root(data)
    stems = tuple(sorted(path.stem for path in (root / "final" / name).glob("frame_*.png")))
    if len(stems) < 2:
        raise InputError(f"{root / 'final' / name}: fewer than two frames; unpack MPI-Sintel-complete again")
    return SintelSequence(root=root, name=name, stems=stems)


def read_dpt(path: Path) -> Float32[ndarray, "H W"]:
    """Depth along the optical axis in the film's unit.

    Raises:
        InputError: missing, or not such a file.
    """
    data = _read_tagged(path)
    width, height = np.frombuffer(data, "<i4", count=2, offset=4) if len(data) >= 12 else (0, 0)
    if len(data) != 12 + 4 * int(width) * int(height):
        raise InputError(f"{path}: not a whole .dpt file; unpack MPI-Sintel-depth-training again")
    return np.frombuffer(data, "<f4", offset=12).reshape(height, width)


def read_cam(path: Path) -> tuple[Float64[ndarray, "3 3"], Float64[ndarray, "4 4"]]:
    """Intrinsics (pixels) and world to camera.

    Raises:
        InputError: missing, or not such a file.
    """
    data = _read_tagged(path)
    if len(data) != 4 + 8 * 21:
        raise InputError(f"{path}: not a whole .cam file; unpack MPI-Sintel-depth-training again")
    values = np.frombuffer(data, "<f8", offset=4)
    return values[:9].reshape(3, 3), np.concatenate([values[9:].reshape(3, 4), [[0, 0, 0, 1]]])


def _read_tagged(path: Path) -> bytes:
    try:
        data = path.read_bytes()
    except OSError:
        raise InputError(f"{path}: cannot be read; unpack MPI-Sintel-depth-training beside the pictures") from None
    if len(data) < 4 or np.frombuffer(data, "<f4", count=1)[0] != _TAG:
        raise InputError(f"{path}: does not begin like Sintel's files; unpack MPI-Sintel-depth-training again")
    return data


def _find_root(data: Path) -> Path:
    return data / "training" if (data / "training").is_dir() else data


SINTEL = VideoDepthBenchmark(
    needs="training/final, training/depth and training/camdata_left of MPI Sintel",
    list_sequences=list_sintel,
    open_sequence=open_sintel,
    clip_predicted=MAX_DEPTH_M,
    is_metric=False,
)
