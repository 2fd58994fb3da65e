"""Where the cameras of a clip are, roughly: what a bundle adjustment starts from, and which matches it may believe.

Legend: B clips, N frames, A anchors of a frame, P pairs of frames.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor
from torch.nn import functional

from unish.geometry.rigid import make_rigid
from unish.geometry.rotation import rotation_angle
from unish.geometry.statistics import weighted_median
from unish.geometry.two_view import compose_essential, sampson_errors, solve_two_views
from unish.geometry.view_graph import find_contradicted, find_cycles, join_frames
from unish.network.camera_solve import PosePrior, fuse_pairs, solve_pairs
from unish.network.matching.records import SparseMatches
from unish.network.view_config import ViewSolverConfig
from unish.network.view_parallax import ask_for_parallax, chain_zooms

USUAL_SIDE = 640
"""Thresholds in pixels are those of a picture whose long side has so many."""

_PRIOR_PRECISION = 1e-6
_BEYOND_DOUBT = 1e4  # more than a pair can have matches


@dataclass(frozen=True, kw_only=True)
class ViewStart:
    """Where the bundle adjustment starts, and what it may believe.

    Attributes:
        w2c: in the unit of the prior.
        joined: see ``SolvedViews``.
        believed: (B, P) pairs whose matches take part.
        moves, zooms, still: the camera changes its place; its focal length; it does nothing at all.
        log_zoom: log focal length of each frame, 0 on average and where the lens does not zoom.
        certain: (B, N) frames that pairs beyond doubt join.
        turn_deg: widest turn between these.
    """

    w2c: Float[Tensor, "B N 4 4"]
    joined: Bool[Tensor, "B N"]
    believed: Bool[Tensor, "B P"]
    moves: Bool[Tensor, "B"]
    zooms: Bool[Tensor, "B"]
    still: Bool[Tensor, "B"]
    log_zoom: Float[Tensor, "B N"]
    certain: Bool[Tensor, "B N"]
    turn_deg: Float[Tensor, "B"]


@torch.no_grad()
def find_start(
    matches: SparseMatches,
    pairs: list[tuple[int, int]],
    prior_log_depth: Float[Tensor, "B N A"],
    intrinsics: Float[Tensor, "B N 3 3"],
    long_side: int,
    config: ViewSolverConfig,
) -> ViewStart:
    """Poses of all pairs, which of them to believe, and the cameras along these.

    Args:
        pairs: those of ``matches`` that go forward.
        prior_log_depth: of the anchors.
        long_side: of the images, pixels.
    """
    num_frames, num_pairs = matches.anchors_px.shape[1], len(pairs)
    first, second = torch.tensor(pairs, device=intrinsics.device).T
    targets, weights = matches.targets_px[:, :num_pairs], matches.weights[:, :num_pairs]
    unit = USUAL_SIDE / long_side
    parallax = ask_for_parallax(
        matches.anchors_px[:, first], targets, weights, intrinsics[:, first], pairs, unit, config
    )
    moves = parallax.moves

    focal, centre = intrinsics.diagonal(dim1=-2, dim2=-1)[..., :2], intrinsics[..., :2, 2]
    depth = prior_log_depth.exp()
    unit_depth = depth.flatten(1).median(dim=1).values
    rays = (matches.anchors_px - centre[:, :, None]) / focal[:, :, None]
    points = functional.pad(rays, (0, 1), value=1.0) * (depth / unit_depth[:, None, None])[..., None]
    target_rays = (targets - centre[:, second, None]) / focal[:, second, None]
    focal_px = focal[:, second].prod(-1).sqrt()
    poses = [
        solve_clip_pairs(*parts, unit, config)
        for parts in zip(points[:, first], target_rays, weights, focal_px, strict=True)
    ]
    relative, curvature, inliers = (torch.stack(part) for part in zip(*poses, strict=True))
    turned = make_rigid(parallax.rotation, torch.zeros_like(relative[..., :3, 3]))
    relative = torch.where(moves[:, None, None, None], relative, turned)
    sure, support = _judge(relative, inliers, (weights > 0).sum(-1), pairs, config)
    # Doubtful pairs join what no others join.
    ranked = torch.where(sure, support + _BEYOND_DOUBT, support)
    chains = [join_frames(relative[clip], ranked[clip], pairs, num_frames) for clip in range(len(ranked))]
    w2c, joined, joins = (torch.stack(part) for part in zip(*chains, strict=True))
    believed = sure | joins
    w2c = fuse_pairs(relative, curvature * (support * believed)[..., None, None], pairs, start=w2c, num_steps=3)
    certain = torch.stack(
        [join_frames(relative[clip], support[clip] * sure[clip], pairs, num_frames)[1] for clip in range(len(support))]
    )
    translation = w2c[..., :3, 3] * unit_depth[:, None, None] * moves[:, None, None]
    zooms = parallax.zooms & ~moves
    log_zoom = chain_zooms(parallax.log_zoom, support * believed, pairs, num_frames)
    return ViewStart(
        w2c=make_rigid(w2c[..., :3, :3], translation),
        joined=joined,
        believed=believed,
        moves=moves,
        zooms=zooms,
        still=parallax.still,
        log_zoom=log_zoom * zooms[:, None],
        certain=certain,
        turn_deg=_widest_turn(w2c, certain),
    )


def _judge(
    relative: Float[Tensor, "B P 4 4"],
    inliers: Int64[Tensor, "B P"],
    found: Int64[Tensor, "B P"],
    pairs: list[tuple[int, int]],
    config: ViewSolverConfig,
) -> tuple[Bool[Tensor, "B P"], Float[Tensor, "B P"]]:
    """Which pairs are beyond doubt, and how far each can be trusted: 0 of those that are left out.

    Neither the number of inliers nor their share tells right poses from wrong ones that look plausible, where a scene
    repeats itself; both together, and three poses that were found independently and agree, do better. Of few matches a
    wrong pose may explain nearly all, so such a pair is in doubt where two that explain more contradict it.

    Args:
        found: matches of each pair.
    """
    plain = (inliers >= config.min_inliers) & (inliers > config.sure_share * found)
    doubtful = inliers >= config.doubtful_inliers
    cycles = torch.stack([find_cycles(relative[clip], doubtful[clip], pairs) for clip in range(len(inliers))])
    support = torch.where(plain | doubtful, inliers.to(relative.dtype), 0.0)
    against = [
        find_contradicted(relative[clip], support[clip], plain[clip] | doubtful[clip], pairs)
        for clip in range(len(inliers))
    ]
    plain = plain & ~torch.stack(against)
    return plain | (inliers > config.sure_inliers) | cycles, support


def solve_clip_pairs(
    points: Float[Tensor, "P A 3"],
    target_rays: Float[Tensor, "P A 2"],
    weights: Float[Tensor, "P A"],
    focal_px: Float[Tensor, "P"],
    unit: float,
    config: ViewSolverConfig,
) -> tuple[Float[Tensor, "P 4 4"], Float[Tensor, "P 6 6"], Int64[Tensor, "P"]]:
    """Relative pose of each pair of a clip, its curvature, and how many matches it explains.

    The closed form on the depth prior is enough from frame to frame. Where it explains too few, the frames are far
    apart, and the pose is searched for without the prior, which then tells the length of the move alone.
    """
    nothing = points.new_zeros(len(points), 6)
    prior = PosePrior(twist=nothing, precision=nothing + _PRIOR_PRECISION)
    relative, curvature = solve_pairs(points, target_rays, weights, prior, focal=focal_px)
    rays = points[..., :2] / points[..., 2:]
    threshold = config.inlier_px / unit
    explained = _count_explained(relative, rays, target_rays, weights, focal_px, threshold)
    found = (weights > 0).sum(-1)
    wide = torch.nonzero((explained < config.wide_share * found) & (found >= config.min_inliers))[:, 0]
    if len(wide):
        view = solve_two_views(rays[wide], target_rays[wide], weights[wide], focal_px[wide], threshold_px=threshold)
        length = _measure_move(points[wide], target_rays[wide], view.rotation, view.translation, view.inliers)
        better = view.num_inliers > explained[wide]
        searched = make_rigid(view.rotation, view.translation * length[:, None])
        relative = relative.index_copy(0, wide, torch.where(better[:, None, None], searched, relative[wide]))
        explained = explained.index_copy(0, wide, torch.maximum(view.num_inliers, explained[wide]))
    return relative, curvature, explained


def _count_explained(
    relative: Float[Tensor, "P 4 4"],
    first: Float[Tensor, "P A 2"],
    second: Float[Tensor, "P A 2"],
    weights: Float[Tensor, "P A"],
    focal_px: Float[Tensor, "P"],
    threshold_px: float,
) -> Int64[Tensor, "P"]:
    """Matches with a Sampson error below the threshold."""
    translation = relative[:, :3, 3]
    direction = functional.normalize(translation + _PRIOR_PRECISION, dim=-1)
    matrices = compose_essential(relative[:, :3, :3], direction)
    rays = (functional.pad(part, (0, 1), value=1.0) for part in (first, second))
    errors = sampson_errors(matrices[:, None], *rays)[:, 0].abs() * focal_px[:, None]
    return ((errors < threshold_px) & (weights > 0)).sum(-1)


def _measure_move(
    points: Float[Tensor, "P A 3"],
    target_rays: Float[Tensor, "P A 2"],
    rotation: Float[Tensor, "P 3 3"],
    direction: Float[Tensor, "P 3"],
    inliers: Bool[Tensor, "P A"],
) -> Float[Tensor, "P"]:
    """How far along ``direction`` the points have to go to lie on the rays of the second camera: a weighted median.

    From (R·p + s·t) × ray = 0; each point votes with how well it can tell.
    """
    turned = points @ rotation.mT
    rays = functional.pad(target_rays, (0, 1), value=1.0)
    across = torch.linalg.cross(direction[:, None].expand_as(rays), rays)
    offset = torch.linalg.cross(turned, rays)
    tells = across.square().sum(-1)
    length = -(offset * across).sum(-1) / tells.clamp_min(1e-12)
    median = weighted_median(length, inliers * tells.sqrt())
    return median.nan_to_num(0.0).clamp_min(0.0)


def _widest_turn(w2c: Float[Tensor, "B N 4 4"], joined: Bool[Tensor, "B N"]) -> Float[Tensor, "B"]:
    """Largest angle between two joined frames, degrees."""
    rotation = w2c[..., :3, :3]
    angle = rotation_angle(rotation[:, :, None] @ rotation[:, None].mT)
    return torch.where(joined[:, :, None] & joined[:, None], angle, 0.0).flatten(1).amax(1).rad2deg()
