"""Camera poses that agree best with measured relative poses, some of which may be wrong; SciPy's sparse algebra.

Lengths may be told in several units, whose ratios are unknown, too: with one unit for every piece of a path this is the
graph of Strasdat, Montiel & Davison, "Scale drift-aware large scale monocular SLAM", 2010. Computed in float64.

Legend: T poses, E edges, U units, Q ratios.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from numpy import ndarray
from scipy.sparse import coo_array, csc_array
from scipy.sparse.linalg import splu
from torch import Tensor

from unish.geometry.rigid import make_rigid
from unish.geometry.robust import CAUCHY_SCALE
from unish.geometry.rotation import axis_angle_to_matrix, inverse_right_jacobian, matrix_to_axis_angle

NUM_STEPS = 12
_DAMPING = 1e-9


@dataclass(frozen=True, kw_only=True)
class PoseEdges:
    """Measured poses of one camera relative to another.

    Attributes:
        first, second: numbers of the poses.
        relative: (E, 4, 4) points of the second camera to the first one, lengths in ``unit``.
        unit: number of the unit of each.
        sigma_turn, sigma_place: 1σ of each component of the rotation vector (radians) and of the translation, in units
            of the poses that the solver starts from.
        doubted: may be wrong in any way.
    """

    first: Int64[Tensor, "E"]
    second: Int64[Tensor, "E"]
    relative: Float[Tensor, "E 4 4"]
    unit: Int64[Tensor, "E"]
    sigma_turn: Float[Tensor, "E"]
    sigma_place: Float[Tensor, "E"]
    doubted: Bool[Tensor, "E"]


@dataclass(frozen=True, kw_only=True)
class UnitRatios:
    """Measured ratios of units.

    Attributes:
        first, second: numbers of the units.
        log_ratio: log of the second over the first, each over what it is where the solver starts.
        sigma: 1σ of it.
        doubted: may be wrong in any way.
    """

    first: Int64[Tensor, "Q"]
    second: Int64[Tensor, "Q"]
    log_ratio: Float[Tensor, "Q"]
    sigma: Float[Tensor, "Q"]
    doubted: Bool[Tensor, "Q"]


def solve_pose_graph(
    c2w: Float[Tensor, "T 4 4"], edges: PoseEdges, ratios: UnitRatios, num_units: int
) -> tuple[Float[Tensor, "T 4 4"], Float[Tensor, "U"]]:
    """Gauss–Newton with a fixed number of steps; what is doubted loses its say as it disagrees (Cauchy).

    Args:
        c2w: where to start. The first pose and the first unit stay; edges and ratios must join all others to them.

    Returns:
        The poses, and the log of each unit over what it was.
    """
    rotation, place = c2w[:, :3, :3].double(), c2w[:, :3, 3].double()
    log_unit = torch.zeros(num_units, dtype=torch.float64)
    kept = np.r_[6 : 6 * len(c2w), 6 * len(c2w) + 1 : 6 * len(c2w) + num_units]
    for _ in range(NUM_STEPS):
        jacobian, residual = _linearise(rotation, place, log_unit, edges, ratios)
        jacobian = jacobian[:, kept]
        normal = csc_array(jacobian.T @ jacobian)
        diagonal = normal.diagonal()
        normal.setdiag(diagonal * (1 + _DAMPING) + _DAMPING)
        step = np.zeros(6 * len(c2w) + num_units)
        step[kept] = -splu(normal).solve(jacobian.T @ residual)
        of_poses = torch.from_numpy(step[: 6 * len(c2w)]).unflatten(0, (-1, 6))
        rotation = axis_angle_to_matrix(of_poses[:, :3]) @ rotation
        place = place + of_poses[:, 3:]
        log_unit = log_unit + torch.from_numpy(step[6 * len(c2w) :])
    return make_rigid(rotation, place).to(c2w), log_unit.to(c2w)


def _linearise(
    rotation: Float[Tensor, "T 3 3"],
    place: Float[Tensor, "T 3"],
    log_unit: Float[Tensor, "U"],
    edges: PoseEdges,
    ratios: UnitRatios,
) -> tuple[csc_array, Float[ndarray, "R"]]:
    """Derivatives and residuals in standard deviations, the roots of the robust weights multiplied in.

    A pose goes to [exp(ω)·R | p + δ]. Columns: ω and δ of every pose, then the units.
    """
    first, second = edges.first, edges.second
    wanted, turned = edges.relative[:, :3, :3].double(), rotation[first].mT
    apart = place[second] - place[first]
    length = edges.relative[:, :3, 3].double() * log_unit[edges.unit].exp()[:, None]
    off_turn = matrix_to_axis_angle(wanted.mT @ turned @ rotation[second])
    off_place = (turned @ apart[..., None])[..., 0] - length
    identity = torch.eye(3, dtype=torch.float64).expand_as(turned)
    zero = torch.zeros_like(turned)
    by_turn = inverse_right_jacobian(off_turn) @ rotation[second].mT
    by_first = turned @ torch.linalg.cross(apart[:, None], identity, dim=-1).mT
    blocks = torch.cat(
        [
            torch.cat([-by_turn, zero, by_turn, zero, zero[..., :1]], dim=-1),
            torch.cat([by_first, -turned, torch.zeros_like(turned), turned, -length[..., None]], dim=-1),
        ],
        dim=1,
    )
    sigma = torch.stack([edges.sigma_turn, edges.sigma_place], dim=-1).double().repeat_interleave(3, dim=1)
    residual = torch.cat([off_turn, off_place], dim=-1) / sigma
    weight = torch.where(edges.doubted, _fade(residual.square().mean(-1)), 1.0).sqrt()
    blocks, residual = blocks * (weight[:, None] / sigma)[..., None], residual * weight[:, None]
    six = torch.arange(6)
    columns = torch.cat(
        [6 * first[:, None] + six, 6 * second[:, None] + six, 6 * len(place) + edges.unit[:, None]], dim=1
    )

    of_ratio = (log_unit[ratios.second] - log_unit[ratios.first] - ratios.log_ratio.double()) / ratios.sigma.double()
    share = torch.where(ratios.doubted, _fade(of_ratio.square()), 1.0).sqrt()
    slopes = torch.stack([-share / ratios.sigma, share / ratios.sigma], dim=-1).double()
    of_units = 6 * len(place) + torch.stack([ratios.first, ratios.second], dim=-1)

    num_rows, num_columns = residual.numel() + len(of_ratio), 6 * len(place) + len(log_unit)
    rows = torch.arange(residual.numel()).reshape(-1, 6, 1).expand_as(blocks)
    ratio_rows = residual.numel() + torch.arange(len(of_ratio))[:, None].expand_as(slopes)
    values = torch.cat([blocks.flatten(), slopes.flatten()])
    places = (
        torch.cat([rows.flatten(), ratio_rows.flatten()]).numpy(),
        torch.cat([columns[:, None].expand_as(blocks).flatten(), of_units.flatten()]).numpy(),
    )
    jacobian = coo_array((values.numpy(), places), shape=(num_rows, num_columns))
    return csc_array(jacobian), torch.cat([residual.flatten(), of_ratio * share]).numpy()


def _fade(squared: Float[Tensor, "N"]) -> Float[Tensor, "N"]:
    """Weight of a residual in standard deviations."""
    return 1.0 / (1.0 + squared / CAUCHY_SCALE**2)
