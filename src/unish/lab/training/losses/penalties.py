"""How residuals become one number: lengths with a gradient at zero, robust penalties, means over what is known."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor


def smooth_length(vectors: Float[Tensor, "*batch D"], *, floor: float = 1e-4) -> Float[Tensor, "*batch"]:
    """√(‖v‖² + floor²) − floor: a norm that is 0 at 0 and has a gradient there, which a perfect prediction reaches."""
    return (vectors.square().sum(-1) + floor**2).sqrt() - floor


def smooth_angle(rotation: Float[Tensor, "*batch 3 3"]) -> Float[Tensor, "*batch"]:
    """Rotation angle (radians): 2·asin(‖R − I‖/√8), smoothed by a hundredth of a degree for a gradient at zero."""
    eye = torch.eye(3, dtype=rotation.dtype, device=rotation.device)
    chord = ((rotation - eye).square().sum(dim=(-1, -2)) / 8.0 + 1e-8).sqrt() - 1e-4
    return 2.0 * torch.asin(chord.clamp(max=1.0 - 1e-6))


def angle_between(first: Float[Tensor, "*batch 3"], second: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch"]:
    """Angle of two vectors (radians), accurate at 0 and π, with a finite gradient at both."""
    return torch.atan2(smooth_length(torch.linalg.cross(first, second, dim=-1)), (first * second).sum(-1))


def charbonnier(squared: Float[Tensor, "*batch"], width: float | None) -> Float[Tensor, "*batch"]:
    """2w²(√(1 + r²/w²) − 1): r² near zero, 2w·r far away (Charbonnier et al. 1994). ``None`` leaves r² as it is.

    It lets no residual go: a gradient that fades would let a body escape from its person for good.
    """
    return squared if width is None else 2 * width**2 * ((1 + squared / width**2).sqrt() - 1)


def mean_where(values: Float[Tensor, "*batch"], mask: Bool[Tensor, "*batch"]) -> Float[Tensor, ""]:
    """Mean over the entries of the mask, all of them alike; 0 where there are none. What is padded does not count.

    Entries outside may be anything, but they must come from finite numbers: the gradient of a masked NaN is NaN.
    """
    return torch.where(mask, values, 0.0).sum() / mask.sum().clamp_min(1)


def mean_along(values: Float[Tensor, "*batch N"], mask: Bool[Tensor, "*batch N"]) -> Float[Tensor, "*batch"]:
    """``mean_where`` over the last axis alone."""
    return torch.where(mask, values, 0.0).sum(-1) / mask.sum(-1).clamp_min(1)
