"""Windows of one shot → one world.

A long shot is predicted in overlapping windows, each with its own arbitrary scale and its own first camera as world.
The frames that two windows share say how to bring the later one into the earlier one's world: the ratio of their depths
gives the scale, the pairs of camera poses give the rigid motion. Dense maps stay as they were predicted; what brings
each of them into the world is applied when a frame is read.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from unish.geometry.camera import zoom_intrinsics
from unish.geometry.focal import recover_shift_of_samples
from unish.geometry.rigid import invert_rigid, make_rigid
from unish.reconstruction.camera import intrinsics_at
from unish.reconstruction.depth_curve import DepthCurve
from unish.reconstruction.loops import Loop, close_loops
from unish.reconstruction.seams import bend_windows
from unish.reconstruction.window import Window, shared_frames
from unish.structs import Camera, FrameArray, FrameTensor

MAX_SHIFT_FRAMES = 128
"""Frames that are asked by how much all depths are to be shifted, evenly spread."""

_AT_ONCE = 64
"""A multiple of the elements that torch works on together on any processor."""


@dataclass(frozen=True, kw_only=True)
class Shot:
    """T frames in one world, its scale still unknown; D of them have depth, all unless people are read more often.

    Attributes:
        dense: which frames have depth.
        depth: z in the unit of the first window, ``shift`` included.
        conf: confidence, 0 to 1.
        c2w: camera to world, the first camera as world.
        rotations, betas, transl: of P people, as in ``Prediction``; ``None`` without people.
        camera: of all frames, of the first one where the lens zooms.
        intrinsics: of each frame, in pixels of the maps.
        shift: what was added to every z for the points to be seen through this camera: to the points, and to whoever
            stands among them.
        network_scale: factor from the shot's unit to metres as the network itself believes, if it says so.
        residual: mean distance between the two positions of a shared camera after stitching, in multiples of the median
            depth, of the worst pair of windows; 0 for a single window.
        unplaced, doubtful: (D,) frames whose camera nothing tells, or not surely, see ``Window``.
        seen: frames in which each person was observed.
        still: the camera stood still.
        given_unit: factor from this unit to that of given cameras; ``None`` where nothing tells, or none were given.
        keeps_cameras: ``c2w`` are given ones, in their own unit if ``given_unit`` is not known.
        cameras_in_metres: the unit of given cameras is the metre.
        given_error_px: see ``Prediction``, of the worst window; NaN where no cameras were given.
        unjoined: pairs of neighbouring windows without one pixel that both are confident of: nothing says how the scale
            of one is to be brought to that of the other.
        num_loops: pairs of frames by which the path of the camera was closed; 0 where it stayed as it was.
        units: factor from the unit of each window to that of the shot.
        measured: frames without depth whose cameras the pictures tell; ``None`` where there are none.
    """

    dense: Int64[Tensor, "D"]
    depth: Float[FrameTensor, "D H W"]
    conf: Float[FrameTensor, "D H W"]
    c2w: Float[Tensor, "T 4 4"]
    rotations: Float[Tensor, "P T 24 3 3"] | None
    betas: Float[Tensor, "P 10"] | None
    transl: Float[Tensor, "P T 3"] | None
    camera: Camera
    intrinsics: Float[Tensor, "T 3 3"]
    shift: float
    network_scale: float | None
    residual: float
    unplaced: Bool[Tensor, "D"]
    doubtful: Bool[Tensor, "D"]
    seen: Int64[Tensor, "P"]
    still: bool
    unjoined: int
    given_unit: float | None = None
    keeps_cameras: bool = False
    cameras_in_metres: bool = False
    given_error_px: float = math.nan
    num_loops: int = 0
    units: tuple[float, ...] = (1.0,)
    measured: Bool[Tensor, "T"] | None = None

    @property
    def metres_by_cameras(self) -> float | None:
        """Factor from the shot's unit to metres that given cameras tell; ``None`` where they do not."""
        return self.given_unit if self.cameras_in_metres else None


@dataclass(frozen=True, kw_only=True)
class Alignment:
    """What brings a window into the world of its shot: lengths are multiplied by ``scale``, then moved.

    Attributes:
        motion: (4, 4) rigid.
        residual: see ``Shot``, of this window and the one before it; 0 for the first one.
        curve: along which depth goes after it was scaled; ``None`` where it stays. Only where cameras do not move.
    """

    scale: float
    motion: Float[Tensor, "4 4"]
    residual: float
    curve: DepthCurve | None = None

    @property
    def mean_scale(self) -> float:
        """The one factor that stands for scale and curve."""
        return self.scale * (1.0 if self.curve is None else math.exp(self.curve.mean))

    def resize_depth(self, depth: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """z of the window in the unit of the shot."""
        scaled = depth * self.scale
        return scaled if self.curve is None else self.curve.apply(scaled)

    def resize_points(self, points: Float[Tensor, "*shape 3"]) -> Float[Tensor, "*shape 3"]:
        """Points in a camera of the window, moved along their rays."""
        if self.curve is None:
            return points * self.scale
        z = points[..., 2:]
        return points * torch.where(z > 0, self.resize_depth(z) / torch.where(z > 0, z, 1.0), self.scale)

    def move(self, c2w: Float[Tensor, "N 4 4"]) -> Float[Tensor, "N 4 4"]:
        """Cameras of the window in the world of the shot."""
        return self.motion @ scale_cameras(c2w, self.scale)


def stitch_windows(
    windows: list[Window],
    valid: Bool[Tensor, "P T"],
    camera: Camera,
    *,
    still: bool = False,
    given: Float[Tensor, "T 4 4"] | None = None,
    loops: Sequence[Loop] = (),
) -> Shot:
    """Bring every window into the world and scale of the first, and take each frame from the window that knows it best.

    Args:
        windows: of a whole shot, in order.
        valid: observed people, to weigh each window's body shapes by how often it saw the person.
        camera: with which all windows were predicted.
        still: the camera is known to have stood still: all poses are then the same, to the bit.
        given: known cameras of the shot, the first as world, which stay as they are.
        loops: frames that show the same place; of no use where the cameras stood still or are given.
    """
    owner = choose_owner([window.frames for window in windows])
    own_rows = [(owner == index).nonzero()[0] - window.frames.start for index, window in enumerate(windows)]
    alignments = align_windows(windows, still=still) if given is None else align_to_cameras(windows, given)
    alignments, c2w, num_loops = _close_path(windows, alignments, owner, own_rows, loops)
    curves = bend_windows(windows, [math.log(one.scale) for one in alignments])
    alignments = [replace(one, curve=curve) for one, curve in zip(alignments, curves, strict=True)]
    units = [1 / one.scale for one, window in zip(alignments, windows, strict=True) if window.in_given_unit]
    num_frames, size = len(owner), (int(windows[0].depth.shape[1]), int(windows[0].depth.shape[2]))
    intrinsics = zoom_intrinsics(intrinsics_at(camera, size), gather_zoom(windows))
    shift = _find_shift(windows, alignments, owner, intrinsics, size)
    scales = [
        window.scale / (window.mean_distance * one.mean_scale)
        for one, window in zip(alignments, windows, strict=True)
        if window.scale is not None and window.mean_distance > 0
    ]

    depth, conf = _open_maps(windows, alignments, owner, shift)
    return Shot(
        dense=torch.arange(num_frames),
        depth=depth,
        conf=conf,
        # Joining windows would round.
        c2w=given if given is not None else torch.eye(4).repeat(num_frames, 1, 1) if still else c2w,
        rotations=_gather([window.rotations for window in windows], own_rows),
        transl=_gather([window.transl for window in windows], own_rows),
        betas=_average_betas(windows, valid),
        camera=camera,
        intrinsics=intrinsics,
        shift=shift,
        network_scale=float(torch.tensor(scales).median()) if scales else None,
        residual=max(one.residual for one in alignments),
        unplaced=torch.cat([window.unplaced[rows] for window, rows in zip(windows, own_rows, strict=True)]),
        doubtful=torch.cat([window.doubtful[rows] for window, rows in zip(windows, own_rows, strict=True)]),
        seen=valid.sum(1),
        still=still,
        unjoined=sum(window.link is not None and not window.link.joined for window in windows),
        given_unit=float(torch.tensor(units).median()) if units else None,
        keeps_cameras=given is not None,
        given_error_px=max(window.given_error_px for window in windows),
        num_loops=num_loops,
        units=tuple(one.scale for one in alignments),
    )


def _open_maps(
    windows: list[Window], alignments: list[Alignment], owner: Int64[np.ndarray, "T"], shift: float
) -> tuple[FrameArray, FrameArray]:
    """Depth and confidence of the shot, computed when a frame or some of its pixels are read."""

    def depth(frame: int, place: tuple[Any, ...] = ()) -> Float[Tensor, "*shape"]:
        index = int(owner[frame])
        own = windows[index].depth[(frame - windows[index].frames.start, *place)]
        return (alignments[index].resize_depth(own) + shift).clamp_min(0.0)

    def conf(frame: int, place: tuple[Any, ...] = ()) -> Float[Tensor, "*shape"]:
        window = windows[owner[frame]]
        logits = window.conf_logits[(frame - window.frames.start, *place)]
        return _sigmoid_of_some(logits) if place else logits.sigmoid()

    shape = (len(owner), *windows[0].depth.shape[1:])
    return FrameArray(shape, torch.float32, depth, pick=depth), FrameArray(shape, torch.float32, conf, pick=conf)


def _sigmoid_of_some(values: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """As of these elements in a whole map: torch rounds the last few elements of an array in another way."""
    flat = values.reshape(-1)
    filled = torch.nn.functional.pad(flat, (0, -len(flat) % _AT_ONCE))
    return filled.sigmoid()[: len(flat)].reshape(values.shape)


def gather_zoom(windows: list[Window]) -> Float[Tensor, "T"]:
    """Focal length of each frame of a shot over that of the first, from the window that it is taken from."""
    owner = choose_owner([window.frames for window in windows])
    return torch.stack([windows[index].zoom[frame - windows[index].frames.start] for frame, index in enumerate(owner)])


def align_windows(windows: list[Window], *, still: bool = False) -> list[Alignment]:
    """What brings each window into the world of the first one, by what it shares with the window before it."""
    found = [Alignment(scale=1.0, motion=torch.eye(4), residual=0.0)]
    for before, window in pairwise(windows):
        assert window.link is not None
        last = found[-1]
        scale = last.scale * math.exp(window.link.log_scale)
        if still:
            found.append(Alignment(scale=scale, motion=torch.eye(4), residual=0.0))
            continue
        then, now = shared_frames(before.frames, window.frames)
        wanted, own = last.move(before.c2w[then]), scale_cameras(window.c2w[now], scale)
        motion = _average_motion(wanted @ invert_rigid(own))
        gap = float((wanted[:, :3, 3] - (motion @ own)[:, :3, 3]).norm(dim=-1).mean())
        residual = gap / max(window.link.depth * last.scale, 1e-6) if window.link.joined else math.nan
        found.append(Alignment(scale=scale, motion=motion, residual=residual))
    return found


def align_to_cameras(windows: list[Window], given: Float[Tensor, "T 4 4"]) -> list[Alignment]:
    """What brings each window to known cameras: where it stands is known, and so is its unit where it has parallax.

    A window without takes its unit from a neighbour; if no window has any, that of the first is the unit of all.
    """
    log_scale = [0.0]
    for window in windows[1:]:
        assert window.link is not None
        log_scale.append(log_scale[-1] + window.link.log_scale)
    known = [index for index, window in enumerate(windows) if window.in_given_unit]
    found = []
    for index, window in enumerate(windows):
        nearest = known[int(np.abs(np.array(known) - index).argmin())] if known else 0
        scale = math.exp(log_scale[index] - log_scale[nearest])
        found.append(Alignment(scale=scale, motion=given[window.frames.start], residual=0.0))
    return found


def scale_cameras(
    c2w: Float[Tensor, "*batch 4 4"], scale: float | Float[Tensor, "*batch"]
) -> Float[Tensor, "*batch 4 4"]:
    """The same cameras in a world where all lengths are ``scale`` times as large."""
    scaled = c2w.clone()
    scaled[..., :3, 3] *= scale[..., None] if isinstance(scale, Tensor) else scale
    return scaled


def choose_owner(windows: list[range]) -> Int64[np.ndarray, "T"]:
    """For every frame the window in which it lies farthest from a border, where a window has most context.

    Of windows in which it does, the first. Only neighbours of a window can take a frame from it.
    """
    owner = np.zeros(windows[-1].stop, np.int64)
    depth = np.full(windows[-1].stop, -1, np.int64)
    for index, window in enumerate(windows):
        inside = np.arange(len(window))
        inside = np.minimum(inside, inside[::-1])
        frames = slice(window.start, window.stop)
        better = inside > depth[frames]
        owner[frames] = np.where(better, index, owner[frames])
        depth[frames] = np.maximum(inside, depth[frames])
    return owner


def choose_shift_frames(num_frames: int) -> list[int]:
    """Frames of a shot whose samples say by how much its depths are to be shifted; no others are looked at."""
    some = np.unique(np.linspace(0, num_frames - 1, min(num_frames, MAX_SHIFT_FRAMES)).round().astype(int))
    return list(some.tolist())


def _find_shift(
    windows: list[Window],
    alignments: list[Alignment],
    owner: Int64[np.ndarray, "T"],
    intrinsics: Float[Tensor, "T 3 3"],
    size: tuple[int, int],
) -> float:
    some = choose_shift_frames(len(owner))
    samples, used = [], []
    for frame, index in zip(some, owner[some].tolist(), strict=True):
        row = frame - windows[index].frames.start
        samples.append(alignments[index].resize_points(windows[index].samples[row].double()))
        used.append(windows[index].sampled[row])
    return float(recover_shift_of_samples(torch.stack(samples), torch.stack(used), size, intrinsics[some]))


def _close_path(
    windows: list[Window],
    alignments: list[Alignment],
    owner: Int64[np.ndarray, "T"],
    own_rows: list[np.ndarray],
    loops: Sequence[Loop],
) -> tuple[list[Alignment], Float[Tensor, "T 4 4"], int]:
    """Cameras of all frames, after loops were closed with so many of them; windows have the scale that goes with it.

    Args:
        own_rows: rows of each window that are taken from it.
    """
    c2w = torch.cat(
        [one.move(window.c2w)[rows] for one, window, rows in zip(alignments, windows, own_rows, strict=True)]
    )
    closed = close_loops(c2w, owner, [math.log(one.scale) for one in alignments], loops)
    if closed is None:
        return alignments, c2w, 0
    factors = closed.log_unit.exp().tolist()
    resized = [replace(one, scale=one.scale * factor) for one, factor in zip(alignments, factors, strict=True)]
    return resized, closed.c2w, closed.num_loops


def _average_motion(motions: Float[Tensor, "K 4 4"]) -> Float[Tensor, "4 4"]:
    """Chordal mean of the rotations (nearest rotation to their average), mean of the translations."""
    u, _, vh = torch.linalg.svd(motions[:, :3, :3].mean(0))
    sign = torch.det(u @ vh)
    rotation = u @ torch.diag(torch.stack([torch.ones_like(sign), torch.ones_like(sign), sign])) @ vh
    return make_rigid(rotation, motions[:, :3, 3].mean(0))


def _gather(values: list[Tensor | None], own_rows: list[np.ndarray]) -> Tensor | None:
    """Of (P, N, …) of every window the frames that are taken from it, along time."""
    known = [(value, torch.from_numpy(rows)) for value, rows in zip(values, own_rows, strict=True) if value is not None]
    return torch.cat([value[:, rows] for value, rows in known], dim=1) if known else None


def _average_betas(windows: list[Window], valid: Bool[Tensor, "P T"]) -> Float[Tensor, "P 10"] | None:
    known = [(window.frames, window.betas) for window in windows if window.betas is not None]
    if not known:
        return None
    betas = torch.stack([one for _, one in known])
    seen = torch.stack([valid[:, frames.start : frames.stop].sum(1) for frames, _ in known]).to(betas)
    weights = seen / seen.sum(0).clamp_min(1)
    return (betas * weights[..., None]).sum(0)
