"""Where a run keeps what it has done, so that it can go on there after it was ended."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from unish.io import FramePile, read_part, write_array, write_json, write_npz
from unish.passes.experts import SLOTS
from unish.passes.packed_records import pack_camera, pack_window, unpack_camera, unpack_window
from unish.people import ObservationLog
from unish.reconstruction import Window
from unish.settings import Settings
from unish.structs import Camera, Clip, FrameArray
from unish.version import __version__
from unish.video import list_camera_files

_DENSE = ("depth", "conf_logits", "samples", "sampled")
AFTERWARDS = frozenset({"settle", "fill_gaps", "person_height", "known_distance", "keep_observations", "title"})
"""Settings that only matter once everything was observed: a run that is given others goes on with what it has."""

_OF_CHOSEN = ("masks", "sky", "windows", "poses", "between", "cameras", "relief", "result")
"""What depends on which people are kept; pictures and everybody's observations do not."""
FORMAT = 7
"""Of what is kept. It is counted up when an array is added or means something else: no older folder is gone on with."""


def describe_run(
    source: Path | Clip, settings: Settings, network: str, body: str, experts: Mapping[str, str] = MappingProxyType({})
) -> dict[str, Any]:
    """What must be the same for a run to go on with the work of an earlier one.

    Args:
        network, body: fingerprint of the weights, name of the body model.
        experts: fingerprints of what is in the slots of ``slots``.
    """
    # What was seen does not depend on what is made of it afterwards.
    observed = {key: value for key, value in asdict(settings).items() if key not in AFTERWARDS}
    chosen = {key: observed.pop(key) for key in ("people", "person_box", "person_at", "person_id")}
    return {
        "people": chosen,
        "source": _describe_clip(source) if isinstance(source, Clip) else _describe_files(source),
        "settings": {key: str(value) if isinstance(value, Path) else value for key, value in observed.items()},
        "inputs": [_describe_files(path) for path in _given_files(settings)],
        "network": network,
        "body": body,
        "experts": dict(experts),
        "versions": [FORMAT, __version__, torch.__version__, np.__version__],
        "threads": torch.get_num_threads(),
    }


def identify_task(source: Path, settings: Settings) -> str:
    """The same for the same input and settings, and for no others: a result that says so need not be made again.

    Returns:
        SHA-256 of the names, sizes and times of change of all files that are read, and of all settings.
    """
    model = Path(settings.model)
    task = {
        "source": _describe_files(source),
        "settings": asdict(settings),
        "inputs": [_describe_files(path) for path in [*_given_files(settings), *([model] if model.exists() else [])]],
    }
    return hashlib.sha256(json.dumps(task, default=str, sort_keys=True).encode()).hexdigest()


def _given_files(settings: Settings) -> list[Path]:
    """They may be edited between two runs: the paths among the settings alone do not describe them."""
    given = [Path(path) for path in (settings.tracks, settings.body) if path is not None]
    if settings.cameras is not None:
        given += [settings.cameras, *list_camera_files(settings.cameras)]
    for slot in SLOTS:
        given += _list_folder(getattr(settings, slot))
    return [path for path in given if path.is_file()]


def _list_folder(choice: str) -> list[Path]:
    """The files of the folder that a slot is filled from; none where it is filled by name."""
    folder = Path(choice.partition(":")[2] or choice)
    return sorted(folder.iterdir()) if folder.is_dir() else []


def _describe_files(source: Path) -> list[Any]:
    paths = sorted(source.iterdir()) if source.is_dir() else [source]
    stats = [(path.name, path.stat()) for path in paths if not path.is_dir()]
    return [str(source.resolve()), *([name, stat.st_size, stat.st_mtime_ns] for name, stat in stats)]


def _describe_clip(clip: Clip) -> list[Any]:
    """By its times, shots and first and last pictures."""
    digest = hashlib.sha256()
    for part in (clip.timestamps_s, clip.segment, clip.images[0], clip.images[-1]):
        digest.update(part.numpy().tobytes())
    return [clip.name, list(clip.images.shape), digest.hexdigest()]


def _read_tensor(path: Path, index: int) -> Tensor:
    return torch.from_numpy(read_part(path, index))


class RunFolder:
    """Frames, observations and windows of one run, each in files that are whole or not there.

    Args:
        folder: made if need be.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def begin(self, run: Mapping[str, Any]) -> int:
        """Take over what a run of the same description has left here, or remove what is here.

        Of a run that differs only in whom it keeps, everybody's observations stay.

        Returns:
            The first frame that is still to be done; 0 for a new run.
        """
        described = json.loads(json.dumps(run))
        path = self.folder / "run.json"
        try:
            before = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            before = None
        if before != described:
            if isinstance(before, dict) and before | {"people": described["people"]} == described:
                path.unlink()
                for name in _OF_CHOSEN:
                    shutil.rmtree(self.folder / name, ignore_errors=True)
            else:
                shutil.rmtree(self.folder, ignore_errors=True)
                self.folder.mkdir(parents=True, exist_ok=True)
            write_json(path, described)
        return self.next_frame

    def remove_if_useless(self) -> None:
        """Keep nothing of a run that did not get far enough for another one to go on."""
        if self.next_frame == 0:
            shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def next_frame(self) -> int:
        """The first frame that is not yet behind the network, or behind the people stage where no window is."""
        ends = [int(path.stem.split("-")[1]) for path in self.folder.glob("windows/*.npz")]
        return max(ends, default=ObservationLog.count_frames(self.folder / "people"))

    def pile(self, name: str, num_frames: int) -> FramePile:
        return FramePile(self.folder / name, num_frames)

    def people_log(self) -> ObservationLog:
        return ObservationLog(self.folder / "people")

    def save_camera(self, first_frame: int, camera: Camera) -> None:
        """The camera of the shot that begins with this frame."""
        write_npz(self._path("cameras", f"{first_frame:08d}.npz"), pack_camera(camera))

    def load_camera(self, first_frame: int) -> Camera:
        with np.load(self._path("cameras", f"{first_frame:08d}.npz"), allow_pickle=False) as file:
            return unpack_camera(file)

    def has_window(self, frames: range) -> bool:
        return self._window_path(frames).exists()

    def save_window(self, frames: range, window: Window) -> None:
        """Keep a window; the file with its small arrays is written last, and says that all is there.

        Args:
            frames: of the clip.
        """
        for name in _DENSE:
            write_array(self._window_path(frames, name), np.asarray(getattr(window, name)))
        write_npz(self._window_path(frames), pack_window(window))

    def load_window(self, frames: range) -> Window:
        """A window that was kept; its dense maps stay on the disk."""
        with np.load(self._window_path(frames), allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        return unpack_window(arrays, len(frames), {name: self._open_dense(frames, name) for name in _DENSE})

    def save_poses(self, frames: range, rotations: Tensor, betas: Tensor) -> None:
        """Keep people who were read in these frames of the clip."""
        write_npz(self._poses_path(frames), {"rotations": rotations.numpy(), "betas": betas.numpy()})

    def load_poses(self, frames: range) -> tuple[Tensor, Tensor] | None:
        """What was kept; ``None`` if nothing was."""
        if not self._poses_path(frames).exists():
            return None
        with np.load(self._poses_path(frames), allow_pickle=False) as file:
            return torch.from_numpy(file["rotations"]), torch.from_numpy(file["betas"])

    def save_between(self, frame: int, relative: Tensor, known: Tensor) -> None:
        """Keep cameras that were measured between this dense frame of the clip and the next."""
        write_npz(self._path("between", f"{frame:08d}.npz"), {"relative": relative.numpy(), "known": known.numpy()})

    def load_between(self, frame: int) -> tuple[Tensor, Tensor] | None:
        """What was kept; ``None`` if nothing was."""
        path = self._path("between", f"{frame:08d}.npz")
        if not path.exists():
            return None
        with np.load(path, allow_pickle=False) as file:
            return torch.from_numpy(file["relative"]), torch.from_numpy(file["known"])

    def _poses_path(self, frames: range) -> Path:
        return self._path("poses", f"{frames.start:08d}-{frames.stop:08d}.npz")

    def _open_dense(self, frames: range, name: str) -> FrameArray:
        path = self._window_path(frames, name)
        whole = np.load(path, mmap_mode="r", allow_pickle=False)
        dtype = torch.from_numpy(np.empty(0, whole.dtype)).dtype
        read = partial(_read_tensor, path)
        return FrameArray(whole.shape, dtype, read, remember=False)

    def _window_path(self, frames: range, name: str | None = None) -> Path:
        stem = f"{frames.start:08d}-{frames.stop:08d}"
        return self._path("windows", f"{stem}.npz" if name is None else f"{stem}-{name}.npy")

    def _path(self, kind: str, name: str) -> Path:
        (self.folder / kind).mkdir(exist_ok=True)
        return self.folder / kind / name
