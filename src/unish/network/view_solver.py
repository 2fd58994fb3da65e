"""Cameras and depth from what the frames of a clip show alike: layers after the scene branch, in the same pass.

    images ──> XFeat ──> matches ─┬─> turn and zoom of each pair ──> does it move? ─┐
                                  ├─> pose of each pair ──> joined frames ──────────┴─> bundle adjustment ──> cameras,
    depth of the scene branch ────┘                                                     focal length, depth of anchors

All layers have a fixed length, and none a stopping rule. The features are frozen; they were learnt on photographs.
Legend: B clips, N frames, A anchors of a frame, P pairs of frames, each matched both ways.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import lru_cache

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor
from torch.nn import functional

from unish.geometry.bundle import Bundle, BundleConfig, Observations, adjust_bundle
from unish.geometry.camera import unproject
from unish.geometry.parallax import fit_turn
from unish.geometry.rigid import invert_rigid, make_rigid
from unish.geometry.rotation import rotation_angle
from unish.geometry.statistics import weighted_median
from unish.geometry.two_view import compose_essential, sampson_errors, solve_two_views
from unish.geometry.view_graph import join_frames
from unish.network.camera_solve import PosePrior, fuse_pairs, solve_pairs
from unish.network.matching.pairs import list_gap_pairs, match_frames
from unish.network.matching.records import SparseMatches
from unish.network.matching.xfeat import XFeat
from unish.network.outputs import SceneOutput

_MIN_DEPTH = 1e-3
_PRIOR_PRECISION = 1e-6
_BEYOND_DOUBT = 1e4
_USUAL_SIDE = 640
"""Thresholds in pixels are those of a picture whose long side has so many."""


@dataclass(frozen=True, kw_only=True)
class ViewSolverConfig:
    """How cameras are solved.

    Pixels are those of a picture whose long side has 640.

    Attributes:
        gaps: frame distances of the pairs that are matched; the first and the last frame are a pair, too.
        num_keypoints, num_anchors: of each frame.
        min_matches: of a pair that tells parallax.
        still_px, parallax_px: median distance of matches that a camera at rest, or one that only turns, may leave.
        min_log_zoom, zoom_share: a change of the focal length, and the share of that distance that is then left.
        inlier_px: largest Sampson error of a match that a pose explains.
        wide_share: a pair of which the closed form explains a smaller share is searched for.
        min_inliers: a pair with fewer joins nothing.
        sure_inliers, sure_share: a pair with more, or with a larger share, is beyond doubt.
        min_turn_deg: the focal length is free where the camera turns by more.
        bundle: the bundle adjustment.
    """

    gaps: tuple[int, ...] = (1, 2, 4, 8)
    num_keypoints: int = 2048
    num_anchors: int = 512
    min_matches: int = 20
    still_px: float = 0.3
    parallax_px: float = 1.0
    min_log_zoom: float = 0.02
    zoom_share: float = 0.2
    inlier_px: float = 1.5
    wide_share: float = 0.7
    min_inliers: int = 20
    sure_inliers: int = 120
    sure_share: float = 0.8
    min_turn_deg: float = 2.0
    bundle: BundleConfig = field(default_factory=BundleConfig)


@dataclass(frozen=True, kw_only=True)
class SolvedViews:
    """What the matches say of B clips.

    Attributes:
        bundle: cameras and anchors, in the unit of the scene branch.
        anchors_px: pixels of the images.
        intrinsics: with the focal length that was found, pixels of the images.
        joined: frames that matches join to the others; the rest stands where a neighbour stands.
        moves: the camera changes its place; else its depth is that of the scene branch.
        solves_focal: the focal length is solved from a turning camera, not guessed.
    """

    bundle: Bundle
    anchors_px: Float[Tensor, "B N A 2"]
    intrinsics: Float[Tensor, "B N 3 3"]
    joined: Bool[Tensor, "B N"]
    moves: Bool[Tensor, "B"]
    solves_focal: Bool[Tensor, "B"]


def refine_scene(
    images: Float[Tensor, "B N 3 H W"],
    scene: SceneOutput,
    *,
    usable: Bool[Tensor, "B N H W"] | None = None,
    known_camera: bool = False,
    config: ViewSolverConfig | None = None,
) -> SceneOutput:
    """What a scene branch says of a clip, with cameras and depth that agree with what its frames show alike.

    Args:
        images: RGB in [0, 1], N ≥ 2.
        usable: pixels of the scene, which does not move; everywhere if ``None``.
        known_camera: the intrinsics of ``scene`` are right.
    """
    log_depth = scene.local_points[..., 2].float().clamp_min(_MIN_DEPTH).log()
    views = solve_views(
        images, log_depth, scene.intrinsics.float(), usable=usable, known_camera=known_camera, config=config
    )
    log_depth = log_depth + (views.bundle.log_scale * views.moves[:, None])[..., None, None]
    return replace(
        scene,
        local_points=unproject(log_depth.exp(), views.intrinsics),
        c2w=invert_rigid(views.bundle.w2c),
        intrinsics=views.intrinsics,
        joined=views.joined,
        solves_focal=views.solves_focal,
    )


def solve_views(
    images: Float[Tensor, "B N 3 H W"],
    log_depth: Float[Tensor, "B N H W"],
    intrinsics: Float[Tensor, "B N 3 3"],
    *,
    usable: Bool[Tensor, "B N H W"] | None = None,
    known_camera: bool = False,
    config: ViewSolverConfig | None = None,
) -> SolvedViews:
    """Match the frames, ask whether the camera moves, and adjust cameras, focal length and depths of anchors.

    Args:
        images: RGB in [0, 1], N ≥ 2.
        log_depth: of the scene branch, up to one scale.
        intrinsics: pixels of the images; given, or a first guess.
        usable: pixels of the scene, which does not move; everywhere if ``None``.
        known_camera: ``intrinsics`` are right.
    """
    config = config or ViewSolverConfig()
    num_frames = images.shape[1]
    long_side = max(images.shape[-2:])
    pairs = list_gap_pairs(num_frames, config.gaps)
    pairs += [(0, num_frames - 1)] if num_frames - 1 not in config.gaps else []
    matches = match_frames(
        _load_features(images.device), images, pairs, usable=usable,
        num_keypoints=config.num_keypoints, num_anchors=config.num_anchors,
    )  # fmt: skip
    with torch.autocast(images.device.type, enabled=False):
        prior_log_depth = _sample(log_depth, matches.anchors_px)
        start = _find_start(matches, pairs, prior_log_depth, intrinsics, long_side, config)
        solves_focal = (start.turn_deg > config.min_turn_deg) & start.moves & (not known_camera)
        believed = torch.cat([start.believed, start.believed], dim=1)[..., None]
        matches = replace(matches, weights=matches.weights * believed)
        bundle = adjust_bundle(
            arrange_observations(matches, prior_log_depth), start.w2c, intrinsics, long_side,
            moves=start.moves.float(), frees_focal=solves_focal.float(), config=config.bundle,
        )  # fmt: skip
        rest = torch.eye(4, device=images.device)
        bundle = replace(bundle, w2c=torch.where(start.still[:, None, None, None], rest, bundle.w2c))
        longer = functional.pad(bundle.log_focal.exp()[:, None].expand(-1, 2), (0, 1), value=1.0)
        # Only the focal lengths change: the principal point stays.
        scaled = torch.diag_embed(longer)[:, None] @ intrinsics
        solved = torch.cat([scaled[..., :2], intrinsics[..., 2:]], dim=-1)
    return SolvedViews(
        bundle=bundle,
        anchors_px=matches.anchors_px,
        intrinsics=solved,
        joined=start.joined,
        moves=start.moves,
        solves_focal=solves_focal,
    )


def arrange_observations(matches: SparseMatches, prior_log_depth: Float[Tensor, "B N A"]) -> Observations:
    """The matches frame by frame, as the bundle adjustment reads them."""
    num_frames = matches.anchors_px.shape[1]
    of_frame: list[list[int]] = [[] for _ in range(num_frames)]
    for number, (first, _) in enumerate(matches.pairs):
        of_frame[first].append(number)
    most = max(len(numbers) for numbers in of_frame)
    device = matches.anchors_px.device
    number = torch.tensor([numbers + [0] * (most - len(numbers)) for numbers in of_frame], device=device)
    is_pair = torch.tensor([[slot < len(numbers) for slot in range(most)] for numbers in of_frame], device=device)
    second = torch.tensor([second for _, second in matches.pairs], device=device)
    own = torch.arange(num_frames, device=device)[:, None]
    return Observations(
        anchors_px=matches.anchors_px,
        seen_by=torch.where(is_pair, second[number], own),
        targets_px=matches.targets_px[:, number],
        weights=matches.weights[:, number] * is_pair[..., None],
        prior_log_depth=prior_log_depth,
        prior_weights=matches.anchor_valid.to(prior_log_depth.dtype),
    )


@dataclass(frozen=True, kw_only=True)
class _Start:
    """Where the bundle adjustment starts, and what it may believe.

    Attributes:
        w2c: in the unit of the prior.
        joined: see ``SolvedViews``.
        believed: (B, P) pairs whose matches take part.
        moves, still: the camera changes its place; it does nothing at all.
        turn_deg: widest turn between frames that pairs beyond doubt join.
    """

    w2c: Float[Tensor, "B N 4 4"]
    joined: Bool[Tensor, "B N"]
    believed: Bool[Tensor, "B P"]
    moves: Bool[Tensor, "B"]
    still: Bool[Tensor, "B"]
    turn_deg: Float[Tensor, "B"]


@torch.no_grad()
def _find_start(
    matches: SparseMatches,
    pairs: list[tuple[int, int]],
    prior_log_depth: Float[Tensor, "B N A"],
    intrinsics: Float[Tensor, "B N 3 3"],
    long_side: int,
    config: ViewSolverConfig,
) -> _Start:
    num_frames, num_pairs = matches.anchors_px.shape[1], len(pairs)
    first, second = torch.tensor(pairs, device=intrinsics.device).T
    targets, weights = matches.targets_px[:, :num_pairs], matches.weights[:, :num_pairs]
    unit = _USUAL_SIDE / long_side
    moves, still = _ask_for_parallax(
        matches.anchors_px[:, first], targets, weights, intrinsics[:, first], pairs, unit, config
    )

    focal, centre = intrinsics.diagonal(dim1=-2, dim2=-1)[..., :2], intrinsics[..., :2, 2]
    depth = prior_log_depth.exp()
    unit_depth = depth.flatten(1).median(dim=1).values
    rays = (matches.anchors_px - centre[:, :, None]) / focal[:, :, None]
    points = functional.pad(rays, (0, 1), value=1.0) * (depth / unit_depth[:, None, None])[..., None]
    target_rays = (targets - centre[:, second, None]) / focal[:, second, None]
    focal_px = focal[:, second].prod(-1).sqrt()
    poses = [
        _solve_clip_pairs(*parts, unit, config)
        for parts in zip(points[:, first], target_rays, weights, focal_px, strict=True)
    ]
    relative, curvature, inliers = (torch.stack(part) for part in zip(*poses, strict=True))
    share = inliers / (weights > 0).sum(-1).clamp_min(1)
    sure = (inliers > config.sure_inliers) | ((inliers >= config.min_inliers) & (share > config.sure_share))
    support = torch.where(inliers >= config.min_inliers, inliers * 1.0, 0.0)
    # Doubtful pairs join what no others join.
    ranked = torch.where(sure, support + _BEYOND_DOUBT, support)
    chains = [join_frames(relative[clip], ranked[clip], pairs, num_frames) for clip in range(len(ranked))]
    w2c, joined, joins = (torch.stack(part) for part in zip(*chains, strict=True))
    believed = sure | joins
    w2c = fuse_pairs(relative, curvature * (support * believed)[..., None, None], pairs, start=w2c, num_steps=3)
    certain = [
        join_frames(relative[clip], support[clip] * sure[clip], pairs, num_frames)[1] for clip in range(len(support))
    ]
    translation = w2c[..., :3, 3] * unit_depth[:, None, None] * moves[:, None, None]
    return _Start(
        w2c=make_rigid(w2c[..., :3, :3], translation),
        joined=joined,
        believed=believed,
        moves=moves,
        still=still,
        turn_deg=_widest_turn(w2c, torch.stack(certain)),
    )


def _ask_for_parallax(
    anchors: Float[Tensor, "B P A 2"],
    targets: Float[Tensor, "B P A 2"],
    weights: Float[Tensor, "B P A"],
    intrinsics: Float[Tensor, "B P 3 3"],
    pairs: list[tuple[int, int]],
    unit: float,
    config: ViewSolverConfig,
) -> tuple[Bool[Tensor, "B"], Bool[Tensor, "B"]]:
    """Whether the camera moves, and whether it stands still; neither where it turns or zooms in its place.

    The median of each gap decides, for a single pair can be matched wrongly; the gap that shows most of it decides.
    """
    found = (weights > 0).sum(-1)
    usable = found >= config.min_matches
    turn = fit_turn(anchors, targets, weights, intrinsics, zooms=False)
    zoom = fit_turn(anchors, targets, weights, intrinsics)
    # A zoom explains nearly all of what is left, and is one: a camera that comes nearer is not taken for it.
    zooms = (zoom.log_zoom.abs() > config.min_log_zoom) & (zoom.residual_px < config.zoom_share * turn.residual_px)
    residual = torch.where(zooms, zoom.residual_px, turn.residual_px) * unit
    apart = ((targets - anchors).norm(dim=-1) * (weights > 0)).sum(-1) / found.clamp_min(1) * unit
    gaps = torch.tensor([second - first for first, second in pairs], device=weights.device)

    def largest(values: Float[Tensor, "B P"]) -> Float[Tensor, "B"]:
        known = torch.where(usable, values, torch.nan)
        return torch.stack([known[:, gaps == gap].nanmedian(1).values for gap in gaps.unique()]).nan_to_num(0.0).amax(0)

    moves = largest(residual) > config.parallax_px
    return moves, ~moves & (largest(apart) <= config.still_px)


def _solve_clip_pairs(
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
        view = solve_two_views(rays[wide], target_rays[wide], weights[wide] > 0, focal_px[wide], threshold_px=threshold)
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


def _sample(maps: Float[Tensor, "B N H W"], px: Float[Tensor, "B N A 2"]) -> Float[Tensor, "B N A"]:
    """Values between pixel centres, linearly."""
    size = px.new_tensor([maps.shape[-1], maps.shape[-2]])
    grid = (px / size * 2 - 1).flatten(0, 1)[:, None]
    sampled = functional.grid_sample(
        maps.flatten(0, 1)[:, None], grid, mode="bilinear", padding_mode="border", align_corners=False
    )
    return sampled[:, 0, 0].unflatten(0, px.shape[:2])


def _widest_turn(w2c: Float[Tensor, "B N 4 4"], joined: Bool[Tensor, "B N"]) -> Float[Tensor, "B"]:
    """Largest angle between two joined frames, degrees."""
    rotation = w2c[..., :3, :3]
    angle = rotation_angle(rotation[:, :, None] @ rotation[:, None].mT)
    return torch.where(joined[:, :, None] & joined[:, None], angle, 0.0).flatten(1).amax(1).rad2deg()


@lru_cache
def _load_features(device: torch.device) -> XFeat:
    return XFeat.load().to(device)
