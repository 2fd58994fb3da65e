"""KITTI depth (Uhrig et al. 2017): drives, with the depth of accumulated laser scans.

https://www.cvlibs.net/datasets/kitti/eval_depth_all.php. Depth is png / 256 metres, 0 = unknown. Three arrangements are
read, and the first that is there counts:

1. ``val/DRIVE/proj_depth/groundtruth/image_02/N.png`` of data_depth_annotated.zip, with the raw pictures in
   ``raw/DATE/DRIVE/image_02/data/N.png`` or ``raw/DRIVE/image_02/data/N.png``;
2. ``groundtruth_depth_gathered/DRIVE_02/N.png`` and ``image_gathered/DRIVE_02/N.png`` (in
   ``depth_selection/val_selection_cropped`` or at the top), as MonST3R's script copies the first arrangement;
3. ``image`` and ``groundtruth_depth`` with files ``DRIVE_…_N_image_02.png`` in the same folder of
   data_depth_selection.zip: single pictures of each drive, some apart.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Int
from numpy import ndarray

from unish.errors import InputError
from unish.io.depth_maps import read_values
from unish.lab.datasets.sequences import FrameSequence, read_image, read_image_size
from unish.lab.datasets.source import ClipArrays
from unish.lab.evaluation.benchmarks.depth.video import VideoDepthBenchmark

NUM_FRAMES = 110
"""Pictures of each drive that MonST3R (Zhang et al. 2024) and those after it score."""
FPS = 10.0
_UNITS_PER_METRE = 256
_SELECTED = re.compile(r"(\d{4}_\d\d_\d\d_drive_\d{4}_sync)_groundtruth_depth_(\d+)_image_02\.png")


@dataclass(frozen=True, kw_only=True, eq=False)
class KittiSequence:
    """Pictures of one drive and their depth.

    Attributes:
        numbers: of the pictures in the drive.
    """

    colours: tuple[Path, ...]
    depths: tuple[Path, ...]
    numbers: tuple[int, ...]

    @property
    def num_frames(self) -> int:
        return len(self.colours)

    @property
    def size(self) -> tuple[int, int]:
        return read_image_size(self.colours[0])

    def read(self, frames: Int[ndarray, "N"]) -> ClipArrays:
        numbers = np.array([self.numbers[frame] for frame in frames])
        return {
            "images": np.stack([read_image(self.colours[frame]) for frame in frames]),
            "depth": np.stack([read_values(self.depths[frame]) for frame in frames]).astype(np.float32)
            / _UNITS_PER_METRE,
            "timestamps": ((numbers - numbers[0]) / FPS).astype(np.float32),
        }


def list_kitti(data: Path) -> list[str]:
    return sorted(_find_depth(data))


def open_kitti(data: Path, name: str) -> FrameSequence:
    """The scored pictures of a drive: the first ``NUM_FRAMES`` that have depth.

    Raises:
        InputError: a picture is missing.
    """
    depths = _find_depth(data)[name][:NUM_FRAMES]
    colours = [_find_colour(data, path) for path in depths]
    numbers = [int(re.findall(r"\d{10}", path.name)[0]) for path in depths]
    return KittiSequence(colours=tuple(colours), depths=tuple(depths), numbers=tuple(numbers))


def _find_depth(data: Path) -> dict[str, list[Path]]:
    """Depth files of each drive, in order, in the first arrangement that is there."""
    drives: dict[str, list[Path]] = {}
    for path in sorted(data.glob("val/*/proj_depth/groundtruth/image_02/*.png")):
        drives.setdefault(path.parents[3].name, []).append(path)
    if not drives:
        for path in sorted(_find_selection(data).glob("groundtruth_depth_gathered/*/*.png")):
            drives.setdefault(path.parent.name.removesuffix("_02"), []).append(path)
    if not drives:
        for path in sorted((_find_selection(data) / "groundtruth_depth").glob("*_image_02.png")):
            if found := _SELECTED.fullmatch(path.name):
                drives.setdefault(found[1], []).append(path)
    return drives


def _find_selection(data: Path) -> Path:
    inner = data / "depth_selection" / "val_selection_cropped"
    return inner if inner.is_dir() else data


def _find_colour(data: Path, depth: Path) -> Path:
    """The picture that belongs to a depth file of any arrangement."""
    if depth.parent.name == "groundtruth_depth":
        candidates = [depth.parents[1] / "image" / depth.name.replace("_groundtruth_depth_", "_image_")]
    elif depth.parents[1].name == "groundtruth_depth_gathered":
        candidates = [depth.parents[2] / "image_gathered" / depth.parent.name / depth.name]
    else:
        drive, inside = depth.parents[3].name, Path("image_02") / "data" / depth.name
        candidates = [data / "raw" / drive[:10] / drive / inside, data / "raw" / drive / inside]
    for path in candidates:
        if path.is_file():
            return path
    raise InputError(f"{candidates[0]}: no such picture; fetch the raw drive (synced+rectified) of KITTI")


KITTI = VideoDepthBenchmark(
    needs="val/ of KITTI's data_depth_annotated.zip and raw/ with the pictures, or depth_selection/",
    list_sequences=list_kitti,
    open_sequence=open_kitti,
    max_depth=float("inf"),
)
