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
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional

from unish.geometry.bundle import Bundle, BundleConfig, Observations, adjust_bundle
from unish.geometry.camera import unproject
from unish.geometry.parallax import fit_turn
from unish.geometry.rigid import invert_rigid, make_rigid
from unish.geometry.rotation import rotation_angle
from unish.geometry.view_graph import join_frames
from unish.network.camera_solve import PosePrior, fuse_pairs, solve_pairs
from unish.network.matching.pairs import list_gap_pairs, match_frames
from unish.network.matching.records import SparseMatches
from unish.network.matching.xfeat import XFeat
from unish.network.outputs import SceneOutput

_MIN_DEPTH = 1e-3
_USUAL_SIDE = 640
"""Thresholds in pixels are those of a picture whose long side has so many."""


@dataclass(frozen=True, kw_only=True)
class ViewSolverConfig:
    """How cameras are solved.

    Attributes:
        gaps: frame distances of the pairs that are matched; the first and the last frame are a pair, too.
        num_keypoints, num_anchors: of each frame.
        min_matches: a pair with fewer joins nothing.
        still_px, parallax_px: median distance of matches that a camera at rest, or one that only turns, may leave.
        min_turn_deg: the focal length is free where the camera turns by more.
        bundle: the bundle adjustment.
    """

    gaps: tuple[int, ...] = (1, 2, 4, 8)
    num_keypoints: int = 2048
    num_anchors: int = 512
    min_matches: int = 20
    still_px: float = 0.3
    parallax_px: float = 1.0
    min_turn_deg: float = 4.0
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
        observations = arrange_observations(matches, _sample(log_depth, matches.anchors_px))
        start, joined, moves, still = _find_start(matches, pairs, observations, intrinsics, long_side, config)
        turns = _widest_turn(start, joined) > config.min_turn_deg
        solves_focal = turns & moves & (not known_camera)
        bundle = adjust_bundle(
            observations, start, intrinsics, long_side,
            moves=moves.float(), frees_focal=solves_focal.float(), config=config.bundle,
        )  # fmt: skip
        rest = torch.eye(4, device=images.device)
        bundle = replace(bundle, w2c=torch.where(still[:, None, None, None], rest, bundle.w2c))
        longer = functional.pad(bundle.log_focal.exp()[:, None].expand(-1, 2), (0, 1), value=1.0)
        # Only the focal lengths change: the principal point stays.
        scaled = torch.diag_embed(longer)[:, None] @ intrinsics
        solved = torch.cat([scaled[..., :2], intrinsics[..., 2:]], dim=-1)
    return SolvedViews(
        bundle=bundle,
        anchors_px=matches.anchors_px,
        intrinsics=solved,
        joined=joined,
        moves=moves,
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


@torch.no_grad()
def _find_start(
    matches: SparseMatches,
    pairs: list[tuple[int, int]],
    observations: Observations,
    intrinsics: Float[Tensor, "B N 3 3"],
    long_side: int,
    config: ViewSolverConfig,
) -> tuple[Float[Tensor, "B N 4 4"], Bool[Tensor, "B N"], Bool[Tensor, "B"], Bool[Tensor, "B"]]:
    """w2c to start from, which frames are joined, and whether the camera moves, or stands still altogether."""
    num_frames, num_pairs = matches.anchors_px.shape[1], len(pairs)
    first, second = torch.tensor(pairs, device=intrinsics.device).T
    anchors, targets = matches.anchors_px[:, first], matches.targets_px[:, :num_pairs]
    weights = matches.weights[:, :num_pairs]
    found = (weights > 0).sum(-1)
    enough = found >= config.min_matches

    turn = fit_turn(anchors, targets, weights, intrinsics[:, first])
    unit = _USUAL_SIDE / long_side
    moves = (torch.where(enough, turn.residual_px, 0.0) * unit).amax(1) > config.parallax_px
    apart = ((targets - anchors).norm(dim=-1) * (weights > 0)).sum(-1) / found.clamp_min(1)
    still = ~moves & ((torch.where(enough, apart, 0.0) * unit).amax(1) <= config.still_px)

    focal, centre = intrinsics.diagonal(dim1=-2, dim2=-1)[..., :2], intrinsics[..., :2, 2]
    depth = observations.prior_log_depth.exp()
    unit_depth = depth.flatten(1).median(dim=1).values
    rays = functional.pad((matches.anchors_px - centre[:, :, None]) / focal[:, :, None], (0, 1), value=1.0)
    points = rays * (depth / unit_depth[:, None, None])[..., None]
    nothing = points.new_zeros(*weights.shape[:2], 6)
    relative, curvature = solve_pairs(
        points[:, first],
        (targets - centre[:, second, None]) / focal[:, second, None],
        weights,
        PosePrior(twist=nothing, precision=nothing + 1e-6),
        focal=focal[:, second].prod(-1).sqrt(),
    )
    support = torch.where(enough, weights.sum(-1), 0.0)
    chains = [join_frames(relative[clip], support[clip], pairs, num_frames) for clip in range(len(support))]
    start = torch.stack([w2c for w2c, _ in chains])
    start = fuse_pairs(relative, curvature * support[..., None, None], pairs, start=start, num_steps=3)
    translation = start[..., :3, 3] * unit_depth[:, None, None] * moves[:, None, None]
    return make_rigid(start[..., :3, :3], translation), torch.stack([joined for _, joined in chains]), moves, still


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
