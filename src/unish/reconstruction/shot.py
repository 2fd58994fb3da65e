"""One shot: network units → metres, bodies in the camera → bodies in the world."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int16, Int64
from torch import Tensor

from unish.body import Body, move_body
from unish.reconstruction.anchor import (
    DISTANCE_SIGMA,
    PlacedBodies,
    move_along_ray,
    place_bodies,
    resize_bodies,
    smooth_distances,
    smooth_in_time,
    trust_heights,
)
from unish.reconstruction.between import interpolate_values, is_near_in_time
from unish.reconstruction.depth_curve import DepthCurve
from unish.reconstruction.metric import (
    MIN_PIXELS,
    DepthComparison,
    SceneScale,
    compare_depths,
    correct_people,
    estimate_scale,
)
from unish.reconstruction.stitch import Shot, scale_cameras
from unish.structs import CONFIDENT, BodyParams, Camera, FrameArray, FrameTensor

SCENE_SIGMA = 0.3
"""Relative error of the scene's depth at one person, against which a badly seen ruler is weighed."""

PICTURE_SIGMA = 0.6
"""Relative error of the size of what may be a picture of a person: it is no ruler, and stands where the scene is."""

NEAR_IN_TIME_S = 1.0
"""Nobody goes far in less."""


@dataclass(frozen=True, kw_only=True)
class ShotEvidence:
    """What is known of a shot's T frames beside the network's prediction. Pixels are those of the processed image.

    Attributes:
        timestamps_s: (T,) from the first frame of the shot.
        valid: (P, T) people observed.
        masks: (D, H, W) index into the people axis, −1 = scene, of the frames with depth; they may lie on the disk.
        landmarks_px: (P, T, 33, 3), NaN where none.
        boxes_xyxy: (P, T, 4).
        box_only: (P, T) nothing but the box was seen of the person: no landmarks, and no crop that the network read.
        known_height: (P,) people whose stature was given; ``None`` for nobody.
        never_moves: (P,) perhaps a poster or a statue, whose size says nothing; ``None`` where nobody has looked.
        landmarks_sigma_px: (P, T, 33) standard error of each landmark; ``None`` where nobody has said.
        given_contacts: (P, T, 4) 1 where a user says that a heel or toe (``contacts.REGIONS``) touches the ground, 0
            where it does not, NaN where they say nothing; ``None`` where they say nothing at all.
        floor_given: a user says where the floor is: feet are not asked.
    """

    timestamps_s: Float[Tensor, "T"]
    valid: Bool[Tensor, "P T"]
    masks: Int16[FrameTensor, "D H W"]
    landmarks_px: Float[Tensor, "P T 33 3"]
    boxes_xyxy: Float[Tensor, "P T 4"]
    box_only: Bool[Tensor, "P T"]
    known_height: Bool[Tensor, "P"] | None = None
    never_moves: Bool[Tensor, "P"] | None = None
    landmarks_sigma_px: Float[Tensor, "P T 33"] | None = None
    given_contacts: Float[Tensor, "P T 4"] | None = None
    floor_given: bool = False


@dataclass(frozen=True, kw_only=True)
class ComparedShot:
    """Metric bodies of a shot in their cameras, beside a scene whose unit is still unknown.

    Attributes:
        sure: (D, H, W) depth of the scene in its own unit, 0 where the network doubts it.
        comparison: of bodies and ``sure``.
    """

    shot: Shot
    evidence: ShotEvidence
    sure: Float[FrameTensor, "D H W"]
    placed: PlacedBodies
    comparison: DepthComparison


@dataclass(frozen=True, kw_only=True)
class MetricShot:
    """One shot in metres, its own first camera as world.

    Attributes:
        camera: of all frames; ``intrinsics`` are the same in pixels of the processed image.
        dense: which of the T frames have depth.
        conf: of these.
        depth_before: (D, H, W) metric z before the correction at people, computed when a frame is read.
        depth: (D, H, W) after it.
        params: world parameters of every person and frame, leading shape (P, T).
        by_network: (P, T) placed by the network, since too few landmarks were seen to measure the distance.
        joints: (P, T, 24, 3) world.
        correction: what was done to each person's own depth.
        curve: along which the depth of the scene went after ``scale``; ``None`` where nothing asked for one.
        network_scale, still, residual, unplaced, doubtful, unjoined, keeps_cameras, given_error_px, num_loops,
            measured: see ``Shot``.
        known_height: see ``ShotEvidence``.
    """

    camera: Camera
    intrinsics: Float[Tensor, "T 3 3"]
    c2w: Float[Tensor, "T 4 4"]
    dense: Int64[Tensor, "D"]
    conf: Float[FrameTensor, "D H W"]
    depth_before: Float[FrameTensor, "D H W"]
    depth: Float[FrameTensor, "D H W"]
    params: BodyParams
    valid: Bool[Tensor, "P T"]
    distance_sigma: Float[Tensor, "P T"]
    by_network: Bool[Tensor, "P T"]
    joints: Float[Tensor, "P T 24 3"]
    correction: DepthComparison
    scale: SceneScale
    curve: DepthCurve | None
    network_scale: float | None
    still: bool
    residual: float
    unplaced: Bool[Tensor, "D"]
    doubtful: Bool[Tensor, "D"]
    unjoined: int
    known_height: Bool[Tensor, "P"] | None = None
    keeps_cameras: bool = False
    given_error_px: float = math.nan
    num_loops: int = 0
    measured: Bool[Tensor, "T"] | None = None


def measure_certainty(
    shot: Shot, evidence: ShotEvidence, betas: Float[Tensor, "P 10"], body: Body
) -> Float[Tensor, "P T"]:
    """How far the size of each person can be trusted, as ``PlacedBodies.distance_sigma``."""
    return _place(shot, evidence, betas, body).distance_sigma


def measure_shot(shot: Shot, evidence: ShotEvidence, betas: Float[Tensor, "P 10"], body: Body) -> MetricShot:
    """Place the bodies, let them measure the scene, correct each person's own points, and move all into the world."""
    return move_into_world(compare_shot(shot, evidence, betas, body), body)


def compare_shot(shot: Shot, evidence: ShotEvidence, betas: Float[Tensor, "P 10"], body: Body) -> ComparedShot:
    """Place the bodies and draw them beside the scene; the slow part of a shot."""
    placed = smooth_distances(body, _place(shot, evidence, betas, body), evidence.timestamps_s)
    # Depth that the network itself doubts says nothing about scale or people.
    sure = FrameArray.map(lambda conf, depth: torch.where(conf >= CONFIDENT, depth, 0.0), shot.conf, shot.depth)
    comparison = compare_depths(body, placed, sure, evidence.masks, shot.intrinsics, shot.dense)
    return ComparedShot(shot=shot, evidence=evidence, sure=sure, placed=placed, comparison=comparison)


def resize_people(compared: ComparedShot, log_factor: Float[Tensor, "P"], body: Body) -> ComparedShot:
    """Everybody exp(``log_factor``) times as large and as far: they look the same."""
    return replace(
        compared,
        placed=resize_bodies(body, compared.placed, log_factor),
        comparison=compared.comparison.of_larger_people(log_factor),
    )


def move_into_world(compared: ComparedShot, body: Body, curve: DepthCurve | None = None) -> MetricShot:
    """Metres and one world.

    Args:
        curve: what the scene's metric depth is to go along, if anything says so.
    """
    shot, evidence, placed = compared.shot, compared.evidence, compared.placed
    scale = estimate_scale(compared.comparison.level, placed, shot.network_scale)
    if shot.metres_by_cameras is not None:
        scale = SceneScale(factor=shot.metres_by_cameras, uncertainty=0.0, source="cameras")
    comparison = compared.comparison.in_metres(scale.factor)
    in_metres, world_scale = (lambda depth: depth * scale.factor), scale.factor
    if curve is not None:
        comparison = comparison.along(curve)
        in_metres, world_scale = (lambda depth: curve.apply(depth * scale.factor)), scale.factor * math.exp(curve.mean)
    level = _between(comparison.level, shot.dense, evidence)
    placed, log_moves = _support_weak_rulers(body, placed, level, evidence.timestamps_s)
    # Moving a body along its ray multiplies the depth of all its surface, nearly, by the same factor.
    comparison = replace(comparison, level=comparison.level + log_moves)
    metric_sure = FrameArray.map(in_metres, compared.sure)
    placed, comparison = _stand_in_boxes(body, placed, comparison, metric_sure, evidence, shot.intrinsics, shot.dense)
    # Places that were given in metres stay so, whatever the unit of the depth.
    c2w = shot.c2w if shot.keeps_cameras and shot.cameras_in_metres else scale_cameras(shot.c2w, world_scale)
    rest_pelvis = body.rest_joints(placed.params.betas)[..., 0, :]
    params = move_body(placed.params, c2w.expand(*placed.valid.shape, 4, 4), rest_pelvis)
    before = FrameArray.map(in_metres, shot.depth)
    return MetricShot(
        camera=shot.camera,
        intrinsics=shot.intrinsics,
        c2w=c2w,
        dense=shot.dense,
        conf=shot.conf,
        depth_before=before,
        depth=correct_people(before, _leave_out_boxes(evidence, shot.dense), comparison, shot.dense),
        params=params,
        valid=placed.valid,
        distance_sigma=placed.distance_sigma,
        by_network=placed.by_network & ~evidence.box_only,
        joints=body.joints(params),
        correction=comparison,
        scale=replace(scale, factor=world_scale),
        curve=curve,
        network_scale=shot.network_scale,
        still=shot.still,
        residual=shot.residual,
        unplaced=shot.unplaced,
        doubtful=shot.doubtful,
        unjoined=shot.unjoined,
        known_height=evidence.known_height,
        keeps_cameras=shot.keeps_cameras,
        given_error_px=shot.given_error_px,
        num_loops=shot.num_loops,
        measured=shot.measured,
    )


def replace_people(shot: MetricShot, evidence: ShotEvidence, params: BodyParams, body: Body) -> MetricShot:
    """The shot with other poses and places of its people; their points go with them, the scene stays.

    Args:
        params: in the world, for the shapes that the people have.
    """
    joints = body.joints(params)
    centre, forward = shot.c2w[:, :3, 3], shot.c2w[:, :3, 2]
    before, after = (((pelvis - centre) * forward).sum(-1) for pelvis in (shot.joints[..., 0, :], joints[..., 0, :]))
    # As for a body that moves along its ray: the depth of all its surface changes by nearly the same factor.
    moved = (after / before).log()
    correction = replace(shot.correction, level=shot.correction.level + torch.where(shot.valid, moved, 0.0))
    masks = _leave_out_boxes(evidence, shot.dense)
    return replace(
        shot,
        params=params,
        joints=joints,
        correction=correction,
        depth=correct_people(shot.depth_before, masks, correction, shot.dense),
    )


def _place(shot: Shot, evidence: ShotEvidence, betas: Float[Tensor, "P 10"], body: Body) -> PlacedBodies:
    num_people, num_frames = evidence.valid.shape
    height, width = evidence.masks.shape[1:]
    if shot.rotations is None or shot.transl is None:
        rotations = torch.eye(3).expand(num_people, num_frames, 24, 3, 3)
        transl = torch.full((num_people, num_frames, 3), torch.nan)
    else:
        rotations = shot.rotations
        in_metres = shot.shift * (shot.network_scale or 0.0)
        transl = shot.transl + torch.tensor([0.0, 0.0, in_metres])
    placed = place_bodies(
        body, rotations, betas, evidence.landmarks_px, shot.intrinsics, (height, width), evidence.valid, transl,
        evidence.landmarks_sigma_px,
    )  # fmt: skip
    if evidence.never_moves is not None:
        sigma = placed.distance_sigma
        sigma = torch.where(evidence.never_moves[:, None], sigma.clamp_min(PICTURE_SIGMA), sigma)
        placed = replace(placed, distance_sigma=sigma)
    return placed if evidence.known_height is None else trust_heights(placed, evidence.known_height)


def _support_weak_rulers(
    body: Body, placed: PlacedBodies, log_ratios: Float[Tensor, "P T"], timestamps_s: Float[Tensor, "T"]
) -> tuple[PlacedBodies, Float[Tensor, "P T"]]:
    """People who are seen badly are put between where the ruler and where the metric scene sees them, by their errors.

    What moves them follows a smooth course over time, frames in which they are seen well included: a frame whose depth
    is wrong, or shows somebody else at their place, moves nobody by metres.

    Returns the bodies and the logarithm of the factor that each distance was multiplied by.
    """
    weak, told = ~placed.is_ruler & placed.valid, torch.isfinite(log_ratios)
    trust_scene = SCENE_SIGMA**-2 / (SCENE_SIGMA**-2 + placed.distance_sigma**-2)
    wanted = torch.where(weak & told, -log_ratios.nan_to_num() * trust_scene, 0.0)
    known = placed.valid & (told | ~weak)
    smooth = smooth_in_time(wanted, known, placed.distance_sigma.clamp_max(SCENE_SIGMA), timestamps_s)
    # Where no scene is to be seen at somebody, the frames around tell.
    followed = interpolate_values(torch.where(known, smooth, torch.nan), timestamps_s.double().numpy())
    log_moves = torch.where(weak, followed.nan_to_num(), 0.0)
    return move_along_ray(body, placed, log_moves.exp()), log_moves


def _between(values: Float[Tensor, "P T"], dense: Int64[Tensor, "D"], evidence: ShotEvidence) -> Float[Tensor, "P T"]:
    """What the scene says of people in the ``dense`` frames, told in the others, too."""
    if len(dense) == values.shape[1]:
        return values
    return interpolate_values(values, evidence.timestamps_s.double().numpy())


def _leave_out_boxes(evidence: ShotEvidence, dense: Int64[Tensor, "D"]) -> Int16[FrameTensor, "D H W"]:
    """The masks without the people of whom only a box was seen: their depth stays as it is, also where it varies so
    much that a correction would hold it for background."""

    def others(row: int) -> Int16[Tensor, "H W"]:
        mask = evidence.masks[row]
        boxes = evidence.box_only[:, dense[row]].nonzero()[:, 0].to(mask.dtype)
        return mask.masked_fill(torch.isin(mask, boxes), -1)

    return FrameArray.like(evidence.masks, others) if evidence.box_only.any() else evidence.masks


def _stand_in_boxes(
    body: Body,
    placed: PlacedBodies,
    comparison: DepthComparison,
    depth: Float[FrameTensor, "D H W"],
    evidence: ShotEvidence,
    intrinsics: Float[Tensor, "T 3 3"],
    dense: Int64[Tensor, "D"],
) -> tuple[PlacedBodies, DepthComparison]:
    """People of whom only a box was seen stand at its centre: as far away as they were measured within
    ``NEAR_IN_TIME_S``, else as the scene is there, which stays as it is."""
    pelvis = placed.params.transl + body.rest_joints(placed.params.betas)[..., 0, :]
    level, scene_level = comparison.level.clone(), comparison.scene_level.clone()
    boxes, distance = evidence.box_only & placed.valid, torch.full_like(level, torch.nan)
    for row, person in boxes[:, dense].T.nonzero().tolist():
        seen, frame = depth[row], int(dense[row])
        own = seen[(evidence.masks[row] == person) & (seen > 0)]
        if len(own) >= MIN_PIXELS:
            distance[person, frame] = own.median()
            level[person, frame], scene_level[person, frame] = 0.0, own.median().log()
    distance = _between(distance, dense, evidence)
    measured = torch.where(placed.valid & ~evidence.box_only, pelvis[..., 2], torch.nan)
    followed = interpolate_values(measured, evidence.timestamps_s.double().numpy())
    near = is_near_in_time(torch.isfinite(measured), evidence.timestamps_s, within_s=NEAR_IN_TIME_S)
    told_by_scene = boxes & ~(near & torch.isfinite(followed))
    distance = torch.where(told_by_scene, distance, followed).clamp_min(1e-3)
    # What the scene says at one box errs by metres; what frames say together, and those before and after, by less.
    sigma = torch.where(told_by_scene, SCENE_SIGMA, DISTANCE_SIGMA["full"])
    known = placed.valid & torch.isfinite(distance) & told_by_scene.any(1, keepdim=True)
    course = smooth_in_time(distance.log(), known, sigma, evidence.timestamps_s, metres=distance).exp()
    distance = torch.where(told_by_scene, course, distance)
    for person, frame in (boxes & torch.isfinite(distance)).nonzero().tolist():
        x0, y0, x1, y1 = evidence.boxes_xyxy[person, frame]
        centre = torch.stack([(x0 + x1) / 2, (y0 + y1) / 2, torch.ones_like(x0)])
        pelvis[person, frame] = distance[person, frame] * (torch.linalg.inv(intrinsics[frame]) @ centre)
    params = replace(placed.params, transl=pelvis - body.rest_joints(placed.params.betas)[..., 0, :])
    return replace(placed, params=params), replace(comparison, level=level, scene_level=scene_level)
