"""A camera that comes back: what its path misses by is shared out over the path, where that is sure to be better.

Loops are pairs of frames, far apart in time, that show the same place; how one camera stands to the other was measured
by their matches. The path along the windows is kept, to the bit, unless loops say that it is wrong by more than they
may be, and by no more than such a path may drift: beyond, two places look alike.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from unish.geometry.pose_graph import PoseEdges, UnitRatios, solve_pose_graph
from unish.geometry.rigid import invert_rigid
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
    first, second = (torch.tensor([getattr(loop, end) for loop in loops]) for end in ("first", "second"))
    window = torch.from_numpy(owner)
    scale = torch.tensor(log_scale, dtype=torch.float64)
    unit = scale[window[first]].exp()
    relative = torch.stack([loop.relative for loop in loops]).double()
    relative[:, :3, 3] *= unit[:, None]
    # Of the units that the solver works with: that of the shot, as each window tells it.
    log_ratio = torch.tensor([loop.log_ratio for loop in loops], dtype=torch.float64)
    log_ratio = log_ratio + scale[window[first]] - scale[window[second]]
    distance = torch.tensor([loop.distance for loop in loops], dtype=torch.float64) * unit
    sigma_place = LOOP_OF_DISTANCE * distance + LOOP_SHARE * relative[:, :3, 3].norm(dim=-1)
    path = c2w.double()
    missed = invert_rigid(path[first]) @ path[second]
    turn = rotation_angle(relative[:, :3, :3].mT @ missed[:, :3, :3]).rad2deg()
    apart = (missed[:, :3, 3] - relative[:, :3, 3]).norm(dim=-1)
    likely = (turn < MAX_TURN_DEG) & (log_ratio.abs() < MAX_LOG_UNIT)
    likely &= apart < sigma_place + MAX_DRIFT * _measure_extent(path, first, second)
    wrong = (turn > MIN_SIGMAS * LOOP_TURN_DEG) | (apart > MIN_SIGMAS * sigma_place)
    wrong |= log_ratio.abs() > MIN_SIGMAS * LOOP_UNIT
    if int((likely & wrong).sum()) < MIN_LOOPS:
        return None
    steps = _make_steps(path, window, float(distance.median()))
    sigma_turn = torch.full_like(sigma_place, math.radians(LOOP_TURN_DEG))
    edges = PoseEdges(
        first=torch.cat([steps.first, first[likely]]),
        second=torch.cat([steps.second, second[likely]]),
        relative=torch.cat([steps.relative, relative[likely]]),
        unit=torch.cat([steps.unit, window[first[likely]]]),
        sigma_turn=torch.cat([steps.sigma_turn, sigma_turn[likely]]),
        sigma_place=torch.cat([steps.sigma_place, sigma_place[likely]]),
        doubted=torch.cat([steps.doubted, torch.ones_like(first[likely], dtype=torch.bool)]),
    )
    seams = torch.arange(len(log_scale) - 1)
    ratios = UnitRatios(
        first=torch.cat([seams, window[first[likely]]]),
        second=torch.cat([seams + 1, window[second[likely]]]),
        log_ratio=torch.cat([torch.zeros(len(seams), dtype=torch.float64), log_ratio[likely]]),
        sigma=torch.cat([torch.full((len(seams),), SEAM_SIGMA), torch.full((int(likely.sum()),), LOOP_UNIT)]),
        doubted=torch.cat([torch.zeros_like(seams, dtype=torch.bool), likely[likely]]),
    )
    closed, log_unit = solve_pose_graph(c2w, edges, ratios, len(log_scale))
    return ClosedPath(c2w=closed, log_unit=log_unit, num_loops=int(likely.sum()))


def _make_steps(path: Float[Tensor, "T 4 4"], window: Int64[Tensor, "T"], distance: float) -> PoseEdges:
    """The path as it is, from frame to frame, in a scene at this distance."""
    frames = torch.arange(len(path) - 1)
    relative = invert_rigid(path[:-1]) @ path[1:]
    turn = rotation_angle(relative[:, :3, :3])
    length = relative[:, :3, 3].norm(dim=-1)
    return PoseEdges(
        first=frames,
        second=frames + 1,
        relative=relative,
        unit=window[1:],
        sigma_turn=math.radians(STEP_TURN_DEG) + STEP_TURN_SHARE * turn,
        sigma_place=STEP_SHARE * length + STEP_OF_DISTANCE * distance,
        doubted=torch.zeros_like(frames, dtype=torch.bool),
    )


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
