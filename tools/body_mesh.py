"""Triangle-mesh surgery for the free body: close eyes and mouth, then thin out the mesh, always mirror-symmetric.

Every vertex of the result is a source vertex, so that whatever deforms the source mesh deforms the result.
"""

from __future__ import annotations

import heapq
from collections import Counter

import numpy as np
from numpy import ndarray


def boundary_loop(faces: ndarray) -> list[int]:
    """Vertices of the single boundary loop of ``faces`` (F, 3), in the order in which the *outside* sees it."""
    directed = {(a, b) for face in faces for a, b in ((face[0], face[1]), (face[1], face[2]), (face[2], face[0]))}
    following = {b: a for a, b in directed if (b, a) not in directed}
    loop = [next(iter(following))]
    while len(loop) < len(following):
        loop.append(following[loop[-1]])
    if following[loop[-1]] != loop[0]:
        raise ValueError("the faces have more than one boundary loop")
    return loop


def cap_loop(faces: ndarray, centre: int) -> ndarray:
    """Fan of triangles that replaces ``faces`` by a cone from their boundary loop to the vertex ``centre``."""
    loop = boundary_loop(faces)
    # The loop runs along the kept side's edges, so the fan's triangles run against it.
    return np.array([(b, a, centre) for a, b in zip(loop, [*loop[1:], loop[0]], strict=True)])


class HalfMesh:
    """Half-edge collapse on one half of a mirror-symmetric mesh (x ≥ 0); vertices on the mirror plane stay on it.

    The price of a collapse is the root-mean-square distance of the kept vertex to the planes it stands for (Garland and
    Heckbert, "Surface Simplification Using Quadric Error Metrics") plus a share of the edge's length, which evens out
    the density: an even mesh bends better than one with its vertices in the face and the fingers.
    """

    def __init__(self, points: ndarray, faces: ndarray, on_plane: ndarray, pinned: set[int], length_share: ndarray):
        self.points, self.on_plane, self.pinned, self.length_share = points, on_plane, pinned, length_share
        self.faces: dict[int, tuple[int, int, int]] = {i: tuple(map(int, face)) for i, face in enumerate(faces)}
        self.around: dict[int, set[int]] = {}
        for i, face in self.faces.items():
            for vertex in face:
                self.around.setdefault(vertex, set()).add(i)
        self.quadrics = {vertex: np.zeros((4, 4)) for vertex in self.around}
        for face in self.faces.values():
            normal, area = self._normal(face)
            plane = np.append(normal, -normal @ points[face[0]])
            for vertex in face:
                self.quadrics[vertex] += area * np.outer(plane, plane)
        self.areas = {v: sum(self._normal(self.faces[f])[1] for f in fs) for v, fs in self.around.items()}

    def _normal(self, face: tuple[int, int, int]) -> tuple[ndarray, float]:
        a, b, c = self.points[list(face)]
        cross = np.cross(b - a, c - a)
        length = float(np.linalg.norm(cross))
        return cross / max(length, 1e-20), 0.5 * length

    def neighbours(self, vertex: int) -> set[int]:
        return {other for face in self.around[vertex] for other in self.faces[face]} - {vertex}

    def price(self, gone: int, kept: int) -> float:
        point = np.append(self.points[kept], 1.0)
        error = point @ (self.quadrics[gone] + self.quadrics[kept]) @ point
        distance = np.sqrt(max(error, 0.0) / (self.areas[gone] + self.areas[kept]))
        length = np.linalg.norm(self.points[gone] - self.points[kept])
        return float(distance + self.length_share[gone] * length)

    def may_collapse(self, gone: int, kept: int) -> bool:
        """Manifold, plane-keeping and without flipped or sliver triangles afterwards."""
        if gone in self.pinned or (self.on_plane[gone] and not self.on_plane[kept]):
            return False
        shared = self.around[gone] & self.around[kept]
        tips = {v for face in shared for v in self.faces[face]} - {gone, kept}
        if self.neighbours(gone) & self.neighbours(kept) != tips or len(shared) > 2:
            return False
        if self.on_plane[gone] and len(shared) != 1:
            return False
        for face in self.around[gone] - shared:
            before, _ = self._normal(self.faces[face])
            moved = tuple(kept if v == gone else v for v in self.faces[face])
            after, area = self._normal(moved)
            sides = np.linalg.norm(np.diff(self.points[[*moved, moved[0]]], axis=0), axis=1)
            if before @ after < 0.5 or area < 0.1 * sides.max() ** 2:
                return False
        return True

    def collapse(self, gone: int, kept: int) -> None:
        for face in list(self.around[gone]):
            vertices = self.faces[face]
            if kept in vertices:
                for vertex in vertices:
                    self.around[vertex].discard(face)
                del self.faces[face]
            else:
                self.faces[face] = tuple(kept if v == gone else v for v in vertices)
                self.around[kept].add(face)
        del self.around[gone]
        self.quadrics[kept] += self.quadrics.pop(gone)
        self.areas[kept] += self.areas.pop(gone)

    def thin_out(self, num_vertices: int) -> ndarray:
        """Collapse the cheapest edges until ``num_vertices`` are left in this half; the faces that remain (F, 3)."""
        heap = [(self.price(v, n), v, n) for v in sorted(self.around) for n in sorted(self.neighbours(v))]
        heapq.heapify(heap)
        while len(self.around) > num_vertices and heap:
            price, gone, kept = heapq.heappop(heap)
            if gone not in self.around or kept not in self.around or kept not in self.neighbours(gone):
                continue
            now = self.price(gone, kept)
            if now > price * (1 + 1e-9):
                heapq.heappush(heap, (now, gone, kept))
                continue
            if not self.may_collapse(gone, kept):
                continue
            self.collapse(gone, kept)
            for other in sorted(self.neighbours(kept)):
                heapq.heappush(heap, (self.price(kept, other), kept, other))
                heapq.heappush(heap, (self.price(other, kept), other, kept))
        return np.array([self.faces[i] for i in sorted(self.faces)])


def simplify_symmetric(
    points: ndarray, faces: ndarray, mirror: ndarray, num_vertices: int, pinned: set[int], length_share: ndarray
) -> tuple[ndarray, ndarray]:
    """Thin out a mirror-symmetric mesh (+x is the half that is worked on).

    Args:
        points: (V, 3); ``mirror`` (V,) gives each vertex its twin, itself on the plane x = 0.
        faces: (F, 3), none crossing the plane.
        num_vertices: how many to keep in the whole mesh, about.
        pinned: vertices of the +x half that must stay.
        length_share: (V,) weight of an edge's length in the price of its removal.

    Returns:
        (N,) kept source vertices, sorted, and (M, 3) faces over them.
    """
    on_plane = mirror == np.arange(len(mirror))
    half = faces[(points[faces][..., 0].max(1) > 1e-9)]
    thin = HalfMesh(points, half, on_plane, pinned, length_share).thin_out(num_vertices // 2)
    whole = np.concatenate([thin, mirror[thin][:, ::-1]])
    kept = np.unique(whole)
    return kept, np.searchsorted(kept, whole)


def check_closed(faces: ndarray) -> None:
    """Raise unless every directed edge has exactly one opposite: one closed, consistently oriented surface."""
    edges = Counter((a, b) for face in faces for a, b in ((face[0], face[1]), (face[1], face[2]), (face[2], face[0])))
    if max(edges.values()) > 1 or any((b, a) not in edges for a, b in edges):
        raise ValueError("the surface is not closed")
