"""Point maps that scene networks wrote: π³ and VGGT."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy import ndarray

from unish.errors import InputError
from unish.geometry.camera import pixel_grid
from unish.geometry.rigid import invert_rigid
from unish.lab.evaluation.methods.files import find_file
from unish.lab.evaluation.methods.stored_arrays import read_arrays
from unish.structs import Clip

_MAX_STRETCH = 0.1
"""How far the shape of a map may be from that of the frame, as log of the ratio: networks use whole patches."""
_CERTAIN = 0.1


@dataclass(frozen=True, kw_only=True)
class PointMaps:
    """N maps of H×W pixels, each of which shows the whole frame.

    Attributes:
        depth: z in the camera, in the unit of the method; 0 where undefined.
        conf: 0..1.
        c2w: camera to world, same unit.
        intrinsics: pixels of the map, pixel centres at +0.5.
    """

    depth: Float[ndarray, "N H W"]
    conf: Float[ndarray, "N H W"]
    c2w: Float[ndarray, "N 4 4"]
    intrinsics: Float[ndarray, "N 3 3"]


def read_vggt(folder: Path, sequence: str) -> PointMaps:
    """``SEQUENCE/predictions.npz`` or ``SEQUENCE.npz`` (also ``.pt``): ``depth`` (N, H, W, 1), ``depth_conf`` (N, H, W)
    from 1 to infinity, ``extrinsic`` (N, 3, 4) world to camera, ``intrinsic`` (N, 3, 3).

    Confidence c becomes 1 − 1 ÷ c.
    """
    path, found = _read(folder, sequence, ("depth", "depth_conf", "extrinsic", "intrinsic"))
    depth = _shape(found, "depth", path, ())
    w2c = np.tile(np.eye(4), (len(depth), 1, 1))
    w2c[:, :3] = found["extrinsic"].reshape(-1, *found["extrinsic"].shape[-2:])[:, :3]
    return PointMaps(
        depth=depth,
        conf=1 - 1 / np.maximum(_shape(found, "depth_conf", path, ()), 1),
        c2w=invert_rigid(torch.from_numpy(w2c)).numpy(),
        intrinsics=found["intrinsic"].reshape(-1, 3, 3).astype(np.float64),
    )


def read_pi3(folder: Path, sequence: str) -> PointMaps:
    """``SEQUENCE/predictions.npz`` or ``SEQUENCE.npz`` (also ``.pt``): ``camera_poses`` (N, 4, 4) camera to world,
    ``local_points`` (N, H, W, 3) in the camera or ``points`` in the world, ``conf`` (N, H, W, 1), 0..1 or logits.

    The focal length of each map is the one that explains its points best (least squares, principal point in the
    middle); the depth is their z, unchanged.
    """
    path, found = _read(folder, sequence, ("camera_poses", "conf"), ("local_points", "points"))
    c2w = found["camera_poses"].reshape(-1, 4, 4).astype(np.float64)
    if "local_points" in found:
        local = _shape(found, "local_points", path, (3,))
    else:
        world = _shape(found, "points", path, (3,))
        local = (world - c2w[:, None, None, :3, 3]) @ c2w[:, None, :3, :3]
    conf = _shape(found, "conf", path, ())
    if conf.min() < 0 or conf.max() > 1:
        conf = 1 / (1 + np.exp(-conf))
    depth = np.where(np.isfinite(local).all(-1) & (local[..., 2] > 0), local[..., 2], 0.0)
    return PointMaps(depth=depth, conf=conf, c2w=c2w, intrinsics=fit_intrinsics(local, (depth > 0) & (conf > _CERTAIN)))


POINT_MAP_KINDS: dict[str, Callable[[Path, str], PointMaps]] = {"pi3": read_pi3, "vggt": read_vggt}


def fit_intrinsics(local: Float[ndarray, "N H W 3"], used: ndarray) -> Float[ndarray, "N 3 3"]:
    """Least squares of f · (x, y) ÷ z against the pixel from the middle of the map, one f for each map.

    Raises:
        InputError: a map has no usable point.
    """
    height, width = local.shape[1:3]
    offset = pixel_grid(height, width, like=torch.zeros((), dtype=torch.float64)).numpy() - [width / 2, height / 2]
    with np.errstate(divide="ignore", invalid="ignore"):
        slope = np.where(used[..., None], local[..., :2] / local[..., 2:], 0.0)
    square = (slope**2).sum((1, 2, 3))
    if not (square > 0).all():
        raise InputError("a map has no point that is finite, in front of the camera and trusted")
    focal = (slope * offset).sum((1, 2, 3)) / square
    k = np.tile(np.array([[0, 0, width / 2], [0, 0, height / 2], [0, 0, 1]]), (len(local), 1, 1))
    k[:, 0, 0] = k[:, 1, 1] = focal
    return k


def choose_maps(maps: PointMaps, clip: Clip) -> Int[ndarray, "T"]:
    """Which map belongs to each frame of the clip: in order when there are as many, else by the source's numbers.

    Raises:
        InputError: neither fits, or the maps do not show whole frames.
    """
    height, width = maps.depth.shape[1:]
    stretch = math.log(height / width * clip.size[1] / clip.size[0])
    if abs(stretch) > _MAX_STRETCH:
        raise InputError(f"maps of {width}×{height} for frames of {clip.size[1]}×{clip.size[0]}: give uncropped maps")
    indices = clip.frame_indices.numpy()
    if len(maps.depth) == clip.num_frames:
        return np.arange(clip.num_frames)
    if indices.max() >= len(maps.depth):
        raise InputError(
            f"{len(maps.depth)} maps for {clip.num_frames} frames up to number {indices.max()} of the source; "
            "give one for each of these, or for every frame of the source"
        )
    return indices


def _read(
    folder: Path, sequence: str, needed: tuple[str, ...], one_of: tuple[str, ...] = ()
) -> tuple[Path, dict[str, ndarray]]:
    names = [("predictions.npz", ".npz"), ("predictions.pt", ".pt")]
    path = find_file(folder, sequence, names)
    found = read_arrays(path, (*needed, *one_of))
    missing = [key for key in needed if key not in found]
    if one_of and not any(key in found for key in one_of):
        missing.append(" or ".join(one_of))
    if missing:
        raise InputError(f"{path}: no {', '.join(missing)} in it; docs/evaluation.md lists what a file must hold")
    return path, {key: np.asarray(found[key]) for key in (*needed, *one_of) if key in found}


def _shape(found: dict[str, ndarray], key: str, path: Path, last: tuple[int, ...]) -> ndarray:
    """(N, H, W, *last) of an array that may have a leading 1 and, for single values, a trailing 1."""
    values = found[key]
    if not last and values.ndim > 3 and values.shape[-1] == 1:
        values = values[..., 0]
    if values.ndim == 4 + len(last) and values.shape[0] == 1:
        values = values[0]
    if values.ndim != 3 + len(last) or values.shape[3:] != last:
        raise InputError(f"{path}: {key} has shape {found[key].shape}; see docs/evaluation.md")
    return values.astype(np.float64)
