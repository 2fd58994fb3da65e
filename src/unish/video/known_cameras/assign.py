"""Which pose of a camera file belongs to which frame of a clip, and through which lens it was seen."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float64, Int64
from numpy import ndarray

from unish.errors import InputError
from unish.structs import Clip, KnownCameras
from unish.video.known_cameras.colmap import find_model, list_model_files, read_colmap
from unish.video.known_cameras.nerfstudio import read_nerfstudio
from unish.video.known_cameras.record import CameraFile, Lenses
from unish.video.known_cameras.tum import read_tum
from unish.video.sources.folder_times import read_clock

MAX_APART_S = 0.02
"""Between a frame and its pose; the tools of the TUM benchmark allow as much."""
MAX_ZOOM = 1.01
"""Largest over smallest focal length of what is one lens: programs that solve each picture alone are that exact."""
_ALIKE = 0.01  # relative difference of the shapes of two pictures that are one


def read_known_cameras(path: Path, clip: Clip, *, in_metres: bool | None = None, refine: bool = False) -> KnownCameras:
    """Poses of every frame of a clip.

    Args:
        path: folder of a COLMAP model, ``transforms.json``, or a TUM trajectory.
        in_metres: whether places are in metres; by the kind of the file if ``None``.
        refine: see ``KnownCameras``.

    Raises:
        InputError: the file is none of these, or does not say where the camera was in each frame.
    """
    file = _read(path)
    chosen = _match(file, clip)
    lens, notes = (None, ()) if file.lenses is None else _choose_lens(file, file.lenses, chosen, clip)
    return KnownCameras(
        c2w=torch.from_numpy(file.c2w[chosen]),
        intrinsics=lens,
        in_metres=file.in_metres if in_metres is None else in_metres,
        refine=refine,
        notes=notes,
    )


def list_camera_files(folder: Path) -> list[Path]:
    """The files of a folder that ``read_known_cameras`` reads; none where it is a file itself."""
    if not folder.is_dir():
        return []
    model = find_model(folder)
    return [folder / "transforms.json"] if model is None else list_model_files(model)


def _read(path: Path) -> CameraFile:
    if path.is_dir():
        model = find_model(path)
        if model is not None:
            return read_colmap(model)
        if not (path / "transforms.json").is_file():
            raise InputError(f"{path}: neither a COLMAP model nor a transforms.json is in this folder")
        path = path / "transforms.json"
    if not path.is_file():
        raise InputError(f"{path}: no such file; give a COLMAP model, a transforms.json or a TUM trajectory")
    return read_nerfstudio(path) if path.suffix.lower() == ".json" else read_tum(path)


def _match(file: CameraFile, clip: Clip) -> Int64[ndarray, "T"]:
    """Row of the file for every frame: by name, number or time; else in order, if there are as many."""
    if file.times_s is not None:
        chosen = _match_times(file.times_s, clip)
    elif clip.frame_names is not None:
        chosen = _match_names(file, clip.frame_names)
    else:
        chosen = _match_numbers(file, clip)
    missing = np.flatnonzero(chosen < 0)
    if not len(missing):
        return chosen
    # Names and times that have nothing to do with the frames; numbers may still be those of some.
    strange = len(missing) == clip.num_frames or (file.times_s is None and clip.frame_names is None)
    if strange and clip.num_frames == len(file.c2w):
        return np.arange(clip.num_frames)
    frame = int(missing[0])
    raise InputError(
        f"{file.path}: of its {len(file.c2w)} poses none belongs to {len(missing)} of the {clip.num_frames} frames "
        f"that are used, the first of them frame {int(clip.frame_indices[frame])} at "
        f"{float(clip.timestamps_s[frame]):.3f} s; give a pose for each frame"
    )


def _match_times(times_s: Float64[ndarray, "N"], clip: Clip) -> Int64[ndarray, "T"]:
    wanted = clip.timestamps_s.numpy()
    # Pictures that are named after the clock of a robot have poses by the same clock.
    clock = [read_clock(Path(name).stem) for name in clip.frame_names or ()]
    named = np.array([float(moment) for moment in clock if moment is not None])
    if len(named) == len(wanted):
        wanted = named
    after = np.searchsorted(times_s, wanted).clip(1, max(1, len(times_s) - 1))
    pair = np.stack([after - 1, np.minimum(after, len(times_s) - 1)])
    apart = np.abs(times_s[pair] - wanted)
    nearest = np.take_along_axis(pair, apart.argmin(0)[None], axis=0)[0]
    return np.where(apart.min(0) <= MAX_APART_S, nearest, -1)


def _match_names(file: CameraFile, names: tuple[str, ...]) -> Int64[ndarray, "T"]:
    """By the whole name, else by the name without its ending: pictures are often converted."""
    assert file.names is not None
    for shown in (lambda name: name, lambda name: Path(name).stem):
        rows = {shown(name): row for row, name in enumerate(file.names)}
        if len(rows) < len(file.names):
            raise InputError(f"{file.path}: several poses belong to pictures of one name; name them differently")
        chosen = np.array([rows.get(shown(name), -1) for name in names])
        if (chosen >= 0).any():
            return chosen
    return np.full(len(names), -1)


def _match_numbers(file: CameraFile, clip: Clip) -> Int64[ndarray, "T"]:
    """Pictures taken from a video are named by their number in it. Those that are 1 to N count from 1."""
    assert file.names is not None
    found = [re.findall(r"\d+", Path(name).stem) for name in file.names]
    if not all(found):
        return np.full(clip.num_frames, -1)
    numbers = np.array([int(parts[-1]) for parts in found])
    if np.array_equal(np.sort(numbers), np.arange(1, len(numbers) + 1)):
        numbers = numbers - 1
    rows = {int(number): row for row, number in enumerate(numbers)}
    return np.array([rows.get(frame, -1) for frame in clip.frame_indices.tolist()])


def _choose_lens(
    file: CameraFile, lenses: Lenses, chosen: Int64[ndarray, "T"], clip: Clip
) -> tuple[tuple[float, float, float, float], tuple[str, ...]]:
    """(fx, fy, cx, cy) in pixels of the source, and what to say of it."""
    height, width = clip.source_size
    sizes = np.where(lenses.sizes[chosen] > 0, lenses.sizes[chosen], (height, width))
    factor = np.array([height, width]) / sizes
    if (np.abs(factor[:, 0] / factor[:, 1] - 1) > _ALIKE).any():
        stated = " x ".join(f"{side:.0f}" for side in sizes[0][::-1])
        raise InputError(f"{file.path}: its pictures of {stated} have another shape than the {width} x {height} here")
    matrices = lenses.matrices[chosen] * np.tile(factor[:, ::-1], 2)
    if (matrices[:, :2].max(0) > MAX_ZOOM * matrices[:, :2].min(0)).any() or (matrices[:, :2] <= 0).any():
        raise InputError(f"{file.path}: its focal lengths differ; a video is taken for one lens, so give such a part")
    note = f"{file.path.name}: the lens has a distortion, which is not undone; undistorted pictures give better results"
    fx, fy, cx, cy = np.median(matrices, axis=0).tolist()
    return (fx, fy, cx, cy), (note,) if lenses.distorted else ()
