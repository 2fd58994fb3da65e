"""What holds from frame to frame in real video: depth along flow, and bodies that move without jerks.

Acceleration and turning are priors, not evidence: they vanish on uniform motion, not on all true motion, and want small
weights.

Legend: B clips, P people, N frames, J joints, E pairs of frames, H×W pixels; x a pixel centre or a position, f flow, P₁
points of the first frame of a pair, T₂₁ from its first camera to its second, z₂ depth in the second; R rotation, h time
between frames, ω angular velocity.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from unish.geometry.camera import pixel_grid
from unish.geometry.rotation import matrix_to_axis_angle
from unish.lab.training.losses.flow import move_points
from unish.lab.training.losses.penalties import mean_where, smooth_length
from unish.lab.training.losses.sampling import interpolate


def depth_flow_loss(
    local_points: Float[Tensor, "B N H W 3"],
    c2w: Float[Tensor, "B N 4 4"],
    flow: Float[Tensor, "B E H W 2"],
    pairs: Int[Tensor, "2 E"],
    mask: Bool[Tensor, "B E H W"],
    *,
    truncation: float = 0.25,
) -> Tensor:
    """Mean min(|log z(T₂₁ · P₁(x)) − log z₂(x + f(x))|, truncation) over the mask: two frames agree how far a point is.

    Depths are compared as a ratio, so the scale of the clip changes nothing. The truncation lets go of pixels whose
    target lies on a depth edge, where interpolation invents a depth.

    Args:
        flow, pairs, mask: as in ``flow_loss``.
    """
    height, width = flow.shape[2:4]
    moved = move_points(local_points, c2w, pairs)[..., 2]
    target = pixel_grid(height, width, like=flow) + flow
    seen = interpolate(local_points[:, pairs[1], ..., 2][:, :, None], target)[:, :, 0]
    usable = mask & (moved > 0) & (seen > 0)
    ratio = torch.where(usable, moved, 1.0).log() - torch.where(usable, seen, 1.0).log()
    return mean_where(smooth_length(ratio[..., None]).clamp_max(truncation), usable)


def acceleration_loss(
    positions: Float[Tensor, "B P N 3"],
    times_s: Float[Tensor, "B N"],
    size: Float[Tensor, "B P"],
    valid: Bool[Tensor, "B P N"],
) -> Tensor:
    """Mean ‖ẍ‖ / size over frames that are valid together with both of their neighbours, 1/s².

    Without the division the cheapest way to move smoothly is to shrink: a scene of half the scale has half the
    acceleration. So ``size`` has to shrink along, and gradients pass through it.

    Args:
        positions: world, the unit of the prediction; NaN where not valid.
        size: a length in the same unit that is predicted with the same scale, such as the person's mean distance from
            the camera (``mean_distance``), or the height of the body times the scene's scale.
    """
    positions = torch.where(valid[..., None], positions, 0.0)
    steps = times_s.diff(dim=-1)[:, None, :, None]
    acceleration = _second_difference(positions.diff(dim=-2) / steps, steps)
    triple = valid[..., 2:] & valid[..., 1:-1] & valid[..., :-2]
    size = torch.where(triple.any(-1), size, 1.0)
    return mean_where(smooth_length(acceleration / size[..., None, None]), triple)


def turning_loss(
    rotations: Float[Tensor, "B P N J 3 3"], times_s: Float[Tensor, "B N"], valid: Bool[Tensor, "B P N"]
) -> Tensor:
    """Mean ‖ω̇‖ over joints and frames that are valid together with both of their neighbours, radians/s².

    ω = log(Rₙᵀ · Rₙ₊₁) / h, in the axes of the joint. The root has to be in the world: in the camera, it turns with it.
    """
    eye = torch.eye(3, dtype=rotations.dtype, device=rotations.device)
    rotations = torch.where(valid[..., None, None, None], rotations, eye)
    steps = times_s.diff(dim=-1)[:, None, :, None]
    turns = matrix_to_axis_angle(rotations[:, :, :-1].mT @ rotations[:, :, 1:])
    change = _second_difference((turns / steps[..., None]).flatten(-2), steps).unflatten(-1, (-1, 3))
    triple = valid[..., 2:] & valid[..., 1:-1] & valid[..., :-2]
    return mean_where(smooth_length(change).mean(-1), triple)


def mean_distance(positions: Float[Tensor, "B P N 3"], valid: Bool[Tensor, "B P N"]) -> Float[Tensor, "B P"]:
    """Mean distance from the camera of each person over its valid frames; camera axes, 1 where there is none."""
    length = torch.where(valid[..., None], positions, 1.0).norm(dim=-1)
    count = valid.sum(-1)
    return torch.where(count > 0, torch.where(valid, length, 0.0).sum(-1) / count.clamp_min(1), 1.0)


def _second_difference(
    velocities: Float[Tensor, "B P M D"], steps: Float[Tensor, "B 1 M 1"]
) -> Float[Tensor, "B P K D"]:
    """Change of velocity per time; the velocities belong to the middles of their steps. K = M − 1."""
    return velocities.diff(dim=-2) / ((steps[..., 1:, :] + steps[..., :-1, :]) / 2)
