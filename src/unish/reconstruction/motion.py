"""Feet that touch the ground stay where they are, and nothing goes through it: paths and poses of people.

A fixed number of Gauss–Newton steps change pose and place of a body over time (``body.pose_rows``), from what was
found:

* every landmark stays where it is in the picture, the better it was seen the more, up to an error of the person's size
  and so of their distance in that frame;
* joints keep their turns, legs and feet less than the rest;
* while a heel or toe touches, it stays where it is over the floor, and on it;
* what of a body would be under the ground is lifted (``undersides``);
* accelerations are small, in the world: the camera's own motion is out of it;
* what moves a person along the viewing ray changes slowly, so no foot that touches makes a distance jump.

Nobody is drawn down to the floor: what does not touch is held by the picture alone. In frames with nothing but a box
people move along the ray as they do in the frames around. Every person is cut into pieces of ``PIECE`` observed frames,
which overlap, so that memory does not grow with the length of a shot.

Legend: S pieces, N frames of each, C = 4 heels and toes (``contacts.REGIONS``).
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor
from torch.nn.functional import pad

from unish.body import JOINT_NAMES, Body
from unish.body.landmark_jacobian import differentiate_landmarks
from unish.body.pose_rows import (
    MIN_DEPTH_M,
    Evidence,
    Poses,
    block_diagonal,
    damp,
    motion_term,
    picture_term,
    prior_term,
    steady_term,
)
from unish.geometry.block_tridiagonal import solve_second_order
from unish.geometry.rigid import transform_points
from unish.geometry.rotation import axis_angle_to_matrix
from unish.reconstruction.anchor import landmark_weights, smooth_in_time
from unish.reconstruction.between import interpolate_values, is_near_in_time
from unish.reconstruction.ground import Ground
from unish.reconstruction.shot import NEAR_IN_TIME_S, MetricShot, ShotEvidence, replace_people
from unish.reconstruction.touching import CONTACT_LANDMARKS, TOUCHES, Touching, find_touching
from unish.reconstruction.undersides import Undersides, find_undersides, sunk_term
from unish.structs import BodyParams

STEPS = 4

PIECE, OVERLAP = 128, 16
_PIECES_AT_ONCE = 8

_STEP_M, _HELD_SCALE_M = 0.003, 0.05  # of a foot that touches, from frame to frame; scale of the Cauchy weights of both
_HEIGHT_M = 0.006  # of a foot that touches, over the floor, up to the scale of its weights
_SEEN_M, _GUESSED_M = 0.01, 0.06  # of a landmark across the viewing ray; of one that is seen, at best
_ALONG_RAY = 0.004  # share of the distance, at best
_ALONG_RAY_PER_M = 1.2  # and so much of it for a metre of error of the landmarks: twice that over a body's height
# Of who stands still: what is surely more counts by the same small weight for any of these (``motion_term``).
_PELVIS_M_S2, _TURN_RAD_S2 = 0.5, 4.0
_DISTANCE_M_S2 = 0.3  # of what moves a person along the viewing ray
_TURN_SIGMA_RAD = {
    **dict.fromkeys(("left_hip", "right_hip", "left_knee", "right_knee"), 0.2),
    **dict.fromkeys(("left_ankle", "right_ankle"), 0.15),
    "pelvis": 0.1,
}
_OTHER_SIGMA_RAD = 0.05
_TURN_SIGMAS_RAD = tuple(_TURN_SIGMA_RAD.get(name, _OTHER_SIGMA_RAD) for name in JOINT_NAMES)
_DAMPING = 1e-5
_UNKNOWNS = 75


def settle_motion(
    shot: MetricShot,
    evidence: ShotEvidence,
    ground: Ground,
    contact: Float[Tensor, "P T C"],
    body: Body,
    support: Float[Tensor, "P T C"] | None = None,
) -> MetricShot:
    """See the module. Without a floor, and for people who never touch it, what is seen and smoothness count alone.

    Args:
        contact: probability that heels and toes touch, NaN where unknown.
        support: height over the floor, metres, of what is under them (``supports``); ``None``: the floor.
    """
    solved = shot.valid & ~evidence.box_only & ~shot.by_network & (shot.joints[..., 0, 2].isfinite())
    if not solved.any():
        return shot
    has_floor = bool(ground.floor.isfinite().all())
    # Nothing touches a floor that is unknown; a plane without a direction stands for it.
    ground = replace(ground, floor=ground.floor.nan_to_num())
    touches = solved[..., None] & (contact.nan_to_num() > TOUCHES) & has_floor
    stood = find_touching(shot, evidence, ground, torch.where(touches, contact, 0.0), solved, body, support)
    stands = touches.any(-1).any(-1, keepdim=True)
    undersides = find_undersides(shot, ground.floor, solved & stands, body, support)
    person, frames, kept = _cut_into_pieces(solved)
    rotations = torch.cat([shot.params.global_orient[:, :, None], shot.params.body_pose], dim=2)
    pelvis = shot.joints[..., 0, :].clone()
    # A foot that is held weighs so much more than its distance that float32 loses the latter.
    exact_body = body.to(dtype=torch.float64)
    for block in torch.arange(len(person)).split(_PIECES_AT_ONCE):
        at = (person[block, None].expand_as(frames[block]), frames[block].clamp_min(0))
        observed = frames[block] >= 0
        held, distances = _gather_evidence(shot, evidence, body, at, observed)
        touching, lowest = stood.pick(at, observed), undersides.pick(at, observed)
        found = held.start
        for _ in range(STEPS):
            found = _step(exact_body, found, held, distances, touching, lowest)
        keep = kept[block]
        where = (at[0][keep], at[1][keep])
        rotations[where], pelvis[where] = found.rotations[keep].float(), found.position[keep].float()
    pelvis = _follow_along_ray(shot, evidence.timestamps_s, solved, pelvis)
    params = replace(
        shot.params,
        global_orient=rotations[:, :, 0],
        body_pose=rotations[:, :, 1:],
        transl=pelvis - body.rest_joints(shot.params.betas)[..., 0, :],
    )
    return replace_people(shot, evidence, params, body)


def _follow_along_ray(
    shot: MetricShot, times_s: Float[Tensor, "T"], solved: Bool[Tensor, "P T"], pelvis: Float[Tensor, "P T 3"]
) -> Float[Tensor, "P T 3"]:
    """The pelvises; those of unsolved frames go as much farther or nearer as the solved ones around them."""
    centre = shot.c2w[:, :3, 3]
    away = shot.joints[..., 0, :] - centre
    log_moves = ((pelvis - centre).norm(dim=-1) / away.norm(dim=-1)).log()
    log_moves = interpolate_values(torch.where(solved, log_moves, torch.nan), times_s.double().numpy())
    others = ~solved & is_near_in_time(solved, times_s, within_s=NEAR_IN_TIME_S)
    return torch.where(others[..., None], centre + away * log_moves.exp()[..., None], pelvis)


def _cut_into_pieces(
    solved: Bool[Tensor, "P T"],
) -> tuple[Int64[Tensor, "S"], Int64[Tensor, "S N"], Bool[Tensor, "S N"]]:
    """Person and frames of each piece, −1 where it has no more; and the frames whose solution is the piece's own.

    Every solved frame is the own of one piece.
    """
    people, pieces, kept = [], [], []
    for person in range(len(solved)):
        frames = solved[person].nonzero()[:, 0]
        starts = range(0, max(1, len(frames) - 2 * OVERLAP), PIECE - 2 * OVERLAP)
        for start in starts if len(frames) else ():
            piece = frames[start : start + PIECE]
            own = torch.ones(len(piece), dtype=torch.bool)
            own[: OVERLAP if start > 0 else 0] = False
            own[PIECE - OVERLAP :] &= start == starts[-1]
            missing = PIECE - len(piece)
            people.append(person)
            pieces.append(pad(piece, (0, missing), value=-1))
            kept.append(pad(own, (0, missing)))
    longest = max(4, int(max((piece >= 0).sum() for piece in pieces)))
    longest += longest % 2
    return torch.tensor(people), torch.stack(pieces)[:, :longest], torch.stack(kept)[:, :longest]


class _Distances(NamedTuple):
    """Of the pelvis from the camera.

    Attributes:
        sigma: standard error in each frame, a share, which all its landmarks have in common.
        expected: metres, on a smooth course.
    """

    sigma: Float[Tensor, "S N"]
    expected: Float[Tensor, "S N"]


def _gather_evidence(
    shot: MetricShot,
    evidence: ShotEvidence,
    body: Body,
    at: tuple[Int64[Tensor, "S N"], Int64[Tensor, "S N"]],
    observed: Bool[Tensor, "S N"],
) -> tuple[Evidence, _Distances]:
    """What holds the pieces: where their landmarks are now, in the picture and in time, and how far away they are.

    Small people are measured worse in metres, and their distances with them.
    """
    people, frames = at
    params = BodyParams(**{name: value[at] for name, value in vars(shot.params).items()})
    # Frames that a piece does not have stand still in front of the camera.
    rotations = torch.cat([params.global_orient[:, :, None], params.body_pose], dim=2)
    betas, pelvis = params.betas, shot.joints[at][:, :, 0]
    camera = shot.c2w[frames]
    inside = _in_camera(camera, body.landmarks(params).nan_to_num(1.0))
    depth = torch.where(observed, _in_camera(camera, pelvis[:, :, None])[:, :, 0, 2], 1.0).clamp_min(MIN_DEPTH_M)
    height, width = evidence.masks.shape[1:]
    seen = landmark_weights(evidence.landmarks_px, (int(height), int(width)))[people, frames]
    error = torch.zeros_like(seen)
    if evidence.landmarks_sigma_px is not None:
        error = evidence.landmarks_sigma_px[at] * (depth / shot.intrinsics[frames][..., 0, 0])[..., None]
    weights = torch.where(seen > 0, seen / error.nan_to_num(0.0).clamp_min(_SEEN_M).square(), _GUESSED_M**-2)
    usual = error.nanmedian(-1).values.nan_to_num(0.0)
    along_ray = torch.hypot(usual.new_tensor(_ALONG_RAY), _ALONG_RAY_PER_M * usual).double()
    held = Evidence(
        observed=observed,
        times=evidence.timestamps_s[frames].double(),
        image_points=inside[..., :2].double() / inside[..., 2:].double().clamp_min(MIN_DEPTH_M),
        weights=(weights * observed[..., None]).double(),
        to_axes=camera[..., :3, :3].double(),
        centre=camera[..., :3, 3].double(),
        depth=depth.double(),
        start=Poses(
            torch.where(observed[..., None, None, None], rotations, torch.eye(3)).double(),
            torch.where(observed[..., None], pelvis, 0.0).double(),
            betas[:, 0].double(),
        ),
    )
    return held, _Distances(along_ray, _smooth_course(held, along_ray))


def _smooth_course(held: Evidence, along_ray: Float[Tensor, "S N"]) -> Float[Tensor, "S N"]:
    """How far away the pelvises are at the start, smoothed in time (``anchor.smooth_in_time``), metres."""
    away = (held.start.position - held.centre).norm(dim=-1).clamp_min(MIN_DEPTH_M)
    course = [
        smooth_in_time(one[None].log(), seen[None], sigma[None], times, metres=one[None])[0].exp()
        for one, seen, sigma, times in zip(away, held.observed, along_ray, held.times, strict=True)
    ]
    return torch.stack(course)


def _in_camera(c2w: Float[Tensor, "S N 4 4"], points: Float[Tensor, "S N K 3"]) -> Float[Tensor, "S N K 3"]:
    return transform_points(torch.linalg.inv(c2w), points)


def _every_frame(betas: Float[Tensor, "S 10"], position: Float[Tensor, "S N 3"]) -> Float[Tensor, "S N 10"]:
    return betas[:, None].expand(-1, position.shape[1], -1)


def _step(
    body: Body,
    poses: Poses,
    evidence: Evidence,
    distance: _Distances,
    touching: Touching,
    undersides: Undersides,
) -> Poses:
    """One Gauss–Newton step of all frames; shapes stay as they are."""
    matrix, gradient = picture_term(body, poses, evidence)
    away = poses.position - evidence.centre
    matrix, gradient = _free_distance(
        matrix[..., :_UNKNOWNS, :_UNKNOWNS], gradient[..., :_UNKNOWNS], away, distance.sigma
    )
    prior, prior_gradient = prior_term(poses, evidence.start, _TURN_SIGMAS_RAD)
    feet = _feet_term(body, poses, touching)
    sunk, sunk_gradient = sunk_term(body, poses, undersides)
    motion = motion_term(poses, evidence, turn_sigma=_TURN_RAD_S2, pelvis_sigma=_PELVIS_M_S2)
    motion += steady_term(poses, evidence, distance.expected, _DISTANCE_M_S2)

    blocks = motion.blocks + pad(prior, (0, 0, 0, 0, 0, 1))
    turned = motion.gradient + pad(prior_gradient, (0, 0, 0, 1))
    changes = -solve_second_order(
        damp(matrix + sunk + feet.blocks + block_diagonal(blocks), _DAMPING),
        block_diagonal(motion.to_next) + feet.to_next,
        block_diagonal(motion.to_second),
        (gradient + sunk_gradient + feet.gradient + turned.flatten(2))[..., None],
    )[..., 0]
    turns = axis_angle_to_matrix(changes[..., :72].unflatten(-1, (24, 3)))
    return Poses(poses.rotations @ turns, poses.position + changes[..., 72:], poses.betas)


def _free_distance(
    matrix: Float[Tensor, "S N 75 75"],
    gradient: Float[Tensor, "S N 75"],
    away: Float[Tensor, "S N 3"],
    sigma: Float[Tensor, "S N"],
) -> tuple[Float[Tensor, "S N 75 75"], Float[Tensor, "S N 75"]]:
    """The term of the picture for landmarks that share an error: that of the person's size in this frame.

    As if every residual were off by s · (its change as the person moves along the viewing ray by their distance), with
    s of standard deviation ``sigma``; s is eliminated (Schur complement).

    Args:
        away: from the camera to the pelvis.
    """
    along = pad(away, (_UNKNOWNS - 3, 0))
    pull = (matrix @ along[..., None])[..., 0]
    share = pull / (sigma**-2 + (along * pull).sum(-1))[..., None]
    return (
        matrix - share[..., :, None] * pull[..., None, :],
        gradient - share * (along * gradient).sum(-1, keepdim=True),
    )


class _FeetTerm(NamedTuple):
    """Blocks of each frame, its gradient, and the blocks that couple it to the next frame."""

    blocks: Float[Tensor, "S N 75 75"]
    gradient: Float[Tensor, "S N 75"]
    to_next: Float[Tensor, "S N-1 75 75"]


def _feet_term(body: Body, poses: Poses, touching: Touching) -> _FeetTerm:
    """Heels and toes that touch do not move over the floor and are at its height."""
    points, moves = differentiate_landmarks(body, poses.rotations, _every_frame(poses.betas, poses.position))
    points = points[..., CONTACT_LANDMARKS, :] + poses.position[:, :, None]
    straight = torch.eye(3, dtype=moves.dtype).expand(*points.shape, 3)
    moves = torch.cat([moves[..., CONTACT_LANDMARKS, :, :72], straight], dim=-1)
    up = touching.floor[:3]
    lift = moves.mT @ up  # of the height, by the unknowns
    aside = (moves - up[:, None] * lift[..., None, :]).flatten(2, 3)

    height = points @ up + touching.floor[3] - touching.clearance
    held = touching.lower * touching.weights / (1 + height.square() / _HELD_SCALE_M**2 * ~touching.given)
    level = held / _HEIGHT_M**2

    moved = points.diff(dim=1)
    moved = moved - (moved @ up)[..., None] * up
    together = touching.weights[:, 1:] * touching.weights[:, :-1] * (touching.stance.diff(dim=1) == 0)
    sure = touching.given[:, 1:] & touching.given[:, :-1]
    rigid = together / (1 + moved.square().sum(-1) / _HELD_SCALE_M**2 * ~sure) / _STEP_M**2
    rigid = rigid[..., None].expand_as(moved).flatten(2)
    before, after = aside[:, :-1].mT * rigid[..., None, :], aside[:, 1:].mT * rigid[..., None, :]
    moved = moved.flatten(2)[..., None]
    return _FeetTerm(
        blocks=(level[..., None] * lift).mT @ lift
        + pad(before @ aside[:, :-1], (0, 0, 0, 0, 0, 1))
        + pad(after @ aside[:, 1:], (0, 0, 0, 0, 1, 0)),
        gradient=((level * height)[..., None] * lift).sum(2)
        + pad(-(before @ moved)[..., 0], (0, 0, 0, 1))
        + pad((after @ moved)[..., 0], (0, 0, 1, 0)),
        to_next=-before @ aside[:, 1:],
    )
