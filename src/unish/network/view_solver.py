"""Cameras and depth from what the frames of a clip show alike: layers after the scene branch, in the same pass.

    images ──> XFeat ──> matches ─┬─> turn and zoom of each pair ──> does it move? ─┐
                                  ├─> pose of each pair ──> joined frames ──────────┴─> bundle adjustment ──> cameras,
    depth of the scene branch ────┘                                                     focal length, depth of anchors

All layers have a fixed length, and none a stopping rule. The features are frozen; they were learnt on photographs.
Legend: B clips, N frames, A anchors of a frame, P pairs of frames, each matched both ways.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional

from unish.geometry.bundle import Bundle, Observations, adjust_bundle
from unish.network.matching.lighterglue import LighterGlue
from unish.network.matching.pairs import (
    describe_frames,
    list_gap_pairs,
    match_pairs,
    place_matches,
    replace_matches,
)
from unish.network.matching.records import SparseMatches
from unish.network.matching.retrieval import list_similar_pairs
from unish.network.matching.xfeat import XFeat
from unish.network.view_config import ViewSolverConfig
from unish.network.view_known import KnownStart, keep_length, start_at_cameras
from unish.network.view_start import find_start


@dataclass(frozen=True, kw_only=True)
class SolvedViews:
    """What the matches say of B clips.

    Attributes:
        bundle: cameras and anchors, in the unit of the scene branch.
        anchors_px: pixels of the images.
        intrinsics: with the focal length that was found, of each frame where the lens zooms; pixels of the images.
        joined: frames that matches join to the others; the rest stands where a neighbour stands.
        certain: frames that are joined beyond doubt.
        moves: the camera changes its place; else its depth is that of the scene branch.
        solves_focal: the focal length is solved from a turning camera, not guessed.
        log_zoom: log of the focal length of each frame over the one that was given (of the first frame) or guessed (the
            mean of all); 0 where the lens does not zoom.
        log_unit, error_px: see ``KnownStart``; 0 where no cameras were given.
    """

    bundle: Bundle
    anchors_px: Float[Tensor, "B N A 2"]
    intrinsics: Float[Tensor, "B N 3 3"]
    joined: Bool[Tensor, "B N"]
    certain: Bool[Tensor, "B N"]
    moves: Bool[Tensor, "B"]
    solves_focal: Bool[Tensor, "B"]
    log_zoom: Float[Tensor, "B N"]
    log_unit: Float[Tensor, "B"]
    error_px: Float[Tensor, "B"]


def solve_views(
    images: Float[Tensor, "B N 3 H W"],
    log_depth: Float[Tensor, "B N H W"],
    intrinsics: Float[Tensor, "B N 3 3"],
    *,
    usable: Bool[Tensor, "B N H W"] | None = None,
    known_camera: bool = False,
    w2c: Float[Tensor, "B N 4 4"] | None = None,
    refine_w2c: bool = False,
    config: ViewSolverConfig | None = None,
) -> SolvedViews:
    """Match the frames, ask whether the camera moves, and adjust cameras, focal length and depths of anchors.

    Args:
        images: RGB in [0, 1], N ≥ 2.
        log_depth: of the scene branch, up to one scale.
        intrinsics: pixels of the images; given, or a first guess.
        usable: pixels of the scene, which does not move; everywhere if ``None``.
        known_camera: ``intrinsics`` are right, those of the first frame where the lens zooms.
        w2c: known cameras, world = first one: they stay, and the depth of anchors is in their unit.
        refine_w2c: they are only where the adjustment starts, and keep their size.
    """
    config = config or ViewSolverConfig()
    long_side = max(images.shape[-2:])
    with torch.autocast(images.device.type, enabled=False):
        matches, prior_log_depth, known = _match_and_start(images, log_depth, intrinsics, usable, w2c, config)
        start = known.start
        solves_focal = (start.turn_deg > config.min_turn_deg) & start.moves & (not known_camera)
        # Cameras that miss the matches would spoil the depth: it is solved with better ones, whatever is returned.
        free = start.moves & ((known.error_px > config.known_px) | (w2c is None or refine_w2c))
        turns = torch.ones_like(free) if w2c is None else free
        believed = torch.cat([start.believed, start.believed], dim=1)[..., None]
        matches = replace(matches, weights=matches.weights * believed)
        bundle = adjust_bundle(
            arrange_observations(matches, prior_log_depth), start.w2c, intrinsics, long_side,
            moves=free.float(), turns=turns.float(), frees_focal=solves_focal.float(), config=config.bundle,
        )  # fmt: skip
        if w2c is not None:
            bundle = _resize(bundle, keep_length(bundle.w2c, start.w2c, free))
        # The adjustment has one focal length for all frames, and rounds what does not move at all.
        w2c = torch.where(start.zooms[:, None, None, None], start.w2c, bundle.w2c)
        w2c = torch.where(start.still[:, None, None, None], torch.eye(4, device=images.device), w2c)
        bundle = replace(bundle, w2c=w2c)
        log_zoom = start.log_zoom - start.log_zoom[:, :1] if known_camera else start.log_zoom
        log_focal = bundle.log_focal[:, None] + log_zoom
        longer = functional.pad(log_focal.exp()[..., None].expand(-1, -1, 2), (0, 1), value=1.0)
        # Only the focal lengths change: the principal point stays.
        scaled = torch.diag_embed(longer) @ intrinsics
        solved = torch.cat([scaled[..., :2], intrinsics[..., 2:]], dim=-1)
    return SolvedViews(
        bundle=bundle,
        anchors_px=matches.anchors_px,
        intrinsics=solved,
        joined=start.joined,
        certain=start.joined & start.certain,
        moves=start.moves,
        solves_focal=solves_focal,
        log_zoom=log_zoom,
        log_unit=known.log_unit,
        error_px=known.error_px,
    )


def stand_still(intrinsics: Float[Tensor, "B N 3 3"]) -> SolvedViews:
    """What matches would say of cameras that stand still: one place for all frames, no anchors, nothing about depth."""
    shape = (int(intrinsics.shape[0]), int(intrinsics.shape[1]))
    of_clips, of_anchors = intrinsics.new_zeros(shape[0]), intrinsics.new_zeros(*shape, 0)
    every, none = torch.ones(shape, dtype=torch.bool, device=intrinsics.device), of_clips.bool()
    return SolvedViews(
        bundle=Bundle(
            w2c=torch.eye(4, device=intrinsics.device).expand(*shape, 4, 4),
            log_focal=of_clips,
            log_scale=intrinsics.new_zeros(shape),
            log_depth=of_anchors,
            information=of_anchors,
            residual=intrinsics.new_zeros(*shape, 0, 0),
        ),
        anchors_px=intrinsics.new_zeros(*shape, 0, 2),
        intrinsics=intrinsics,
        joined=every,
        certain=every,
        moves=none,
        solves_focal=none,
        log_zoom=intrinsics.new_zeros(shape),
        log_unit=of_clips,
        error_px=of_clips,
    )


def _match_and_start(
    images: Float[Tensor, "B N 3 H W"],
    log_depth: Float[Tensor, "B N H W"],
    intrinsics: Float[Tensor, "B N 3 3"],
    usable: Bool[Tensor, "B N H W"] | None,
    w2c: Float[Tensor, "B N 4 4"] | None,
    config: ViewSolverConfig,
) -> tuple[SparseMatches, Float[Tensor, "B N A"], KnownStart]:
    """Matches, the depth prior of their anchors in the unit of the cameras, and where these are, roughly or known."""
    long_side = max(images.shape[-2:])
    pairs = _list_pairs(images.shape[1], config)
    features = describe_frames(load_features(images.device), images, usable=usable, num_keypoints=config.num_keypoints)
    if len(images) == 1:
        # Clips of a batch have the same pairs.
        similar = list_similar_pairs(
            features.key_points, min_gap=max(config.gaps) + 1, num_per_frame=config.num_similar
        )
        pairs += [pair for pair in similar if pair not in pairs]
    index = match_pairs(features, pairs)
    matches = place_matches(features, pairs, index, num_anchors=config.num_anchors)
    prior_log_depth = sample_maps(log_depth, matches.anchors_px)
    if w2c is not None:
        known = start_at_cameras(matches, pairs, prior_log_depth, w2c, intrinsics, long_side, config)
        return matches, prior_log_depth + known.log_unit[:, None, None], known
    start = find_start(matches, pairs, prior_log_depth, intrinsics, long_side, config)
    if weak := _list_weak_pairs(pairs, start.certain):
        index = replace_matches(_load_attention(images.device), features, pairs, index, weak)
        matches = place_matches(features, pairs, index, num_anchors=config.num_anchors, wide=weak)
        prior_log_depth = sample_maps(log_depth, matches.anchors_px)
        start = find_start(matches, pairs, prior_log_depth, intrinsics, long_side, config)
    none = prior_log_depth.new_zeros(len(images))
    return matches, prior_log_depth, KnownStart(start=start, log_unit=none, error_px=none)


def _resize(bundle: Bundle, log_factor: Float[Tensor, "B"]) -> Bundle:
    """All lengths exp(``log_factor``) times as large."""
    factor = functional.pad(log_factor.exp()[:, None].expand(-1, 3), (0, 1), value=1.0)
    w2c = torch.cat([bundle.w2c[..., :3], bundle.w2c[..., 3:] * factor[:, None, :, None]], dim=-1)
    return replace(bundle, w2c=w2c, log_depth=bundle.log_depth + log_factor[:, None, None])


def arrange_observations(matches: SparseMatches, prior_log_depth: Float[Tensor, "B N A"]) -> Observations:
    """The matches frame by frame, as the bundle adjustment reads them."""
    num_frames = matches.anchors_px.shape[1]
    of_frame: list[list[int]] = [[] for _ in range(num_frames)]
    for pair, (first, _) in enumerate(matches.pairs):
        of_frame[first].append(pair)
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


def sample_maps(maps: Float[Tensor, "B N H W"], px: Float[Tensor, "B N A 2"]) -> Float[Tensor, "B N A"]:
    """Values between pixel centres, linearly."""
    size = px.new_tensor([maps.shape[-1], maps.shape[-2]])
    grid = (px / size * 2 - 1).flatten(0, 1)[:, None]
    sampled = functional.grid_sample(
        maps.flatten(0, 1)[:, None], grid, mode="bilinear", padding_mode="border", align_corners=False
    )
    return sampled[:, 0, 0].unflatten(0, px.shape[:2])


def _list_pairs(num_frames: int, config: ViewSolverConfig) -> list[tuple[int, int]]:
    gaps = range(1, num_frames) if num_frames <= config.all_pairs else (*config.gaps, num_frames - 1)
    return list_gap_pairs(num_frames, tuple(gaps))


def _list_weak_pairs(pairs: list[tuple[int, int]], certain: Bool[Tensor, "B N"]) -> list[tuple[int, int]]:
    """Pairs with a frame that is not joined beyond doubt, in any clip."""
    doubtful = (~certain).any(0).tolist()
    return [(i, j) for i, j in pairs if doubtful[i] or doubtful[j]]


@lru_cache
def _load_attention(device: torch.device) -> LighterGlue:
    return LighterGlue.load().to(device)


@lru_cache
def load_features(device: torch.device) -> XFeat:
    return XFeat.load().to(device)
