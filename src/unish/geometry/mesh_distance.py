"""Exact unsigned distance from points to a triangle mesh, fast enough for tens of thousands of points on a CPU."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Integer
from numpy import ndarray
from scipy.spatial import cKDTree

_FIRST_CANDIDATES = 16
_MOST_QUERIED = 500_000  # pairs of a point and a triangle: memory
_MOST_MEASURED = 20_000  # the same: what stays in the cache of a processor


def distance_to_mesh(
    points: Float[ndarray, "N 3"], vertices: Float[ndarray, "V 3"], faces: Integer[ndarray, "F 3"]
) -> Float[ndarray, "N"]:
    """Distance from every point to the nearest point of the surface, in the unit of the input; inf for an empty mesh.

    No triangle is nearer than its centre minus its radius. Of the k triangles with the nearest centres those are
    measured that may be nearer than what was found. A triangle that is left out has its centre at least as far away as
    the last candidate's, so it cannot be nearer than that minus the largest radius; points for which this bound proves
    nothing are queried again with four times as many candidates.
    """
    points = np.asarray(points, np.float64)
    best = np.full(len(points), np.inf)
    if len(faces) == 0 or len(points) == 0:
        return best
    triangles = np.asarray(vertices, np.float64)[faces]
    centres = triangles.mean(1)
    radii = np.linalg.norm(triangles - centres[:, None], axis=-1).max(1)
    # A plain tree is made in a quarter of the time, and few points ask it.
    tree = cKDTree(centres, compact_nodes=False, balanced_tree=False)
    open_points, count = np.arange(len(points)), min(_FIRST_CANDIDATES, len(faces))
    while len(open_points):
        undecided = []
        step = max(1, _MOST_QUERIED // count)
        for index in np.split(open_points, range(step, len(open_points), step)):
            far, nearest = (found.reshape(len(index), count) for found in tree.query(points[index], k=count))
            row, column = np.nonzero(far - radii[nearest] < best[index, None])
            for start in range(0, len(row), _MOST_MEASURED):
                part = slice(start, start + _MOST_MEASURED)
                asking = index[row[part]]
                measured = point_triangle_distance(points[asking], triangles[nearest[row[part], column[part]]])
                np.minimum.at(best, asking, measured)
            undecided.append(index[far[:, -1] - radii.max() < best[index]])
        if count == len(faces):
            break
        open_points, count = np.concatenate(undecided), min(4 * count, len(faces))
    return best


def point_triangle_distance(
    points: Float[ndarray, "*#batch 3"], triangles: Float[ndarray, "*#batch 3 3"]
) -> Float[ndarray, "*batch"]:
    """Distance from points to solid triangles; degenerate triangles count as their edges.

    Inside the prism over the triangle it is the distance to the plane, elsewhere to the nearest of the three edges.
    """
    # Vectors have their components first: numpy's own products over a last axis of three take several times as long.
    place = np.moveaxis(points, -1, 0)
    corners = np.moveaxis(triangles, (-2, -1), (0, 1))
    edges = np.roll(corners, -1, axis=0) - corners
    normal = _cross(edges[0], -edges[2])
    area2 = _dot(normal, normal)
    inside = area2 > 0
    nearest2 = np.full(np.broadcast_shapes(place.shape, corners[0].shape)[1:], np.inf)
    for corner, edge in zip(corners, edges, strict=True):
        offset = place - corner
        inside = inside & (_dot(_cross(edge, offset), normal) >= 0)
        length2 = _dot(edge, edge)
        along = np.clip(_dot(edge, offset) / np.where(length2 > 0, length2, 1), 0, 1)
        beside = offset - along * edge
        nearest2 = np.minimum(nearest2, _dot(beside, beside))
    plane2 = _dot(normal, place - corners[0]) ** 2 / np.where(area2 > 0, area2, 1)
    return np.sqrt(np.where(inside, plane2, nearest2))


def _dot(left: Float[ndarray, "3 *#batch"], right: Float[ndarray, "3 *#batch"]) -> Float[ndarray, "*batch"]:
    return left[0] * right[0] + left[1] * right[1] + left[2] * right[2]


def _cross(left: Float[ndarray, "3 *#batch"], right: Float[ndarray, "3 *#batch"]) -> Float[ndarray, "3 *batch"]:
    return np.stack([left[i - 2] * right[i - 1] - left[i - 1] * right[i - 2] for i in range(3)])
