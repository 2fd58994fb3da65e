"""A fixed number of Gauss–Newton steps that bring bodies to the landmarks in the picture, after the network.

The network's poses and shapes are the start and the prior. Each step linearises the rows below in closed form and
solves all frames of a person, and the shape that they share, together. There is no line search and no stopping rule:
the steps are layers like any other, batched over people and differentiable.

Rows, each divided by its standard deviation:

* every landmark in the picture, in metres at the person's depth, with Cauchy weights;
* every joint's turn away from the network's;
* acceleration of every joint's rotation and of the pelvis over real time, with Cauchy weights;
* betas away from the network's and from the mean shape, and stature away from the network's: a larger body farther
  away looks the same, so the picture tells proportions but not size.

Legend: S people of all clips, N frames, L = 33 landmarks, K = 24 joints. A frame has 75 unknowns in 25 blocks of three:
the turn w of each joint (radians, R ← R·exp(w)) and the position of the pelvis (metres). The ten betas of a
person are unknowns of all of its frames.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor
from torch.nn.functional import pad

from unish.body import JOINT_NAMES, LANDMARK_NAMES, Body
from unish.body.landmark_jacobian import differentiate_landmarks
from unish.body.pose_rows import (
    MIN_DEPTH_M,
    Evidence,
    Motion,
    Poses,
    block_diagonal,
    damp,
    motion_term,
    picture_term,
    prior_term,
    shape_term,
)
from unish.geometry.block_tridiagonal import solve_second_order
from unish.geometry.rotation import axis_angle_to_matrix
from unish.network.human.viewing_ray import PersonView, place_landmarks

LANDMARK_SIGMA_M = 0.015
"""Error of a landmark across the viewing ray where its own is not known."""

_SHARES = tuple(
    0.3 if index <= LANDMARK_NAMES.index("mouth_right")
    else 0.6 if name.endswith(("pinky", "index", "thumb", "heel"))
    else 1.0
    for index, name in enumerate(LANDMARK_NAMES)
)  # fmt: skip
"""Of the weight: the body's head is not this person's, and its hands and feet are stiff."""
_TURN_SIGMA_RAD = {
    **dict.fromkeys(("left_hand", "right_hand", "left_foot", "right_foot"), 0.05),
    **dict.fromkeys(("spine1", "spine2", "spine3", "neck", "head", "left_collar", "right_collar"), 0.12),
    **dict.fromkeys(("left_wrist", "right_wrist", "left_ankle", "right_ankle"), 0.12),
    "pelvis": 0.35,
}
_LIMB_SIGMA_RAD = 0.3
TURN_SIGMAS_RAD = tuple(_TURN_SIGMA_RAD.get(name, _LIMB_SIGMA_RAD) for name in JOINT_NAMES)
"""How far joints turn away from the network's, standard deviations."""

MAX_LOG_STATURE = 0.1
"""Logarithm of a stature over that of the mean shape, beyond which no network that reads landmarks is believed."""

_VISIBLE = 0.5  # visibility below which a landmark is a guess, and counts for nothing
_KNEES_AND_ANKLES = tuple(index for index, name in enumerate(LANDMARK_NAMES) if name.endswith(("knee", "ankle")))
_UNSEEN_LEGS, _SEEN_LEGS = 0.5, 0.9  # mean visibility of knees and ankles below which a shape is a guess; above, none
_DAMPING = 1e-3  # also keeps float32 positive definite
_UNKNOWNS = 75


def solve_bodies(
    body: Body,
    rotations: Float[Tensor, "S N 24 3 3"],
    betas: Float[Tensor, "S 10"],
    view: PersonView,
    timestamps: Float[Tensor, "S N"],
    *,
    steps: int,
    sigma: Float[Tensor, "S N 33"] | None = None,
    camera_rotations: Float[Tensor, "S N 3 3"] | None = None,
) -> tuple[Float[Tensor, "S N 24 3 3"], Float[Tensor, "S 10"]]:
    """Poses and shapes after ``steps`` steps, see the module.

    Frames in which a person is not observed, and people who never are, keep the pose that was given. Motion is smooth
    over the frames in which a person is observed, however far apart these are in time. The shape of people whose legs
    are never seen is drawn to the mean shape first.

    Args:
        body: whose landmarks are compared.
        rotations, betas: the network's; the root in the camera.
        view: landmarks in the camera turned to each person.
        timestamps: seconds.
        sigma: standard error of each landmark in focal lengths (pixels over the focal length): NaN where unknown, which
            counts as ``LANDMARK_SIGMA_M`` at the person's depth; infinite where a landmark says nothing.
        camera_rotations: from each frame's camera to axes that do not turn, in which motion is smooth; the camera's own
            where ``None``.

    Returns:
        Rotations with the root in the camera again, and betas.
    """
    betas = betas * _trust_shapes(view, sigma)[:, None]
    order, observed = _observed_first(view.observed)

    def ordered(values: Tensor) -> Tensor:
        return values.gather(1, order.reshape(*order.shape, *[1] * (values.ndim - 2)).expand(-1, -1, *values.shape[2:]))

    if camera_rotations is None:
        camera_rotations = torch.eye(3, dtype=rotations.dtype, device=rotations.device).expand_as(view.to_camera)
    to_axes = camera_rotations @ view.to_camera
    in_view = _turn_root(view.to_camera.mT, rotations)
    pelvis = place_landmarks(differentiate_landmarks(body, in_view, _per_frame(betas, in_view))[0], view)
    depth = torch.where(view.observed, pelvis[..., 2], 1.0).clamp_min(MIN_DEPTH_M)
    start = Poses(
        ordered(_turn_root(camera_rotations, rotations)), ordered((to_axes @ pelvis[..., None])[..., 0]), betas
    )
    evidence = Evidence(
        observed=observed,
        times=ordered(timestamps),
        image_points=ordered(view.image_points),
        weights=ordered(_weigh_landmarks(view, depth, sigma)) * observed[..., None],
        to_axes=ordered(to_axes),
        centre=torch.zeros_like(start.position),
        depth=ordered(depth),
        start=start,
    )
    tall = body.differentiate_height(betas)
    poses = start
    for _ in range(steps):
        poses = _step(body, poses, evidence, tall)

    place = order[:, : view.observed.shape[1], None, None, None].expand_as(rotations)
    found = torch.zeros_like(rotations).scatter(1, place, poses.rotations[:, : view.observed.shape[1]])
    return _turn_root(camera_rotations.mT, found), poses.betas


def limit_statures(body: Body, betas: Float[Tensor, "S 10"]) -> Float[Tensor, "S 10"]:
    """Shapes that a network has read from landmarks, drawn to the mean shape where they are of no plausible stature.

    Detectors draw everybody as an adult: children of 0.9 m and men of 1.85 m are read as 1.61 to 1.80 m tall
    (docs/research/bodies.md). So a stature far outside of that does not tell a child, but a pose that was misread.
    """
    height, mean = body.standing_height(betas), body.standing_height(torch.zeros_like(betas))
    off = (height / mean).log().abs()
    return betas * (MAX_LOG_STATURE / off.clamp_min(MAX_LOG_STATURE))[:, None]


def _observed_first(observed: Bool[Tensor, "S N"]) -> tuple[Int64[Tensor, "S M"], Bool[Tensor, "S M"]]:
    """Frames in the order of the solve, and which of them are observed; an even number, and at least four.

    Each person's observed frames follow one another there. What is added for the number counts as not observed.
    """
    order = (~observed).long().argsort(dim=1, stable=True)
    known = observed.gather(1, order)
    added = max(4 - order.shape[1], order.shape[1] % 2)
    return pad(order, (0, added)), pad(known, (0, added))


def _turn_root(turn: Float[Tensor, "S N 3 3"], rotations: Float[Tensor, "S N 24 3 3"]) -> Float[Tensor, "S N 24 3 3"]:
    return torch.cat([turn[:, :, None] @ rotations[:, :, :1], rotations[:, :, 1:]], dim=2)


def _per_frame(betas: Float[Tensor, "S 10"], frames: Float[Tensor, "S N *rest"]) -> Float[Tensor, "S N 10"]:
    return betas[:, None].expand(-1, frames.shape[1], -1)


def _weigh_landmarks(
    view: PersonView, depth: Float[Tensor, "S N"], sigma: Float[Tensor, "S N 33"] | None
) -> Float[Tensor, "S N 33"]:
    """Inverse variance of each landmark across the ray at the person's depth, times visibility; 1/m²."""
    seen = torch.where(view.visibility >= _VISIBLE, view.visibility, 0.0)
    weights = seen * view.visibility.new_tensor(_SHARES)
    if sigma is None:
        return weights / LANDMARK_SIGMA_M**2
    # No infinite number may reach a product whose gradient is asked for.
    known = sigma.isfinite()
    metres = torch.where(known, torch.where(known, sigma, 1.0) * depth[..., None], LANDMARK_SIGMA_M)
    return weights * ~sigma.isinf() / metres.square()


def _trust_shapes(view: PersonView, sigma: Float[Tensor, "S N 33"] | None) -> Float[Tensor, "S"]:
    """How far the network's shape counts, 0 to 1, by the frame in which knees and ankles are seen best.

    Somebody cut at the hips looks like a child to it as often as not; the mean shape is nearer then.
    """
    seen = view.visibility if sigma is None else view.visibility * ~sigma.isinf()
    legs = seen[..., _KNEES_AND_ANKLES].mean(-1).amax(1)
    return ((legs - _UNSEEN_LEGS) / (_SEEN_LEGS - _UNSEEN_LEGS)).clamp(0.0, 1.0)


def _step(body: Body, poses: Poses, evidence: Evidence, tall: Float[Tensor, "S 10"]) -> Poses:
    """One Gauss–Newton step of all frames and the shape."""
    matrix, gradient = picture_term(body, poses, evidence)
    prior, prior_gradient = prior_term(poses, evidence.start, TURN_SIGMAS_RAD)
    motion = motion_term(poses, evidence)
    shape, shape_gradient = shape_term(poses.betas, evidence.start.betas, tall)

    blocks = motion.blocks + pad(prior, (0, 0, 0, 0, 0, 1))
    turned = (motion.gradient + pad(prior_gradient, (0, 0, 0, 1))).flatten(2)
    by_frame, by_betas = _solve(
        matrix[..., :_UNKNOWNS, :_UNKNOWNS] + block_diagonal(blocks),
        motion,
        torch.cat([(gradient[..., :_UNKNOWNS] + turned)[..., None], matrix[..., :_UNKNOWNS, _UNKNOWNS:]], dim=-1),
        matrix[..., _UNKNOWNS:, _UNKNOWNS:].sum(1) + shape,
        gradient[..., _UNKNOWNS:].sum(1) + shape_gradient,
    )
    turns = axis_angle_to_matrix(by_frame[..., :72].unflatten(-1, (24, 3)))
    return Poses(poses.rotations @ turns, poses.position + by_frame[..., 72:], poses.betas + by_betas)


def _solve(
    frames: Float[Tensor, "S N 75 75"],
    motion: Motion,
    right: Float[Tensor, "S N 75 11"],
    shape: Float[Tensor, "S 10 10"],
    shape_gradient: Float[Tensor, "S 10"],
) -> tuple[Float[Tensor, "S N 75"], Float[Tensor, "S 10"]]:
    """Changes of all unknowns: the frames are eliminated (Schur complement), then the betas solved for.

    Args:
        right: gradient of the frames, then their columns of the betas.
    """
    solution = solve_second_order(
        damp(frames, _DAMPING), block_diagonal(motion.to_next), block_diagonal(motion.to_second), right
    )
    columns = right[..., 1:]
    reduced = shape - (columns.mT @ solution[..., 1:]).sum(1)
    by_betas = torch.linalg.solve(reduced, (columns.mT @ solution[..., :1]).sum(1)[..., 0] - shape_gradient)
    return -solution[..., 0] - (solution[..., 1:] @ by_betas[:, None, :, None])[..., 0], by_betas
