"""Real video outside the people: flow that points, cameras and intrinsics imply against optical flow, depth along it.

Legend: B clips, N frames, E pairs of frames, H×W pixels; x a pixel centre, f flow in pixels from the first frame of a
pair to its second, b the flow back; P point, P₁ one of the first frame, T₂₁ from the first camera to the second, K
intrinsics, π projection, z₂ depth in the second frame.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional

from unish.geometry.camera import pixel_grid, project
from unish.geometry.rigid import transform_points
from unish.lab.training.losses.cameras import relative_poses
from unish.lab.training.losses.penalties import mean_where, smooth_length
from unish.lab.training.losses.sampling import interpolate, look_up

_MIN_DEPTH_SHARE = 0.02  # of a point's own depth: nearer to the second camera, its projection explodes


@torch.no_grad()
def find_consistent_flow(
    forward: Float[Tensor, "B E H W 2"],
    backward: Float[Tensor, "B E H W 2"],
    *,
    absolute: float = 0.5,
    relative: float = 0.01,
) -> Bool[Tensor, "B E H W"]:
    """Pixels that come back: ‖f(x) + b(x + f(x))‖² < relative · (‖f‖² + ‖b‖²) + absolute, and do not leave the image.

    Sundaram et al., "Dense point trajectories by GPU-accelerated large displacement optical flow", 2010, eq. 5.
    """
    height, width = forward.shape[2:4]
    target = pixel_grid(height, width, like=forward) + forward
    back = interpolate(backward.movedim(-1, -3), target).movedim(-3, -1)
    inside = (target > 0).all(-1) & (target[..., 0] < width) & (target[..., 1] < height)
    size = forward.square().sum(-1) + back.square().sum(-1)
    return inside & ((forward + back).square().sum(-1) < relative * size + absolute)


@torch.no_grad()
def find_static_flow(
    flow: Float[Tensor, "B E H W 2"], person_ids: Int[Tensor, "B N H W"], pairs: Int[Tensor, "2 E"]
) -> Bool[Tensor, "B E H W"]:
    """Pixels that show no person, neither where the flow starts nor where it ends."""
    first, second = person_ids[:, pairs[0]], person_ids[:, pairs[1]]
    target = (pixel_grid(flow.shape[2], flow.shape[3], like=flow) + flow).flatten(2, 3)
    return (first < 0) & (look_up(second, target) < 0).reshape(first.shape)


def move_points(
    local_points: Float[Tensor, "B N H W 3"], c2w: Float[Tensor, "B N 4 4"], pairs: Int[Tensor, "2 E"]
) -> Float[Tensor, "B E H W 3"]:
    """Points of the first frame of each pair, in the camera of the second, as if nothing had moved but the camera."""
    moved = transform_points(relative_poses(c2w, pairs), local_points[:, pairs[0]].flatten(2, 3))
    return moved.unflatten(2, local_points.shape[2:4])


def flow_loss(
    local_points: Float[Tensor, "B N H W 3"],
    c2w: Float[Tensor, "B N 4 4"],
    intrinsics: Float[Tensor, "B N 3 3"],
    flow: Float[Tensor, "B E H W 2"],
    pairs: Int[Tensor, "2 E"],
    mask: Bool[Tensor, "B E H W"],
    *,
    delta: float = 1.0,
) -> Tensor:
    """Mean Huber of ‖π(K₂ · T₂₁ · P(x)) − x − f(x)‖ over the mask, in percent of the image diagonal.

    Quadratic below ``delta`` pixels, linear above: flow is right to a fraction of a pixel or far off. One scale for
    points and cameras changes nothing.

    Args:
        intrinsics: pixels of the H×W image; any size, as long as flow is in its pixels.
        flow: measured, first → second frame of each pair.
        mask: where it is to be believed and nothing moves: ``find_consistent_flow`` & ``find_static_flow``. Points that
            end up behind the second camera do not count either.
    """
    height, width = flow.shape[2:4]
    moved = move_points(local_points, c2w, pairs)
    depth, own = moved[..., 2], local_points[:, pairs[0], ..., 2]
    ahead = mask & (own > 0) & (depth > _MIN_DEPTH_SHARE * own)
    moved = torch.where(ahead[..., None], moved, 1.0).flatten(2, 3)
    implied = project(moved, intrinsics[:, pairs[1]], min_depth=0.0).unflatten(2, (height, width))
    wanted = pixel_grid(height, width, like=flow) + flow
    distance = smooth_length(torch.where(ahead[..., None], implied - wanted, 0.0))
    huber = functional.huber_loss(distance, torch.zeros_like(distance), delta=delta, reduction="none")
    return mean_where(huber, ahead) * (100 / (height**2 + width**2) ** 0.5)


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
