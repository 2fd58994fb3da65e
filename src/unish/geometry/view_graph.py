"""Which frames can be joined by pairs that were solved, and where that puts their cameras."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float
from scipy.sparse import coo_array
from scipy.sparse.csgraph import breadth_first_order, connected_components, minimum_spanning_tree
from torch import Tensor

from unish.geometry.rigid import invert_rigid

_MOST = 1e6


@torch.no_grad()
def join_frames(
    first_to_second: Float[Tensor, "E 4 4"],
    support: Float[Tensor, "E"],
    pairs: Sequence[tuple[int, int]],
    num_frames: int,
) -> tuple[Float[Tensor, "N 4 4"], Bool[Tensor, "N"], Bool[Tensor, "E"]]:
    """Poses along the strongest pairs (a maximum spanning tree), world = first camera.

    Where the pairs do not join all frames, those of the largest group are joined; every other frame stands where the
    nearest joined frame in time stands.

    Args:
        first_to_second: relative pose of each pair of frames.
        support: how far each can be trusted; one of 0 joins nothing.

    Returns:
        w2c, which frames are joined, and which pairs join them.
    """
    used = [number for number, value in enumerate(support.tolist()) if value > 0]
    first, second = (np.array([pairs[number][side] for number in used], np.int64) for side in (0, 1))
    # The strongest tree is the lightest one of what is missing; SciPy takes a weight of 0 for no edge.
    missing = np.maximum(_MOST - support[used].cpu().double().numpy(), 1.0)
    graph = coo_array((missing, (first, second)), shape=(num_frames, num_frames)).tocsr()
    _, group = connected_components(graph, directed=False)
    largest = np.bincount(group).argmax()
    root = int(np.flatnonzero(group == largest)[0])
    order, before = breadth_first_order(minimum_spanning_tree(graph), root, directed=False)
    number_of = {pairs[number]: number for number in used}
    w2c = torch.eye(4, dtype=first_to_second.dtype, device=first_to_second.device).repeat(num_frames, 1, 1)
    joins = torch.zeros(len(pairs), dtype=torch.bool, device=first_to_second.device)
    for frame in order[1:].tolist():
        parent = int(before[frame])
        forward = (parent, frame) in number_of
        number = number_of[(parent, frame) if forward else (frame, parent)]
        joins[number] = True
        step = first_to_second[number]
        w2c[frame] = (step if forward else invert_rigid(step)) @ w2c[parent]
    joined = torch.from_numpy(group == largest)
    known = np.flatnonzero(group == largest)
    for frame in np.flatnonzero(group != largest).tolist():
        w2c[frame] = w2c[known[np.abs(known - frame).argmin()]]
    return w2c @ invert_rigid(w2c[:1]), joined.to(first_to_second.device), joins
