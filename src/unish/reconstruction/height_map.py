"""The local height of the ground of a shot, on a grid over the horizontal plane: stairs, ramps, kerbs, walls."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from unish.geometry.plane import level_axes
from unish.geometry.statistics import weighted_quantile
from unish.reconstruction.ground import Ground
from unish.reconstruction.static_points import LEVEL_COSINE, StaticPoints

MAX_CELLS = 128
"""Along one side of the grid."""

MIN_STEP_M = 0.05
AROUND_PEOPLE_M = 3.0
"""So far from where people stand the grid goes."""

MAX_EXTENT_M = 40.0
"""Side of the grid, at most; what is farther from its middle is left out."""

LOWEST = 0.3
"""Share of the weight of a cell's points, from below, at which its ground is looked for: the floor rather than the
table over it."""

THICK_M, THICK_SHARE = 0.03, 0.01
"""Points belong to the ground of their cell within this many metres, and this share of their depth, of it."""

SPREAD_M = 0.05
"""Standard deviation of the heights in a cell that halves its confidence."""

FEW_POINTS = 4
"""So many points give half of the confidence that any number could."""

FOOT_REACH_M = 0.12
"""Around the place of a foot that stands: as large is what it stands on, at least."""

FOOT_CONFIDENCE, BOTH_CONFIDENCE = 0.9, 1.0
"""Of the height of a cell that feet tell alone, and with points of the scene that agree with them."""

TRUSTED = 0.3
"""Confidence from which on the height of a cell can be relied on."""


@dataclass(frozen=True, kw_only=True)
class HeightMap:
    """Heights over the horizontal plane of a shot. The middle of cell (i, j) is at

        world = (x₀ + (j + ½) s) · right + (z₀ + (i + ½) s) · ahead + (reference + height) · up

    with up against gravity, ahead the level part of the first camera's viewing direction (of its picture's up where it
    looks down or up steeply), and right × up = −ahead, so that (right, down, ahead) is a right-handed frame.

    Attributes:
        height: over ``reference``, metres; NaN where nothing was seen.
        confidence: 0..1; 0 where nothing was seen.
        grid: x₀ and z₀ (metres), step s (metres), and the reference: height of the floor at the foot of the world's
            origin; 0, the origin itself, where no floor is known.
        axes: (3, 3) rows right, up, ahead, in the world.
    """

    height: Float[Tensor, "h w"]
    confidence: Float[Tensor, "h w"]
    grid: Float[Tensor, "4"]
    axes: Float[Tensor, "3 3"]

    def sample(self, points: Float[Tensor, "N 3"]) -> tuple[Float[Tensor, "N"], Float[Tensor, "N"]]:
        """Height of the ground over the reference at the places of points, and its confidence.

        Those of the cell, or where that is not ``TRUSTED``, of the most confident one beside it: far from the camera
        not every cell is hit by a pixel. NaN and 0 off the grid.
        """
        step = self.grid[2] * torch.tensor([-1.0, 0.0, 1.0])
        around = torch.cartesian_prod(step, step) @ self.axes[[0, 2]]
        row, column, inside = self._find_cells((points[:, None] + around).flatten(0, 1))
        confidence = torch.where(inside, self.confidence[row, column], 0.0).view(-1, len(around))
        height = torch.where(inside, self.height[row, column], torch.nan).view(-1, len(around))
        middle = len(around) // 2
        best = torch.where(confidence[:, middle] >= TRUSTED, middle, confidence.argmax(1))[:, None]
        return height.gather(1, best)[:, 0], confidence.gather(1, best)[:, 0]

    def stamp(
        self, places: Float[Tensor, "N 3"], heights: Float[Tensor, "N"], confirmed: Bool[Tensor, "N"]
    ) -> HeightMap:
        """With what feet say that stand at places, on ground of these heights over the reference; of several in one
        cell the highest counts, since it carries.

        Args:
            confirmed: whether points of the scene show the same.
        """
        across = int(FOOT_REACH_M / float(self.grid[2]))
        steps = torch.arange(-across, across + 1) * self.grid[2]
        around = torch.cartesian_prod(steps, steps)
        around = around[around.norm(dim=-1) <= FOOT_REACH_M]
        shifts = around @ self.axes[[0, 2]]
        row, column, inside = self._find_cells((places[:, None] + shifts).flatten(0, 1))
        cell = (row * self.height.shape[1] + column)[inside]
        whose = torch.arange(len(places))[:, None].expand(-1, len(shifts)).flatten()[inside]
        best = torch.full((self.height.numel(),), -torch.inf).scatter_reduce_(0, cell, heights[whose], "amax")
        carries = heights[whose] == best[cell]
        sure = torch.where(confirmed[whose], BOTH_CONFIDENCE, FOOT_CONFIDENCE)[carries]
        confidence = self.confidence.flatten().index_fill(0, cell, 0.0)
        confidence = confidence.scatter_reduce(0, cell[carries], sure, "amax").view_as(self.confidence)
        return replace(
            self,
            height=torch.where(best.isfinite(), best, self.height.flatten()).view_as(self.height),
            confidence=confidence,
        )

    def _find_cells(
        self, points: Float[Tensor, "N 3"]
    ) -> tuple[Int64[Tensor, "N"], Int64[Tensor, "N"], Bool[Tensor, "N"]]:
        """Row and column of the cell of each point, the nearest one of the grid, and whether it is inside."""
        flat = points @ self.axes[[2, 0]].mT
        cell = ((flat - self.grid[[1, 0]]) / self.grid[2]).floor().nan_to_num(-1.0).clamp(-1, 2 * MAX_CELLS).long()
        size = torch.tensor(self.height.shape)
        inside = ((cell >= 0) & (cell < size)).all(-1)
        row, column = cell.clamp_min(0).minimum(size - 1).unbind(-1)
        return row, column, inside


def map_heights(static: StaticPoints, ground: Ground, *, around: Float[Tensor, "N 3"]) -> HeightMap:
    """The ground that points of the scene show, fused over the frames that saw it.

    Of the points of a cell that lie on level surfaces, the lower ones are its ground: the confidence-weighted mean of
    those near the ``LOWEST`` quantile of their heights. A cell's confidence is their mean confidence, times
    n / (n + ``FEW_POINTS``) for n points, over 1 + (standard deviation / ``SPREAD_M``)².

    Args:
        ground: with known gravity.
        around: places where people stand, world, metres; without any the grid holds what was seen.
    """
    axes = level_axes(ground.gravity)
    level = static.pick(static.normals @ axes[1] > LEVEL_COSINE)
    reference = torch.where(ground.floor[3].isfinite(), -ground.floor[3], 0.0)
    place, height = level.points @ axes[[0, 2]].mT, level.points @ axes[1] - reference
    origin, step, (rows, columns) = _lay_grid(place, around @ axes[[0, 2]].mT)
    cell = ((place - origin) / step).floor().long()
    inside = ((cell >= 0) & (cell < torch.tensor([columns, rows]))).all(-1)
    index, height, depth = (cell[:, 1] * columns + cell[:, 0])[inside], height[inside], level.depth[inside]
    weights = level.conf[inside]
    bottom = _quantile_of_cells(index, height, weights, rows * columns)
    near = (height - bottom[index]).abs() < THICK_M + step / 2 + THICK_SHARE * depth
    index, height, weights = index[near], height[near], weights[near]

    def add(values: Float[Tensor, "M"]) -> Float[Tensor, "C"]:
        return torch.zeros(rows * columns).index_add_(0, index, values)

    total, count = add(weights), add(torch.ones_like(weights))
    mean = add(weights * height) / total
    variance = add(weights * (height - mean[index]).square()) / total
    confidence = total / (count + FEW_POINTS) / (1 + variance / SPREAD_M**2)
    seen = count > 0
    return HeightMap(
        height=torch.where(seen, mean, torch.nan).view(rows, columns),
        confidence=torch.where(seen, confidence, 0.0).view(rows, columns),
        grid=torch.tensor([*origin.tolist(), step, float(reference)]),
        axes=axes,
    )


def _lay_grid(
    place: Float[Tensor, "N 2"], around: Float[Tensor, "M 2"]
) -> tuple[Float[Tensor, "2"], float, tuple[int, int]]:
    """Lower corner (x, z), step, rows and columns of a grid around ``around``, or of most places without these."""
    around = around[around.isfinite().all(-1)]
    if len(around):
        low, high = around.amin(0) - AROUND_PEOPLE_M, around.amax(0) + AROUND_PEOPLE_M
    elif len(place):
        share = torch.ones_like(place.mT)
        low, high = (weighted_quantile(place.mT, share, at) for at in (0.01, 0.99))
    else:
        low, high = torch.zeros(2, 2)
    middle = (low + high) / 2
    low, high = low.clamp_min(middle - MAX_EXTENT_M / 2), high.clamp_max(middle + MAX_EXTENT_M / 2)
    step = max(MIN_STEP_M, float((high - low).max()) / MAX_CELLS)
    columns, rows = ((high - low) / step - 1e-4).ceil().long().clamp(1, MAX_CELLS).tolist()
    return low, step, (rows, columns)


def _quantile_of_cells(
    index: Int64[Tensor, "N"], height: Float[Tensor, "N"], weights: Float[Tensor, "N"], count: int
) -> Float[Tensor, "C"]:
    """Height at which ``LOWEST`` of the weight of each cell lies below; NaN of empty cells."""
    order = height.argsort(stable=True)
    order = order[index[order].argsort(stable=True)]
    index, height, running = index[order], height[order], weights[order].double().cumsum(0)
    total = torch.zeros(count, dtype=torch.float64).index_add_(0, index, weights[order].double())
    target = total.cumsum(0) - (1 - LOWEST) * total
    at = torch.searchsorted(running, target).clamp_max(max(len(height) - 1, 0))
    return torch.where(total > 0, height[at], torch.nan) if len(height) else torch.full((count,), torch.nan)
