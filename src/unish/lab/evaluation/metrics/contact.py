"""Bodies against the scene: do they stand on the floor, and are they where their points are?"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from unish.geometry.mesh_distance import distance_to_mesh


def foot_floor_gap(points: Float[Tensor, "*batch N 3"], floor: Float[Tensor, "*#batch 4"]) -> Float[Tensor, "*batch"]:
    """Height of the lowest point over the floor, cm: above 0 floats, below 0 sinks in.

    Points are the whole body surface or its contact points, metres; the plane is n·x + d = 0 with n up, of any length.
    NaN without a floor (NaN, or no direction) or where a point is NaN.
    """
    length = floor[..., :3].norm(dim=-1, keepdim=True)
    plane = floor / torch.where(length > 0, length, torch.nan)
    height = (points * plane[..., None, :3]).sum(-1) + plane[..., None, 3]
    return 100 * height.amin(-1)


def human_scene_distance(
    points: Float[Tensor, "*batch N 3"], vertices: Float[Tensor, "*batch V 3"], faces: Int[Tensor, "F 3"]
) -> Float[Tensor, "*batch"]:
    """Median distance of a person's own scene points from their body surface, cm, unsigned and exact.

    Args:
        points: of one person per frame, metres; rows with NaN are no points.
        vertices, faces: the body's mesh, in the same frame.

    Returns:
        NaN where no point is left or the body is NaN.
    """
    batch, mesh = points.shape[:-2], faces.cpu().numpy()
    clouds, bodies = (x.reshape(batch.numel(), *x.shape[-2:]) for x in (points, vertices))
    medians = []
    for cloud, body in zip(clouds, bodies, strict=True):
        kept = cloud[cloud.isfinite().all(-1)].cpu().numpy()
        known = len(kept) > 0 and bool(body.isfinite().all())
        medians.append(100 * np.median(distance_to_mesh(kept, body.cpu().numpy(), mesh)) if known else np.nan)
    return torch.tensor(medians, dtype=points.dtype).reshape(batch)
