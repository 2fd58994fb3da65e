"""Plausible shapes of the free body, for synthetic people."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

STATURE_BETA, AGE_BETA = 0, 1
"""Betas of the *free* body: stature of adults, and age (0 for adults, −1 about 1.45 m, −3 about 0.95 m)."""


def sample_betas(
    num_people: int, *, child_share: float = 0.15, num_betas: int = 10, generator: torch.Generator | None = None
) -> Float[Tensor, "P S"]:
    """Betas of the free body for a mixed population: N(0, 1) apart from the age, 0 for adults.

    Args:
        child_share: probability of a child, whose age component is uniform between −3.5 and −0.5.
    """
    betas = torch.randn(num_people, num_betas, generator=generator).clamp(-2.5, 2.5)
    child = torch.rand(num_people, generator=generator) < child_share
    age = -0.5 - 3.0 * torch.rand(num_people, generator=generator)
    betas[:, AGE_BETA] = torch.where(child, age, torch.zeros(()))
    betas[child, STATURE_BETA] *= 0.5
    return betas
