"""How good is the surface of people? Angles between normals, with the depth of scene and people beside them."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from unish.geometry.camera import unproject
from unish.geometry.surfaces import erode, link_neighbours, normals_from_points
from unish.lab.training.losses.penalties import angle_between

_FAR = 80.0
_SAME_SURFACE = 0.05
"""Neighbours whose true depths differ by a larger share lie on two surfaces."""
_LEAST_PIXELS = 50


@torch.no_grad()
def score_normals(
    points: Float[Tensor, "N H W 3"],
    depth: Float[Tensor, "N H W"],
    intrinsics: Float[Tensor, "N 3 3"],
    person_mask: Bool[Tensor, "N H W"],
    *,
    margin: int = 2,
) -> float:
    """Median angle (degrees) between the normals of predicted points and those of the true depth, over a clip.

    Args:
        depth, intrinsics: true ones.
        margin: pixels of the outline of people that do not count. NaN where fewer than 50 are left.
    """
    people = person_mask & (depth > 0) & (points[..., 2] > 0)
    truth = unproject(depth, intrinsics)
    links = link_neighbours(depth, people, relative_step=_SAME_SURFACE)
    found, found_exists = normals_from_points(points, people, links=links)
    wanted, wanted_exists = normals_from_points(truth, people, links=links)
    counted = erode(people, margin) & found_exists & wanted_exists
    if counted.sum() < _LEAST_PIXELS:
        return float("nan")
    return float(angle_between(found[counted], wanted[counted]).rad2deg().median())


@torch.no_grad()
def score_depth(
    depth: Float[Tensor, "N H W"], truth: Float[Tensor, "N H W"], person_mask: Bool[Tensor, "N H W"]
) -> dict[str, float]:
    """AbsRel of everything, of the scene and of people, after one median scale for the clip (truth in (0, 80) m)."""
    valid = (truth > 0) & (truth < _FAR)
    scale = truth[valid].median() / depth[valid].median()
    wrong = (depth * scale - truth).abs() / truth.clamp_min(1e-6)
    parts = {"absrel": valid, "scene_absrel": valid & ~person_mask, "people_absrel": valid & person_mask}
    return {name: float(wrong[part].mean()) for name, part in parts.items()}
