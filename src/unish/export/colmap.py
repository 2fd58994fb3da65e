"""Sparse models in the files of COLMAP, text and binary (https://colmap.github.io/format.html).

Poses there map the world to the camera, rotations are quaternions (w, x, y, z), and the centre of the first pixel is
(0.5, 0.5), as here. Everything is numbered from 1.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float64, Int64, UInt8
from numpy import ndarray

from unish.export.axes import to_quaternions
from unish.export.scene_frames import SceneFrames

_PINHOLE = 1


@dataclass(frozen=True, kw_only=True)
class SparsePoints:
    """N points and where M times one of them is seen.

    Attributes:
        xyz: in the world of the export, metres.
        colours: sRGB.
        point, frame: which point, and in which frame.
        px: there, pixels.
        error_px: distance of the projected point from there.
    """

    xyz: Float64[ndarray, "N 3"]
    colours: UInt8[ndarray, "N 3"]
    point: Int64[ndarray, "M"]
    frame: Int64[ndarray, "M"]
    px: Float64[ndarray, "M 2"]
    error_px: Float64[ndarray, "M"]


@dataclass(frozen=True, kw_only=True)
class _Rows:
    """The model as rows of its three tables; observations in the order in which they stand in their image.

    Attributes:
        cameras: fx, fy, cx, cy.
        camera_of: of every image.
        images: quaternion and translation of w2c.
        seen: of every image, the observations in it.
        place: of every observation, its place in its image.
        tracks: of every point, its observations.
        errors: mean of every point, pixels.
    """

    cameras: Float64[ndarray, "C 4"]
    camera_of: Int64[ndarray, "D"]
    images: Float64[ndarray, "D 7"]
    seen: list[ndarray]
    place: Int64[ndarray, "M"]
    tracks: list[ndarray]
    errors: Float64[ndarray, "N"]


def write_sparse_model(frames: SceneFrames, points: SparsePoints, folder: Path) -> None:
    """``cameras``, ``images`` and ``points3D``, each as ``.txt`` and ``.bin``, into an existing folder."""
    rows = _arrange(frames, points)
    _write_text(frames, points, rows, folder)
    _write_binary(frames, points, rows, folder)


def _arrange(frames: SceneFrames, points: SparsePoints) -> _Rows:
    lenses = frames.intrinsics[:, [0, 1, 0, 1], [0, 1, 2, 2]]
    cameras, camera_of = np.unique(lenses, axis=0, return_inverse=True)
    w2c = np.linalg.inv(frames.c2w)
    order = np.argsort(points.frame, kind="stable")
    counts = np.bincount(points.frame, minlength=len(frames.rows))
    seen = np.split(order, np.cumsum(counts)[:-1])
    place = np.empty(len(order), np.int64)
    place[order] = np.concatenate([np.arange(count) for count in counts])
    of_point = np.argsort(points.point, kind="stable")
    lengths = np.bincount(points.point, minlength=len(points.xyz))
    sums = np.bincount(points.point, points.error_px, minlength=len(points.xyz))
    return _Rows(
        cameras=cameras,
        camera_of=camera_of.reshape(-1),
        images=np.concatenate([to_quaternions(w2c[:, :3, :3])[:, [3, 0, 1, 2]], w2c[:, :3, 3]], axis=1),
        seen=seen,
        place=place,
        tracks=np.split(of_point, np.cumsum(lengths)[:-1]) if len(lengths) else [],
        errors=sums / np.maximum(lengths, 1),
    )


def _write_text(frames: SceneFrames, points: SparsePoints, rows: _Rows, folder: Path) -> None:
    height, width = frames.size
    cameras = [
        f"{number} PINHOLE {width} {height} {_join(lens)}" for number, lens in enumerate(rows.cameras.tolist(), start=1)
    ]
    images = []
    for number, (name, pose) in enumerate(zip(frames.names, rows.images.tolist(), strict=True)):
        images.append(f"{number + 1} {_join(pose)} {rows.camera_of[number] + 1} {name}.jpg")
        images.append(" ".join(f"{_join(points.px[one])} {points.point[one] + 1}" for one in rows.seen[number]))
    listed = []
    for number, track in enumerate(rows.tracks):
        places = " ".join(f"{points.frame[one] + 1} {rows.place[one]}" for one in track)
        colour = " ".join(str(value) for value in points.colours[number].tolist())
        listed.append(f"{number + 1} {_join(points.xyz[number])} {colour} {rows.errors[number]:.6g} {places}")
    for name, what, lines in (
        ("cameras", "CAMERA_ID, MODEL, WIDTH, HEIGHT, PARAMS[]", cameras),
        (
            "images",
            "IMAGE_ID, QW, QX, QY, QZ, TX, TY, TZ, CAMERA_ID, NAME; then X, Y, POINT3D_ID of each point",
            images,
        ),
        ("points3D", "POINT3D_ID, X, Y, Z, R, G, B, ERROR, TRACK[] as (IMAGE_ID, POINT2D_IDX)", listed),
    ):
        text = "\n".join([f"# {what}", *lines, ""])
        (folder / f"{name}.txt").write_text(text, encoding="utf-8", newline="\n")


def _join(values: ndarray | list[float]) -> str:
    """As many digits as bring the very number back."""
    return " ".join(repr(float(value)) for value in values)


def _write_binary(frames: SceneFrames, points: SparsePoints, rows: _Rows, folder: Path) -> None:
    height, width = frames.size
    with (folder / "cameras.bin").open("wb") as file:
        file.write(struct.pack("<Q", len(rows.cameras)))
        for number, lens in enumerate(rows.cameras.tolist(), start=1):
            file.write(struct.pack("<iiQQ4d", number, _PINHOLE, width, height, *lens))
    observation = np.dtype([("px", "<f8", 2), ("point", "<i8")])
    with (folder / "images.bin").open("wb") as file:
        file.write(struct.pack("<Q", len(frames.names)))
        for number, (name, pose) in enumerate(zip(frames.names, rows.images.tolist(), strict=True)):
            file.write(struct.pack("<i7di", number + 1, *pose, int(rows.camera_of[number]) + 1))
            file.write(f"{name}.jpg".encode() + b"\0" + struct.pack("<Q", len(rows.seen[number])))
            seen = np.empty(len(rows.seen[number]), observation)
            seen["px"], seen["point"] = points.px[rows.seen[number]], points.point[rows.seen[number]] + 1
            file.write(seen.tobytes())
    with (folder / "points3D.bin").open("wb") as file:
        file.write(struct.pack("<Q", len(points.xyz)))
        for number, track in enumerate(rows.tracks):
            file.write(struct.pack("<Q3d3Bd", number + 1, *points.xyz[number], *points.colours[number],
                                   rows.errors[number]))  # fmt: skip
            file.write(struct.pack("<Q", len(track)))
            file.write(np.stack([points.frame[track] + 1, rows.place[track]], axis=1).astype("<i4").tobytes())
