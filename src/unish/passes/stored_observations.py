"""What *observe* has seen, kept beside a finished result, so that *settle* can be done again without the video.

Nothing is rounded: *settle* gives the same result from these files, to the bit. Of the maps of a window only those of
the frames are kept that are taken from it, and of the pictures nothing: the result itself has them.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy import ndarray
from torch import Tensor

from unish.errors import InputError
from unish.io import as_tuples, write_array, write_json, write_npz
from unish.io.float_maps import join_bytes, split_bytes
from unish.passes.network_pass import ReadPoses
from unish.passes.observations import Observations, ObservedShot
from unish.passes.packed_records import pack_camera, pack_loops, pack_window, unpack_camera, unpack_loops, unpack_window
from unish.passes.surfaces import ReliefReader, write_relief
from unish.reconstruction import CamerasBetween, Window, choose_owner, choose_shift_frames
from unish.settings import Settings
from unish.structs import Clip, FrameArray, KnownCameras, Landmarks, Tracks
from unish.version import __version__
from unish.video import Placement

FOLDER = ".unish-observations"
"""In the folder of the result."""

FORMAT = "unish-observations/3"
"""Counted up when an array is added or means something else."""

_FACTS, _SMALL = "observations.json", "observations.npz"
_MAPS = ("depth", "conf_logits")
_AGAIN = "run `unish reconstruct` again"


@dataclass(frozen=True, kw_only=True)
class StoredRun:
    """A finished run that can be settled again.

    Attributes:
        seen: its observations; what has a value for every pixel is read when it is asked for.
        settings: those of the run.
        report: of the run, without what *settle* and *write* say.
        shape_space: whose shapes its network predicts.
        body: name of its body model.
        threads: of the run: sums over more threads may round in another way.
        version: of the package that made it.
    """

    seen: Observations
    settings: Settings
    report: dict[str, Any]
    shape_space: str
    body: str
    threads: int
    version: str


def save_observations(
    folder: Path,
    seen: Observations,
    report: Mapping[str, Any],
    *,
    shape_space: str,
    body: str,
    notes: Sequence[str] = (),
) -> str:
    """Write all that ``open_observations`` reads into ``folder``, which is made.

    Args:
        report: of the run; ``settings`` among it.
        shape_space, body: see ``StoredRun``.
        notes: what degrades the result beside what ``seen`` says, one sentence each.

    Returns:
        SHA-256 of the small arrays, by which the report of a result says that these are its observations.
    """
    (folder / "frames").mkdir(parents=True)
    arrays, first = _pack_clip(seen) | _pack_people(seen), 0
    for number, shot in enumerate(seen.shots):
        arrays |= _pack_shot(shot, f"shot{number}.")
        owner = choose_owner([window.frames for window in shot.windows])
        for frame, index in enumerate(owner.tolist()):
            window = shot.windows[index]
            row = frame - window.frames.start
            maps = {name: split_bytes(getattr(window, name)[row].numpy()) for name in _MAPS}
            maps["masks"] = seen.masks[first + frame].numpy()
            if seen.sky is not None:
                maps["sky"] = seen.sky[first + frame].numpy()
            # The fastest compression is 4 % larger than the usual one, and takes half of the time.
            write_npz(_frame_path(folder, first + frame), maps)
        first += len(owner)
    if seen.relief is not None:
        for frame in range(first):
            write_relief(folder / "relief", frame, seen.relief(frame))
    write_npz(folder / _SMALL, arrays)
    facts = {
        "format": FORMAT,
        "version": __version__,
        "threads": torch.get_num_threads(),
        "shape_space": shape_space,
        "body": body,
        "report": {key: report[key] for key in ("input", "task", "settings", "seconds", "model", "versions")},
        "clip": {
            "name": seen.clip.name,
            "size": seen.clip.size,
            "source_size": seen.clip.source_size,
            "source_area": seen.clip.source_area,
            "inset_area": seen.clip.inset_area,
            "warnings": [*notes, *seen.clip.warnings],
        },
        "placement": asdict(seen.placement),
        "people_warnings": seen.tracks.warnings,
        "notes": seen.notes,
        "has_sky": seen.sky is not None,
        "has_relief": seen.relief is not None,
        "shots": [{"windows": [len(one.frames) for one in shot.windows], "still": shot.still} for shot in seen.shots],
    }
    write_json(folder / _FACTS, facts)
    return identify_observations(folder)


def identify_observations(folder: Path) -> str:
    """What ``save_observations`` has returned."""
    with (folder / _SMALL).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def can_be_edited(folder: Path, known_as: str | None) -> bool:
    """Whether ``open_observations`` finds in ``folder`` what this version reads, of the result that is ``known_as``."""
    try:
        facts = json.loads((folder / _FACTS).read_text(encoding="utf-8"))
        return bool(facts["format"] == FORMAT and identify_observations(folder) == known_as)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def open_observations(folder: Path, pictures: FrameArray, known_as: str, scratch: Path) -> StoredRun:
    """What was kept in ``folder``.

    Args:
        pictures: (D, H, W, 3) the whole processed frames, which the result has.
        known_as: what ``save_observations`` returned.
        scratch: a folder that is made, for maps that were read once: *settle* reads each about ten times, and to unpack
            it takes longer than all that.

    Raises:
        InputError: it is of another result or another version, or it cannot be read.
    """
    try:
        facts = json.loads((folder / _FACTS).read_text(encoding="utf-8"))
        if facts["format"] != FORMAT:
            raise InputError(f"{folder}: format is {facts['format']!r}, this version reads {FORMAT!r}; {_AGAIN}")
        if identify_observations(folder) != known_as:
            raise InputError(f"{folder}: it belongs to another result than {folder.parent}; {_AGAIN}")
        with np.load(folder / _SMALL, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        scratch.mkdir()
        return _unpack(_Maps(folder, scratch), facts, arrays, pictures)
    except FileNotFoundError as error:
        raise InputError(f"{error.filename}: it is missing, and edits need it; {_AGAIN}") from None
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
        raise InputError(f"{folder}: cannot be read ({error}); {_AGAIN}") from None


class _Maps:
    """The maps in ``folder``, each unpacked into ``scratch`` when it is first read."""

    def __init__(self, folder: Path, scratch: Path) -> None:
        self.folder, self.scratch = folder, scratch

    def read(self, name: str, frame: int) -> Tensor:
        unpacked = self.scratch / f"{frame:08d}-{name}.npy"
        if unpacked.exists():
            return torch.from_numpy(np.load(unpacked, allow_pickle=False))
        path = _frame_path(self.folder, frame)
        try:
            with np.load(path, allow_pickle=False) as file:
                values = join_bytes(file[name]) if name in _MAPS else file[name]
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            raise InputError(f"{path}: cannot be read ({error}); {_AGAIN}") from None
        write_array(unpacked, values)
        return torch.from_numpy(values)


def _pack_clip(seen: Observations) -> dict[str, Any]:
    arrays = {name: getattr(seen.clip, name).numpy() for name in ("timestamps_s", "frame_indices", "segment")}
    if seen.clip.picture_area is not None:
        arrays["picture_area"] = seen.clip.picture_area.numpy()
    if seen.cameras is not None:
        arrays["cameras.c2w"] = seen.cameras.c2w.numpy()
        arrays["cameras.flags"] = np.array([seen.cameras.in_metres, seen.cameras.refine])
    return arrays


def _pack_people(seen: Observations) -> dict[str, Any]:
    arrays = {f"tracks.{name}": getattr(seen.tracks, name).numpy() for name in ("person_ids", "valid", "boxes_xyxy")}
    arrays |= {f"landmarks.{name}": value.numpy() for name, value in vars(seen.landmarks).items() if value is not None}
    return arrays | {"box_only": seen.box_only.numpy()}


def _pack_shot(shot: ObservedShot, prefix: str) -> dict[str, Any]:
    found: dict[str, Any] = {"frames": np.array([shot.frames.start, shot.frames.stop]), "dense": shot.dense.numpy()}
    found |= {f"camera.{name}": value for name, value in pack_camera(shot.camera).items()}
    found |= {f"loops.{name}": value for name, value in pack_loops(shot.loops).items()}
    if shot.poses is not None:
        found |= {f"poses.{name}": value.numpy() for name, value in vars(shot.poses).items()}
    if shot.between is not None:
        found |= {f"between.{name}": value.numpy() for name, value in vars(shot.between).items()}
    for number, window in enumerate(shot.windows):
        found |= {f"window{number}.{name}": value for name, value in pack_window(window).items()}
    owner = choose_owner([window.frames for window in shot.windows])
    chosen = [(shot.windows[owner[frame]], frame) for frame in choose_shift_frames(len(owner))]
    for name in ("samples", "sampled"):
        rows = [getattr(window, name)[frame - window.frames.start].numpy() for window, frame in chosen]
        found[name] = np.stack(rows)
    return {prefix + name: value for name, value in found.items()}


def _unpack(maps: _Maps, facts: dict[str, Any], arrays: dict[str, ndarray], pictures: FrameArray) -> StoredRun:
    clip, placement = (
        _unpack_clip(facts["clip"], arrays),
        Placement(**{k: tuple(v) for k, v in facts["placement"].items()}),
    )
    num_dense = len(pictures)
    shape = (num_dense, *placement.inner)
    masks = FrameArray(shape, torch.int16, partial(maps.read, "masks"))
    all_masks = (
        masks
        if num_dense == clip.num_frames
        else FrameArray((clip.num_frames, *placement.inner), torch.int16, _read_not_kept)
    )
    tracks = Tracks(
        **{name: torch.from_numpy(arrays[f"tracks.{name}"]) for name in ("person_ids", "valid", "boxes_xyxy")},
        masks=all_masks,
        warnings=tuple(facts["people_warnings"]),
    )
    shots, first = list[ObservedShot](), 0
    for number, about in enumerate(facts["shots"]):
        shots.append(_unpack_shot(maps, about, _cut(arrays, f"shot{number}."), first, placement.inner))
        first += len(shots[-1].dense)
    cameras = None
    if "cameras.c2w" in arrays:
        in_metres, refine = arrays["cameras.flags"].tolist()
        c2w = torch.from_numpy(arrays["cameras.c2w"])
        cameras = KnownCameras(c2w=c2w, intrinsics=None, in_metres=in_metres, refine=refine)
    seen = Observations(
        clip=clip,
        placement=placement,
        images=pictures,
        tracks=tracks,
        masks=masks,
        landmarks=Landmarks(**{name: torch.from_numpy(value) for name, value in _cut(arrays, "landmarks.").items()}),
        box_only=torch.from_numpy(arrays["box_only"]),
        sky=FrameArray(shape, torch.bool, partial(maps.read, "sky")) if facts["has_sky"] else None,
        shots=shots,
        notes=list(facts["notes"]),
        cameras=cameras,
        relief=ReliefReader(folder=maps.folder / "relief", size=clip.size) if facts["has_relief"] else None,
    )
    return StoredRun(
        seen=seen,
        settings=_unpack_settings(facts["report"]["settings"]),
        report=facts["report"],
        **{name: facts[name] for name in ("shape_space", "body", "threads", "version")},
    )


def _unpack_clip(facts: dict[str, Any], arrays: dict[str, ndarray]) -> Clip:
    names = ("timestamps_s", "frame_indices", "segment", "picture_area")
    tensors: dict[str, Any] = {name: torch.from_numpy(arrays[name]) for name in names if name in arrays}
    num_frames = len(tensors["timestamps_s"])
    return Clip(
        images=FrameArray((num_frames, *facts["size"], 3), torch.uint8, _read_not_kept),
        source_size=tuple(facts["source_size"]),
        source_area=None if facts["source_area"] is None else tuple(facts["source_area"]),
        inset_area=None if facts.get("inset_area") is None else tuple(facts["inset_area"]),
        name=facts["name"],
        warnings=tuple(facts["warnings"]),
        **tensors,
    )


def _unpack_settings(told: Mapping[str, Any]) -> Settings:
    """JSON has no paths, no tuples, and no keys that are numbers."""
    values = {key: as_tuples(value) for key, value in told.items()}
    paths = {key: Path(values[key]) for key in ("tracks", "cameras") if values[key] is not None}
    heights = values["person_height"]
    known = None if heights is None else {int(person): metres for person, metres in heights.items()}
    return Settings(**(values | paths | {"person_height": known}))


def _unpack_shot(
    maps: _Maps, facts: dict[str, Any], arrays: dict[str, ndarray], first: int, size: tuple[int, int]
) -> ObservedShot:
    """One shot, whose dense frames begin with frame ``first`` of the folder."""
    packed = [_cut(arrays, f"window{number}.") for number in range(len(facts["windows"]))]
    ranges = [
        range(int(one["start"]), int(one["start"]) + num) for one, num in zip(packed, facts["windows"], strict=True)
    ]
    owner = choose_owner(ranges)
    sampled_rows = {frame: row for row, frame in enumerate(choose_shift_frames(len(owner)))}

    def open_window(index: int) -> Window:
        frames = ranges[index]

        def read(name: str, row: int) -> Tensor:
            frame = frames.start + row
            assert owner[frame] == index, "maps of a window are kept where frames are taken from it"
            if name in _MAPS:
                return maps.read(name, first + frame)
            return torch.from_numpy(arrays[name][sampled_rows[frame]])

        shapes = {**dict.fromkeys(_MAPS, size), "samples": arrays["samples"].shape[1:]}
        dense = {
            name: FrameArray((len(frames), *shape), torch.float32, partial(read, name), remember=False)
            for name, shape in shapes.items()
        }
        shape = (len(frames), *arrays["sampled"].shape[1:])
        dense["sampled"] = FrameArray(shape, torch.bool, partial(read, "sampled"), remember=False)
        return unpack_window(packed[index], len(frames), dense)

    poses, between = _cut(arrays, "poses."), _cut(arrays, "between.")
    start, stop = arrays["frames"].tolist()
    return ObservedShot(
        frames=slice(start, stop),
        dense=torch.from_numpy(arrays["dense"]),
        windows=[open_window(index) for index in range(len(ranges))],
        camera=unpack_camera(_cut(arrays, "camera.")),
        still=facts["still"],
        loops=unpack_loops(_cut(arrays, "loops.")),
        poses=ReadPoses(**{name: torch.from_numpy(value) for name, value in poses.items()}) if poses else None,
        between=CamerasBetween(**{name: torch.from_numpy(value) for name, value in between.items()})
        if between
        else None,
    )


def _cut(arrays: Mapping[str, ndarray], prefix: str) -> dict[str, ndarray]:
    """Those whose names begin with the prefix, without it."""
    return {name.removeprefix(prefix): value for name, value in arrays.items() if name.startswith(prefix)}


def _frame_path(folder: Path, frame: int) -> Path:
    return folder / "frames" / f"{frame:08d}.npz"


def _read_not_kept(frame: int) -> Tensor:
    raise AssertionError(f"pictures of the source, and masks of frames without depth, are not kept (frame {frame})")
