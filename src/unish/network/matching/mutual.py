"""Mutual nearest neighbours: two key points match when each resembles the other more than all others."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from unish.network.matching.records import IndexMatches

MIN_COSINE = 0.82
"""Of the two descriptors; XFeat's own value."""

_PAIRS_AT_ONCE = 4


def match_mutual(
    descriptors: Float[Tensor, "F K 64"],
    first: Int64[Tensor, "P"],
    second: Int64[Tensor, "P"],
    *,
    min_cosine: float = MIN_COSINE,
) -> IndexMatches:
    """Mutual nearest neighbours of P pairs of frames.

    Args:
        descriptors: of unit length, or 0 in empty slots, which match nothing.
        first: the first frame of each pair.
        second: the other one.
        min_cosine: > 0.
    """
    forward = [
        _match(descriptors[i], descriptors[j], min_cosine)
        for i, j in zip(first.split(_PAIRS_AT_ONCE), second.split(_PAIRS_AT_ONCE), strict=True)
    ]
    return make_index_matches(torch.cat(forward))


def _match(first: Float[Tensor, "P K 64"], second: Float[Tensor, "P K 64"], min_cosine: float) -> Int64[Tensor, "P K"]:
    highest, forward = (first @ second.transpose(1, 2)).max(dim=2)
    # A second product is twice as fast as the maximum over columns of the first.
    backward = (second @ first.transpose(1, 2)).argmax(dim=2)
    slots = torch.arange(first.shape[1], device=first.device)
    return torch.where((backward.gather(1, forward) == slots) & (highest > min_cosine), forward, -1)


def make_index_matches(forward: Int64[Tensor, "P K"]) -> IndexMatches:
    """One-to-one matches, seen from both frames.

    Args:
        forward: slot in the second frame of each key point of the first, −1 where there is none.
    """
    num_slots = int(forward.shape[1])
    slots = torch.arange(num_slots, device=forward.device).expand_as(forward)
    # All that has no match writes into one more column, which is dropped.
    backward = forward.new_full((len(forward), num_slots + 1), -1)
    backward.scatter_(1, torch.where(forward >= 0, forward, num_slots), slots)
    return IndexMatches(forward=forward, backward=backward[:, :num_slots])
