"""The metric result: one file, one record, for predictions and for ground truth alike."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float, Float16, Float32, Float64, Int16, Int32, Int64, UInt8
from numpy import ndarray

from unish.errors import InputError
from unish.io import written_beside
from unish.values import check_path

FORMAT = "unish-reconstruction/2"
OLD_FORMAT = "unish-reconstruction/1"
"""One gravity and one floor for the whole file, which told nothing where there was more than one shot."""

OPTIONAL = frozenset({"sky"})
"""Keys that a file need not have; their attributes are then ``None``."""


@runtime_checkable
class PosesBodies(Protocol):
    """Anything that turns axis-angle SMPL parameters into vertices (see ``unish.body.Body``)."""

    def vertices_from_axis_angle(
        self, betas: ndarray, global_orient_aa: ndarray, body_pose_aa: ndarray, transl: ndarray
    ) -> ndarray: ...


@dataclass(frozen=True, kw_only=True)
class Reconstruction:
    """T frames, P people, S shots, H×W processed image; OpenCV camera axes, metres, world = first camera of the shot.

    Every key of ``reconstruction.npz`` (format ``unish-reconstruction/2``) is an attribute of the same name. Keys that
    a writer adds (ground truth) are kept in ``extra``. Per-person floats are NaN where ``person_valid`` is false.
    ``depth`` is 0 at ``sky``, which is ``None`` where nobody has looked for it, as in files of earlier versions.
    """

    segment: Int32[ndarray, "T"]
    timestamps_s: Float64[ndarray, "T"]
    frame_indices: Int64[ndarray, "T"]
    source_size: Int32[ndarray, "2"]
    image_size: Int32[ndarray, "2"]
    images: UInt8[ndarray, "T H W 3"]
    intrinsics: Float32[ndarray, "T 3 3"]
    c2w: Float32[ndarray, "T 4 4"]
    depth: Float32[ndarray, "T H W"]
    point_conf: Float16[ndarray, "T H W"]
    person_masks: Int16[ndarray, "T H W"]
    person_ids: Int32[ndarray, "P"]
    person_valid: Bool[ndarray, "P T"]
    person_filled: Bool[ndarray, "P T"]
    boxes_xyxy: Float32[ndarray, "P T 4"]
    landmarks_px: Float32[ndarray, "P T 33 3"]
    betas: Float32[ndarray, "P 10"]
    global_orient_aa: Float32[ndarray, "P T 3"]
    body_pose_aa: Float32[ndarray, "P T 69"]
    transl: Float32[ndarray, "P T 3"]
    joints: Float32[ndarray, "P T 24 3"]
    gravity: Float32[ndarray, "S 3"]
    floor: Float32[ndarray, "S 4"]
    faces: Int32[ndarray, "F 3"]
    body_model: str
    model: str
    version: str
    format: str = FORMAT
    sky: Bool[ndarray, "T H W"] | None = None
    extra: dict[str, ndarray] = field(default_factory=dict)

    @property
    def num_frames(self) -> int:
        return int(self.images.shape[0])

    @property
    def num_people(self) -> int:
        return int(self.person_ids.shape[0])

    @property
    def num_shots(self) -> int:
        return int(self.gravity.shape[0])

    def shot_frames(self) -> list[slice]:
        """The frames of each shot, one after another; row i of ``gravity`` and ``floor`` is that of shot i."""
        starts = [0, *(np.flatnonzero(np.diff(self.segment)) + 1).tolist(), self.num_frames]
        return [slice(start, stop) for start, stop in pairwise(starts)]

    def shot_of_frame(self) -> Int64[ndarray, "T"]:
        """Row of ``gravity`` and ``floor`` that each frame belongs to."""
        return np.unique(self.segment, return_inverse=True)[1].astype(np.int64)

    def save(self, path: str | Path) -> None:
        """Write the npz beside its final name, then rename, so that a cut never leaves half a file."""
        path = check_path("the reconstruction", path)
        arrays: dict[str, Any] = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "extra"}
        arrays = {name: value for name, value in arrays.items() if value is not None}
        clash = sorted(arrays.keys() & self.extra.keys())
        if clash:
            raise ValueError(f"extra keys {clash} would overwrite keys of the format")
        with written_beside(path) as beside, beside.open("wb") as file:
            np.savez_compressed(file, **(arrays | self.extra))

    @classmethod
    def load(cls, path: str | Path) -> Reconstruction:
        """Read an npz of this format or of the one before, without pickle.

        Raises:
            InputError: the file is missing, unreadable, of another format, or lacks a key.
        """
        path = check_path("the reconstruction", path)
        try:
            with np.load(path, allow_pickle=False) as file:
                arrays = {key: file[key] for key in file.files}
        except FileNotFoundError:
            raise InputError(f"{path}: no such file; give the reconstruction.npz of a finished run") from None
        except Exception as error:
            raise InputError(f"{path}: not a readable npz ({error}); run `unish reconstruct` again") from None
        found = str(arrays.get("format", "none"))
        if found not in (FORMAT, OLD_FORMAT):
            raise InputError(f"{path}: format is {found!r}, this version reads {FORMAT!r} and {OLD_FORMAT!r}")
        names = {f.name for f in fields(cls)} - {"extra"}
        missing = sorted(names - OPTIONAL - arrays.keys())
        if missing:
            raise InputError(f"{path}: missing keys {', '.join(missing)}; run `unish reconstruct` again")
        values: dict[str, Any] = {
            key: str(value) if value.dtype.kind == "U" else value for key, value in arrays.items() if key in names
        }
        if found == OLD_FORMAT:
            values |= _split_by_shot(values)
        return cls(**values, extra={key: value for key, value in arrays.items() if key not in names})

    def world_points(self) -> Float32[ndarray, "T H W 3"]:
        """Every pixel in world metres: ``c2w`` · unproject(``depth``, ``intrinsics``), pixel centres at +0.5."""
        height, width = self.depth.shape[1:]
        v, u = np.meshgrid(np.arange(height) + 0.5, np.arange(width) + 0.5, indexing="ij")
        rays = np.stack([u, v, np.ones_like(u)], -1) @ np.linalg.inv(self.intrinsics).transpose(0, 2, 1)[:, None]
        local = rays * self.depth[..., None]
        world = local @ self.c2w[:, None, :3, :3].transpose(0, 1, 3, 2) + self.c2w[:, None, None, :3, 3]
        return world.astype(np.float32)

    def points(self, person: int) -> list[Float32[ndarray, "N 3"]]:
        """The human point cloud of one person: world metres, one array per frame (empty where nothing was seen)."""
        keep = (self.person_masks == person) & (self.depth > 0)
        return [points[mask] for points, mask in zip(self.world_points(), keep, strict=True)]

    def vertices(self, body: PosesBodies) -> Float[ndarray, "P T V 3"]:
        """Body vertices of every person and frame in world metres; NaN where not valid and not filled."""
        shown = self.person_valid | self.person_filled
        person, frame = np.nonzero(shown)
        posed = body.vertices_from_axis_angle(
            self.betas[person], self.global_orient_aa[person, frame], self.body_pose_aa[person, frame],
            self.transl[person, frame],
        )  # fmt: skip
        out = np.full((*shown.shape, *posed.shape[1:]), np.nan, np.float32)
        out[person, frame] = posed
        return out


def _split_by_shot(values: dict[str, Any]) -> dict[str, Any]:
    """Format 1 to 2: the gravity and floor of a file of one shot are those of the shot; else they were never known."""
    num_shots = len(np.unique(values["segment"]))
    return {
        "gravity": np.repeat(values["gravity"][None], num_shots, axis=0),
        "floor": np.repeat(values["floor"][None], num_shots, axis=0),
        "format": FORMAT,
    }
