"""From weighted matches to cameras: closed form and unrolled Gauss–Newton steps, differentiable, in the forward pass.

The points come from the depth of the scene branch. Each pair of frames is solved alone (rotation that aligns the
viewing rays, then a linear translation, then Gauss–Newton on the robust reprojection error); a pose graph over all
pairs then gives one camera per frame, where the bundle adjustment of ``view_solver`` starts.

Legend: E pairs (any leading batch), Q matches of a pair, N frames. ``first_to_second`` maps points of the first camera
of a pair into the second. A twist is (translation, rotation vector), applied from the left: T ← exp(twist)·T.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from unish.geometry.rigid import (
    exp_twist,
    invert_rigid,
    log_rigid,
    make_rigid,
    rigid_adjoint,
    transform_points,
    twist_between,
)
from unish.geometry.rotation import nearest_rotation

_STEPS_WITH_GRADIENT = 2
_MIN_DEPTH = 0.05  # in units of the clip's mean depth: nothing nearer takes part in the solve


@dataclass(frozen=True, kw_only=True)
class PosePrior:
    """A Gaussian prior of the relative pose of each pair.

    Attributes:
        twist: (*E, 6), translation in units of the points given to the solver.
        precision: (*E, 6) > 0, comparable to one match of weight 1 per query.
    """

    twist: Float[Tensor, "*E 6"]
    precision: Float[Tensor, "*E 6"]


def solve_pairs(
    points: Float[Tensor, "*E Q 3"],
    target_rays: Float[Tensor, "*E Q 2"],
    weights: Float[Tensor, "*E Q"],
    prior: PosePrior,
    *,
    focal: Float[Tensor, "*E"],
    num_steps: int = 5,
) -> tuple[Float[Tensor, "*E 4 4"], Float[Tensor, "*E 6 6"]]:
    """Relative poses that move ``points`` (first camera) onto the rays on which the second camera observes them.

    Args:
        points: of order 1 in size (divide by the clip's mean depth first).
        target_rays: (x/z, y/z) in the second camera.
        weights: ≥ 0; all zero leaves the prior.
        focal: pixels, so that the robust threshold means pixels.

    Returns:
        ``first_to_second`` and the curvature of its twist (the weight of this pair in a pose graph).
    """
    prior_pose = exp_twist(prior.twist)
    pose = _initial_pose(points, target_rays, weights, prior_pose)
    # Wide at first, so that a rough initial pose keeps its matches; at the end a match that is a few pixels off counts
    # little.
    for number, threshold_px in enumerate(torch.linspace(8.0, 2.0, num_steps).tolist()):
        # At the optimum the gradient of the last steps is that of the solution; earlier steps only find it.
        with torch.set_grad_enabled(torch.is_grad_enabled() and number >= num_steps - _STEPS_WITH_GRADIENT):
            normal, gradient = _normal_equations(pose, points, target_rays, weights, threshold_px / focal)
            hessian = normal + torch.diag_embed(prior.precision)
            step = _solve_damped(hessian, gradient + prior.precision * twist_between(prior_pose, pose))
            pose = exp_twist(-step) @ pose
    return pose, hessian


def fuse_pairs(
    first_to_second: Float[Tensor, "B E 4 4"],
    curvature: Float[Tensor, "B E 6 6"],
    pairs: list[tuple[int, int]],
    *,
    start: Float[Tensor, "B N 4 4"],
    num_steps: int = 2,
) -> Float[Tensor, "B N 4 4"]:
    """One w2c per frame that agrees best with all pairs: Gauss–Newton on the pose graph.

    The error of an edge is log(T_ij · T_i · T_j⁻¹), weighted with its curvature.

    Args:
        start: the first pose stays.
    """
    poses, num_frames = start, start.shape[1]
    if len(pairs) < num_frames:
        return poses
    first, second = (torch.tensor(side, device=poses.device) for side in zip(*pairs, strict=True))
    for _ in range(num_steps):
        error = log_rigid(first_to_second @ poses[:, first] @ invert_rigid(poses[:, second]))  # (B, E, 6)
        # Moving frame i by a twist moves the error by Ad(T_ij)·twist; moving frame j by −twist.
        adjoint = rigid_adjoint(first_to_second)
        # A pair that disagrees with the rest beyond a few times the typical error is probably a false solution.
        size = error.norm(dim=-1)
        robust_weight = 1.0 / (1.0 + (size / (3.0 * size.median(dim=-1, keepdim=True).values + 1e-3)) ** 2)
        information = (curvature * robust_weight[..., None, None]).detach()
        blocks = _assemble_graph(adjoint, information, error, first, second, num_frames)
        twist = _solve_damped(*blocks).unflatten(-1, (num_frames - 1, 6))
        still = twist.new_zeros(twist.shape[0], 1, 6)
        poses = exp_twist(torch.cat([still, -twist], dim=1)) @ poses
    return poses


@torch.no_grad()
def _initial_pose(points: Tensor, target_rays: Tensor, weights: Tensor, prior_pose: Tensor) -> Tensor:
    """Rotation by Kabsch on unit viewing rays, then the translation that is linear given it; the prior breaks ties.

    No gradient: the Gauss–Newton steps forget where they started, and an SVD has no gradient at equal singular values.
    """
    target_directions = torch.nn.functional.normalize(_homogeneous(target_rays), dim=-1)
    directions = torch.nn.functional.normalize(points, dim=-1)
    covariance = target_directions.transpose(-1, -2) @ (directions * weights[..., None]) / points.shape[-2]
    rotation = nearest_rotation(covariance + 1e-4 * prior_pose[..., :3, :3])
    # (R·p + t) × ray = 0 for every match: normal equations of a 3-vector t.
    outer = target_directions[..., :, None] * target_directions[..., None, :]
    across = torch.eye(3, dtype=points.dtype, device=points.device) - outer
    across = across * weights[..., None, None]
    turned = points @ rotation.transpose(-1, -2)
    left = across.mean(-3) + 1e-4 * torch.eye(3, dtype=points.dtype, device=points.device)
    right = -(across @ turned[..., None])[..., 0].mean(-2) + 1e-4 * prior_pose[..., :3, 3]
    return make_rigid(rotation, torch.linalg.solve(left, right))


def _normal_equations(
    pose: Tensor, points: Tensor, target_rays: Tensor, weights: Tensor, threshold: Tensor
) -> tuple[Float[Tensor, "*E 6 6"], Float[Tensor, "*E 6"]]:
    """JᵀWJ and JᵀWr of the reprojection error, mean over the matches, Geman–McClure weights."""
    moved = transform_points(pose, points)
    depth = moved[..., 2].clamp_min(_MIN_DEPTH)
    projected = moved[..., :2] / depth[..., None]
    residual = projected - target_rays
    squared = residual.square().sum(-1) / threshold[..., None].square()
    usable = (moved[..., 2] > _MIN_DEPTH) & (points[..., 2] > _MIN_DEPTH)
    weight = weights * usable / (1.0 + squared.detach()).square()

    x, y, inverse = projected[..., 0], projected[..., 1], 1.0 / depth
    zero = torch.zeros_like(x)
    row_x = torch.stack([inverse, zero, -x * inverse, -x * y, 1.0 + x * x, -y], dim=-1)
    row_y = torch.stack([zero, inverse, -y * inverse, -1.0 - y * y, x * y, x], dim=-1)
    weighted_x, weighted_y = row_x * weight[..., None], row_y * weight[..., None]
    count = points.shape[-2]
    normal = (weighted_x.transpose(-1, -2) @ row_x + weighted_y.transpose(-1, -2) @ row_y) / count
    gradient = (weighted_x * residual[..., :1] + weighted_y * residual[..., 1:]).sum(-2) / count
    return normal, gradient


def _assemble_graph(
    adjoint: Tensor, information: Tensor, error: Tensor, first: Tensor, second: Tensor, num_frames: int
) -> tuple[Tensor, Tensor]:
    """Normal equations of the pose graph, the first frame fixed: (B, 6(N−1), 6(N−1)) and (B, 6(N−1))."""
    frames = torch.arange(1, num_frames, device=error.device)
    moves_first = (first[:, None] == frames).to(error.dtype)[:, None, :, None]  # (E, 1, N−1, 1)
    moves_second = (second[:, None] == frames).to(error.dtype)[:, None, :, None]
    identity = torch.eye(6, dtype=error.dtype, device=error.device)
    jacobian = adjoint[..., :, None, :] * moves_first - identity[:, None, :] * moves_second
    jacobian = jacobian.flatten(-2)  # (B, E, 6, 6(N−1))
    weighted = information @ jacobian
    normal = torch.einsum("beki,bekj->bij", jacobian, weighted)
    gradient = torch.einsum("beki,bek->bi", weighted, error)
    return normal, gradient


def _solve_damped(
    hessian: Float[Tensor, "*batch K K"], gradient: Float[Tensor, "*batch K"]
) -> Float[Tensor, "*batch K"]:
    """(H + relative and absolute damping)⁻¹·g in float32 (H is symmetric and positive semi-definite)."""
    diagonal = hessian.diagonal(dim1=-2, dim2=-1)
    damped = hessian + torch.diag_embed(1e-4 * diagonal + 1e-7)
    return torch.linalg.solve(damped, gradient)


def _homogeneous(xy: Float[Tensor, "*batch 2"]) -> Float[Tensor, "*batch 3"]:
    return torch.cat([xy, torch.ones_like(xy[..., :1])], dim=-1)
