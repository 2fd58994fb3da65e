"""People in a scene whose metres are known: cameras that were given say how far people are, and so how large.

Elsewhere people measure the scene. With metric cameras the scene comes first, and what the depth at a person says of
the distance is weighed against the stature that the network expects.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from unish.body import Body, resize_shape
from unish.geometry.statistics import weighted_median
from unish.reconstruction.shot import ComparedShot, resize_people

STATURE_SIGMA = 0.1
"""Relative error of an expected stature; children among them, whom networks make too large by a fifth."""
DEPTH_SIGMA = 0.1
"""Relative error of the depth at a person, the same in all frames: views measure the scene, but not who moves."""


def resize_to_cameras(
    compared: Sequence[ComparedShot], betas: Float[Tensor, "P 10"], body: Body
) -> tuple[list[ComparedShot], Float[Tensor, "P 10"]]:
    """Everybody as large as the metric scene and the expected stature say together; unchanged where no shot is metric.

    Args:
        betas: one shape per person, of all shots.
    """
    levels, weights = [], []
    for one in compared:
        metres = one.shot.metres_by_cameras
        if metres is None:
            continue
        level = one.comparison.level - torch.tensor(metres).log()
        known = one.placed.is_ruler & torch.isfinite(level)
        levels.append(torch.where(known, level, 0.0))
        weights.append(torch.where(known, one.placed.distance_sigma**-2, 0.0))
    if not levels:
        return list(compared), betas
    # log(body / scene): who stands behind the depth that the scene has there is too large.
    too_large = weighted_median(torch.cat(levels, dim=1), torch.cat(weights, dim=1)).nan_to_num(0.0)
    log_factor = -too_large * STATURE_SIGMA**2 / (STATURE_SIGMA**2 + DEPTH_SIGMA**2)
    return [resize_people(one, log_factor, body) for one in compared], resize_shape(body, betas, log_factor)
