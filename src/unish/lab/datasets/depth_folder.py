"""Any recording with depth and poses, in the plainest layout that could be thought of.

A sequence is a folder with

- ``images/NAME.png`` or ``.jpg``: colour, all of one size, in the order of their names;
- ``depth/NAME.png`` (16 bits, millimetres, 0 = unknown), ``.npy``, ``.npz`` (one array, or one called ``depth``) or
  ``.exr``, these in metres along the camera's z axis (0, negative and not finite = unknown), of the same size;
- ``poses/NAME.txt`` (4×4 camera to world, metres, OpenCV axes), or ``poses.txt`` with 12 or 16 numbers a line, row by
  row, one line per image;
- ``intrinsics.txt`` (3×3, or fx fy cx cy), ``intrinsics.json`` (``{"fx": …, "fy": …, "cx": …, "cy": …}``), or
  ``intrinsics/NAME.txt`` where they change; pixels, the outer corner of the picture being (0, 0).

and, as far as it has them, ``ids/NAME.png`` (8 bits; 0 = nobody, k = person k − 1), ``times.txt`` (seconds, one a line)
and ``dataset.json`` (``{"licence": "…", "trains_shipped_weights": false, "fps": 30, "depth_unit_m": 0.001}``).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32, Float64, Int
from numpy import ndarray

from unish.errors import InputError
from unish.io.depth_maps import DEPTH_SUFFIXES, read_depth_map, read_values
from unish.lab.datasets.sequences import (
    STRETCH,
    SequenceSource,
    read_image,
    read_image_size,
    read_numbers,
    rebase_poses,
)
from unish.lab.datasets.source import CLIP_ARRAYS, ClipArrays, SourceNotes
from unish.video.sources.folders import list_images


@dataclass(frozen=True, kw_only=True, eq=False)
class DepthSequence:
    """One folder in the layout of this module.

    Attributes:
        images: files, in order.
        c2w: (T, 4, 4) metres.
        times_s: (T,).
        depth_unit_m: metres per unit of depth pictures.
    """

    folder: Path
    images: tuple[Path, ...]
    c2w: Float64[ndarray, "T 4 4"]
    times_s: Float64[ndarray, "T"]
    depth_unit_m: float

    @property
    def num_frames(self) -> int:
        return len(self.images)

    @property
    def size(self) -> tuple[int, int]:
        return read_image_size(self.images[0])

    @property
    def has_ids(self) -> bool:
        return (self.folder / "ids").is_dir()

    def read(self, frames: Int[ndarray, "N"]) -> ClipArrays:
        paths = [self.images[number] for number in frames]
        times = self.times_s[frames]
        arrays = {
            "images": np.stack([read_image(path) for path in paths]),
            "depth": np.stack([read_depth(self.folder / "depth", path.stem, self.depth_unit_m) for path in paths]),
            "intrinsics": np.stack([_read_intrinsics(self.folder, path.stem) for path in paths]),
            "c2w": rebase_poses(self.c2w[frames]).astype(np.float32),
            "timestamps": (times - times[0]).astype(np.float32),
        }
        if self.has_ids:
            ids = np.stack([read_values(self.folder / "ids" / f"{path.stem}.png") for path in paths])
            arrays["ids"] = (ids.astype(np.int16) - 1).astype(np.int8)
        if arrays["depth"].shape != arrays["images"].shape[:3]:
            raise InputError(
                f"{self.folder}: depth is {arrays['depth'].shape[1:]}, images {arrays['images'].shape[1:3]}"
            )
        return arrays


def open_depth_folder(folder: Path, *, every: int = 1, stretch: int = STRETCH) -> SequenceSource:
    """A sequence folder in the layout above, or a folder of those.

    ``dataset.json`` may lie in each sequence or beside them; the licence counts from the outermost.

    Raises:
        InputError: no sequence there, a file is missing, or lists differ in length.
    """
    places = [folder] if (folder / "images").is_dir() else sorted(path.parent for path in folder.glob("*/images"))
    if not places:
        raise InputError(f"{folder}: there is no folder images in it or one below; see docs/data.md for the layout")
    sequences = [_open_sequence(place, every) for place in places]
    notes = _read_notes(folder) or _read_notes(places[0])
    has_ids = all(sequence.has_ids for sequence in sequences)
    kept = ("images", "depth", "ids", "intrinsics", "c2w", "timestamps")
    return SequenceSource(
        sequences,
        SourceNotes(
            name=f"depth folder {folder.name}",
            licence=str(notes.get("licence", "not stated: ask whoever recorded it")),
            trains_shipped_weights=bool(notes.get("trains_shipped_weights", False)),
            arrays=tuple(name for name in CLIP_ARRAYS if name in kept and (name != "ids" or has_ids)),
        ),
        stretch=stretch,
    )


def read_depth(folder: Path, name: str, unit_m: float) -> Float32[ndarray, "H W"]:
    """The depth map of a frame, as the module describes such files; 0 = unknown.

    Args:
        unit_m: metres per unit of a picture; arrays are in metres.

    Raises:
        InputError: there is none, or it cannot be read.
    """
    for suffix in DEPTH_SUFFIXES:
        path = folder / f"{name}{suffix}"
        if path.is_file():
            return read_depth_map(path, unit_m)
    raise InputError(f"{folder}: has no {name} as {', '.join(DEPTH_SUFFIXES)}; add it")


def _open_sequence(folder: Path, every: int) -> DepthSequence:
    images = list_images(folder / "images")
    notes = {**_read_notes(folder.parent), **_read_notes(folder)}
    c2w = _read_poses(folder, images)
    times = np.arange(len(images)) / float(notes.get("fps", 30.0))
    if (folder / "times.txt").is_file():
        times = read_numbers(folder / "times.txt", (len(images),))
    return DepthSequence(
        folder=folder,
        images=tuple(images[::every]),
        c2w=c2w[::every],
        times_s=times[::every],
        depth_unit_m=float(notes.get("depth_unit_m", 0.001)),
    )


def _read_poses(folder: Path, images: list[Path]) -> Float64[ndarray, "T 4 4"]:
    single = folder / "poses.txt"
    if not single.is_file():
        return np.stack([read_numbers(folder / "poses" / f"{path.stem}.txt", (4, 4)) for path in images])
    rows = [line for line in single.read_text().splitlines() if line.strip()]
    width = len(rows[0].replace(",", " ").split()) if rows else 16
    values = read_numbers(single, (len(rows), width))
    if len(rows) != len(images) or width not in (12, 16):
        raise InputError(f"{single}: {len(rows)} lines of {width} numbers for {len(images)} images; give 12 or 16 each")
    c2w = np.tile(np.eye(4), (len(rows), 1, 1))
    c2w[:, :3] = values.reshape(len(rows), -1, 4)[:, :3]
    return c2w


def _read_intrinsics(folder: Path, name: str) -> Float32[ndarray, "3 3"]:
    path = folder / "intrinsics" / f"{name}.txt"
    if not path.is_file():
        path = folder / "intrinsics.txt"
    if path.is_file():
        count = len(path.read_text().replace(",", " ").split())
        if count == 9:
            return read_numbers(path, (3, 3)).astype(np.float32)
        fx, fy, cx, cy = read_numbers(path, (4,))
    else:
        values = _read_json(folder / "intrinsics.json")
        try:
            fx, fy, cx, cy = (float(values[key]) for key in ("fx", "fy", "cx", "cy"))
        except (KeyError, TypeError, ValueError):
            raise InputError(f"{folder}: has no intrinsics.txt, nor an intrinsics.json with fx, fy, cx, cy") from None
    return np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]], np.float32)


def _read_notes(folder: Path) -> dict[str, Any]:
    path = folder / "dataset.json"
    return _read_json(path) if path.is_file() else {}


def _read_json(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text())
    except (OSError, ValueError):
        raise InputError(f"{path}: missing or not JSON; see docs/data.md for the layout") from None
    if not isinstance(values, dict):
        raise InputError(f"{path}: holds no names and values; see docs/data.md for the layout")
    return values
