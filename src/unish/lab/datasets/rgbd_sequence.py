"""RGB-D recordings in the layouts of 7-Scenes, of the TUM RGB-D benchmark and of slambook2.

7-Scenes (https://www.microsoft.com/en-us/research/project/rgb-d-dataset-7-scenes): ``SCENE/seq-NN/frame-NNNNNN`` with
``.color.png``, ``.depth.png`` (millimetres; 65535 and 0 = unknown) and ``.pose.txt`` (4×4 camera to world, metres),
``SCENE/TrainSplit.txt`` and ``TestSplit.txt`` with one ``sequenceN`` a line; 640×480, focal length 585 px, centre
(320, 240). Its depth is not registered to its colour pictures, which errs by some pixels at close things.

TUM (https://cvg.cit.tum.de/data/datasets/rgbd-dataset/file_formats): ``rgb.txt`` and ``depth.txt`` (time and file a
line), ``groundtruth.txt`` (time, position, quaternion x y z w: camera to world), depth png / 5000 metres, 0 = unknown.
Bonn RGB-D Dynamic has the same layout. Lens distortion of freiburg1 and 2 is left in.

slambook2 (https://github.com/gaoxiang12/slambook2, ``ch5/rgbd``): ``color/N.png``, ``depth/N.pgm`` / 1000 metres, and
``pose.txt`` with one position and quaternion x y z w (camera to world) a line. It states no times.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float64, Int
from numpy import ndarray
from scipy.spatial.transform import Rotation, Slerp

from unish.errors import InputError
from unish.io.depth_maps import read_values
from unish.lab.datasets.sequences import (
    STRETCH,
    SequenceSource,
    read_image,
    read_image_size,
    read_numbers,
    rebase_poses,
)
from unish.lab.datasets.source import ClipArrays, SourceNotes

SEVEN_SCENES_FPS = 30.0
_NO_DEPTH_MM = 65_535
_SEVEN_SCENES_CAMERA = (585.0, 585.0, 320.0, 240.0)
_SLAMBOOK2_CAMERA = (518.0, 519.0, 325.5, 253.5)
# The benchmark counts pixel centres from 0, this package from 0.5.
_TUM_CAMERAS = {
    "freiburg1": (517.3, 516.5, 319.1, 255.8),
    "freiburg2": (520.9, 521.0, 325.6, 250.2),
    "freiburg3": (535.4, 539.2, 320.6, 248.1),
    "bonn": (542.822841, 542.576870, 316.093520, 238.256098),
}
_TUM_DEFAULT_CAMERA = (525.0, 525.0, 320.0, 240.0)
_MAX_APART_S = 0.02
_MAX_POSE_GAP_S = 0.1
_ARRAYS = ("images", "depth", "intrinsics", "c2w", "timestamps")


@dataclass(frozen=True, kw_only=True, eq=False)
class RgbdFrame:
    """Where one frame is.

    Attributes:
        name: of the frame, unique in its sequence.
        pose: (4, 4) camera to world in metres, or the text file that holds it.
        time_s: seconds.
    """

    name: str
    colour: Path
    depth: Path
    pose: Path | Float64[ndarray, "4 4"]
    time_s: float


@dataclass(frozen=True, kw_only=True, eq=False)
class RgbdSequence:
    """Frames of one recording.

    Attributes:
        camera: fx, fy, cx, cy in pixels.
        metres_per_unit: of the depth pictures, in which 0 and ``no_depth`` mean unknown.
    """

    frames: tuple[RgbdFrame, ...]
    camera: tuple[float, float, float, float]
    metres_per_unit: float
    no_depth: int | None = None

    @property
    def num_frames(self) -> int:
        return len(self.frames)

    @property
    def size(self) -> tuple[int, int]:
        return read_image_size(self.frames[0].colour)

    def read(self, frames: Int[ndarray, "N"]) -> ClipArrays:
        chosen = [self.frames[number] for number in frames]
        fx, fy, cx, cy = self.camera
        c2w = np.stack([_read_pose(frame.pose) for frame in chosen])
        times = np.array([frame.time_s for frame in chosen])
        return {
            "images": np.stack([read_image(frame.colour) for frame in chosen]),
            "depth": np.stack([self._read_depth(frame.depth) for frame in chosen]),
            "intrinsics": np.tile(np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]], np.float32), (len(chosen), 1, 1)),
            "c2w": rebase_poses(c2w).astype(np.float32),
            "timestamps": (times - times[0]).astype(np.float32),
        }

    def _read_depth(self, path: Path) -> ndarray:
        units = read_values(path)
        return np.where(units == (self.no_depth or 0), 0, units * self.metres_per_unit).astype(np.float32)


def open_seven_scenes(
    folder: Path, *, split: str | None = None, every: int = 1, stretch: int = STRETCH
) -> SequenceSource:
    """7-Scenes: one sequence folder, one scene or the folder of all scenes.

    Args:
        split: ``train`` or ``test`` to use only what the scene's ``TrainSplit.txt`` or ``TestSplit.txt`` names.
        every: keep each so many frames of the 30 a second.

    Raises:
        InputError: no frames there, or an unknown or missing split.
    """
    if split not in (None, "train", "test"):
        raise InputError(f"split is {split!r}; choose train or test, or leave it out")
    sequences = [
        make_seven_scenes_sequence(frames)
        for place in find_seven_scenes(folder, split)
        if (frames := list_seven_scenes_frames(place)[::every])
    ]
    notes = SourceNotes(
        name=f"7-Scenes {folder.name}",
        licence="Microsoft Research licence: research, not commercial",
        trains_shipped_weights=False,
        arrays=_ARRAYS,
    )
    return SequenceSource(sequences, notes, stretch=stretch)


def make_seven_scenes_sequence(frames: tuple[RgbdFrame, ...]) -> RgbdSequence:
    """Some frames of a 7-Scenes folder, with the units and the camera of the dataset."""
    return RgbdSequence(frames=frames, camera=_SEVEN_SCENES_CAMERA, metres_per_unit=0.001, no_depth=_NO_DEPTH_MM)


def list_seven_scenes_frames(folder: Path) -> tuple[RgbdFrame, ...]:
    """All frames of a sequence folder that have a picture, a depth map and a pose."""
    files = {path.name: path for path in folder.iterdir()} if folder.is_dir() else {}
    colours = {name.split(".", 1)[0]: path for name, path in sorted(files.items(), reverse=True) if ".color." in name}
    frames = []
    for pose in sorted(name for name in files if re.fullmatch(r"frame-\d+\.pose\.txt", name)):
        name = pose.removesuffix(".pose.txt")
        depth = files.get(f"{name}.depth.png")
        if name in colours and depth is not None:
            time_s = int(name.rsplit("-", 1)[1]) / SEVEN_SCENES_FPS
            frames.append(RgbdFrame(name=name, colour=colours[name], depth=depth, pose=files[pose], time_s=time_s))
    return tuple(frames)


def make_slambook2_sequence(frames: tuple[RgbdFrame, ...]) -> RgbdSequence:
    """Some frames of the slambook2 folder, with the units and the camera of its programs."""
    return RgbdSequence(frames=frames, camera=_SLAMBOOK2_CAMERA, metres_per_unit=0.001)


def list_slambook2_frames(folder: Path) -> tuple[RgbdFrame, ...]:
    """The frames in the order of ``pose.txt``, one a second for want of times; none where a file is missing."""
    listed = folder / "pose.txt"
    rows = np.loadtxt(listed, ndmin=2) if listed.is_file() else np.zeros((0, 7))
    frames = []
    for number, row in enumerate(rows, start=1):
        colour, depth = folder / "color" / f"{number}.png", folder / "depth" / f"{number}.pgm"
        if not (colour.is_file() and depth.is_file()):
            return ()
        pose = np.eye(4)
        pose[:3, :3], pose[:3, 3] = Rotation.from_quat(row[3:7]).as_matrix(), row[:3]
        frames.append(RgbdFrame(name=f"{number:06d}", colour=colour, depth=depth, pose=pose, time_s=float(number)))
    return tuple(frames)


def find_seven_scenes(folder: Path, split: str | None) -> list[Path]:
    """Sequence folders at, in, or two below ``folder``, as the split allows."""
    found = []
    for scene in (folder, *sorted(path for path in folder.glob("*") if path.is_dir())):
        sequences = sorted(path for path in scene.glob("seq-*") if path.is_dir())
        if split is not None and sequences:
            listed = scene / f"{split.capitalize()}Split.txt"
            if not listed.is_file():
                raise InputError(f"{listed}: no such file; leave out the split or give a whole scene")
            wanted = {int(number) for number in re.findall(r"\d+", listed.read_text())}
            sequences = [path for path in sequences if int(path.name.split("-")[1]) in wanted]
        found += sequences
    if split is None and not found:
        found = [folder]
    return found


def open_tum(
    folder: Path,
    *,
    camera: tuple[float, float, float, float] | None = None,
    every: int = 1,
    stretch: int = STRETCH,
) -> SequenceSource:
    """TUM RGB-D: one sequence folder (with ``rgb.txt``), or a folder of those.

    Args:
        camera: fx, fy, cx, cy in pixels, the corner of the picture being (0, 0); by default what the benchmark states
            for the ``freiburgN`` (or ``bonn``) in the folder's name, else its ROS default.
        every: keep each so many frames.

    Raises:
        InputError: no sequence there, a file is missing or cannot be read, or nothing fits together in time.
    """
    places = [folder] if (folder / "rgb.txt").is_file() else sorted(path.parent for path in folder.glob("*/rgb.txt"))
    if not places:
        raise InputError(f"{folder}: there is no rgb.txt in it or one folder below; give a TUM RGB-D sequence")
    sequences = [make_tum_sequence(place, list_tum_frames(place)[::every], camera=camera) for place in places]
    notes = SourceNotes(
        name=f"TUM RGB-D {folder.name}",
        licence="CC BY 4.0 for the TUM benchmark; other datasets in its layout have their own",
        trains_shipped_weights=False,
        arrays=_ARRAYS,
    )
    return SequenceSource(sequences, notes, stretch=stretch)


def make_tum_sequence(
    folder: Path, frames: tuple[RgbdFrame, ...], *, camera: tuple[float, float, float, float] | None = None
) -> RgbdSequence:
    """Some frames of a TUM RGB-D (or Bonn) folder; the camera as in ``open_tum``."""
    known = (camera[0], camera[1], camera[2], camera[3]) if camera is not None else _guess_tum_camera(folder)
    return RgbdSequence(frames=frames, camera=known, metres_per_unit=1 / 5000)


def _guess_tum_camera(place: Path) -> tuple[float, float, float, float]:
    return next((camera for key, camera in _TUM_CAMERAS.items() if key in place.name), _TUM_DEFAULT_CAMERA)


def list_tum_frames(folder: Path) -> tuple[RgbdFrame, ...]:
    """Each colour picture with the nearest depth (within 20 ms) and the pose interpolated at its time.

    Pictures without depth, outside the trajectory or in a gap of it (more than 0.1 s) are left out.
    """
    colour_times, colours = _read_list(folder / "rgb.txt")
    depth_times, depths = _read_list(folder / "depth.txt")
    trajectory = _read_table(folder / "groundtruth.txt")
    pose_times = np.array([float(row[0]) for row in trajectory])
    values = np.array([[float(value) for value in row[1:8]] for row in trajectory]).reshape(-1, 7)
    nearest = np.abs(colour_times[:, None] - depth_times).argmin(1)
    after = np.searchsorted(pose_times, colour_times).clip(1, len(pose_times) - 1)
    usable = (
        (np.abs(depth_times[nearest] - colour_times) <= _MAX_APART_S)
        & (colour_times >= pose_times[0])
        & (colour_times <= pose_times[-1])
        & (pose_times[after] - pose_times[after - 1] <= _MAX_POSE_GAP_S)
    )
    if not usable.any():
        raise InputError(f"{folder}: no picture has depth and pose at its time; check the three lists")
    times = colour_times[usable]
    c2w = np.tile(np.eye(4), (len(times), 1, 1))
    c2w[:, :3, :3] = Slerp(pose_times, Rotation.from_quat(values[:, 3:]))(times).as_matrix()
    c2w[:, :3, 3] = np.stack([np.interp(times, pose_times, values[:, axis]) for axis in range(3)], axis=1)
    return tuple(
        RgbdFrame(name=f"{time:.6f}", colour=folder / colours[i], depth=folder / depths[nearest[i]], pose=pose,
                  time_s=float(time))
        for i, time, pose in zip(np.flatnonzero(usable), times, c2w, strict=True)
    )  # fmt: skip


def _read_list(path: Path) -> tuple[Float64[ndarray, "n"], list[str]]:
    rows = _read_table(path)
    return np.array([float(row[0]) for row in rows]), [row[1] for row in rows]


def _read_table(path: Path) -> list[list[str]]:
    """Rows of blank-separated words; lines that begin with # are remarks."""
    try:
        rows = [line.split() for line in path.read_text().splitlines()]
        rows = [row for row in rows if row and not row[0].startswith("#")]
        rows.sort(key=lambda row: float(row[0]))
    except (OSError, ValueError):
        raise InputError(f"{path}: missing or not a list with a time in each line; copy the sequence again") from None
    if len(rows) < 2 or any(len(row) < 2 for row in rows):
        raise InputError(f"{path}: has fewer than two complete lines; copy the sequence again")
    return rows


def _read_pose(pose: Path | Float64[ndarray, "4 4"]) -> Float64[ndarray, "4 4"]:
    return read_numbers(pose, (4, 4)) if isinstance(pose, Path) else pose
