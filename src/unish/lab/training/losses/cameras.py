"""Field of view against exact truth. B clips, N frames."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor


def focal_loss(log_focal: Float[Tensor, "B"], intrinsics: Float[Tensor, "B N 3 3"], size: tuple[int, int]) -> Tensor:
    """|log f − log f*| with f in units of the image diagonal; the truth is the clip's mean."""
    diagonal = (size[0] ** 2 + size[1] ** 2) ** 0.5
    truth = (intrinsics[..., 0, 0].mean(dim=1) / diagonal).log()
    return (log_focal - truth).abs().mean()
