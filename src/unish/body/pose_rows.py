"""The rows of a solve for bodies: residuals over their standard deviations, with derivatives in closed form.

Every function returns a term of the normal equations H·x = −g: H = JᵀWJ and g = JᵀWr for residuals r, derivatives J and
weights W.

Legend: S people of all clips, N frames, L = 33 landmarks, K = 24 joints. A frame has 75 unknowns in 25 blocks of three:
the turn w of each joint (radians, R ← R·exp(w)) and the position of the pelvis (metres). The ten betas follow.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import normalize, pad

from unish.body.landmark_jacobian import differentiate_landmarks
from unish.body.model import Body
from unish.geometry.rotation import inverse_right_jacobian, matrix_to_axis_angle

MIN_DEPTH_M = 0.2
_LANDMARK_SCALE_M = 0.04  # of the Cauchy weights
ACCELERATION_SIGMA = 10.0  # rad/s² and m/s²
_ACCELERATION_SCALE = 1.5  # of the Cauchy weights, in standard deviations: a kick is no noise
_MIN_INTERVAL_S = 1e-3
_PELVIS = 24  # the block of its position
_BETAS_SIGMA, _MEAN_SHAPE_SIGMA, _STATURE_SIGMA_M = 0.4, 2.0, 0.017


class Poses(NamedTuple):
    """What a step changes; rotations and positions (of the pelvis, metres) in axes that do not turn."""

    rotations: Float[Tensor, "S N 24 3 3"]
    position: Float[Tensor, "S N 3"]
    betas: Float[Tensor, "S 10"]


class Evidence(NamedTuple):
    """What the steps hold the bodies against; observed frames come first.

    A landmark is compared in a camera: the real one, or one of the same centre that is turned to the person.

    Attributes:
        observed: there are landmarks.
        times: seconds.
        image_points: in the camera, focal lengths.
        weights: of each landmark, 1/m²: inverse variance across the ray, times visibility.
        to_axes: rotation from the camera of each frame to the axes of ``Poses``.
        centre: of the camera in these, metres; positions count from it where it is 0.
        depth: of the person, metres: where errors in the picture are measured.
        start: poses that are changed only as far as the rows ask for it.
    """

    observed: Bool[Tensor, "S N"]
    times: Float[Tensor, "S N"]
    image_points: Float[Tensor, "S N 33 2"]
    weights: Float[Tensor, "S N 33"]
    to_axes: Float[Tensor, "S N 3 3"]
    centre: Float[Tensor, "S N 3"]
    depth: Float[Tensor, "S N"]
    start: Poses


class Motion(NamedTuple):
    """Term of second differences: B blocks of each frame, and those that couple it to the next and to the one after."""

    blocks: Float[Tensor, "S N B 3 3"]
    gradient: Float[Tensor, "S N B 3"]
    to_next: Float[Tensor, "S N-1 B 3 3"]
    to_second: Float[Tensor, "S N-2 B 3 3"]

    def __add__(self, other: Motion) -> Motion:  # type: ignore[override]
        return Motion(*(own + its for own, its in zip(self, other, strict=True)))


def picture_term(
    body: Body, poses: Poses, evidence: Evidence
) -> tuple[Float[Tensor, "S N 85 85"], Float[Tensor, "S N 85"]]:
    """Landmarks in the picture: (x/z − u, y/z − v) times the person's depth, in the camera."""
    num_frames = poses.position.shape[1]
    points, by_pose = differentiate_landmarks(body, poses.rotations, poses.betas[:, None].expand(-1, num_frames, -1))
    from_axes = evidence.to_axes.mT[:, :, None]
    place = poses.position - evidence.centre
    seen = (from_axes @ (points + place[:, :, None])[..., None])[..., 0]
    straight = torch.eye(3, dtype=seen.dtype, device=seen.device).expand_as(by_pose[..., :3])
    moves = from_axes @ torch.cat([by_pose[..., :72], straight, by_pose[..., 72:]], dim=-1)

    z = seen[..., 2:].clamp_min(MIN_DEPTH_M)
    image = seen[..., :2] / z
    depth = evidence.depth[..., None, None]
    error = (image - evidence.image_points) * depth
    rows = (depth / z)[..., None] * (moves[..., :2, :] - image[..., None] * moves[..., 2:, :])
    weights = evidence.weights / (1 + error.square().sum(-1) / _LANDMARK_SCALE_M**2)
    weighted = (rows * weights[..., None, None]).flatten(2, 3).mT
    return weighted @ rows.flatten(2, 3), (weighted @ error.flatten(2)[..., None])[..., 0]


def prior_term(
    poses: Poses, start: Poses, sigma_rad: Sequence[float]
) -> tuple[Float[Tensor, "S N 24 3 3"], Float[Tensor, "S N 24 3"]]:
    """Turns of the joints away from the start's; blocks and gradient.

    Args:
        sigma_rad: of each joint.
    """
    sigma = poses.rotations.new_tensor(sigma_rad)[:, None]
    turned = matrix_to_axis_angle(start.rotations.mT @ poses.rotations)
    by_turn = inverse_right_jacobian(turned) / sigma[..., None]
    # J⁻ᵀ(v)·v = v: a turn about v's own axis changes v alone.
    return by_turn.mT @ by_turn, turned / sigma.square()


def motion_term(
    poses: Poses,
    evidence: Evidence,
    *,
    turn_sigma: float = ACCELERATION_SIGMA,
    pelvis_sigma: float = ACCELERATION_SIGMA,
) -> Motion:
    """Accelerations of all joints and of the pelvis, with Cauchy weights: whatever the standard deviations are, those
    that are far beyond them count alike.

    Args:
        turn_sigma: of the joints, rad/s².
        pelvis_sigma: of the pelvis's own, m/s².
    """
    found = measure_accelerations(poses.rotations, poses.position, evidence.times, evidence.observed)
    sigma = found.values.new_full(found.values.shape[-2:-1], turn_sigma)
    sigma[-1] = pelvis_sigma
    share = found.values.square().sum(-1) / (sigma * _ACCELERATION_SCALE) ** 2
    weights = found.weights[..., None] / (1 + share) / sigma**2
    return _couple_frames(found.values, weights, (found.first, found.second, found.third))


def steady_term(poses: Poses, evidence: Evidence, expected: Float[Tensor, "S N"], sigma: float) -> Motion:
    """Second differences of how far the pelvis is, along its viewing ray, from where it is expected.

    What is wrong with a distance (a size, a lens) stays so for a while: a solve may correct it, but slowly.

    Args:
        expected: distance, metres, on a smooth course.
        sigma: of the differences, m/s².
    """
    ray = normalize(evidence.start.position - evidence.centre, dim=-1)
    away = ((poses.position - evidence.centre) * ray).sum(-1) - expected
    before, after = (share[..., None] for share in _second_difference(evidence.times, evidence.observed, ray.dtype))
    steps = away.diff(dim=1)[..., None]
    values = after * steps[:, 1:] - before * steps[:, :-1]
    weights = evidence.observed[:, 2:, None].to(ray.dtype) / sigma**2
    shares = (before * ray[:, :-2], -(before + after) * ray[:, 1:-1], after * ray[:, 2:])
    first, second, third = (share[:, :, None, None] for share in shares)
    pelvis = _couple_frames(values[..., None], weights, (first, second, third))
    return Motion(
        blocks=pad(pelvis.blocks, (0, 0, 0, 0, _PELVIS, 0)),
        gradient=pad(pelvis.gradient, (0, 0, _PELVIS, 0)),
        to_next=pad(pelvis.to_next, (0, 0, 0, 0, _PELVIS, 0)),
        to_second=pad(pelvis.to_second, (0, 0, 0, 0, _PELVIS, 0)),
    )


def _couple_frames(
    values: Float[Tensor, "S M B R"],
    weights: Float[Tensor, "S M B"],
    by_frame: tuple[Float[Tensor, "S M B R 3"], Float[Tensor, "S M B R 3"], Float[Tensor, "S M B R 3"]],
) -> Motion:
    """R residuals of each of B blocks over each of M three frames that follow one another, as a term.

    Args:
        by_frame: derivatives by the unknowns of the first, second and third of the frames.
    """
    first, second, third = by_frame
    by_first, by_second, by_third = (weights[..., None, None] * one.mT for one in by_frame)

    def at(start: int, end: int, values: Tensor) -> Tensor:
        """The values of three frames, at the frame (or pair) so many after the first and before the last of them."""
        return pad(values, (0, 0) * (values.ndim - 2) + (start, end))

    column = values[..., None]
    return Motion(
        blocks=at(0, 2, by_first @ first) + at(1, 1, by_second @ second) + at(2, 0, by_third @ third),
        gradient=(at(0, 2, by_first @ column) + at(1, 1, by_second @ column) + at(2, 0, by_third @ column))[..., 0],
        to_next=at(0, 1, by_first @ second) + at(1, 0, by_second @ third),
        to_second=by_first @ third,
    )


def shape_term(
    betas: Float[Tensor, "S 10"], start: Float[Tensor, "S 10"], tall: Float[Tensor, "S 10"]
) -> tuple[Float[Tensor, "S 10 10"], Float[Tensor, "S 10"]]:
    """Betas away from the network's and from the mean shape, and stature away from the network's.

    Args:
        tall: derivative of the stature, metres per beta.
    """
    moved, tall = betas - start, tall / _STATURE_SIGMA_M
    identity = torch.eye(betas.shape[-1], dtype=betas.dtype, device=betas.device)
    matrix = identity * (_BETAS_SIGMA**-2 + _MEAN_SHAPE_SIGMA**-2) + tall[..., :, None] * tall[..., None, :]
    gradient = moved / _BETAS_SIGMA**2 + betas / _MEAN_SHAPE_SIGMA**2 + tall * (tall * moved).sum(-1, keepdim=True)
    return matrix, gradient


class Accelerations(NamedTuple):
    """Second differences over each three frames that follow one another.

    Attributes:
        values: rad/s² of the K joints, in the axes of the turned joint, then m/s² of the pelvis.
        weights: 1 where all three frames are observed, else 0.
        first, second, third: derivatives of ``values`` with respect to the unknowns of each of the three frames, by
            blocks: a joint's acceleration depends on its own turns alone.
    """

    values: Float[Tensor, "S N-2 25 3"]
    weights: Float[Tensor, "S N-2"]
    first: Float[Tensor, "S N-2 25 3 3"]
    second: Float[Tensor, "S N-2 25 3 3"]
    third: Float[Tensor, "S N-2 25 3 3"]


def measure_accelerations(
    rotations: Float[Tensor, "S N 24 3 3"],
    position: Float[Tensor, "S N 3"],
    times: Float[Tensor, "S N"],
    observed: Bool[Tensor, "S N"],
) -> Accelerations:
    """Accelerations between frames at uneven times.

    With v the change from one frame to the next (for a rotation log(Rᵀ·R′), for the position the difference) and h the
    time between them, it is 2·(v₂/h₂ − v₁/h₁)/(h₁ + h₂). For turns R·exp(w) of both frames the change of v is
    J⁻¹(v)·w′ − J⁻ᵀ(v)·w with the right Jacobian J of SO(3) (Solà et al., "A micro Lie theory", 2018, eqs. 143, 144).

    Args:
        times: seconds, growing where frames are observed.
        observed: frames that count; the others come last.
    """
    turns = matrix_to_axis_angle(rotations[:, :-1].mT @ rotations[:, 1:])
    steps = torch.cat([turns, position.diff(dim=1)[:, :, None]], dim=2)
    straight = torch.eye(3, dtype=steps.dtype, device=steps.device).expand(*steps.shape[:2], 1, 3, 3)
    later = torch.cat([inverse_right_jacobian(turns), straight], dim=2)
    earlier = -later.mT

    before, after = (share[..., None, None] for share in _second_difference(times, observed, steps.dtype))
    before_3, after_3 = before[..., None], after[..., None]
    return Accelerations(
        values=after * steps[:, 1:] - before * steps[:, :-1],
        weights=observed[:, 2:].to(steps.dtype),
        first=-before_3 * earlier[:, :-1],
        second=after_3 * earlier[:, 1:] - before_3 * later[:, :-1],
        third=after_3 * later[:, 1:],
    )


def _second_difference(
    times: Float[Tensor, "S N"], observed: Bool[Tensor, "S N"], dtype: torch.dtype
) -> tuple[Float[Tensor, "S N-2"], Float[Tensor, "S N-2"]]:
    """2/(h₁·(h₁ + h₂)) and 2/(h₂·(h₁ + h₂)): what the changes before and after a frame count in its acceleration."""
    interval = torch.where(observed[:, 1:], times.diff(dim=1), 1.0).clamp_min(_MIN_INTERVAL_S).to(dtype)
    share = 2.0 / (interval[:, 1:] + interval[:, :-1])
    return share / interval[:, :-1], share / interval[:, 1:]


def damp(matrix: Float[Tensor, "*batch 75 75"], share: float) -> Float[Tensor, "*batch 75 75"]:
    """With a share of the diagonal added to it: of each block of three the mean, so that no choice of axes matters."""
    diagonal = matrix.diagonal(dim1=-2, dim2=-1).unflatten(-1, (-1, 3)).mean(-1, keepdim=True)
    return matrix + torch.diag_embed(share * (diagonal + 1).expand(*diagonal.shape[:-1], 3).flatten(-2))


def block_diagonal(blocks: Float[Tensor, "S N 25 3 3"]) -> Float[Tensor, "S N 75 75"]:
    """Blocks of each frame on the diagonal of a matrix."""
    return torch.diag_embed(blocks.movedim(2, -1), dim1=2, dim2=4).flatten(4, 5).flatten(2, 3)
