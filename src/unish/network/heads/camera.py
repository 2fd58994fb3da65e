"""The published camera head: patch tokens of a frame to its pose.

Legend: B frames, P patches, C channels.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from unish.geometry.rigid import make_rigid


class ResidualUnit(nn.Module):
    """x + relu(L₃ relu(L₂ relu(L₁ x)))."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(dim, dim), nn.ReLU(), nn.Linear(dim, dim), nn.ReLU(), nn.Linear(dim, dim), nn.ReLU()
        )

    def forward(self, x: Float[Tensor, "*batch C"]) -> Float[Tensor, "*batch C"]:
        return x + self.layers(x)


class CameraHead(nn.Module):
    """Residual units per patch, mean over patches, an MLP, then a translation and a rotation."""

    def __init__(self, dim: int, *, num_units: int = 2) -> None:
        super().__init__()
        self.units = nn.ModuleList(ResidualUnit(dim) for _ in range(num_units))
        self.mlp = nn.Sequential(nn.Linear(dim, dim), nn.ReLU(), nn.Linear(dim, dim), nn.ReLU())
        self.translation = nn.Linear(dim, 3)
        self.rotation = nn.Linear(dim, 9)

    def forward(self, patches: Float[Tensor, "B P C"]) -> Float[Tensor, "B 4 4"]:
        """Camera-to-world poses, in a world and a scale of the network's choice."""
        for unit in self.units:
            patches = unit(patches)
        pooled = self.mlp(patches.mean(dim=1))
        matrix = self.rotation(pooled).unflatten(-1, (3, 3))
        return make_rigid(project_to_rotation(matrix), self.translation(pooled))


def project_to_rotation(matrix: Float[Tensor, "*batch 3 3"]) -> Float[Tensor, "*batch 3 3"]:
    """The rotation nearest to a matrix whose rows are first brought to unit length.

    With the SVD M = A Σ Bᵀ it is A · diag(1, 1, det(A Bᵀ)) · Bᵀ: the direction of the smallest singular value flips
    when a reflection would be nearer (Umeyama 1991; Levinson et al. 2020). Computed in float32 or better.
    """
    rows = nn.functional.normalize(matrix.float() if matrix.dtype.itemsize < 4 else matrix, dim=-1, eps=1e-12)
    left, _, right = torch.linalg.svd(rows)
    sign = torch.linalg.det(left @ right)
    flip = torch.stack([torch.ones_like(sign), torch.ones_like(sign), sign], dim=-1)
    return ((left * flip[..., None, :]) @ right).to(matrix.dtype)
