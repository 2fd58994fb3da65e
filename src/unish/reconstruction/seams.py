"""Windows whose cameras do not move draw a scene in another way than the others: brought together, level by level.

Where the camera moves, parallax tells the depth of a window but for its unit. Where it does not, the network's
experience does, and near and far are then off by different factors: no single scale joins such a window to its
neighbours, and walls jump where one window follows another. The frames that two windows share show the same places, so
their depths tell a curve.
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray
from torch import Tensor

from unish.geometry.block_tridiagonal import solve_block_tridiagonal
from unish.reconstruction.depth_curve import MAX_SLOPE, NUM_KNOTS, DepthCurve, hat_weights
from unish.reconstruction.window import Window

SEAM_SIGMA = 0.03
"""1σ of the log ratio of two windows at one level of depth: by how much it changes from frame to frame."""

OFFSET_SIGMA, SLOPE_SIGMA = 0.15, 0.3
"""1σ of a window's log factor, and of its change per unit of log depth: what its neighbours have to overcome."""

MOVING_SIGMA = 1e-4
"""Of both, in a window whose cameras move."""


def bend_windows(windows: list[Window], log_scale: list[float]) -> list[DepthCurve | None]:
    """For every window the curve that its depth goes along after scaling; ``None`` where it stays as it is.

    Linear least squares over the offsets of all windows at common knots: those whose cameras move stay, the others
    agree with their neighbours.

    Args:
        log_scale: log factor from the unit of each window to that of the shot.
    """
    links = [window.link for window in windows[1:]]
    levels = [torch.zeros(0, 2) if link is None else link.levels for link in links]
    seams = [(index, one.double().numpy()) for index, one in enumerate(levels) if len(one)]
    if not seams or all(window.moves for window in windows):
        return [None] * len(windows)
    here = [levels[:, 0] + log_scale[index + 1] for index, levels in seams]
    there = [levels.sum(1) + log_scale[index] for index, levels in seams]
    every = np.concatenate([*here, *there])
    low, high = float(every.min()), max(float(every.max()), float(every.min()) + 0.1)
    knots = torch.linspace(low, high, NUM_KNOTS, dtype=torch.float64)
    diagonal = torch.stack([_expect(knots, moves=window.moves) for window in windows])
    upper = torch.zeros(len(links), NUM_KNOTS, NUM_KNOTS, dtype=torch.float64)
    right = torch.zeros(len(windows), NUM_KNOTS, 1, dtype=torch.float64)
    for (index, _), after, before in zip(seams, here, there, strict=True):
        # before + offset of the earlier window = after + offset of the later one
        earlier, later = _weigh(before, knots), _weigh(after, knots)
        gap = torch.from_numpy(after - before)[:, None] / SEAM_SIGMA
        diagonal[index] += earlier.mT @ earlier
        diagonal[index + 1] += later.mT @ later
        upper[index] -= earlier.mT @ later
        right[index] += earlier.mT @ gap
        right[index + 1] -= later.mT @ gap
    offsets = solve_block_tridiagonal(diagonal, upper, right)[..., 0]
    return [
        None if window.moves else DepthCurve(knots=knots.float(), offsets=_hold_rising(own, knots).float())
        for window, own in zip(windows, offsets, strict=True)
    ]


def _expect(knots: Float[Tensor, "K"], *, moves: bool) -> Float[Tensor, "K K"]:
    """Normal matrix of what is expected of offsets: that they and their slope are near 0."""
    unit = torch.eye(len(knots), dtype=torch.float64)
    slope = unit.diff(dim=0) / (knots[1] - knots[0])
    rows = torch.cat(
        [
            unit / (MOVING_SIGMA if moves else OFFSET_SIGMA) / len(knots) ** 0.5,
            slope / (MOVING_SIGMA if moves else SLOPE_SIGMA),
        ]
    )
    return rows.mT @ rows


def _weigh(log_depth: Float[ndarray, "L"], knots: Float[Tensor, "K"]) -> Float[Tensor, "L K"]:
    return hat_weights(torch.from_numpy(log_depth), knots) / SEAM_SIGMA


def _hold_rising(offsets: Float[Tensor, "K"], knots: Float[Tensor, "K"]) -> Float[Tensor, "K"]:
    """Depth after the curve must rise with depth before it."""
    most = MAX_SLOPE * float(knots[1] - knots[0])
    risen = torch.cat([torch.zeros(1, dtype=offsets.dtype), offsets.diff().clamp(-most, most).cumsum(0)])
    return risen - risen.mean() + offsets.mean()
