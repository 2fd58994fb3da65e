"""Metres: one scale for the scene from all evidence, then one recorded depth correction per person and frame."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int16, Int64
from torch import Tensor

from unish.body import Body
from unish.geometry.camera import pixel_grid, thin_intrinsics
from unish.geometry.ruler import STATURE_SPREAD, scale_from_person
from unish.reconstruction.anchor import DISTANCE_SIGMA, KNOWN_HEIGHT_SIGMA, PlacedBodies
from unish.reconstruction.depth_curve import DepthCurve
from unish.render.plain import draw_depth
from unish.structs import BodyParams, FrameArray, FrameTensor

COMPARE_LONG_SIDE = 256
"""Bodies are drawn at most this large to be compared with the scene: depth is smooth, drawing is the slow part."""

MIN_PIXELS = 12
"""A person's depth is compared with the scene's only where body and mask share at least this many pixels."""

MAX_TILT = 0.5
"""Largest tilt of a person's correction over their own extent, as a logarithm of depth: about ±25 % from end to end."""

NETWORK_SIGMA = 0.3
"""1σ of the logarithm of the size of a scene that has the network's own scale."""

MAX_RELIEF = 0.3
"""Depth within a person beyond this (as a logarithm) is background that bled into the mask."""


@dataclass(frozen=True, kw_only=True)
class SceneScale:
    """Factor from the network's units to metres, and its relative standard error (NaN when nothing measured it).

    ``source`` is what measured it: ``people``, ``distance`` (one that the user knows), ``network`` (its own guess) or
    ``none``.
    """

    factor: float
    uncertainty: float
    source: str


@dataclass(frozen=True, kw_only=True)
class DepthComparison:
    """How the depth of each body explains the scene's depth at the same person:

    log body = scene_level + level + tilt · (pixel − centre) / extent + relief · (log scene − scene_level).

    Attributes:
        level: (P, T) median of log(body / scene) over the pixels that body and mask share; NaN where there are too few.
        scene_level: (P, T) median of log scene there.
        tilt: (P, T, 2) change from one end of the person to the other, along x and y.
        relief: (P, T) in [0, 1], how much of the scene's own relief at the person is relief of the body: 1 keeps it,
            0 takes it for noise.
        centre, extent: (P, T, 2), (P, T) in pixels of the full image.
    """

    level: Float[Tensor, "P T"]
    scene_level: Float[Tensor, "P T"]
    tilt: Float[Tensor, "P T 2"]
    relief: Float[Tensor, "P T"]
    centre: Float[Tensor, "P T 2"]
    extent: Float[Tensor, "P T"]

    def as_table(self) -> Float[Tensor, "P T 8"]:
        """factor = exp(level), tilt x and y, relief, exp(scene_level), centre x and y, extent; NaN where unknown."""
        factor, middle = self.level.exp()[..., None], self.scene_level.exp()[..., None]
        table = torch.cat(
            [factor, self.tilt, self.relief[..., None], middle, self.centre, self.extent[..., None]], dim=-1
        )
        return torch.where(torch.isfinite(factor), table, torch.nan)

    def in_metres(self, scale: float) -> DepthComparison:
        """The same, after the scene's depth was multiplied by ``scale``."""
        shift = math.log(scale)
        return replace(self, level=self.level - shift, scene_level=self.scene_level + shift)

    def along(self, curve: DepthCurve) -> DepthComparison:
        """The same, after the scene's metric depth went along the curve, which also stretches its relief."""
        shift, stretch = curve.offset(self.scene_level), 1.0 + curve.slope(self.scene_level)
        return replace(
            self,
            level=self.level - shift,
            scene_level=self.scene_level + shift,
            relief=(self.relief / stretch).clamp(0.0, 1.0),
        )

    def of_larger_people(self, log_factor: Float[Tensor, "P"]) -> DepthComparison:
        """The same, after every person became exp(``log_factor``) times as large and as far."""
        return replace(self, level=self.level + log_factor[:, None])


def compare_depths(
    body: Body,
    placed: PlacedBodies,
    depth: Float[FrameTensor, "D H W"],
    masks: Int16[FrameTensor, "D H W"],
    intrinsics: Float[Tensor, "T 3 3"],
    dense: Int64[Tensor, "D"],
) -> DepthComparison:
    """Draw every body and compare it with the scene at the person's own pixels, in the ``dense`` frames of all T."""
    num_people, num_frames = placed.valid.shape
    stride = max(1, -(-max(depth.shape[1:]) // COMPARE_LONG_SIDE))
    # Every stride-th pixel, seen as an image of its own: its pixel centres are those of the full image.
    first = stride // 2
    every = (slice(first, None, stride), slice(first, None, stride))
    grid = pixel_grid(int(depth.shape[1]), int(depth.shape[2]), like=intrinsics)[every]
    small = thin_intrinsics(intrinsics, first, stride)

    level, scene_level = torch.full((2, num_people, num_frames), torch.nan)
    tilt, centre = torch.zeros(2, num_people, num_frames, 2)
    relief, extent = torch.ones(2, num_people, num_frames)
    read = -1
    for row, person in placed.valid[:, dense].T.nonzero().tolist():
        if row != read:
            read, people, scene = row, masks[(row, *every)], depth[(row, *every)]
        frame, mask = int(dense[row]), people == person
        if int(mask.sum()) < MIN_PIXELS:
            continue
        vertices = body.vertices(_select(placed.params, person, frame))
        size = (len(grid), int(grid.shape[1]))
        body_depth = torch.from_numpy(draw_depth(vertices.numpy(), body.faces.numpy(), small[frame].numpy(), size))
        shared = (body_depth > 0) & mask & (scene > 0)
        if int(shared.sum()) < MIN_PIXELS:
            continue
        log_body, log_scene = body_depth[shared].log(), scene[shared].log()
        pixels = grid[shared]
        middle, span = pixels.mean(0), (pixels.amax(0) - pixels.amin(0)).max().clamp_min(1.0)
        level[person, frame], scene_level[person, frame] = (log_body - log_scene).median(), log_scene.median()
        tilt[person, frame], relief[person, frame] = _fit_surface(
            (pixels - middle) / span, log_scene - log_scene.median(), log_body - log_body.median()
        )
        centre[person, frame], extent[person, frame] = middle, span
    return DepthComparison(level=level, scene_level=scene_level, tilt=tilt, relief=relief, centre=centre, extent=extent)


def estimate_scale(log_ratios: Float[Tensor, "P T"], placed: PlacedBodies, network_scale: float | None) -> SceneScale:
    """The person as the ruler: weighted median over all people and frames that measure well.

    Without such a person the network's own scale is taken, drawn to those of whom less is seen as far as their error
    allows; without a scale of the network, 1.
    """
    usable = placed.measures_scene & torch.isfinite(log_ratios)
    if usable.any():
        weights = torch.where(usable, placed.distance_sigma**-2, 0.0)
        known = placed.known_height is not None and bool(placed.known_height[usable.any(1)].all())
        factor, uncertainty = scale_from_person(
            log_ratios.exp(),
            torch.ones_like(log_ratios),
            weights,
            stature_spread=KNOWN_HEIGHT_SIGMA if known else STATURE_SPREAD,
        )
        return SceneScale(factor=float(factor), uncertainty=float(uncertainty), source="people")
    if network_scale is not None and network_scale > 0:
        drawn = math.exp(_ask_weak_rulers(log_ratios - math.log(network_scale), placed))
        return SceneScale(factor=network_scale * drawn, uncertainty=float("nan"), source="network")
    return SceneScale(factor=1.0, uncertainty=float("nan"), source="none")


def _ask_weak_rulers(log_ratios: Float[Tensor, "P T"], placed: PlacedBodies) -> float:
    """Logarithm of the factor by which people, all of them seen badly, make the network's scale larger.

    The mean of what the network says (0) and of what they say, by inverse variances. The frames of a person err alike.

    Args:
        log_ratios: of the scale by each of them over the network's.
    """
    sigma = placed.distance_sigma
    weak = placed.valid & torch.isfinite(log_ratios) & (sigma < DISTANCE_SIGMA["none"])
    told, error = (torch.where(weak, one, torch.nan).nanmedian(dim=1).values for one in (log_ratios, sigma))
    weights = error.square().reciprocal().nan_to_num()
    return float((told.nan_to_num() * weights).sum() / (weights.sum() + NETWORK_SIGMA**-2))


def correct_people(
    depth: Float[FrameTensor, "D H W"],
    masks: Int16[FrameTensor, "D H W"],
    comparison: DepthComparison,
    dense: Int64[Tensor, "D"],
) -> Float[FrameTensor, "D H W"]:
    """Bring each person's own pixels to their body by its level, tilt and relief; the scene is never touched.

    ``comparison`` is that of the metric depth, of T frames of which these are the ``dense`` ones. Where it is unknown,
    the person's median level alone is taken. What is returned is computed when a frame is read.
    """
    usual = comparison.level.nanmedian(dim=1).values
    known = torch.isfinite(usual).nonzero()[:, 0].tolist()
    grid = pixel_grid(int(depth.shape[1]), int(depth.shape[2]), like=comparison.level)

    def corrected(row: int) -> Float[Tensor, "H W"]:
        frame, mask, before = int(dense[row]), masks[row], depth[row]
        after = before.clone()
        for person in known:
            own = mask == person
            if not own.any():
                continue
            own &= before > 0
            log_depth = before[own].log()
            if not torch.isfinite(comparison.level[person, frame]):
                after[own] = (log_depth + usual[person]).exp()
                continue
            middle = comparison.scene_level[person, frame]
            offset = (grid[own] - comparison.centre[person, frame]) / comparison.extent[person, frame]
            lean = (offset.clamp(-0.75, 0.75) * comparison.tilt[person, frame]).sum(-1)
            relief = comparison.relief[person, frame] * (log_depth - middle).clamp(-MAX_RELIEF, MAX_RELIEF)
            after[own] = (middle + comparison.level[person, frame] + lean + relief).exp()
        return after

    return FrameArray.like(depth, corrected)


def _fit_surface(
    offsets: Float[Tensor, "K 2"],
    log_scene: Float[Tensor, "K"],
    log_body: Float[Tensor, "K"],
    *,
    ridge: float = 0.002,
    rounds: int = 5,
) -> tuple[Float[Tensor, "2"], Float[Tensor, ""]]:
    """Robust tilt and relief (see ``DepthComparison``) by re-weighted least squares on centred logarithms.

    Drawn to no tilt and full relief, which is what a good depth map has, where the pixels say little.
    """
    design = torch.cat([offsets, log_scene[:, None], torch.ones_like(log_scene[:, None])], dim=1)
    prior = torch.diag(torch.tensor([ridge, ridge, ridge, 1e-6]))
    start = torch.tensor([0.0, 0.0, 1.0, 0.0])
    weights, solution = torch.ones_like(log_scene), start
    for _ in range(rounds):
        weighted = (design * weights[:, None]).T / weights.sum()
        solution = torch.linalg.solve(weighted @ design + prior, weighted @ log_body + prior @ start)
        weights = 1.0 / (log_body - design @ solution).abs().clamp_min(0.01)
    return solution[:2].clamp(-MAX_TILT, MAX_TILT), solution[2].clamp(0.0, 1.0)


def _select(params: BodyParams, person: int, frame: int) -> BodyParams:
    return BodyParams(
        betas=params.betas[person, frame],
        global_orient=params.global_orient[person, frame],
        body_pose=params.body_pose[person, frame],
        transl=params.transl[person, frame],
    )
