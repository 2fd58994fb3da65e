"""Sparse models of COLMAP, text and binary (https://colmap.github.io/format.html).

Poses there map the world to the camera; axes, and the centre of the first pixel at (0.5, 0.5), are ours.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO

import numpy as np

from unish.errors import InputError
from unish.video.known_cameras.record import CameraFile, Lenses, pose_from_quaternions

_MODELS = {
    0: ("SIMPLE_PINHOLE", 3), 1: ("PINHOLE", 4), 2: ("SIMPLE_RADIAL", 4), 3: ("RADIAL", 5), 4: ("OPENCV", 8),
    5: ("OPENCV_FISHEYE", 8), 6: ("FULL_OPENCV", 12),
}  # fmt: skip
"""Number of a model: its name, and how many parameters it has."""

_PINHOLES = {"SIMPLE_PINHOLE": 1, "PINHOLE": 2, "SIMPLE_RADIAL": 1, "RADIAL": 1, "OPENCV": 2, "FULL_OPENCV": 2}
"""Models that are a pinhole but for their distortion: how many focal lengths they begin with."""

_Camera = tuple[str, int, int, list[float]]  # model, width, height, parameters
_Image = tuple[list[float], int, str]  # quaternion wxyz and translation, camera, name


def find_model(folder: Path) -> Path | None:
    """The folder of the model: the given one, or ``sparse/0`` or ``sparse`` in it; ``None`` if there is none."""
    for inner in (folder, folder / "sparse" / "0", folder / "sparse"):
        if any((inner / f"images{suffix}").is_file() for suffix in (".bin", ".txt")):
            return inner
    return None


def list_model_files(model: Path) -> list[Path]:
    """Cameras and images, binary or text."""
    return [model / f"{name}{suffix}" for name in ("cameras", "images") for suffix in (".bin", ".txt")]


def read_colmap(folder: Path) -> CameraFile:
    """Args:
        folder: that ``find_model`` gives.

    Raises:
        InputError: a file is missing or broken, or the lens is no pinhole.
    """
    binary = (folder / "images.bin").is_file()
    try:
        cameras = _read_cameras(folder / "cameras.bin") if binary else _parse_cameras(folder / "cameras.txt")
        images = _read_images(folder / "images.bin") if binary else _parse_images(folder / "images.txt")
        images = sorted(images, key=lambda image: image[2])
        known = [cameras[camera] for _, camera, _ in images]
    except OSError as error:
        raise InputError(f"{folder}: {error.strerror} ({Path(str(error.filename)).name}); give a whole model") from None
    except (ValueError, IndexError, KeyError, struct.error):
        raise InputError(f"{folder}: no sparse model that COLMAP reads; export it again") from None
    numbers = np.array([pose for pose, _, _ in images], np.float64).reshape(-1, 7)
    w2c = pose_from_quaternions(numbers[:, [1, 2, 3, 0]], numbers[:, 4:], folder)
    c2w = np.tile(np.eye(4), (len(w2c), 1, 1))
    c2w[:, :3, :3] = w2c[:, :3, :3].transpose(0, 2, 1)
    c2w[:, :3, 3:] = -c2w[:, :3, :3] @ w2c[:, :3, 3:]
    return CameraFile(
        path=folder,
        c2w=c2w,
        names=tuple(Path(name).name for _, _, name in images),
        lenses=_describe_lenses(known, folder),
    )


def _describe_lenses(cameras: list[_Camera], folder: Path) -> Lenses:
    rows, distorted = [], False
    for model, _, _, numbers in cameras:
        if model not in _PINHOLES:
            raise InputError(f"{folder}: lenses of the model {model} are no pinholes; undistort the pictures first")
        count = _PINHOLES[model]
        rows.append([numbers[0], numbers[count - 1], *numbers[count : count + 2]])
        distorted |= any(numbers[count + 2 :])
    sizes = [(height, width) for _, width, height, _ in cameras]
    return Lenses(
        matrices=np.array(rows, np.float64).reshape(-1, 4),
        sizes=np.array(sizes, np.float64).reshape(-1, 2),
        distorted=distorted,
    )


def _lines(path: Path) -> list[str]:
    text = path.read_text(encoding="utf-8")
    return [line.strip() for line in text.splitlines() if not line.startswith("#")]


def _parse_cameras(path: Path) -> dict[int, _Camera]:
    rows = [line.split() for line in _lines(path) if line]
    return {int(row[0]): (row[1], int(row[2]), int(row[3]), [float(text) for text in row[4:]]) for row in rows}


def _parse_images(path: Path) -> list[_Image]:
    """Two lines an image, the second of which, its points, may be empty."""
    found, lines = list[_Image](), iter(_lines(path))
    for line in lines:
        if not line:
            continue
        row = line.split(maxsplit=9)
        found.append(([float(text) for text in row[1:8]], int(row[8]), row[9]))
        next(lines, "")
    return found


def _unpack(file: BinaryIO, layout: str) -> tuple[float, ...]:
    layout = "<" + layout
    return struct.unpack(layout, file.read(struct.calcsize(layout)))


def _read_cameras(path: Path) -> dict[int, _Camera]:
    found: dict[int, _Camera] = {}
    with path.open("rb") as file:
        for _ in range(int(_unpack(file, "Q")[0])):
            number, model, width, height = (int(value) for value in _unpack(file, "iiQQ"))
            name, count = _MODELS[model]
            found[number] = (name, width, height, list(_unpack(file, f"{count}d")))
    return found


def _read_images(path: Path) -> list[_Image]:
    found = []
    with path.open("rb") as file:
        for _ in range(int(_unpack(file, "Q")[0])):
            _, *pose, camera = _unpack(file, "i7di")
            name = bytearray()
            while (byte := file.read(1)) not in (b"\0", b""):
                name += byte
            file.seek(24 * int(_unpack(file, "Q")[0]), 1)  # points: x, y, number
            found.append((list(pose), int(camera), name.decode("utf-8")))
    return found
