"""The free body as a tailor sees it: where each vertex lies, a finer mesh for folds, and smooth versions of both."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray
from scipy import sparse

from unish.body import Body, load_body
from unish.lab.synthetic.wardrobe.surfaces import Surface, halve_edges

LONGEST_EDGE = 0.022
"""Edges of the trunk and the limbs longer than this (metres, mean body) are halved, so that folds have vertices."""
BELOW_NECK, HALF_HEAD = 0.05, 0.2
"""Hair grows on the skin above this far (metres, mean body) below the neck, this far to both sides."""
BOOT = 0.72
"""The highest shoes end here, in units of ``Anatomy.leg``."""


@dataclass(frozen=True, kw_only=True)
class Region:
    """Some vertices of the body, in their order: what is done to hair need not be done to feet.

    Attributes:
        index: (K,) body vertices.
        faces: (F, 3) numbered within the region.
        smoothing: (K, K) each vertex with its neighbours; rows sum to 1 away from the region's border.
        face_sums: (K, F) adds up faces around vertices.
    """

    index: Int[ndarray, "K"]
    faces: Int[ndarray, "F 3"]
    smoothing: sparse.csr_array
    face_sums: sparse.csr_array

    @classmethod
    def of(
        cls, faces: Int[ndarray, "G 3"], smoothing: sparse.csr_array, where: Bool[ndarray, "V"], rings: int
    ) -> Region:
        """The vertices in ``where`` and ``rings`` of neighbours around them; faces and smoothing of the whole body."""
        for _ in range(rings):
            where = smoothing @ where.astype(np.float32) > 0
        index = np.flatnonzero(where)
        own = (np.cumsum(where) - 1)[faces[where[faces].all(1)]]
        face_sums = sparse.csr_array(
            (np.ones(own.size, np.float32), (own.ravel(), np.repeat(np.arange(len(own)), 3))),
            shape=(len(index), len(own)),
        )
        return cls(index=index, faces=own, smoothing=smoothing[index][:, index], face_sums=face_sums)

    @property
    def surface(self) -> Surface:
        """The region's faces, over its own vertices."""
        return Surface.of(sparse.csr_array(sparse.eye_array(len(self.index), dtype=np.float32)), self.faces)

    def restrict(self, points: sparse.csr_array) -> sparse.csr_array:
        """(W, K) means of vertices of this region, from (W, V) means of body vertices that all lie in it."""
        number = np.zeros(points.shape[1], points.indices.dtype)
        number[self.index] = np.arange(len(self.index))
        return sparse.csr_array(
            (points.data, number[points.indices], points.indptr), shape=(points.shape[0], len(self.index))
        )

    def smooth(self, values: Float[ndarray, "K *C"], times: int) -> Float[ndarray, "K *C"]:
        """Mean with the neighbours, ``times`` times; that many vertices in from the border as on the whole body."""
        flat = values.reshape(len(values), -1)
        for _ in range(times):
            flat = self.smoothing @ flat
        return flat.reshape(values.shape)

    def normals(self, columns: Float[ndarray, "K 3 N"]) -> Float[ndarray, "K 3 N"]:
        """Unit normals of N frames, the mean of the adjacent faces weighted by area; right but for the border."""
        a, b, c = (columns[self.faces[:, corner]] for corner in range(3))
        sums = (self.face_sums @ _cross(b - a, c - a).reshape(len(a), -1)).reshape(columns.shape)
        sums /= np.maximum(np.sqrt((sums**2).sum(1, keepdims=True)), 1e-12)
        return sums


def _cross(u: Float[ndarray, "F 3 N"], v: Float[ndarray, "F 3 N"]) -> Float[ndarray, "F 3 N"]:
    out = np.empty_like(u)
    for axis in range(3):
        one, two = (axis + 1) % 3, (axis + 2) % 3
        out[:, axis] = u[:, one] * v[:, two] - u[:, two] * v[:, one]
    return out


@dataclass(frozen=True, kw_only=True)
class SmoothShape:
    """A smoothed body of any shape: smoothing is linear, so that it is done once to the template and its directions.

    Attributes:
        template: (K, 3) metres; directions: (3 K, S) metres per unit of beta.
    """

    template: Float[ndarray, "K 3"]
    directions: Float[ndarray, "K3 S"]

    @classmethod
    def of(cls, body: Body, smoothing: sparse.csr_array, times: int, region: Region) -> SmoothShape:
        """The body smoothed ``times`` times, in a region."""
        shapes = np.concatenate([body.template.numpy()[..., None], body.shape_directions.numpy()], axis=-1)
        smooth = shapes.reshape(len(shapes), -1).astype(np.float64)
        for _ in range(times):
            smooth = smoothing @ smooth
        smooth = smooth.reshape(shapes.shape)[region.index].astype(np.float32)
        return cls(
            template=smooth[..., 0].copy(), directions=np.ascontiguousarray(smooth[..., 1:].reshape(-1, body.num_betas))
        )

    def __call__(self, betas: Float[ndarray, "S"]) -> Float[ndarray, "K 3"]:
        """Metres, in the rest pose."""
        return self.template + (self.directions @ betas).reshape(-1, 3)


@dataclass(frozen=True, kw_only=True)
class Anatomy:
    """Measures of the mean body in its T-pose, once per process. Fields are over body vertices unless said otherwise.

    Attributes:
        faces: (F, 3) of the body; skin_weights: (V, 24).
        joints: (24, 3) of the mean body; rest: (V, 3) of the mean body.
        arm: 0 at the shoulder, 1 at the wrist, −1 on what belongs to no arm.
        leg: 0 at the hip's height, 1 at the ankle's, negative above.
        fine: the trunk and the limbs in a finer mesh.
        clothed, head, feet: the vertices that clothes, hair and shoes need, with enough around them for what is
            computed from neighbours.
        scalp, instep: surfaces of head and feet over the vertices of these regions.
        hull: the clothed region without its hollows; skull: the head without features; jaw: the head, hardly smoothed;
            stump: the feet region, feet without toes.
    """

    faces: Int[ndarray, "F 3"]
    skin_weights: Float[ndarray, "V 24"]
    joints: Float[ndarray, "24 3"]
    rest: Float[ndarray, "V 3"]
    arm: Float[ndarray, "V"]
    leg: Float[ndarray, "V"]
    fine: Surface
    clothed: Region
    head: Region
    feet: Region
    scalp: Surface
    instep: Surface
    hull: SmoothShape
    skull: SmoothShape
    jaw: SmoothShape
    stump: SmoothShape


@lru_cache(maxsize=2)
def load_anatomy(name: str) -> Anatomy:
    """Measure a body model, once per process."""
    body = load_body(name)
    rest, faces = body.template.numpy().astype(np.float32), body.faces.numpy()
    joints = body.joint_template.numpy()
    shoulder, wrist = joints[16, 0], joints[20, 0]
    arm = np.where(rest[:, 1] > joints[9, 1], (np.abs(rest[:, 0]) - shoulder) / (wrist - shoulder), -1.0)
    leg = (joints[1, 1] - rest[:, 1]) / (joints[1, 1] - joints[7, 1])
    smoothing = _smooth_neighbours(faces, len(rest))
    dressed = (arm < 1.03) & (leg < 0.98) & (rest[:, 1] < joints[12, 1] + 0.03)
    on_head = (rest[:, 1] >= joints[12, 1] - BELOW_NECK) & (np.abs(rest[:, 0]) <= HALF_HEAD)
    # Hollows are smoothed four times, what shoes take from feet eight times; normals and cuts take one ring each.
    clothed = Region.of(faces, smoothing, dressed, 5)
    head, feet = Region.of(faces, smoothing, on_head, 2), Region.of(faces, smoothing, leg > BOOT, 10)
    return Anatomy(
        faces=faces,
        skin_weights=body.skin_weights.numpy(),
        joints=joints,
        rest=rest,
        arm=arm.astype(np.float32),
        leg=leg.astype(np.float32),
        fine=Surface.of(*halve_edges(rest, faces[dressed[faces].all(1)], LONGEST_EDGE)),
        clothed=clothed,
        head=head,
        feet=feet,
        scalp=head.surface,
        instep=feet.surface,
        hull=SmoothShape.of(body, smoothing, 14, clothed),
        skull=SmoothShape.of(body, smoothing, 12, head),
        jaw=SmoothShape.of(body, smoothing, 2, head),
        stump=SmoothShape.of(body, _smooth_within(smoothing, leg > 0.85), 40, feet),
    )


def _smooth_neighbours(faces: Int[ndarray, "F 3"], num: int) -> sparse.csr_array:
    """(V, V) mean of each vertex with its neighbours."""
    pairs = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    near = sparse.csr_array((np.ones(len(pairs), np.float32), (pairs[:, 0], pairs[:, 1])), shape=(num, num))
    near = ((near + near.T) > 0).astype(np.float32) + sparse.eye_array(num, dtype=np.float32)
    return sparse.csr_array(sparse.diags_array(1 / near.sum(1)) @ near).astype(np.float32)


def _smooth_within(smoothing: sparse.csr_array, where: Bool[ndarray, "V"]) -> sparse.csr_array:
    """Means of neighbours that are both within ``where``; all other vertices stay as they are."""
    inside = sparse.diags_array(where.astype(np.float32))
    near = inside @ smoothing @ inside + sparse.diags_array((~where).astype(np.float32))
    return sparse.csr_array(sparse.diags_array(1 / near.sum(1)) @ near)
