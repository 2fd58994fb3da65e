"""How the picture around a match is stretched and turned from one frame to the other, told by the matches beside it."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

NUM_NEIGHBOURS = 20
_NEAR_PX = 40.0
"""A neighbour at this distance counts half."""

_ROBUST_PX, _ROBUST_SHARE = 3.0, 0.1
"""A neighbour that is off by these pixels and this share of its distance counts a quarter."""

_PRIOR = 100.0
"""Weight of "nothing changes": as much as one neighbour at a distance of 10 pixels."""

_TOLERANCES = (4.0, 2.0, 1.0, 1.0)
"""Of each round of reweighting, in units of the above: the first one starts from no change at all."""

_SMALLEST, _LARGEST = 0.3, 3.0
"""Change of area outside of which the neighbours are not believed."""


def estimate_local_affine(
    anchors_px: Float[Tensor, "E A 2"], targets_px: Float[Tensor, "E A 2"], found: Bool[Tensor, "E A"]
) -> Float[Tensor, "E A 2 2"]:
    """Matrices that map small offsets around an anchor to offsets around its target.

    Least squares over the nearest other matches, reweighted against wrong ones; exactly the identity where nothing
    moved against its neighbours, and where there are none.

    Args:
        anchors_px: pixels of the first frame of each pair.
        targets_px: pixels of the second.
        found: which slots hold a match; others are no neighbours, and their own matrices mean nothing.
    """
    distance = torch.cdist(anchors_px, anchors_px, compute_mode="donot_use_mm_for_euclid_dist")
    distance = torch.where(found[:, None], distance, torch.inf)
    distance.diagonal(dim1=1, dim2=2).fill_(torch.inf)
    count = min(NUM_NEIGHBOURS, distance.shape[-1])
    distance, neighbours = distance.topk(count, dim=2, largest=False)

    def subtract(px: Tensor) -> Tensor:
        """(E, A, count, 2) places of the neighbours, from each place."""
        pairs = torch.arange(len(px), device=px.device)[:, None, None]
        return px[pairs, neighbours] - px[:, :, None]

    offsets, moved = subtract(anchors_px), subtract(targets_px)
    near = 1 / (1 + (distance / _NEAR_PX).square())  # 0 where there is no neighbour
    identity = torch.eye(2, dtype=offsets.dtype, device=offsets.device)
    matrices = identity.expand(*found.shape, 2, 2)
    limit = (_ROBUST_PX + _ROBUST_SHARE * distance).clamp_max(1e6)
    for tolerance in _TOLERANCES:
        off = (moved - offsets @ matrices.transpose(-1, -2)).norm(dim=-1) / (tolerance * limit)
        weights = near / (1 + off.square()).square()
        weighted = (offsets * weights[..., None]).transpose(-1, -2)
        normal = weighted @ offsets + _PRIOR * identity
        change = torch.linalg.solve(normal, weighted @ (moved - offsets))
        matrices = identity + change.transpose(-1, -2)
    area = torch.linalg.det(matrices)
    believed = (area > _SMALLEST) & (area < _LARGEST)
    return torch.where(believed[..., None, None], matrices, identity)
