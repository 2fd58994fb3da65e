"""The metric result: one file, one record, for predictions and for ground truth alike."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from functools import partial
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float, Float16, Float32, Float64, Int16, Int32, Int64, Shaped, UInt8
from numpy import ndarray

from unish.errors import InputError
from unish.io import read_frame, write_frame, write_npz
from unish.structs.frames import FrameArray, Frames
from unish.structs.person_points import PersonPoints
from unish.values import check_path

FORMAT = "unish-reconstruction/2"
OLD_FORMAT = "unish-reconstruction/1"
"""One gravity and one floor for the whole file, which told nothing where there was more than one shot."""

OPTIONAL = frozenset(
    {
        "sky", "dense_frames", "dense", "camera_interpolated", "contact_prob", "contact_names", "contact_thresholds",
        "depth_curve", "joint_certainty", "scale_interval", "person_points", "ground_height", "ground_confidence",
        "ground_grid",
    }
)  # fmt: skip
"""Keys that a file need not have: their attributes are then ``None``; all frames have dense arrays, in the file."""

DENSE = ("images", "depth", "point_conf", "person_masks", "sky")
"""Arrays with a value for every pixel. They may lie in a folder beside the file, one npz for each frame."""

STORE = "reconstruction.frames"

PEOPLE_STORE = "reconstruction.people"
"""Folder beside the file: the points of people, one npz for each dense frame."""

RELIABLE = 0.2
"""``point_conf`` from which on the depth of a pixel can be relied on, for point clouds and for checks."""

_OVER_TIME = ("segment", "timestamps_s", "frame_indices", "intrinsics", "c2w", "camera_interpolated")
_OVER_PEOPLE_AND_TIME = (
    "person_valid", "person_filled", "boxes_xyxy", "landmarks_px", "global_orient_aa", "body_pose_aa", "transl",
    "joints", "contact_prob", "joint_certainty",
)  # fmt: skip


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

    Dense arrays (``images``, ``depth``, ``point_conf``, ``person_masks``, ``sky``) are those of the D used frames that
    ``dense_frames`` names, of all where it is not given. Those of a long video lie in the folder ``dense`` beside the
    file, and are read frame by frame (``FrameArray``). Where ``camera_interpolated``, the camera of a frame was not
    measured but lies on a curve between those of dense frames.

    ``joint_certainty`` says how well each joint was seen: 0 where it follows from the pose prior alone, towards 1 where
    its landmarks are sharp.

    ``contact_prob`` says how likely each of C points of the body (``contact_names``) touches the ground, NaN where it
    was not seen; ``contact_thresholds`` are the height (metres) and speed (m/s) that halve it. ``depth_curve`` has the
    log depth before and after at K knots of the curve along which each shot's scene went, NaN where there is none.
    ``scale_interval`` has the factors on all lengths of each shot between which the true size lies with 90 %.

    ``ground_height`` (metres, NaN unknown) and ``ground_confidence`` (0..1) tell the local height of the ground of each
    shot on a level grid; row i, column j is at z₀ + (i + ½) s, x₀ + (j + ½) s, and ``ground_grid`` has x₀, z₀, the step
    s and the height of the reference over which heights are counted; x is right and z ahead of
    ``geometry.plane.level_axes``.

    ``person_points`` has people's own points at people's own resolution, with colours and normals, for each dense
    frame. They lie in the folder ``reconstruction.people`` beside the file and are read when they are asked for;
    ``None`` where there are none, or the folder is not there.
    """

    segment: Int32[ndarray, "T"]
    timestamps_s: Float64[ndarray, "T"]
    frame_indices: Int64[ndarray, "T"]
    source_size: Int32[ndarray, "2"]
    image_size: Int32[ndarray, "2"]
    images: UInt8[Frames, "D H W 3"]
    intrinsics: Float32[ndarray, "T 3 3"]
    c2w: Float32[ndarray, "T 4 4"]
    depth: Float32[Frames, "D H W"]
    point_conf: Float16[Frames, "D H W"]
    person_masks: Int16[Frames, "D H W"]
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
    sky: Bool[Frames, "D H W"] | None = None
    dense_frames: Int64[ndarray, "_"] = None  # type: ignore[assignment]
    dense: str = ""
    camera_interpolated: Bool[ndarray, "T"] | None = None
    joint_certainty: Float32[ndarray, "P T 24"] | None = None
    contact_prob: Float32[ndarray, "P T C"] | None = None
    contact_names: Shaped[ndarray, "C"] | None = None
    contact_thresholds: Float32[ndarray, "2"] | None = None
    depth_curve: Float32[ndarray, "S K 2"] | None = None
    scale_interval: Float32[ndarray, "S 2"] | None = None
    person_points: PersonPoints | None = None
    ground_height: Float32[ndarray, "S h w"] | None = None
    ground_confidence: Float32[ndarray, "S h w"] | None = None
    ground_grid: Float32[ndarray, "S 4"] | None = None
    extra: dict[str, ndarray] = field(default_factory=dict)

    def __post_init__(self) -> None:
        num_dense = len(self.depth)
        if num_dense == self.num_frames:
            # They can be no others; so a record of which frames were cut out need not be told which these are.
            object.__setattr__(self, "dense_frames", np.arange(num_dense, dtype=np.int64))
        elif self.dense_frames is None or len(self.dense_frames) != num_dense:
            raise ValueError(
                f"dense_frames do not say which of {self.num_frames} frames the {num_dense} dense ones are"
            )

    @property
    def report(self) -> dict[str, Any] | None:
        """What ``report.json`` says of this very record: numbers, verdicts, warnings; ``None`` where nobody has told.

        It is no key of the file, and a record that is made from this one has none: verdicts are about what was judged.
        """
        return vars(self).get("_report")

    def with_report(self, report: dict[str, Any]) -> Reconstruction:
        """This record, once it is known what its report says."""
        object.__setattr__(self, "_report", report)
        return self

    def _repr_html_(self) -> str:
        """What a notebook shows. The one thing that a record asks of a layer above it, so it is looked up by name."""
        return str(import_module("unish.export.notebook").describe_for_notebook(self))

    @property
    def num_frames(self) -> int:
        return len(self.timestamps_s)

    @property
    def num_people(self) -> int:
        return int(self.person_ids.shape[0])

    @property
    def num_shots(self) -> int:
        return int(self.gravity.shape[0])

    @property
    def edits(self) -> list[dict[str, Any]]:
        """What a user has corrected with ``unish refine``, as its file says it; empty for what a run has found."""
        told = self.extra.get("edits")
        return [] if told is None else list(json.loads(str(told))["edits"])

    def shot_frames(self) -> list[slice]:
        """The frames of each shot, one after another; row i of ``gravity`` and ``floor`` is that of shot i."""
        starts = [0, *(np.flatnonzero(np.diff(self.segment)) + 1).tolist(), self.num_frames]
        return [slice(start, stop) for start, stop in pairwise(starts)]

    def shot_of_frame(self) -> Int64[ndarray, "T"]:
        """Row of ``gravity`` and ``floor`` that each frame belongs to."""
        return np.unique(self.segment, return_inverse=True)[1].astype(np.int64)

    def save(self, path: str | Path, *, beside: bool = False, like: Path | None = None) -> None:
        """Write the npz, whole or not at all.

        Args:
            beside: dense arrays go into the folder ``reconstruction.frames`` beside the npz, which is written last;
                frames that are there already are taken for those of this record. Points of people always go into
                the folder ``reconstruction.people``, in place of those that are there.
            like: the npz of an older result: what is the same in it is copied as it is, which takes less time.
        """
        path = check_path("the reconstruction", path)
        arrays: dict[str, Any] = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "extra"}
        arrays = {name: value for name, value in arrays.items() if value is not None}
        clash = sorted(arrays.keys() & self.extra.keys())
        if clash:
            raise ValueError(f"extra keys {clash} would overwrite keys of the format")
        arrays["dense"] = STORE if beside else ""
        dense = {name: arrays.pop(name) for name in DENSE if beside and name in arrays}

        old_store = None if like is None else like.with_name(STORE)

        def write_dense(frame: int) -> None:
            if beside:
                arrays_of_frame = {name: frames[frame] for name, frames in dense.items()}
                write_frame(path.with_name(STORE), frame, arrays_of_frame, like=old_store)

        self._each_frame(write_dense, path.with_name(PEOPLE_STORE), like)
        if self.person_points is not None:
            arrays["person_points"] = PEOPLE_STORE
        write_npz(path, arrays | self.extra, like=like)

    @classmethod
    def load(cls, path: str | Path) -> Reconstruction:
        """Read a result of this format or of the one before, without pickle.

        Args:
            path: the npz, or the folder of a finished run.

        Raises:
            InputError: the file is missing, unreadable, of another format, or lacks a key.
        """
        path = check_path("the reconstruction", path)
        path = path / "reconstruction.npz" if path.is_dir() else path
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
        if str(arrays.get("dense", "")):
            arrays |= _open_store(path, arrays)
        people = _open_people(path, arrays)
        names = {f.name for f in fields(cls)} - {"extra"}
        missing = sorted(names - OPTIONAL - arrays.keys())
        if missing:
            raise InputError(f"{path}: missing keys {', '.join(missing)}; run `unish reconstruct` again")
        values: dict[str, Any] = {
            key: str(value) if value.dtype.kind == "U" and value.ndim == 0 else value
            for key, value in arrays.items()
            if key in names - {"person_points"}
        }
        if found == OLD_FORMAT:
            values |= _split_by_shot(values)
        extra = {key: value for key, value in arrays.items() if key not in names}
        record = cls(**values, person_points=people, extra=extra)
        report = _read_report(path.with_name("report.json")) if path.name == "reconstruction.npz" else None
        return record if report is None else record.with_report(report)

    def in_memory(self, *, people: Path | None = None, like: Path | None = None) -> Reconstruction:
        """The same with every dense array read.

        Args:
            people: a folder into whose files points of people go; without it they are read, too.
            like: see ``save``.
        """
        lazy = {name: getattr(self, name) for name in DENSE if isinstance(getattr(self, name), FrameArray)}
        read: dict[str, Any] = {name: np.empty(frames.shape, frames.dtype) for name, frames in lazy.items()}

        def fill_in(frame: int) -> None:
            for name, frames in lazy.items():
                read[name][frame] = frames[frame]

        points = self._each_frame(fill_in, people, like)
        if points is not None and people is None:
            points = points.in_memory()
        return replace(self, **read, person_points=points)

    def _each_frame(self, do: Callable[[int], None], people: Path | None, like: Path | None) -> PersonPoints | None:
        """Frame after frame ``do``, and the points of its people into the folder ``people``: what several arrays of a
        frame are computed from, its depth above all, is computed once so."""
        if self.person_points is not None and people is not None:
            old = None if like is None else like.with_name(PEOPLE_STORE)
            return self.person_points.save(people, before=do, like=old)
        for frame in range(len(self.dense_frames)):
            do(frame)
        return self.person_points

    def at_dense_frames(self) -> Reconstruction:
        """The frames with dense arrays alone; this very record where these are all."""
        if len(self.dense_frames) == self.num_frames:
            return self
        chosen = self.dense_frames
        over_time = {name: getattr(self, name)[chosen] for name in _OVER_TIME if getattr(self, name) is not None}
        of_people: dict[str, Any] = {
            name: getattr(self, name)[:, chosen] for name in _OVER_PEOPLE_AND_TIME if getattr(self, name) is not None
        }
        extra = dict(self.extra)
        if "depth_correction" in extra:
            extra["depth_correction"] = extra["depth_correction"][:, chosen]
        return replace(self, **over_time, **of_people, extra=extra)

    def world_points(self) -> Float32[ndarray, "D H W 3"]:
        """Every pixel in world metres: ``c2w`` · unproject(``depth``, ``intrinsics``), pixel centres at +0.5."""
        return np.stack([self._lift(frame) for frame in range(len(self.dense_frames))])

    def points(self, person: int) -> list[Float32[ndarray, "N 3"]]:
        """The human point cloud of one person: world metres, an array per dense frame, empty where nothing was seen.

        From ``person_points`` where these have the person, else the person's pixels.
        """
        return [self._points_of(person, frame) for frame in range(len(self.dense_frames))]

    def _points_of(self, person: int, dense_frame: int) -> Float32[ndarray, "N 3"]:
        if self.person_points is not None:
            own = self.person_points[dense_frame].of(person).points
            if len(own):
                return own
        return self._lift(dense_frame)[(self.person_masks[dense_frame] == person) & (self.depth[dense_frame] > 0)]

    def _lift(self, dense_frame: int) -> Float32[ndarray, "H W 3"]:
        frame = int(self.dense_frames[dense_frame])
        depth = self.depth[dense_frame]
        v, u = np.meshgrid(*(np.arange(side) + 0.5 for side in depth.shape), indexing="ij")
        rays = np.stack([u, v, np.ones_like(u)], -1) @ np.linalg.inv(self.intrinsics[frame]).T
        world = rays * depth[..., None] @ self.c2w[frame, :3, :3].T + self.c2w[frame, :3, 3]
        return world.astype(np.float32)

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


def _read_report(path: Path) -> dict[str, Any] | None:
    """``None`` where there is none, or none that can be read: the reconstruction is whole without."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def _open_store(path: Path, arrays: dict[str, Any]) -> dict[str, Any]:
    """The dense arrays that lie beside the file, to be read frame by frame."""
    store = path.with_name(Path(str(arrays["dense"])).name)
    count = len(arrays["dense_frames"]) if "dense_frames" in arrays else len(arrays["timestamps_s"])
    try:
        if len(list(store.glob("*.npz"))) != count:
            raise InputError(
                f"{store}: does not hold the {count} frames that {path.name} speaks of; copy both together"
            )
        first = read_frame(store, 0)
    except OSError as error:
        raise InputError(f"{store}: cannot be read ({error.strerror}); it belongs to {path.name}") from None
    return {
        name: FrameArray((count, *values.shape), values.dtype, partial(_read_stored, store, name))
        for name, values in first.items()
    }


def _open_people(path: Path, arrays: dict[str, Any]) -> PersonPoints | None:
    """The points of people that lie beside the file, to be read frame by frame; whoever takes the file alone does
    without."""
    if "person_points" not in arrays:
        return None
    store = path.with_name(Path(str(arrays["person_points"])).name)
    if not store.is_dir():
        return None
    count = len(arrays["dense_frames"]) if "dense_frames" in arrays else len(arrays["timestamps_s"])
    return PersonPoints.open(store, count)


def _read_stored(store: Path, name: str, frame: int) -> ndarray:
    return read_frame(store, frame, [name])[name]
