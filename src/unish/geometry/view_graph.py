"""Pairs of frames whose relative poses are known: which agree with one another, and which frames they join."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float
from scipy.sparse import coo_array
from scipy.sparse.csgraph import breadth_first_order, connected_components, minimum_spanning_tree
from torch import Tensor

from unish.geometry.rigid import invert_rigid
from unish.geometry.rotation import rotation_angle

_MOST = 1e6
MAX_CYCLE_DEG = 3.0
"""Largest rotation that remains after going round three pairs."""

CONTRADICTION_DEG = 10.0
"""Rotation that remains after going round three pairs of which one is wrong."""

MAX_OUT_OF_PLANE_DEG = 10.0
"""The three translations of a cycle lie in one plane; one of them may leave it by this."""


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


@torch.no_grad()
def find_cycles(
    first_to_second: Float[Tensor, "E 4 4"], usable: Bool[Tensor, "E"], pairs: Sequence[tuple[int, int]]
) -> Bool[Tensor, "E"]:
    """Pairs that close a cycle of three: three relative poses that were found independently and agree.

    Only directions of translations are compared, for the lengths of pairs may be unknown.

    Args:
        usable: pairs that may take part.
        pairs: (i, j) with i < j.
    """
    rotations, translations = _read_poses(first_to_second)
    closed = torch.zeros(len(pairs), dtype=torch.bool)
    for three in _list_triangles(usable, pairs):
        if not closed[three].all() and _closes(rotations[three], translations[three]):
            closed[three] = True
    return closed.to(usable.device)


@torch.no_grad()
def find_contradicted(
    first_to_second: Float[Tensor, "E 4 4"],
    support: Float[Tensor, "E"],
    usable: Bool[Tensor, "E"],
    pairs: Sequence[tuple[int, int]],
) -> Bool[Tensor, "E"]:
    """Pairs that turn otherwise than two others that close a cycle with them, and that both are better supported.

    Where a camera hardly moves, directions of translations mean little: only turns are compared.

    Args:
        support: how far each can be trusted.
        usable, pairs: as in ``find_cycles``.
    """
    rotations, _ = _read_poses(first_to_second)
    contradicted = torch.zeros(len(pairs), dtype=torch.bool)
    for three in _list_triangles(usable, pairs):
        weakest = three[int(support[three].argmin())]
        if _left_deg(rotations[three]) > CONTRADICTION_DEG:
            contradicted[weakest] = True
    return contradicted.to(usable.device)


def _read_poses(first_to_second: Float[Tensor, "E 4 4"]) -> tuple[Float[Tensor, "E 3 3"], Float[Tensor, "E 3"]]:
    """Turns and directions, on the CPU: they are few, and many devices lack a least-squares solver."""
    poses = first_to_second.cpu()
    return poses[:, :3, :3], torch.nn.functional.normalize(poses[:, :3, 3], dim=-1)


def _list_triangles(usable: Bool[Tensor, "E"], pairs: Sequence[tuple[int, int]]) -> list[list[int]]:
    """Numbers of the pairs i→j, j→k and i→k of all triangles of usable pairs."""
    number_of = {pairs[number]: number for number in usable.nonzero()[:, 0].tolist()}
    later: dict[int, list[int]] = {}
    for first, second in number_of:
        later.setdefault(first, []).append(second)
    return [
        [number, number_of[j, k], number_of[i, k]]
        for (i, j), number in number_of.items()
        for k in later.get(j, [])
        if (i, k) in number_of
    ]


def _left_deg(rotation: Float[Tensor, "3 3 3"]) -> float:
    """The turn that is left after going i→j→k and back."""
    return float(rotation_angle(rotation[1] @ rotation[0] @ rotation[2].T).rad2deg())


def _closes(rotation: Float[Tensor, "3 3 3"], translation: Float[Tensor, "3 3"]) -> bool:
    """Whether the poses i→j, j→k and i→k agree: R_ik = R_jk R_ij, and t_ik between the other two translations."""
    if _left_deg(rotation) > MAX_CYCLE_DEG:
        return False
    # In frame k: t_ik = a R_jk t_ij + b t_jk with a, b > 0.
    sides = torch.stack([rotation[1] @ translation[0], translation[1]], dim=-1)
    shares = torch.linalg.lstsq(sides, translation[2][:, None]).solution
    off_plane = (sides @ shares)[:, 0] - translation[2]
    limit = math.sin(math.radians(MAX_OUT_OF_PLANE_DEG))
    between = bool((shares > 0).all()) and float(off_plane.norm()) < limit
    # On a straight path all three are nearly the same, and a and b are arbitrary.
    beside = float((sides - translation[2][:, None]).norm(dim=0).min()) < limit
    return between or beside
