"""Does a camera that turns, and perhaps zooms, explain how the picture changed? Then nothing tells depth or movement.

Legend: E pairs of frames (any leading batch), K matches of a pair.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from unish.geometry.rotation import axis_angle_to_matrix, nearest_rotation
from unish.geometry.statistics import weighted_median

_NUM_STEPS = 8
_FIRST_THRESHOLD_PX, _LAST_THRESHOLD_PX = 16.0, 1.5
_FOCAL_SIGMA, _ZOOM_SIGMA = 0.2, 0.5
_LONGEST_STEP = 0.3
_MOST_FOCAL = 0.4  # in log: guesses are better than that


@dataclass(frozen=True, kw_only=True)
class Turn:
    """What a camera that stays in its place would have done between two frames.

    Attributes:
        rotation: of directions in the first camera to those in the second.
        log_focal: log of the focal length that explains the turn best, over the given one.
        log_zoom: log of the second focal length over the first.
        residual_px: distance of each match from where this puts it.
    """

    rotation: Float[Tensor, "*E 3 3"]
    log_focal: Float[Tensor, "*E"]
    log_zoom: Float[Tensor, "*E"]
    residual_px: Float[Tensor, "*E K"]


@torch.no_grad()
def fit_turn(
    first_px: Float[Tensor, "*E K 2"],
    second_px: Float[Tensor, "*E K 2"],
    weights: Float[Tensor, "*E K"],
    intrinsics: Float[Tensor, "*E 3 3"],
    *,
    zooms: bool = True,
) -> Turn:
    """Rotation, focal length and zoom that move the first points onto the second ones best, whatever their depth.

    x₂ ~ K·diag(z, z, 1)·R·K⁻¹·x₁, by Gauss–Newton on Geman–McClure weights from the rotation that aligns the viewing
    rays (Kabsch); a fixed number of steps. The focal length is part of it because a wrong one bends the paths of points
    in a wide turn by pixels, which would be taken for parallax.

    Args:
        weights: ≥ 0, 0 for what is no match.
        intrinsics: pixels, of both frames.
        zooms: also a change of the focal length between the frames; in front of a flat wall this cannot be told from
            coming nearer.
    """
    focal = intrinsics.diagonal(dim1=-2, dim2=-1)[..., None, :2]
    centre = intrinsics[..., None, :2, 2]
    first, second = (first_px - centre) / focal, (second_px - centre) / focal
    rotation = _align_rays(first, second, weights)
    log_focal, log_zoom = (torch.zeros_like(weights[..., 0]) for _ in range(2))
    free = first.new_tensor([1.0, 1.0, 1.0, 1.0, float(zooms)])
    prior = first.new_tensor([0.0, 0.0, 0.0, _FOCAL_SIGMA**-2, _ZOOM_SIGMA**-2])
    for number in range(_NUM_STEPS):
        falling = number / (_NUM_STEPS - 1)
        threshold = _FIRST_THRESHOLD_PX * (_LAST_THRESHOLD_PX / _FIRST_THRESHOLD_PX) ** falling
        residual, jacobian = _linearise(first, second, rotation, log_focal, log_zoom, focal)
        jacobian = jacobian * free
        robust = weights / (1.0 + residual.square().sum(-1) / threshold**2).square()
        weighted = (jacobian * robust[..., None, None]).flatten(-3, -2)
        normal = weighted.mT @ jacobian.flatten(-3, -2)
        # Two matches do not determine a turn: float32 needs a diagonal that it can see beside them.
        normal = normal + torch.diag_embed(1e-5 * normal.diagonal(dim1=-2, dim2=-1) + prior + 1e-2)
        pull = torch.stack([log_focal, log_zoom], dim=-1) * prior[3:]
        slope = (weighted.mT @ residual.flatten(-2)[..., None])[..., 0] + torch.nn.functional.pad(pull, (3, 0))
        step = -torch.linalg.solve(normal, slope) * free
        step = step.clamp(-_LONGEST_STEP, _LONGEST_STEP)
        rotation = axis_angle_to_matrix(step[..., :3]) @ rotation
        log_focal = (log_focal + step[..., 3]).clamp(-_MOST_FOCAL, _MOST_FOCAL)
        log_zoom = log_zoom + step[..., 4]
    residual, _ = _linearise(first, second, rotation, log_focal, log_zoom, focal)
    return Turn(
        rotation=rotation,
        log_focal=log_focal,
        log_zoom=log_zoom,
        residual_px=residual.norm(dim=-1),
    )


def _align_rays(first: Float[Tensor, "*E K 2"], second: Float[Tensor, "*E K 2"], weights: Tensor) -> Tensor:
    """Kabsch on unit viewing rays, weighted once more by how well the first answer fits."""
    rays = [
        torch.nn.functional.normalize(torch.nn.functional.pad(x, (0, 1), value=1.0), dim=-1) for x in (first, second)
    ]
    like = torch.eye(3, dtype=first.dtype, device=first.device) * 1e-6
    for _ in range(3):
        rotation = nearest_rotation(rays[1].mT @ (rays[0] * weights[..., None]) + like)
        off = (rays[1] - rays[0] @ rotation.mT).norm(dim=-1)
        middle = weighted_median(off, weights)[..., None].nan_to_num(1.0).clamp_min(1e-4)
        weights = weights / (1.0 + (off / (2.0 * middle)).square()).square()
    return rotation


def _linearise(
    first: Tensor, second: Tensor, rotation: Tensor, log_focal: Tensor, log_zoom: Tensor, focal: Tensor
) -> tuple[Float[Tensor, "*E K 2"], Float[Tensor, "*E K 2 5"]]:
    """Residual in pixels, and its derivative by a turn from the left, log focal length and log zoom."""
    longer, zoomed = log_focal.exp()[..., None, None], (log_focal + log_zoom).exp()[..., None, None]
    rays = torch.nn.functional.pad(first / longer, (0, 1), value=1.0)
    turned = rays @ rotation.mT
    inverse = turned[..., 2].clamp_min(1e-3).reciprocal()
    x, y = turned[..., 0] * inverse, turned[..., 1] * inverse
    plane = torch.stack([x, y], dim=-1)
    by_turn = torch.stack(
        [torch.stack([-x * y, 1.0 + x * x, -y], dim=-1), torch.stack([-1.0 - y * y, x * y, x], dim=-1)], dim=-2
    )
    narrowed = rays[..., :2] @ rotation[..., :2].mT
    by_focal = plane - (narrowed[..., :2] - plane * narrowed[..., 2:]) * inverse[..., None]
    jacobian = torch.cat([by_turn, by_focal[..., None], plane[..., None]], dim=-1) * (zoomed * focal)[..., None]
    return (plane * zoomed - second) * focal, jacobian
