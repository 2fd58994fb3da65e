"""The second camera of a pair of pictures from matches alone, of which many may be wrong.

Random samples of five matches give hypotheses (``five_point``); a robust sum of Sampson errors ranks them (MSAC: Torr &
Zisserman, 2000); the best are refined on all matches that they explain (locally optimised RANSAC: Chum, Matas &
Kittler, 2003). Numbers of samples and steps are fixed, and so is the seed.

Legend: P pairs, M slots for matches of a pair, S samples of a pair, C candidates. Rays are (x/z, y/z).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor
from torch.nn import functional

from unish.geometry.five_point import NUM_SOLUTIONS, solve_five_point
from unish.geometry.rotation import axis_angle_to_matrix

_SEED = 0
_SAMPLE = 5
_NUM_RANKED_BY = 128
"""Matches that all hypotheses are ranked by; all matches rank those that are best by these."""

_NUM_REFINED = 16
_WIDTHS = (3.0, 2.0, 1.5, 1.25, 1.25)
"""Of Tukey's weights in each step of the refinement, in units of the threshold."""

_DAMPING = 1e-9
_PAIRS_AT_ONCE = 1
"""The hypotheses of more than one pair do not fit into the cache of a processor, and take twice as long each."""


@dataclass(frozen=True, kw_only=True)
class TwoViewPose:
    """The second camera of P pairs.

    Attributes:
        rotation: first camera → second.
        translation: of unit length, first → second: X₂ ~ rotation · X₁ + translation. It means nothing where
            ``parallax_px`` is small.
        inliers: matches that the pose explains, in front of both cameras.
        num_inliers: 0 where there are fewer than five matches; the pose is then the identity.
        parallax_px: median over the inliers of how far a point is from where the rotation alone would put it.
    """

    rotation: Float[Tensor, "P 3 3"]
    translation: Float[Tensor, "P 3"]
    inliers: Bool[Tensor, "P M"]
    num_inliers: Int64[Tensor, "P"]
    parallax_px: Float[Tensor, "P"]


@torch.no_grad()
def solve_two_views(
    first: Float[Tensor, "P M 2"],
    second: Float[Tensor, "P M 2"],
    weights: Float[Tensor, "P M"],
    focal_px: Float[Tensor, "P"],
    *,
    threshold_px: float = 1.5,
    num_samples: int = 512,
) -> TwoViewPose:
    """Relative poses, each pair by itself. Computed in float64 on the CPU, for not every device has float64, and
    returned in the format and on the device of ``first``.

    Args:
        first: rays of the first camera.
        second: rays of the same points in the second.
        weights: ≥ 0, 0 where there is no match; the refinement weighs squared errors by them.
        focal_px: turns errors of rays into pixels.
        threshold_px: the largest Sampson error of a match that is explained.
        num_samples: S, of five matches each.
    """
    solved = []
    for start in range(0, len(first), _PAIRS_AT_ONCE):
        block = slice(start, start + _PAIRS_AT_ONCE)
        rays_first, rays_second, block_weights, focal = (
            values[block].cpu().double() for values in (first, second, weights, focal_px)
        )
        solved.append(_solve(rays_first, rays_second, block_weights, threshold_px, focal, num_samples))
    rotation, translation, inliers, parallax = (torch.cat(parts) for parts in zip(*solved, strict=True))
    return TwoViewPose(
        rotation=rotation.to(first),
        translation=translation.to(first),
        inliers=inliers.to(first.device),
        num_inliers=inliers.sum(1).to(first.device),
        parallax_px=parallax.to(first),
    )


def _solve(
    first: Tensor, second: Tensor, weights: Tensor, threshold_px: float, focal_px: Tensor, num_samples: int
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    valid = weights > 0
    first, second = functional.pad(first, (0, 1), value=1.0), functional.pad(second, (0, 1), value=1.0)
    threshold = threshold_px / focal_px
    order, samples = _sample(valid, num_samples)
    chosen = [rays.gather(1, samples.flatten(1)[..., None].expand(-1, -1, 3)) for rays in (first, second)]
    matrices, real = solve_five_point(*(rays.reshape(-1, _SAMPLE, 3) for rays in chosen))
    matrices = matrices.reshape(len(first), num_samples * NUM_SOLUTIONS, 3, 3)
    real = real.reshape(len(first), num_samples * NUM_SOLUTIONS)

    some = order[:, :_NUM_RANKED_BY]
    places = some[..., None].expand(-1, -1, 3)
    cost = _robust_cost(matrices, first.gather(1, places), second.gather(1, places), valid.gather(1, some), threshold)
    best = torch.where(real, cost, torch.inf).topk(_NUM_REFINED, dim=1, largest=False).indices
    rotation, translation = _decompose(matrices.gather(1, best[..., None, None].expand(-1, -1, 3, 3)))
    rotation, translation = _refine(rotation, translation, first, second, weights, threshold)

    matrices = compose_essential(rotation, translation)
    winner = _robust_cost(matrices, first, second, valid, threshold).argmin(1)
    matrix = matrices[torch.arange(len(first), device=first.device), winner]
    explained = valid & (sampson_errors(matrix[:, None], first, second)[:, 0].abs() < threshold[:, None])
    rotation, translation, inliers = _choose_in_front(matrix, first, second, explained, threshold)
    angles = _angles_between(rotation, first, second)
    parallax = torch.where(inliers, angles, torch.nan).nanmedian(dim=1).values.nan_to_num() * focal_px

    enough = valid.sum(1) >= _SAMPLE
    rotation = torch.where(enough[:, None, None], rotation, torch.eye(3).to(rotation))
    return rotation, translation, inliers & enough[:, None], parallax


def compose_essential(
    rotation: Float[Tensor, "*batch 3 3"], translation: Float[Tensor, "*batch 3"]
) -> Float[Tensor, "*batch 3 3"]:
    """E = [t]ₓ R, so that second ᵀ E first = 0."""
    return torch.linalg.cross(translation[..., :, None].expand_as(rotation), rotation, dim=-2)


def _sample(valid: Bool[Tensor, "P M"], num_samples: int) -> tuple[Int64[Tensor, "P M"], Int64[Tensor, "P S 5"]]:
    """A random order of the slots, those with a match first, and samples of different matches.

    The random numbers are the same for every pair.
    """
    generator = torch.Generator().manual_seed(_SEED)
    keys = torch.rand(valid.shape[1], generator=generator).to(valid.device)
    order = (keys + ~valid).argsort(dim=1)
    draws = torch.rand(num_samples, _SAMPLE, generator=generator, dtype=torch.float64).to(valid.device)
    count = valid.sum(1).clamp_min(_SAMPLE)[:, None]
    taken: list[Tensor] = []
    for number in range(_SAMPLE):
        place = (draws[:, number] * (count - number)).long()
        for earlier in torch.stack(taken, dim=-1).sort(dim=-1).values.unbind(-1) if taken else ():
            place = place + (place >= earlier)
        taken.append(place)
    places = torch.stack(taken, dim=-1)
    return order, order[:, None].expand(-1, num_samples, -1).gather(2, places)


def sampson_errors(
    matrices: Float[Tensor, "P C 3 3"], first: Float[Tensor, "P M 3"], second: Float[Tensor, "P M 3"]
) -> Float[Tensor, "P C M"]:
    """Signed Sampson errors: to first order, how far (in rays) both points are from obeying the matrix.

    Args:
        matrices: C candidates for the essential matrix of each pair.
        first, second: homogeneous rays.
    """
    in_second = matrices @ first[:, None].transpose(-1, -2)  # (P, C, 3, M)
    in_first = matrices[..., :2].transpose(-1, -2) @ second[:, None].transpose(-1, -2)
    algebraic = (in_second * second[:, None].transpose(-1, -2)).sum(-2)
    squared = in_second[..., :2, :].square().sum(-2) + in_first.square().sum(-2)
    return algebraic / squared.clamp_min(1e-24).sqrt()


def _robust_cost(
    matrices: Float[Tensor, "P C 3 3"],
    first: Float[Tensor, "P M 3"],
    second: Float[Tensor, "P M 3"],
    valid: Bool[Tensor, "P M"],
    threshold: Float[Tensor, "P"],
) -> Float[Tensor, "P C"]:
    """Sum over the matches of the squared error in units of the threshold, at most 1 each."""
    errors = sampson_errors(matrices, first, second) / threshold[:, None, None]
    return (errors.square().clamp_max(1.0) * valid[:, None]).sum(-1)


def _decompose(matrices: Float[Tensor, "P C 3 3"]) -> tuple[Float[Tensor, "P C 3 3"], Float[Tensor, "P C 3"]]:
    """One of the two rotations, and a translation of either sign (Hartley & Zisserman, 2004, section 9.6.2)."""
    left, _, right = torch.linalg.svd(matrices)
    quarter = matrices.new_tensor([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    rotation = left @ quarter @ right
    return rotation * torch.linalg.det(rotation).sign()[..., None, None], left[..., 2]


def _refine(
    rotation: Float[Tensor, "P C 3 3"],
    translation: Float[Tensor, "P C 3"],
    first: Float[Tensor, "P M 3"],
    second: Float[Tensor, "P M 3"],
    weights: Float[Tensor, "P M"],
    threshold: Float[Tensor, "P"],
) -> tuple[Float[Tensor, "P C 3 3"], Float[Tensor, "P C 3"]]:
    """Gauss–Newton on the Sampson errors with Tukey's weights: three numbers of the rotation, two of the direction.

    The derivative of the denominator of the error is left out: it is of the size of the error.
    """
    others = second[:, None]
    for width in _WIDTHS:
        turned = (rotation @ first[:, None].transpose(-1, -2)).transpose(-1, -2)  # (P, C, M, 3)
        direction = translation[..., None, :].expand_as(turned)
        in_second = torch.linalg.cross(direction, turned)
        in_first = (torch.linalg.cross(others.expand_as(turned), direction) @ rotation)[..., :2]
        scale = (in_second[..., :2].square().sum(-1) + in_first.square().sum(-1)).clamp_min(1e-24).sqrt()
        error = (in_second * others).sum(-1) / scale
        # x₂ · (t × (ω × y)) = ω · (y × (x₂ × t)) and x₂ · (dt × y) = dt · (y × x₂), with y = R x₁
        to_turn = torch.linalg.cross(turned, torch.linalg.cross(others.expand_as(turned), direction))
        tangents = torch.linalg.svd(translation[..., None, :]).Vh[..., 1:, :]  # (P, C, 2, 3)
        to_move = torch.linalg.cross(turned, others.expand_as(turned)) @ tangents.transpose(-1, -2)
        slopes = torch.cat([to_turn, to_move], dim=-1) / scale[..., None]
        robust = (1 - (error / (width * threshold[:, None, None])).square()).clamp_min(0.0).square()
        weighted = slopes * (robust * weights[:, None])[..., None]
        normal = weighted.transpose(-1, -2) @ slopes + _DAMPING * torch.eye(5).to(slopes)
        step = -torch.linalg.solve(normal, (weighted.transpose(-1, -2) @ error[..., None]))[..., 0]
        rotation = axis_angle_to_matrix(step[..., :3]) @ rotation
        moved = translation + (step[..., None, 3:] @ tangents)[..., 0, :]
        translation = functional.normalize(moved, dim=-1)
    return rotation, translation


def _choose_in_front(
    matrix: Float[Tensor, "P 3 3"],
    first: Float[Tensor, "P M 3"],
    second: Float[Tensor, "P M 3"],
    explained: Bool[Tensor, "P M"],
    threshold: Float[Tensor, "P"],
) -> tuple[Float[Tensor, "P 3 3"], Float[Tensor, "P 3"], Bool[Tensor, "P M"]]:
    """Of the four poses of an essential matrix the one with most points in front of both cameras, and these points."""
    rotation, translation = _decompose(matrix[:, None])
    # The other rotation: half a turn about the translation more.
    half_turn = 2 * translation[..., :, None] * translation[..., None, :] - torch.eye(3).to(matrix)
    rotations = torch.cat([rotation, rotation, half_turn @ rotation, half_turn @ rotation], dim=1)
    translations = torch.cat([translation, -translation, translation, -translation], dim=1)
    in_front = torch.stack(
        [
            _find_in_front(rotations[:, each], translations[:, each], first, second, threshold) & explained
            for each in range(4)
        ],
        dim=1,
    )
    winner = in_front.sum(-1).argmax(1)
    pairs = torch.arange(len(matrix), device=matrix.device)
    return rotations[pairs, winner], translations[pairs, winner], in_front[pairs, winner]


def _find_in_front(
    rotation: Float[Tensor, "P 3 3"],
    translation: Float[Tensor, "P 3"],
    first: Float[Tensor, "P M 3"],
    second: Float[Tensor, "P M 3"],
    threshold: Float[Tensor, "P"],
) -> Bool[Tensor, "P M"]:
    """Both depths are positive, or the rays are parallel within the threshold: such a point is far away.

    The depths d₁, d₂ minimise |d₁ R x₁ + t − d₂ x₂|.
    """
    turned = first @ rotation.transpose(-1, -2)
    aa, ab, bb = (turned * turned).sum(-1), (turned * second).sum(-1), (second * second).sum(-1)
    at, bt = (turned * translation[:, None]).sum(-1), (second * translation[:, None]).sum(-1)
    # Times the determinant of the normal equations, which is positive.
    first_depth, second_depth = ab * bt - bb * at, aa * bt - ab * at
    parallel = _angles_between(rotation, first, second) < threshold[:, None]
    return parallel | ((first_depth > 0) & (second_depth > 0))


def _angles_between(
    rotation: Float[Tensor, "P 3 3"], first: Float[Tensor, "P M 3"], second: Float[Tensor, "P M 3"]
) -> Float[Tensor, "P M"]:
    """Radians between the rays of the second camera and those of the first after the rotation."""
    turned = first @ rotation.transpose(-1, -2)
    return torch.atan2(torch.linalg.cross(turned, second).norm(dim=-1), (turned * second).sum(-1))
