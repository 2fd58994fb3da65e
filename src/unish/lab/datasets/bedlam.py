"""BEDLAM (Black et al. 2023, https://bedlam.is.tuebingen.mpg.de) in its published layout.

``IMAGES/SCENE/`` holds ``be_seq.csv`` (who is in which sequence), ``png/SEQ/SEQ_FFFF.png``,
``depth/SEQ/SEQ_FFFF_depth.exr`` (float, centimetres along the optical axis), ``masks/SEQ/SEQ_FFFF_NN_body.png``,
``_clothing``, ``_hair`` (NN = place of the person in be_seq.csv) and ``ground_truth/camera/SEQ_camera.csv``;
``LABELS/SCENE.npz`` the processed labels. Frames are numbered at 30 per second; the 6 fps packages keep the numbers.

Taken from the authors' public render and label scripts and their notes on the coordinate system: the folders and file
names, column and key names, units, the order of the camera's turns, the mask numbering, the turned ``closeup`` scenes,
that a body stands in the camera at ``trans_cam`` plus the translation of ``cam_ext``, and that the depth files are ZIP
compressed. Not checked, because no BEDLAM was at hand: any of it on the real files; whether far depth has one special
value (everything beyond 200 m counts as sky here); whether every scene has a mask for each of its people.
"""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float64, Int, Int8
from numpy import ndarray
from scipy.spatial.transform import Rotation

from unish.body import Body, load_body, move_body
from unish.errors import InputError
from unish.geometry.rotation import axis_angle_to_matrix, matrix_to_axis_angle
from unish.io.depth_maps import read_values
from unish.io.exr import read_exr_depth
from unish.lab.datasets.sequences import SequenceSource, read_image, read_image_size, rebase_poses
from unish.lab.datasets.source import CLIP_ARRAYS, ClipArrays, SourceNotes
from unish.lab.synthetic.config import SKY_DEPTH
from unish.lab.synthetic.shards import SHARD_PEOPLE
from unish.structs import BodyParams

FPS = 30.0
# Panoramas lit these scenes: what stands around the people has colour, but its depth is that of a backdrop.
_BACKDROP_SCENES = frozenset({
    "20221010_3_1000_batch01hand", "20221017_3_1000_batch01hand", "20221018_3-8_250_batch01hand",
    "20221019_3_250_highbmihand",
})  # fmt: skip
_LABEL_KEYS = ("imgname", "sub", "pose_cam", "shape", "trans_cam", "cam_ext")
_PARTS = ("body", "clothing", "hair")
_UNREAL_TO_OPENCV = np.array([[0.0, 1, 0], [0, 0, -1], [1, 0, 0]])  # forward, right, up → right, down, forward
_QUARTER_TURN = np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])


@dataclass(frozen=True, kw_only=True, eq=False)
class BedlamScene:
    """A scene folder and its labels, read when they are needed.

    Attributes:
        labels: the scene's npz, or ``None``.
        body: poses the labels; ``None`` leaves out where people are.
    """

    folder: Path
    labels: Path | None
    body: Body | None

    @property
    def is_turned(self) -> bool:
        """Its pictures lie on their side and have to be turned right by 90°."""
        return "closeup" in self.folder.name

    @property
    def has_backdrop(self) -> bool:
        return self.folder.name in _BACKDROP_SCENES

    @cached_property
    def cast(self) -> dict[str, list[str]]:
        """For each sequence the identities of its people, in the order in which the masks count them."""
        cast: dict[str, list[str]] = {}
        people: list[str] = []
        for row in _read_csv(self.folder / "be_seq.csv", ("Body", "Comment")):
            if found := re.search(r"sequence_name=([^;]+)", row["Comment"]):
                people = cast.setdefault(found[1], [])
            elif "start_frame=" in row["Comment"]:
                people.append(row["Body"].rsplit("_", 1)[0])
        return cast

    @cached_property
    def rows(self) -> dict[tuple[str, str], int]:
        """Row of the labels for (name of the picture, identity)."""
        if self.labels is None:
            return {}
        names = [str(name).rsplit("/", 1)[-1] for name in self.arrays["imgname"]]
        return {(name, str(sub)): row for row, (name, sub) in enumerate(zip(names, self.arrays["sub"], strict=True))}

    @cached_property
    def arrays(self) -> dict[str, ndarray]:
        assert self.labels is not None
        try:
            with np.load(self.labels, allow_pickle=False) as stored:
                return {key: stored[key] for key in _LABEL_KEYS}
        except (OSError, KeyError, ValueError) as error:
            raise InputError(
                f"{self.labels}: no readable BEDLAM labels ({error}); make them with its scripts"
            ) from None


@dataclass(frozen=True, kw_only=True, eq=False)
class BedlamSequence:
    """One sequence.

    Attributes:
        names: pictures, in order.
        c2w: (T, 4, 4) metres, OpenCV axes, world = Unreal's with x right, y down, z forward.
        intrinsics: (T, 3, 3) pixels of the upright picture.
    """

    scene: BedlamScene
    name: str
    names: tuple[str, ...]
    c2w: Float64[ndarray, "T 4 4"]
    intrinsics: Float64[ndarray, "T 3 3"]
    has_depth: bool
    has_masks: bool

    @property
    def num_frames(self) -> int:
        return len(self.names)

    @property
    def size(self) -> tuple[int, int]:
        height, width = read_image_size(self._file("png", self.names[0]))
        return (width, height) if self.scene.is_turned else (height, width)

    def read(self, frames: Int[ndarray, "N"]) -> ClipArrays:
        """People: the ``SHARD_PEOPLE`` who fill most pixels; the others are labelled ``SHARD_PEOPLE``."""
        names = [self.names[number] for number in frames]
        c2w = rebase_poses(self.c2w[frames])
        numbers = np.array([_frame_number(name) for name in names])
        arrays: ClipArrays = {
            "images": np.stack([self._upright(read_image(self._file("png", name))) for name in names]),
            "intrinsics": self.intrinsics[frames].astype(np.float32),
            "c2w": c2w.astype(np.float32),
            "timestamps": ((numbers - numbers[0]) / FPS).astype(np.float32),
            "gravity": self.c2w[frames[0], 1, :3].astype(np.float32),
        }
        cast = self.scene.cast.get(self.name, [])
        chosen = list(range(len(cast)))
        if self.has_masks:
            ids = np.stack([self._read_ids(name, len(cast)) for name in names])
            chosen.sort(key=lambda person: -int((ids == person).sum()))
            arrays["ids"] = _relabel(ids, chosen[:SHARD_PEOPLE])
        if self.has_depth:
            depth = np.stack([self._upright(self._read_depth(name)) for name in names])
            arrays["depth"] = np.where(arrays["ids"] < 0, 0, depth) if self.scene.has_backdrop else depth
        if self.scene.labels is not None:
            people = [cast[person] for person in chosen[:SHARD_PEOPLE]]
            arrays |= read_people(self.scene, names, people, c2w)
        return arrays

    def _file(self, kind: str, name: str) -> Path:
        return self.scene.folder / kind / self.name / name

    def _upright(self, picture: ndarray) -> ndarray:
        return np.rot90(picture, -1) if self.scene.is_turned else picture

    def _read_depth(self, name: str) -> ndarray:
        metres = read_exr_depth(self._file("depth", name.replace(".png", "_depth.exr"))) / 100
        return np.where(np.isfinite(metres), metres, SKY_DEPTH).clip(0, SKY_DEPTH).astype(np.float32)

    def _read_ids(self, name: str, num_people: int) -> Int8[ndarray, "H W"]:
        height, width = read_image_size(self._file("png", name))
        ids = np.full((height, width), -1, np.int8)
        for person in range(num_people):
            for part in _PARTS:
                path = self._file("masks", name.replace(".png", f"_{person:02d}_{part}.png"))
                if path.is_file():  # missing where nothing of it is seen
                    ids[read_values(path) > 127] = person
        return self._upright(ids)


def open_bedlam(
    folder: Path,
    *,
    labels: Path | None = None,
    body: str | Path | None = None,
    every: int = 5,
    stretch: int = 30,
) -> SequenceSource:
    """All sequences of a scene folder, or of all scenes in a folder; arguments as ``list_bedlam_sequences`` takes them.

    What not all sequences have (depth, masks, labels) is left out for all. A scene before a backdrop has no depth
    around its people, and none at all without masks.

    Raises:
        InputError: no scene there, or a table cannot be read.
    """
    sequences = list_bedlam_sequences(folder, labels=labels, body=body, every=every)
    if not sequences:
        raise InputError(f"{folder}: none of its sequences has pictures and a camera; unpack png and ground truth, too")
    notes = SourceNotes(
        name=f"BEDLAM {folder.name}",
        licence="BEDLAM licence: research, not commercial",
        trains_shipped_weights=False,
        arrays=_list_arrays(sequences),
    )
    return SequenceSource([_Restricted(sequence, notes.arrays) for sequence in sequences], notes, stretch=stretch)


def list_bedlam_sequences(
    folder: Path, *, labels: Path | None = None, body: str | Path | None = None, every: int = 5
) -> list[BedlamSequence]:
    """Those sequences of a scene folder, or of all scenes in a folder, that have pictures and a camera.

    Args:
        labels: folder of ``SCENE.npz``; by default ``processed_labels`` beside or in ``folder``, if there is one.
        body: the SMPL model that the labels were made with (see ``load_body``). With it people have a place in the
            world (``transl``, ``joints``); pose and shape come without. Labels of SMPL-X have no ``transl`` here, and
            shapes of its own space.
        every: keep the frames whose number is a multiple of it; 5 gives 6 per second, as the labels have them.

    Raises:
        InputError: no scene there, or a table cannot be read.
    """
    places = (
        [folder] if (folder / "be_seq.csv").is_file() else sorted(path.parent for path in folder.glob("*/be_seq.csv"))
    )
    if not places:
        raise InputError(f"{folder}: there is no be_seq.csv in it or one folder below; give BEDLAM's scene folders")
    found = [labels] if labels else [folder / "processed_labels", folder.parent / "processed_labels"]
    label_folder = next((path for path in found if path.is_dir()), None)
    model = load_body(body) if body is not None else None
    sequences: list[BedlamSequence] = []
    for place in places:
        file = label_folder / f"{place.name}.npz" if label_folder else None
        scene = BedlamScene(folder=place, labels=file if file and file.is_file() else None, body=model)
        opened = [_open_sequence(scene, name, every) for name in scene.cast]
        sequences += [sequence for sequence in opened if sequence is not None]
    return sequences


@dataclass(frozen=True, eq=False)
class _Restricted:
    """A sequence with the arrays alone that all have."""

    sequence: BedlamSequence
    arrays: tuple[str, ...]

    @property
    def num_frames(self) -> int:
        return self.sequence.num_frames

    @property
    def size(self) -> tuple[int, int]:
        return self.sequence.size

    def read(self, frames: Int[ndarray, "N"]) -> ClipArrays:
        arrays = self.sequence.read(frames)
        return {name: arrays[name] for name in self.arrays}


def _list_arrays(sequences: list[BedlamSequence]) -> tuple[str, ...]:
    names = {"images", "intrinsics", "c2w", "timestamps", "gravity"}
    if all(sequence.has_masks for sequence in sequences):
        names.add("ids")
    if all(sequence.has_depth for sequence in sequences):
        names.add("depth")
    scenes = [sequence.scene for sequence in sequences]
    if all(scene.labels is not None for scene in scenes):
        names |= {"person_valid", "betas", "global_orient_aa", "body_pose_aa"}
        if all(scene.body is not None and scene.arrays["pose_cam"].shape[1] == 72 for scene in scenes):
            names |= {"transl", "joints"}
    return tuple(name for name in CLIP_ARRAYS if name in names)


def read_people(scene: BedlamScene, names: list[str], people: list[str], c2w: Float64[ndarray, "N 4 4"]) -> ClipArrays:
    """Labels of some people in some pictures, moved from each camera to the world; zero where there are none."""
    count, poses = len(names), scene.arrays["pose_cam"]
    valid = np.zeros((SHARD_PEOPLE, count), bool)
    pose, transl = np.zeros((SHARD_PEOPLE, count, 72), np.float32), np.zeros((SHARD_PEOPLE, count, 3), np.float32)
    betas = np.zeros((SHARD_PEOPLE, 10), np.float32)
    for person, sub in enumerate(people):
        for frame, name in enumerate(names):
            row = scene.rows.get((name, sub))
            if row is None:
                continue
            valid[person, frame] = True
            # SMPL-X goes on with jaw, eyes and fingers where SMPL has two hands.
            pose[person, frame, :66] = poses[row, :66]
            if poses.shape[1] == 72:
                pose[person, frame, 66:] = poses[row, 66:]
            transl[person, frame] = scene.arrays["trans_cam"][row] + scene.arrays["cam_ext"][row][:3, 3]
            betas[person] = scene.arrays["shape"][row][:10]
    turns = torch.from_numpy(c2w[:, :3, :3]).float() @ axis_angle_to_matrix(torch.from_numpy(pose[..., :3]))
    arrays = {
        "person_valid": valid,
        "betas": betas,
        "global_orient_aa": matrix_to_axis_angle(turns).numpy(),
        "body_pose_aa": pose[..., 3:],
    }
    if scene.body is not None and poses.shape[1] == 72:
        placed = _place(scene.body, betas, pose, transl, c2w)
        arrays |= {"transl": placed.transl.numpy(), "joints": scene.body.joints(placed).numpy()}
    return {
        name: (values.T * valid.T).T if values.shape[:2] == valid.shape else values for name, values in arrays.items()
    }


def _place(body: Body, betas: ndarray, pose: ndarray, transl: ndarray, c2w: Float64[ndarray, "N 4 4"]) -> BodyParams:
    """Bodies (P, N) from the cameras to the world."""
    rotations = axis_angle_to_matrix(torch.from_numpy(pose).unflatten(-1, (24, 3)))
    params = BodyParams(
        betas=torch.from_numpy(betas)[:, None].expand(-1, pose.shape[1], -1), global_orient=rotations[..., 0, :, :],
        body_pose=rotations[..., 1:, :, :], transl=torch.from_numpy(transl),
    )  # fmt: skip
    to_world = torch.from_numpy(c2w).float().expand(len(betas), *c2w.shape)
    return move_body(params, to_world, body.rest_joints(params.betas)[..., 0, :])


def _open_sequence(scene: BedlamScene, name: str, every: int) -> BedlamSequence | None:
    """``None`` where pictures or camera were not unpacked."""
    table = scene.folder / "ground_truth" / "camera" / f"{name}_camera.csv"
    pictures = scene.folder / "png" / name
    if not table.is_file() or not pictures.is_dir():
        return None
    there = {path.name for path in pictures.glob("*.png")}
    columns = ("name", "x", "y", "z", "yaw", "pitch", "roll", "focal_length", "sensor_width", "sensor_height")
    rows = [row for row in _read_csv(table, columns) if row["name"] in there]
    rows = [row for row in rows if _frame_number(row["name"]) % every == 0]
    if not rows:
        return None
    values = {column: np.array([float(row[column]) for row in rows]) for column in columns[1:]}
    height, width = read_image_size(pictures / rows[0]["name"])
    c2w, intrinsics = np.tile(np.eye(4), (len(rows), 1, 1)), np.tile(np.eye(3), (len(rows), 1, 1))
    c2w[:, :3, :3] = turn_camera(values["yaw"], values["pitch"], values["roll"])
    c2w[:, :3, 3] = np.stack([values[axis] for axis in "xyz"], axis=1) @ _UNREAL_TO_OPENCV.T / 100
    intrinsics[:, 0, 0] = values["focal_length"] / values["sensor_width"] * width
    intrinsics[:, 1, 1] = values["focal_length"] / values["sensor_height"] * height
    intrinsics[:, :2, 2] = width / 2, height / 2
    if scene.is_turned:
        # The picture turned right by 90°: (x, y) → (H − y, x), and the camera's axes with it.
        c2w[:, :3, :3] = c2w[:, :3, :3] @ _QUARTER_TURN.T
        intrinsics[:, [0, 1], [0, 1]] = intrinsics[:, [1, 0], [1, 0]]
        intrinsics[:, :2, 2] = height / 2, width / 2
    has_masks = (scene.folder / "masks" / name).is_dir()
    return BedlamSequence(
        scene=scene, name=name, names=tuple(row["name"] for row in rows), c2w=c2w, intrinsics=intrinsics,
        has_depth=(scene.folder / "depth" / name).is_dir() and (has_masks or not scene.has_backdrop),
        has_masks=has_masks,
    )  # fmt: skip


def turn_camera(
    yaw: Float64[ndarray, "T"], pitch: Float64[ndarray, "T"], roll: Float64[ndarray, "T"]
) -> Float64[ndarray, "T 3 3"]:
    """Camera-to-world rotation for Unreal's angles in degrees: yaw to the right, then pitch up, then roll clockwise.

    In axes x right, y down, z forward these are turns about y, x and z, in this order, each about the turned axis.
    """
    return Rotation.from_euler("YXZ", np.stack([yaw, pitch, roll], axis=1), degrees=True).as_matrix()


def _relabel(ids: Int8[ndarray, "N H W"], chosen: list[int]) -> Int8[ndarray, "N H W"]:
    lookup = np.full(128, SHARD_PEOPLE, np.int8)
    lookup[np.array(chosen, np.int64)] = np.arange(len(chosen))
    return np.where(ids < 0, ids, lookup[ids])


def _frame_number(name: str) -> int:
    return int(name.rsplit(".", 1)[0].rsplit("_", 1)[1])


def _read_csv(path: Path, columns: tuple[str, ...]) -> list[dict[str, str]]:
    try:
        with path.open(newline="") as file:
            rows = list(csv.DictReader(file, restval=""))
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); unpack the dataset again") from None
    if not rows or not set(columns) <= rows[0].keys():
        raise InputError(f"{path}: lacks rows or one of the columns {', '.join(columns)}; unpack the dataset again")
    return rows
