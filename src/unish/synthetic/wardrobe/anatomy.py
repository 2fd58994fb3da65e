"""The free body as a tailor sees it: where each vertex lies, a finer mesh for folds, and smooth versions of both."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray
from scipy import sparse

from unish.body import load_body

LONGEST_EDGE = 0.022
"""Edges of the trunk and the limbs longer than this (metres, mean body) are halved, so that folds have vertices."""


@dataclass(frozen=True, kw_only=True)
class Anatomy:
    """Measures of the mean body in its T-pose, once per process. Fields are over body vertices unless said otherwise.

    Attributes:
        faces: (F, 3) of the body; skin_weights: (V, 24).
        joints: (24, 3) of the mean body; rest: (V, 3) of the mean body.
        arm: 0 at the shoulder, 1 at the wrist, −1 on what belongs to no arm.
        leg: 0 at the hip's height, 1 at the ankle's, negative above.
        smoothing: (V, V) rows sum to 1, each vertex with its neighbours.
        face_sums: (V, F) adds up faces around vertices.
        fine_points: (W, V) vertices of the finer mesh as means of body vertices; fine_faces: (G, 3).
    """

    faces: Int[ndarray, "F 3"]
    skin_weights: Float[ndarray, "V 24"]
    joints: Float[ndarray, "24 3"]
    rest: Float[ndarray, "V 3"]
    arm: Float[ndarray, "V"]
    leg: Float[ndarray, "V"]
    smoothing: sparse.csr_array
    face_sums: sparse.csr_array
    fine_points: sparse.csr_array
    fine_faces: Int[ndarray, "G 3"]

    def smooth(self, values: Float[ndarray, "V C"], times: int) -> Float[ndarray, "V C"]:
        """Mean with the neighbours, ``times`` times."""
        for _ in range(times):
            values = self.smoothing @ values
        return values

    def normals(self, vertices: Float[ndarray, "N V 3"]) -> Float[ndarray, "N V 3"]:
        """Unit normals, the mean of the adjacent faces weighted by area."""
        num = len(vertices)
        # (V, 3N): one product with the sparse matrix serves every frame.
        columns = np.ascontiguousarray(vertices.transpose(1, 2, 0))
        a, b, c = (columns[self.faces[:, corner]] for corner in range(3))
        sums = (self.face_sums @ _cross(b - a, c - a).reshape(-1, 3 * num)).reshape(-1, 3, num)
        sums /= np.maximum(np.sqrt((sums**2).sum(1, keepdims=True)), 1e-12)
        return np.ascontiguousarray(sums.transpose(2, 0, 1))


def _cross(u: Float[ndarray, "F 3 N"], v: Float[ndarray, "F 3 N"]) -> Float[ndarray, "F 3 N"]:
    out = np.empty_like(u)
    for axis in range(3):
        one, two = (axis + 1) % 3, (axis + 2) % 3
        out[:, axis] = u[:, one] * v[:, two] - u[:, two] * v[:, one]
    return out


@lru_cache(maxsize=2)
def load_anatomy(name: str) -> Anatomy:
    """Measure a body model, once per process."""
    body = load_body(name)
    rest, faces = body.template.numpy().astype(np.float32), body.faces.numpy()
    joints, weights = body.joint_template.numpy(), body.skin_weights.numpy()
    shoulder, wrist = joints[16, 0], joints[20, 0]
    arm = np.where(rest[:, 1] > joints[9, 1], (np.abs(rest[:, 0]) - shoulder) / (wrist - shoulder), -1.0)
    leg = (joints[1, 1] - rest[:, 1]) / (joints[1, 1] - joints[7, 1])
    num = len(rest)
    pairs = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    near = sparse.csr_array((np.ones(len(pairs), np.float32), (pairs[:, 0], pairs[:, 1])), shape=(num, num))
    near = ((near + near.T) > 0).astype(np.float32) + sparse.eye_array(num, dtype=np.float32)
    smoothing = sparse.csr_array(sparse.diags_array(1 / near.sum(1)) @ near)
    incidence = sparse.csr_array(
        (np.ones(faces.size, np.float32), (faces.ravel(), np.repeat(np.arange(len(faces)), 3))),
        shape=(num, len(faces)),
    )
    dressed = (arm < 1.03) & (leg < 0.98) & (rest[:, 1] < joints[12, 1] + 0.03)
    points, fine_faces = halve_edges(rest, faces[dressed[faces].all(1)], LONGEST_EDGE)
    return Anatomy(
        faces=faces,
        skin_weights=weights,
        joints=joints,
        rest=rest,
        arm=arm.astype(np.float32),
        leg=leg.astype(np.float32),
        smoothing=smoothing.astype(np.float32),
        face_sums=incidence,
        fine_points=points,
        fine_faces=fine_faces,
    )


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


def trim(
    points: sparse.csr_array, faces: Int[ndarray, "F 3"], field: Float[ndarray, "W"]
) -> tuple[sparse.csr_array, Int[ndarray, "G 3"]]:
    """Keep the surface where ``field`` (over the points, linear on faces) is negative; borders are cut exactly."""
    inside = field < 0
    count = inside[faces].sum(1)
    corner_in = _turn(faces[count == 1], inside, True)
    corner_out = _turn(faces[count == 2], inside, False)
    cut = np.concatenate([corner_in[:, [0, 1]], corner_in[:, [0, 2]], corner_out[:, [1, 0]], corner_out[:, [2, 0]]])
    # One number per edge: sorting numbers is far cheaper than sorting rows.
    keys, number = np.unique(cut[:, 0] * len(field) + cut[:, 1], return_inverse=True)
    edges = np.stack(np.divmod(keys, len(field)), axis=1)
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
    kept = np.concatenate(pieces)
    rows = np.concatenate([np.arange(len(field)), np.repeat(np.arange(len(edges)) + len(field), 2)])
    columns = np.concatenate([np.arange(len(field)), edges.ravel()])
    values = np.concatenate([np.ones(len(field)), np.stack([1 - share, share], axis=1).ravel()]).astype(np.float32)
    seen = np.zeros(len(field) + len(edges), bool)
    seen[kept] = True
    used = np.flatnonzero(seen)
    kept = (np.cumsum(seen) - 1)[kept]
    mix = sparse.csr_array((values, (rows, columns)), shape=(len(field) + len(edges), len(field)))[used]
    return sparse.csr_array(mix @ points), kept


def _turn(faces: Int[ndarray, "F 3"], inside: ndarray, wanted: bool) -> Int[ndarray, "F 3"]:
    """The same faces, turned so that the one corner with ``inside == wanted`` comes first."""
    start = np.argmax(inside[faces] == wanted, axis=1) if len(faces) else np.zeros(0, np.int64)
    return np.take_along_axis(faces, (start[:, None] + np.arange(3)) % 3, axis=1)


def border_edges(faces: Int[ndarray, "F 3"]) -> Int[ndarray, "E 2"]:
    """Directed edges that belong to one face only."""
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    keys = edges.min(1).astype(np.int64) * (int(faces.max(initial=0)) + 1) + edges.max(1)
    _, first, count = np.unique(keys, return_index=True, return_counts=True)
    return edges[first[count == 1]]
