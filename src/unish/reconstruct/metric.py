"""Metres: one scale for the scene from all evidence, then one recorded depth correction per person and frame."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int16
from torch import Tensor

from unish.body import Body
from unish.geometry.ruler import scale_from_person
from unish.reconstruct.anchor import PlacedBodies
from unish.render.plain import rasterize
from unish.structs import BodyParams

MIN_PIXELS = 12
"""A person's depth is compared with the scene's only where body and mask share at least this many pixels."""


@dataclass(frozen=True, kw_only=True)
class SceneScale:
    """Factor from the network's units to metres, and its relative standard error (NaN when nothing measured it)."""

    factor: float
    uncertainty: float
    source: str


def compare_depths(
    body: Body,
    placed: PlacedBodies,
    depth: Float[Tensor, "T H W"],
    masks: Int16[Tensor, "T H W"],
    intrinsics: Float[Tensor, "T 3 3"],
) -> Float[Tensor, "P T"]:
    """Median of log(body depth / scene depth) over the pixels that body and person mask share; NaN where too few."""
    num_people, num_frames = placed.valid.shape
    size = (int(depth.shape[1]), int(depth.shape[2]))
    ratios = torch.full((num_people, num_frames), float("nan"))
    for person in range(num_people):
        vertices = body.vertices(_select_person(placed, person))
        for frame in placed.valid[person].nonzero()[:, 0].tolist():
            hit = rasterize(vertices[frame].numpy(), body.faces.numpy(), intrinsics[frame].numpy(), size)
            body_depth = torch.from_numpy(hit.depth)
            shared = (body_depth > 0) & (masks[frame] == person) & (depth[frame] > 0)
            if int(shared.sum()) >= MIN_PIXELS:
                ratios[person, frame] = (body_depth[shared].log() - depth[frame][shared].log()).median()
    return ratios


def estimate_scale(log_ratios: Float[Tensor, "P T"], placed: PlacedBodies, network_scale: float | None) -> SceneScale:
    """The person as the ruler: weighted median over all people and frames that measure well.

    Without such a person the network's own scale is taken, and without that 1.
    """
    usable = placed.is_ruler & torch.isfinite(log_ratios)
    if usable.any():
        weights = torch.where(usable, placed.distance_sigma**-2, 0.0)
        factor, uncertainty = scale_from_person(log_ratios.exp(), torch.ones_like(log_ratios), weights)
        return SceneScale(factor=float(factor), uncertainty=float(uncertainty), source="people")
    if network_scale is not None:
        return SceneScale(factor=network_scale, uncertainty=float("nan"), source="network")
    return SceneScale(factor=1.0, uncertainty=float("nan"), source="none")


def correct_people(
    depth: Float[Tensor, "T H W"], masks: Int16[Tensor, "T H W"], log_ratios: Float[Tensor, "P T"]
) -> Float[Tensor, "T H W"]:
    """Multiply the depth of each person's own pixels so that they agree with the body; the scene is never touched.

    ``log_ratios`` are those of the metric depth. Frames where they are unknown take the person's median.
    """
    corrected = depth.clone()
    for person in range(log_ratios.shape[0]):
        known = torch.isfinite(log_ratios[person])
        if not known.any():
            continue
        filled = torch.where(known, log_ratios[person], log_ratios[person][known].median())
        corrected = torch.where(masks == person, depth * filled.exp()[:, None, None], corrected)
    return corrected


def _select_person(placed: PlacedBodies, person: int) -> BodyParams:
    params = placed.params
    return BodyParams(
        betas=params.betas[person],
        global_orient=params.global_orient[person],
        body_pose=params.body_pose[person],
        transl=params.transl[person],
    )
