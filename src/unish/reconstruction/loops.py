"""A camera that comes back: what its path misses by is shared out over the path, where that is sure to be better.

Loops are pairs of frames, far apart in time, that show the same place; how one camera stands to the other was measured
by their matches. The path along the windows is kept, to the bit, unless loops say that it is wrong by more than they
may be, and by no more than such a path may drift: beyond, two places look alike.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from unish.geometry.pose_graph import PoseEdges, UnitRatios, solve_pose_graph
from unish.geometry.rigid import invert_rigid, make_rigid
from unish.geometry.rotation import rotation_angle

STEP_TURN_DEG, STEP_TURN_SHARE = 0.1, 0.02
"""1σ of the turn from frame to frame within a window: degrees, and a share of the turn."""

STEP_SHARE, STEP_OF_DISTANCE = 0.05, 0.001
"""1σ of how far the camera goes from frame to frame: a share of it, and of the distance of the scene."""

SEAM_SIGMA = 0.04
"""1σ of the log ratio of the units of two neighbouring windows."""

LOOP_TURN_DEG, LOOP_SHARE, LOOP_OF_DISTANCE, LOOP_UNIT = 0.5, 0.05, 0.01, 0.03
"""The same of a loop, which may have any length: turn, a share of its length and of the distance, log ratio."""

MIN_SIGMAS = 3.0
"""Loops that miss the path by less than so many of their own σ have nothing to mend."""

MAX_TURN_DEG, MAX_DRIFT, MAX_LOG_UNIT = 15.0, 0.15, 0.35
"""What a path may be wrong by between the two frames of a loop: turn, a share of how far it went from either, log
factor."""

MIN_LOOPS = 2
"""A single pair of frames may be mistaken."""

_AT_REST = 1e-5
"""Radians, or a share of the distance of the scene: less than a camera that moves, more than rounding."""


@dataclass(frozen=True, kw_only=True)
class Loop:
    """Two frames of a shot that show the same place, and how the second camera stands to the first.

    Attributes:
        first, second: frames of the shot.
        relative: points of the second camera to the first one, in the unit of the window from which the first frame is
            taken (``stitch.choose_owner``).
        log_ratio: log of a depth of the place in that unit over the same depth in the unit of the window of the second.
        distance: median depth of the matches, in the unit of ``relative``.
    """

    first: int
    second: int
    relative: Float[Tensor, "4 4"]
    log_ratio: float
    distance: float


@dataclass(frozen=True, kw_only=True)
class ClosedPath:
    """Poses of all frames after loops were closed, log of each window's unit over what it was, and how many loops."""

    c2w: Float[Tensor, "T 4 4"]
    log_unit: Float[Tensor, "W"]
    num_loops: int


def close_loops(
    c2w: Float[Tensor, "T 4 4"],
    owner: Int64[np.ndarray, "T"],
    log_scale: Sequence[float],
    loops: Sequence[Loop],
) -> ClosedPath | None:
    """The path that agrees with its own steps and with the loops; ``None`` where the path stays as it is.

    Args:
        c2w: along the windows, in the unit of the shot.
        owner: window that each frame is taken from.
        log_scale: log factor from the unit of each window to that of the shot.
    """
    if not loops:
        return None
    window = torch.from_numpy(owner)
    measured, ratios = _read_loops(loops, window, torch.tensor(log_scale, dtype=torch.float64))
    likely, wrong = _judge(c2w.double(), measured, ratios)
    if int((likely & wrong).sum()) < MIN_LOOPS:
        return None
    distance = float(torch.tensor([loop.distance * math.exp(log_scale[owner[loop.first]]) for loop in loops]).median())
    steps, seams = _make_steps(c2w.double(), window, distance), _make_seams(len(log_scale))
    edges, units = _join(steps, _pick(measured, likely)), _join(seams, _pick(ratios, likely))
    closed, log_unit = solve_pose_graph(c2w, edges, units, len(log_scale))
    return ClosedPath(c2w=closed, log_unit=log_unit, num_loops=int(likely.sum()))


def _read_loops(
    loops: Sequence[Loop], window: Int64[Tensor, "T"], log_scale: Float[Tensor, "W"]
) -> tuple[PoseEdges, UnitRatios]:
    """Loops in the unit of the shot, as each window tells it."""
    first, second = (torch.tensor([getattr(loop, end) for loop in loops]) for end in ("first", "second"))
    log_ratio, distance = (
        torch.tensor([getattr(loop, name) for loop in loops], dtype=torch.float64) for name in ("log_ratio", "distance")
    )
    units, others = window[first], window[second]
    relative, scale = torch.stack([loop.relative for loop in loops]).double(), log_scale[units].exp()
    relative = make_rigid(relative[:, :3, :3], relative[:, :3, 3] * scale[:, None])
    doubted = torch.ones(len(loops), dtype=torch.bool)
    edges = PoseEdges(
        first=first,
        second=second,
        relative=relative,
        unit=units,
        sigma_turn=torch.full_like(scale, math.radians(LOOP_TURN_DEG)),
        sigma_place=LOOP_OF_DISTANCE * distance * scale + LOOP_SHARE * relative[:, :3, 3].norm(dim=-1),
        doubted=doubted,
    )
    ratios = UnitRatios(
        first=units,
        second=others,
        log_ratio=log_ratio + log_scale[units] - log_scale[others],
        sigma=torch.full_like(scale, LOOP_UNIT),
        doubted=doubted,
    )
    return edges, ratios


def _judge(
    path: Float[Tensor, "T 4 4"], measured: PoseEdges, ratios: UnitRatios
) -> tuple[Bool[Tensor, "L"], Bool[Tensor, "L"]]:
    """Loops that may be right, and loops that say that the path is wrong."""
    found = invert_rigid(path[measured.first]) @ path[measured.second]
    turn = rotation_angle(measured.relative[:, :3, :3].mT @ found[:, :3, :3])
    apart = (found[:, :3, 3] - measured.relative[:, :3, 3]).norm(dim=-1)
    likely = (turn < math.radians(MAX_TURN_DEG)) & (ratios.log_ratio.abs() < MAX_LOG_UNIT)
    likely &= apart < measured.sigma_place + MAX_DRIFT * _measure_extent(path, measured.first, measured.second)
    wrong = (turn > MIN_SIGMAS * measured.sigma_turn) | (apart > MIN_SIGMAS * measured.sigma_place)
    return likely, wrong | (ratios.log_ratio.abs() > MIN_SIGMAS * ratios.sigma)


def _make_steps(path: Float[Tensor, "T 4 4"], window: Int64[Tensor, "T"], distance: float) -> PoseEdges:
    """The path as it is, from frame to frame, in a scene at this distance. A camera at rest, and one that only turns,
    were recognised: they stay so."""
    frames = torch.arange(len(path) - 1)
    relative = invert_rigid(path[:-1]) @ path[1:]
    turn, length = rotation_angle(relative[:, :3, :3]), relative[:, :3, 3].norm(dim=-1)
    sigma_turn = math.radians(STEP_TURN_DEG) + STEP_TURN_SHARE * turn
    sigma_place = STEP_SHARE * length + STEP_OF_DISTANCE * distance
    return PoseEdges(
        first=frames,
        second=frames + 1,
        relative=relative,
        unit=window[1:],
        sigma_turn=torch.where(turn > _AT_REST, sigma_turn, _AT_REST),
        sigma_place=torch.where(length > _AT_REST * distance, sigma_place, _AT_REST * distance),
        doubted=torch.zeros_like(frames, dtype=torch.bool),
    )


def _make_seams(num_windows: int) -> UnitRatios:
    """The units of the windows as they are, from each to the next."""
    seams = torch.arange(num_windows - 1)
    return UnitRatios(
        first=seams,
        second=seams + 1,
        log_ratio=torch.zeros(len(seams), dtype=torch.float64),
        sigma=torch.full((len(seams),), SEAM_SIGMA, dtype=torch.float64),
        doubted=torch.zeros_like(seams, dtype=torch.bool),
    )


Measurements = TypeVar("Measurements", PoseEdges, UnitRatios)


def _pick(all_of: Measurements, chosen: Bool[Tensor, "N"]) -> Measurements:
    return replace(all_of, **{name: value[chosen] for name, value in vars(all_of).items()})


def _join(some: Measurements, others: Measurements) -> Measurements:
    return replace(some, **{name: torch.cat([value, getattr(others, name)]) for name, value in vars(some).items()})


def _measure_extent(
    path: Float[Tensor, "T 4 4"], first: Int64[Tensor, "L"], second: Int64[Tensor, "L"]
) -> Float[Tensor, "L"]:
    """How far the camera went from either end between the two frames."""
    places = path[:, :3, 3]
    extents = [
        torch.cdist(places[[i, j]], places[i : j + 1]).amax()
        for i, j in zip(first.tolist(), second.tolist(), strict=True)
    ]
    return torch.stack(extents)
