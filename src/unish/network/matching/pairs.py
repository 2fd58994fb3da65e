"""From images to matches between frames: key points, mutual nearest neighbours, anchors, sub-pixel places.

Legend: B clips, N frames, F = B·N; K key points of a frame, A anchors of a frame; P unordered pairs, E = 2·P directed
ones.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor
from torch.nn import functional

from unish.network.matching.lighterglue import LighterGlue, match_by_attention
from unish.network.matching.mutual import make_index_matches, match_mutual
from unish.network.matching.records import FrameFeatures, IndexMatches, SparseMatches
from unish.network.matching.subpixel import make_grey, refine_matches
from unish.network.matching.xfeat import XFeat, detect_key_points

LONG_SIDE = 640
"""Images with a longer side are matched at this size; the result is in their own pixels."""

UNREFINED_WEIGHT = 0.1
"""Of a match at whole pixels. Its error is about three times that of a refined one, and weights go by variances."""

_FRAMES_AT_ONCE = 8
Pairs = Sequence[tuple[int, int]]


def list_gap_pairs(num_frames: int, gaps: Sequence[int] = (1, 2, 4, 8)) -> list[tuple[int, int]]:
    """(i, i + gap) for every gap that fits, the smallest gaps first."""
    return [(i, i + gap) for gap in sorted(set(gaps)) for i in range(num_frames - gap)]


@torch.no_grad()
def describe_frames(
    network: XFeat,
    images: Float[Tensor, "B N 3 H W"],
    *,
    usable: Bool[Tensor, "B N H W"] | None = None,
    num_keypoints: int = 2048,
) -> FrameFeatures:
    """Key points and grey images of all frames. The same images give the same key points.

    Args:
        images: RGB in [0, 1].
        usable: False where people, sky or captions are: no key points there, and no matches into there. Widen the masks
            of what moves by a few pixels, since outlines make key points too.
        num_keypoints: slots K of each frame.
    """
    height, width = int(images.shape[-2]), int(images.shape[-1])
    frames, allowed = images.flatten(0, 1), None if usable is None else usable.flatten(0, 1)
    factor = LONG_SIDE / max(height, width)
    if factor < 1:
        size = (round(height * factor), round(width * factor))
        frames = functional.interpolate(frames, size, mode="bilinear", align_corners=False, antialias=True)
        if allowed is not None:
            allowed = functional.interpolate(allowed[:, None].to(frames.dtype), size, mode="nearest-exact")[:, 0] > 0
    return FrameFeatures(
        key_points=detect_key_points(network, frames, num_keypoints=num_keypoints, usable=allowed),
        grey=torch.cat([make_grey(block) for block in frames.split(_FRAMES_AT_ONCE)]),
        usable=allowed,
        num_clips=len(images),
        image_size=(height, width),
    )


@torch.no_grad()
def match_pairs(features: FrameFeatures, pairs: Pairs) -> IndexMatches:
    """Mutual nearest neighbours of each pair of each clip: (B·P, K), clip after clip."""
    return match_mutual(features.key_points.descriptors, *number_frames(features, pairs))


@torch.no_grad()
def replace_matches(
    network: LighterGlue, features: FrameFeatures, pairs: Pairs, matches: IndexMatches, weak: Pairs
) -> IndexMatches:
    """Match some pairs by attention instead: far apart in place or turn, where resemblance alone finds too little.

    Args:
        pairs: those of ``matches``.
        weak: those of them that are matched anew, in every clip: 0.4 CPU seconds each with 2048 key points.
    """
    if not weak:
        return matches
    chosen = _mark_pairs(features, pairs, weak)
    first, second = number_frames(features, pairs)
    size = (int(features.grey.shape[-2]), int(features.grey.shape[-1]))
    forward = matches.forward.clone()
    forward[chosen] = match_by_attention(network, features.key_points, first[chosen], second[chosen], size)
    return make_index_matches(forward)


def number_frames(features: FrameFeatures, pairs: Pairs) -> tuple[Int64[Tensor, "BP"], Int64[Tensor, "BP"]]:
    """The first and the second frame of each pair of each clip, counted through all clips."""
    device = features.grey.device
    num_frames = len(features.grey) // features.num_clips
    starts = torch.arange(features.num_clips, device=device)[:, None] * num_frames
    first, second = torch.tensor(pairs, dtype=torch.long, device=device).reshape(-1, 2).unbind(1)
    return (starts + first).flatten(), (starts + second).flatten()


@torch.no_grad()
def place_matches(
    features: FrameFeatures,
    pairs: Pairs,
    matches: IndexMatches,
    *,
    num_anchors: int = 512,
    wide: Pairs = (),
) -> SparseMatches:
    """Choose the anchors of each frame, and find their targets to a fraction of a pixel.

    Args:
        pairs: unordered pairs (i, j) with i < j.
        matches: (B·P, K) of each pair of each clip, clip after clip.
        num_anchors: slots A ≤ K of each frame.
        wide: pairs of frames that are far apart. Windows are deformed there as the matches around them say; right
            matches that cannot be refined all the same stay where they are, with a small weight. In other pairs they
            are dropped.
    """
    key_points, num_clips = features.key_points, features.num_clips
    first, second = number_frames(features, pairs)
    anchors = _choose_anchors(key_points.scores, first, second, matches, num_anchors)
    anchors_px = key_points.px.gather(1, anchors[..., None].expand(-1, -1, 2))

    # (i, j) of all clips, then (j, i): in this order the pairs of both directions are alike.
    sources, others = torch.cat([first, second]), torch.cat([second, first])
    slots = torch.cat([matches.forward, matches.backward]).gather(1, anchors[sources])
    found = slots >= 0
    targets_px = key_points.px[others].gather(1, slots.clamp_min(0)[..., None].expand(-1, -1, 2))
    is_wide = _mark_pairs(features, pairs, wide).repeat(2)
    refined = refine_matches(features.grey, sources, others, anchors_px[sources], targets_px, found, deformed=is_wide)
    weights = torch.where(refined.accepted, refined.correlation.clamp(0, 1), 0.0)
    weights = torch.where(found & is_wide[:, None] & ~refined.accepted, UNREFINED_WEIGHT, weights)
    if features.usable is not None:
        weights = weights * _read_masks(features.usable, others, refined.targets_px)

    def split(values: Tensor) -> Tensor:
        """(2·B·P, …) → (B, E, …)"""
        return values.unflatten(0, (2, num_clips, len(pairs))).transpose(0, 1).flatten(1, 2)

    height, width = features.image_size
    scale = anchors_px.new_tensor([width / features.grey.shape[-1], height / features.grey.shape[-2]])
    return SparseMatches(
        pairs=[(i, j) for i, j in pairs] + [(j, i) for i, j in pairs],
        anchors_px=(anchors_px * scale).unflatten(0, (num_clips, -1)),
        anchor_valid=(key_points.scores.gather(1, anchors) > 0).unflatten(0, (num_clips, -1)),
        targets_px=split(torch.where(weights[..., None] > 0, refined.targets_px * scale, 0.0)),
        weights=split(weights),
    )


def _mark_pairs(features: FrameFeatures, pairs: Pairs, chosen: Pairs) -> Bool[Tensor, "BP"]:
    """Which of the pairs of all clips are among the chosen ones."""
    names = set(chosen)
    marks = torch.tensor([pair in names for pair in pairs], dtype=torch.bool, device=features.grey.device)
    return marks.repeat(features.num_clips)


def _choose_anchors(
    scores: Float[Tensor, "F K"],
    first: Int64[Tensor, "BP"],
    second: Int64[Tensor, "BP"],
    matches: IndexMatches,
    num_anchors: int,
) -> Int64[Tensor, "F A"]:
    """Slots of the key points that have matches in most pairs; of equal ones those with the best scores."""
    num_matches = torch.zeros_like(scores)
    num_matches.index_add_(0, first, (matches.forward >= 0).to(scores.dtype))
    num_matches.index_add_(0, second, (matches.backward >= 0).to(scores.dtype))
    # Scores are products of two probabilities: less than 1, so they never outweigh a match.
    return (num_matches + scores).sort(dim=1, descending=True, stable=True).indices[:, :num_anchors]


def _read_masks(
    masks: Bool[Tensor, "F h w"], frames: Int64[Tensor, "E"], px: Float[Tensor, "E A 2"]
) -> Bool[Tensor, "E A"]:
    """The pixels of masks in which places are."""
    column = px[..., 0].long().clamp(0, masks.shape[-1] - 1)
    row = px[..., 1].long().clamp(0, masks.shape[-2] - 1)
    return masks[frames[:, None], row, column]
