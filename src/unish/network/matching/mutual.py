"""Mutual nearest neighbours: two key points match when each resembles the other more than all others."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from unish.network.matching.records import IndexMatches

MIN_COSINE = 0.82
"""Of the two descriptors; XFeat's own value."""


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
    # One pair after the other: its resemblances stay in the cache of a processor.
    forward = [
        _match(descriptors[i], descriptors[j], min_cosine) for i, j in zip(first.tolist(), second.tolist(), strict=True)
    ]
    none = torch.zeros(0, descriptors.shape[1], dtype=torch.long, device=descriptors.device)
    return make_index_matches(torch.stack(forward) if forward else none)


def _match(first: Float[Tensor, "K 64"], second: Float[Tensor, "K 64"], min_cosine: float) -> Int64[Tensor, "K"]:
    cosine = first @ second.T
    highest, forward = cosine.max(dim=1)
    # The greatest value of each column is found several times as fast as its place, and says as much.
    mutual = (highest >= cosine.amax(dim=0)[forward]) & (highest > min_cosine)
    # Of descriptors that are equal to the bit the first one matches.
    slots = torch.arange(len(first), device=first.device)
    taken = slots.new_full((len(second),), len(first)).scatter_reduce(
        0, forward, torch.where(mutual, slots, len(first)), "amin"
    )
    return torch.where(mutual & (taken[forward] == slots), forward, -1)


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
