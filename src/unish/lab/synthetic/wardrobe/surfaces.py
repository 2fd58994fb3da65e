"""Triangles on a body's skin: refined where edges are long, cut along the zero lines of fields, and their borders."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray
from scipy import sparse


@dataclass(frozen=True, kw_only=True)
class Surface:
    """A triangulated piece of skin that many garments are cut from.

    Attributes:
        points: (W, V) vertices as means of body vertices.
        faces: (F, 3); corners: (3, F) the same.
        edges: (F, 3) number of the edge from each corner to the next, the same in both its faces.
    """

    points: sparse.csr_array
    faces: Int[ndarray, "F 3"]
    corners: Int[ndarray, "3 F"]
    edges: Int[ndarray, "F 3"]

    @classmethod
    def of(cls, points: sparse.csr_array, faces: Int[ndarray, "F 3"]) -> Surface:
        """With numbered edges."""
        ends = np.stack([faces, np.roll(faces, -1, axis=1)], axis=-1)
        _, number = np.unique(ends.min(-1) * points.shape[0] + ends.max(-1), return_inverse=True)
        return cls(points=points, faces=faces, corners=np.ascontiguousarray(faces.T), edges=number.reshape(-1, 3))


@dataclass(frozen=True, kw_only=True)
class Cut:
    """What is left of a surface.

    Attributes:
        points: (W, V) as of the surface; faces: (G, 3), first those of the surface that were left whole.
        whole: (H,) which these are, in the surface.
    """

    points: sparse.csr_array
    faces: Int[ndarray, "G 3"]
    whole: Int[ndarray, "H"]

    def find_borders(self, surface: Surface) -> Int[ndarray, "E 2"]:
        """Directed edges that belong to one face only; ``surface`` is what was cut."""
        edges = surface.edges[self.whole]
        alone = np.ones(self.faces.shape, bool)
        # An edge that two whole faces share is within the cloth: only what is left over is worth sorting.
        alone[: len(edges)] = np.bincount(edges.ravel())[edges] == 1
        loose = np.concatenate(
            [self.faces[alone[:, corner]][:, [corner, (corner + 1) % 3]] for corner in range(3)], axis=0
        )
        keys = loose.min(1) * self.points.shape[0] + loose.max(1)
        _, first, count = np.unique(keys, return_index=True, return_counts=True)
        return loose[first[count == 1]]


def halve_edges(
    rest: Float[ndarray, "V 3"], faces: Int[ndarray, "F 3"], longest: float
) -> tuple[sparse.csr_array, Int[ndarray, "G 3"]]:
    """Put a vertex on the middle of every edge above ``longest``: the points as means of ``rest``, and the faces."""
    pairs = np.sort(np.stack([faces, np.roll(faces, -1, axis=1)], axis=-1), axis=-1)
    edges, number = np.unique(pairs.reshape(-1, 2), axis=0, return_inverse=True)
    long = np.linalg.norm(rest[edges[:, 0]] - rest[edges[:, 1]], axis=1) > longest
    middle = np.where(long, len(rest) + np.cumsum(long) - 1, -1)[number.reshape(-1, 3)]
    new = edges[long]
    halves = sparse.csr_array(
        (np.full(new.size, 0.5, np.float32), (np.repeat(np.arange(len(new)), 2), new.ravel())),
        shape=(len(new), len(rest)),
    )
    points = sparse.vstack([sparse.eye_array(len(rest), dtype=np.float32), halves], format="csr")
    count = (middle >= 0).sum(1)
    pieces = [faces[count == 0]]
    for kept, pattern in (
        (1, ((0, 3, 2), (3, 1, 2))),
        (2, ((0, 3, 2), (3, 4, 2), (3, 1, 4))),
        (3, ((0, 3, 5), (3, 1, 4), (5, 4, 2), (3, 4, 5))),
    ):
        chosen = np.flatnonzero(count == kept)
        # Turned so that the first edges are the halved ones.
        start = np.argmax(middle[chosen] >= 0, axis=1)
        if kept == 2:
            start = (np.argmin(middle[chosen] >= 0, axis=1) + 1) % 3
        order = (start[:, None] + np.arange(3)) % 3
        six = np.concatenate(
            [np.take_along_axis(faces[chosen], order, 1), np.take_along_axis(middle[chosen], order, 1)], axis=1
        )
        pieces += [six[:, list(corners)] for corners in pattern]
    return sparse.csr_array(points), np.concatenate(pieces)


def trim(surface: Surface, fields: Sequence[Float[ndarray, "V"]]) -> Cut:
    """Keep the surface where all fields (over body vertices, linear on faces) are negative; borders are cut exactly.

    Faces far from a zero line are kept or dropped as they are: only those near one are looked at field by field.
    """
    fields = [np.asarray(field, np.float32) for field in fields]
    outside = np.zeros(surface.points.shape[0], np.int32)
    for bit, field in enumerate(fields):
        outside |= (surface.points @ field >= 0).astype(np.int32) << bit
    a, b, c = (outside[corner] for corner in surface.corners)
    whole = (a | b | c) == 0
    crossed = surface.faces[~whole & ((a & b & c) == 0)]
    untouched = surface.faces[whole]
    source, crossed = _renumber(crossed, len(outside))
    points = surface.points[source]
    for field in fields:
        made, faces = _split_faces(crossed, points @ field)
        used, crossed = _renumber(faces, len(source) + len(made.shares))
        points = sparse.csr_array(made.mix(len(source), used) @ points)
        source = np.append(source, np.full(len(made.shares), -1))[used]
    kept = np.zeros(len(outside), bool)
    kept[untouched] = True
    kept[source[source >= 0]] = True
    number = np.cumsum(kept) - 1
    new = source < 0
    # Old points keep their order; those on zero lines come after them.
    renumbered = np.where(new, kept.sum() + np.cumsum(new) - 1, number[source])
    return Cut(
        points=sparse.csr_array(sparse.vstack([surface.points[np.flatnonzero(kept)], points[new]], format="csr")),
        faces=np.concatenate([number[untouched], renumbered[crossed]]),
        whole=np.flatnonzero(whole),
    )


@dataclass(frozen=True, kw_only=True)
class _Crossings:
    """Points where edges cross a zero line: (E, 2) ends inside and outside, (E,) share of the outer one."""

    edges: Int[ndarray, "E 2"]
    shares: Float[ndarray, "E"]

    def mix(self, num_old: int, used: Int[ndarray, "U"]) -> sparse.csr_array:
        """(U, W) the old points and then the new ones, as means of the old; only those in ``used``, all new ones."""
        old = used[used < num_old]
        weights = np.stack([1 - self.shares, self.shares], axis=1)
        order = np.argsort(self.edges, axis=1)
        data = np.concatenate([np.ones(len(old), np.float32), np.take_along_axis(weights, order, axis=1).ravel()])
        indices = np.concatenate([old, np.take_along_axis(self.edges, order, axis=1).ravel()])
        ends = np.concatenate([np.arange(len(old) + 1), len(old) + 2 * np.arange(1, len(self.edges) + 1)])
        return sparse.csr_array((data, indices.astype(np.int32), ends.astype(np.int32)), shape=(len(used), num_old))


def _split_faces(faces: Int[ndarray, "F 3"], field: Float[ndarray, "W"]) -> tuple[_Crossings, Int[ndarray, "G 3"]]:
    """The faces where ``field`` is negative; points on edges that it crosses are numbered after the old ones."""
    inside = field < 0
    count = inside[faces].sum(1)
    corner_in = _turn(faces[count == 1], inside, True)
    corner_out = _turn(faces[count == 2], inside, False)
    cut = np.concatenate([corner_in[:, [0, 1]], corner_in[:, [0, 2]], corner_out[:, [1, 0]], corner_out[:, [2, 0]]])
    # One number per edge: sorting numbers is far cheaper than sorting rows.
    keys, number = np.unique(cut[:, 0] * len(field) + cut[:, 1], return_inverse=True)
    edges = np.stack(np.divmod(keys, len(field)), axis=1) if len(field) else cut
    share = field[edges[:, 0]] / (field[edges[:, 0]] - field[edges[:, 1]])
    first, second, third, fourth = np.split(
        len(field) + number.ravel(), np.cumsum([len(corner_in), len(corner_in), len(corner_out)])
    )
    pieces = [
        faces[count == 3],
        np.stack([corner_in[:, 0], first, second], axis=1),
        np.stack([corner_out[:, 1], corner_out[:, 2], fourth], axis=1),
        np.stack([corner_out[:, 1], fourth, third], axis=1),
    ]
    return _Crossings(edges=edges, shares=share), np.concatenate(pieces)


def _turn(faces: Int[ndarray, "F 3"], inside: ndarray, wanted: bool) -> Int[ndarray, "F 3"]:
    """The same faces, turned so that the one corner with ``inside == wanted`` comes first."""
    start = np.argmax(inside[faces] == wanted, axis=1) if len(faces) else np.zeros(0, np.int64)
    return np.take_along_axis(faces, (start[:, None] + np.arange(3)) % 3, axis=1)


def _renumber(faces: Int[ndarray, "F 3"], num: int) -> tuple[Int[ndarray, "U"], Int[ndarray, "F 3"]]:
    """Points of ``num`` that some face has, and the faces with these points numbered from 0."""
    seen = np.zeros(num, bool)
    seen[faces] = True
    return np.flatnonzero(seen), (np.cumsum(seen) - 1)[faces]
