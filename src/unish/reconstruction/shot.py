"""One shot: network units → metres, bodies in the camera → bodies in the world."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int16
from torch import Tensor, nn

from unish.body import Body, move_body
from unish.geometry.camera import make_intrinsics
from unish.geometry.focal import focal_to_pixels, recover_focal_and_shift
from unish.reconstruction.anchor import PlacedBodies, move_along_ray, place_bodies, smooth_distances
from unish.reconstruction.metric import DepthComparison, SceneScale, compare_depths, correct_people, estimate_scale
from unish.reconstruction.stitch import CONFIDENT, Shot
from unish.structs import BodyParams

SCENE_SIGMA = 0.3
"""Relative error of the scene's depth at one person, against which a badly seen ruler is weighed."""


@dataclass(frozen=True, kw_only=True)
class ShotEvidence:
    """What is known of a shot's T frames beside the network's prediction. Pixels are those of the processed image.

    Attributes:
        timestamps_s: (T,).
        valid: (P, T) people observed.
        masks: (T, H, W) index into the people axis, −1 = scene.
        landmarks_px: (P, T, 33, 3), NaN where none.
        intrinsics: (3, 3) when the camera is known, else ``None``.
    """

    timestamps_s: Float[Tensor, "T"]
    valid: Bool[Tensor, "P T"]
    masks: Int16[Tensor, "T H W"]
    landmarks_px: Float[Tensor, "P T 33 3"]
    intrinsics: Float[Tensor, "3 3"] | None


@dataclass(frozen=True, kw_only=True)
class MetricShot:
    """One shot in metres, its own first camera as world.

    Attributes:
        depth_before: (T, H, W) metric z before the correction at people.
        depth: (T, H, W) after it.
        params: world parameters of every person and frame, leading shape (P, T).
        joints: (P, T, 24, 3) world.
        correction: what was done to each person's own depth.
        residual: of stitching, see ``Shot``.
    """

    intrinsics: Float[Tensor, "T 3 3"]
    c2w: Float[Tensor, "T 4 4"]
    conf: Float[Tensor, "T H W"]
    depth_before: Float[Tensor, "T H W"]
    depth: Float[Tensor, "T H W"]
    params: BodyParams
    valid: Bool[Tensor, "P T"]
    distance_sigma: Float[Tensor, "P T"]
    joints: Float[Tensor, "P T 24 3"]
    correction: DepthComparison
    scale: SceneScale
    residual: float


def measure_certainty(
    shot: Shot, evidence: ShotEvidence, betas: Float[Tensor, "P 10"], body: Body
) -> Float[Tensor, "P T"]:
    """How far the size of each person can be trusted, as ``PlacedBodies.distance_sigma``."""
    prediction = shot.prediction
    confident = prediction.point_conf_logits[0].sigmoid() > CONFIDENT
    intrinsics, shift = _solve_cameras(prediction.local_points[0], confident, evidence.intrinsics)
    return _place(shot, evidence, betas, body, intrinsics, shift).distance_sigma


def measure_shot(shot: Shot, evidence: ShotEvidence, betas: Float[Tensor, "P 10"], body: Body) -> MetricShot:
    """Place the bodies, let them measure the scene, correct each person's own points, and move all into the world."""
    prediction = shot.prediction
    conf = prediction.point_conf_logits[0].sigmoid()
    intrinsics, shift = _solve_cameras(prediction.local_points[0], conf > CONFIDENT, evidence.intrinsics)
    depth = (prediction.local_points[0, ..., 2] + shift[:, None, None]).clamp_min(0.0)
    placed = _place(shot, evidence, betas, body, intrinsics, shift)
    placed = smooth_distances(body, placed, evidence.timestamps_s)
    comparison = compare_depths(body, placed, depth, evidence.masks, intrinsics)
    scale = estimate_scale(comparison.level, placed, shot.network_scale)
    metric_depth, comparison = depth * scale.factor, comparison.in_metres(scale.factor)
    placed, log_moves = _support_weak_rulers(body, placed, comparison.level)
    # Moving a body along its ray multiplies the depth of all its surface, nearly, by the same factor.
    comparison = replace(comparison, level=comparison.level + log_moves)
    c2w = prediction.c2w[0].clone()
    c2w[:, :3, 3] *= scale.factor
    rest_pelvis = body.rest_joints(placed.params.betas)[..., 0, :]
    params = move_body(placed.params, c2w.expand(*placed.valid.shape, 4, 4), rest_pelvis)
    return MetricShot(
        intrinsics=intrinsics,
        c2w=c2w,
        conf=conf,
        depth_before=metric_depth,
        depth=correct_people(metric_depth, evidence.masks, comparison),
        params=params,
        valid=placed.valid,
        distance_sigma=placed.distance_sigma,
        joints=body.joints(params),
        correction=comparison,
        scale=scale,
        residual=shot.residual,
    )


def _solve_cameras(
    local_points: Float[Tensor, "T H W 3"], mask: Bool[Tensor, "T H W"], known: Float[Tensor, "3 3"] | None
) -> tuple[Float[Tensor, "T 3 3"], Float[Tensor, "T"]]:
    """Intrinsics, and what to add to every z for them to hold: of the points and of whoever stands among them."""
    height, width = mask.shape[1:]
    num_frames = local_points.shape[0]
    half_diagonal = (height**2 + width**2) ** 0.5 / 2
    known_focal = None if known is None else (known[0, 0] + known[1, 1]).expand(num_frames) / 2 / half_diagonal
    focal, shift = recover_focal_and_shift(local_points, mask, focal=known_focal)
    if known is not None:
        return known.expand(num_frames, 3, 3), shift
    return make_intrinsics(focal_to_pixels(focal, height, width), height, width), shift


def _place(
    shot: Shot,
    evidence: ShotEvidence,
    betas: Float[Tensor, "P 10"],
    body: Body,
    intrinsics: Float[Tensor, "T 3 3"],
    shift: Float[Tensor, "T"],
) -> PlacedBodies:
    prediction = shot.prediction
    num_people, num_frames = evidence.valid.shape
    height, width = evidence.masks.shape[1:]
    if prediction.rotations is None or prediction.transl is None:
        rotations = torch.eye(3).expand(num_people, num_frames, 24, 3, 3)
        transl = torch.full((num_people, num_frames, 3), torch.nan)
    else:
        rotations = prediction.rotations[0]
        in_metres = shift[:, None] * (shot.network_scale or 0.0)
        transl = prediction.transl[0] + nn.functional.pad(in_metres, (2, 0))
    return place_bodies(
        body, rotations, betas, evidence.landmarks_px, intrinsics, (height, width), evidence.valid, transl
    )


def _support_weak_rulers(
    body: Body, placed: PlacedBodies, log_ratios: Float[Tensor, "P T"]
) -> tuple[PlacedBodies, Float[Tensor, "P T"]]:
    """People cut at the hips are put between where the ruler and where the metric scene sees them, by their errors.

    Returns the bodies and the logarithm of the factor that each distance was multiplied by.
    """
    weak = ~placed.is_ruler & placed.valid & torch.isfinite(log_ratios)
    trust_scene = SCENE_SIGMA**-2 / (SCENE_SIGMA**-2 + placed.distance_sigma**-2)
    log_moves = torch.where(weak, -log_ratios.nan_to_num() * trust_scene, 0.0)
    return move_along_ray(body, placed, log_moves.exp()), log_moves
