"""Which frames of a clip show the same place, though they are far apart in time?

The descriptors of each frame become one vector: their residuals from the centres of a vocabulary, added up (VLAD:
Jégou, Douze, Schmid & Pérez, CVPR 2010). The vocabulary is made of the clip's own descriptors. The frames with the
nearest vectors are compared by their best key points, so that few pairs of a long clip are looked at closely.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn import functional

from unish.network.matching.mutual import match_mutual
from unish.network.matching.records import KeyPoints

NUM_WORDS, _NUM_ROUNDS, _NUM_TRAINED_ON = 64, 5, 20_000
NUM_CANDIDATES = 8
"""Frames whose vectors are nearest to a frame's, and that are compared with it."""

NUM_COMPARED = 256
"""Key points of a frame that are compared."""

MIN_MATCHES = 12
"""Of these key points. All 251 pairs of a room that had as many also had at least 40 inliers among all key points; of
pairs with fewer inliers, one in a hundred had more than nine matches."""


def list_similar_pairs(key_points: KeyPoints, *, min_gap: int, num_per_frame: int = 2) -> list[tuple[int, int]]:
    """Pairs (i, j) of frames of one clip that probably show the same place, sorted.

    Args:
        key_points: of the frames, in the order of time.
        min_gap: j − i at least: nearer frames have pairs anyway.
        num_per_frame: other frames that each frame is paired with at most; it may be chosen by more.
    """
    num_frames = len(key_points.scores)
    if num_frames <= min_gap:
        return []
    vectors = describe_places(key_points)
    frames = torch.arange(num_frames, device=vectors.device)
    near = (frames[:, None] - frames).abs() < min_gap
    similarity = (vectors @ vectors.T).masked_fill(near, -torch.inf)
    best = similarity.topk(min(NUM_CANDIDATES, num_frames), dim=1)
    first = frames[:, None].expand_as(best.indices)[best.values > -torch.inf]
    second = best.indices[best.values > -torch.inf]
    candidates = torch.stack([first.minimum(second), first.maximum(second)], dim=1).unique(dim=0)

    compared = key_points.descriptors[:, :NUM_COMPARED]
    counts = (match_mutual(compared, candidates[:, 0], candidates[:, 1]).forward >= 0).sum(1)
    table = torch.zeros(num_frames, num_frames, dtype=torch.long, device=vectors.device)
    table[candidates[:, 0], candidates[:, 1]] = counts
    most = (table + table.T).topk(min(num_per_frame, num_frames), dim=1)
    chosen = most.values >= MIN_MATCHES
    pairs = torch.stack([frames[:, None].expand_as(most.indices)[chosen], most.indices[chosen]], dim=1)
    return sorted({(min(i, j), max(i, j)) for i, j in pairs.tolist()})


def describe_places(key_points: KeyPoints) -> Float[Tensor, "F V"]:
    """One vector of unit length per frame, similar for frames that show the same things."""
    descriptors = key_points.descriptors
    words = _make_vocabulary(descriptors[key_points.scores > 0])
    nearest = (descriptors @ words.T).argmax(-1)
    residuals = (descriptors - words[nearest]) * (key_points.scores > 0)[..., None]
    sums = descriptors.new_zeros(len(descriptors), len(words), words.shape[1])
    sums.scatter_add_(1, nearest[..., None].expand_as(residuals), residuals)
    return functional.normalize(functional.normalize(sums, dim=-1).flatten(1), dim=-1)


def _make_vocabulary(descriptors: Float[Tensor, "D C"]) -> Float[Tensor, "W C"]:
    """Centres of unit length: spherical k-means with a fixed start and number of rounds."""
    if not len(descriptors):
        return descriptors.new_zeros(1, descriptors.shape[1])
    order = torch.randperm(len(descriptors), generator=torch.Generator().manual_seed(0)).to(descriptors.device)
    sample = descriptors[order[:_NUM_TRAINED_ON]]
    words = sample[:NUM_WORDS]
    for _ in range(_NUM_ROUNDS):
        nearest: Int64[Tensor, "D"] = (sample @ words.T).argmax(1)
        # A word that nothing is nearest to stays as it is.
        sums = (1e-6 * words).index_add(0, nearest, sample)
        words = functional.normalize(sums, dim=-1)
    return words
