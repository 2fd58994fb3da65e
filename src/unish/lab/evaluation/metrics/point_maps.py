"""Point maps and clouds: how far predicted points lie from the true surface, and the other way."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from numpy import ndarray
from scipy.spatial import cKDTree
from torch import Tensor

from unish.errors import InputError
from unish.geometry.alignment import Similarity, align_rigid, align_similarity

ICP_DISTANCE_M = 0.1
"""Pairs of points further apart than this do not take part in ICP."""

NORMAL_NEIGHBOURS = 30
"""Nearest points, itself included, that a point's normal is fitted to."""

_ICP_STEPS, _ICP_SETTLED = 30, 1e-6


@dataclass(frozen=True, kw_only=True)
class PointCloudScores:
    """Two clouds against one another.

    Attributes:
        accuracy_mean_m, accuracy_median_m: distance from predicted points to the nearest true one.
        completeness_mean_m, completeness_median_m: distance from true points to the nearest predicted one.
        normal_consistency_mean, normal_consistency_median: |cosine| between the normals of nearest points, 1 is best;
            the mean of both ways.
    """

    accuracy_mean_m: float
    accuracy_median_m: float
    completeness_mean_m: float
    completeness_median_m: float
    normal_consistency_mean: float
    normal_consistency_median: float


def align_point_maps(
    predicted: Float[Tensor, "*batch H W 3"],
    true: Float[Tensor, "*batch H W 3"],
    valid: Bool[Tensor, "*batch H W"],
    *,
    with_scale: bool = True,
) -> Similarity:
    """One similarity (Umeyama 1991) from predicted to true points of the same pixels, over all frames at once.

    Points that are not valid or hold a NaN in either map take no part.

    Raises:
        InputError: fewer than three pixels are left.
    """
    source, target = predicted.double().reshape(-1, 3), true.double().reshape(-1, 3)
    used = valid.reshape(-1) & (source.isfinite() & target.isfinite()).all(-1)
    if int(used.sum()) < 3:
        raise InputError(f"point maps share {int(used.sum())} valid pixels; at least three are needed to align them")
    return align_similarity(source, target, used.double(), with_scale=with_scale)


def refine_by_icp(
    source: Float[Tensor, "N 3"], target: Float[Tensor, "M 3"], *, max_distance: float = ICP_DISTANCE_M
) -> Similarity:
    """The rigid transform of point-to-point ICP (Besl and McKay 1992), from where the source lies.

    Up to 30 times: pair every source point with its nearest target within ``max_distance``, fit, move. It stops when
    the share of paired points and their root mean square distance change by less than a millionth of themselves (the
    settings that Open3D has by default, which the field's scripts use). Without any pair it is the identity.
    """
    if len(target) == 0:
        raise InputError("ICP needs target points; the cloud is empty")
    found = align_rigid(source.double(), source.double(), torch.zeros_like(source[:, 0]).double())
    tree, before = cKDTree(target.double().numpy()), (np.nan, np.nan)
    for _ in range(_ICP_STEPS):
        # What is further away comes back as infinitely far; the bound itself is open, ICP's closed.
        bound = np.nextafter(max_distance, np.inf)
        distance, nearest = tree.query(found.apply(source.double()).numpy(), distance_upper_bound=bound)
        near = np.isfinite(distance)
        if not near.any():
            break
        now = float(near.mean()), float(np.sqrt(np.square(distance[near]).mean()))
        if all(abs(a - b) <= _ICP_SETTLED * a for a, b in zip(now, before, strict=True)):
            break
        before = now
        pairs = target.double()[torch.from_numpy(np.where(near, nearest, 0))]
        found = align_rigid(source.double(), pairs, torch.from_numpy(near).double())
    return found


def estimate_normals(
    points: Float[Tensor, "N 3"], *, num_neighbours: int = NORMAL_NEIGHBOURS, at: Int[Tensor, "K"] | None = None
) -> Float[Tensor, "K 3"]:
    """Unit normals of a cloud, sign unknown: the direction of least spread of each point's nearest points.

    Args:
        at: indices of the points whose normals are wanted; by default all.

    Raises:
        InputError: fewer than three points.
    """
    if len(points) < 3:
        raise InputError(f"normals of {len(points)} points cannot be estimated; give at least three")
    cloud = points.double()
    return _normals_at(cloud, cKDTree(cloud.numpy()), cloud if at is None else cloud[at], num_neighbours)


def score_point_clouds(
    predicted: Float[Tensor, "N 3"], true: Float[Tensor, "M 3"], *, max_points: int | None = None
) -> PointCloudScores:
    """Accuracy, completeness and normal consistency of two aligned clouds, metres.

    Args:
        max_points: of each side that are measured, evenly spread over the rows, always against all of the other side
            and with normals from all of their own; by default all.

    Raises:
        InputError: a cloud of fewer than three points, or one with NaN.
    """
    if not (predicted.isfinite().all() and true.isfinite().all()):
        raise InputError("a point cloud holds NaN or infinity; leave such points out")
    if min(len(predicted), len(true)) < 3:
        raise InputError(f"clouds of {len(predicted)} and {len(true)} points; give at least three each")
    ours, theirs = ((cloud.double(), cKDTree(cloud.double().numpy())) for cloud in (predicted, true))
    accuracy, there = _measure_one_way(ours, theirs, max_points)
    completeness, back = _measure_one_way(theirs, ours, max_points)
    return PointCloudScores(
        accuracy_mean_m=float(accuracy.mean()),
        accuracy_median_m=float(np.median(accuracy)),
        completeness_mean_m=float(completeness.mean()),
        completeness_median_m=float(np.median(completeness)),
        normal_consistency_mean=float(there.mean() + back.mean()) / 2,
        normal_consistency_median=float(np.median(there) + np.median(back)) / 2,
    )


def score_point_maps(
    predicted: Float[Tensor, "*batch H W 3"],
    true: Float[Tensor, "*batch H W 3"],
    valid: Bool[Tensor, "*batch H W"],
    *,
    with_scale: bool = True,
    icp_distance: float | None = ICP_DISTANCE_M,
    max_points: int | None = None,
) -> PointCloudScores:
    """``score_point_clouds`` of the valid pixels after Umeyama on corresponding pixels, then ICP.

    The order of CUT3R's and π³'s protocol. A valid pixel without a prediction is missing from the predicted cloud, so
    completeness pays for it.

    Args:
        with_scale: false scores metric maps: rigid alignment.
        icp_distance: metres; ``None`` leaves ICP out.
        max_points: see ``score_point_clouds``; of the predicted ones in ICP too.

    Raises:
        InputError: fewer than three valid pixels with a prediction.
    """
    fit = align_point_maps(predicted, true, valid, with_scale=with_scale)
    ours, theirs = (points.double()[valid] for points in (predicted, true))
    ours, theirs = (points[points.isfinite().all(-1)] for points in (ours, theirs))
    ours = fit.apply(ours)
    if icp_distance is not None:
        picked = ours[_spread_out(len(ours), max_points)]
        ours = refine_by_icp(picked, theirs, max_distance=icp_distance).apply(ours)
    return score_point_clouds(ours, theirs, max_points=max_points)


def _measure_one_way(
    source: tuple[Tensor, cKDTree], target: tuple[Tensor, cKDTree], max_points: int | None
) -> tuple[Float[ndarray, "K"], Float[ndarray, "K"]]:
    """Distance of (some) source points to their nearest target, and |cosine| between the normals of the two."""
    picked = source[0][_spread_out(len(source[0]), max_points)]
    distance, nearest = target[1].query(picked.numpy())
    normals = _normals_at(*source, picked, NORMAL_NEIGHBOURS)
    wanted = _normals_at(*target, target[0][torch.from_numpy(nearest)], NORMAL_NEIGHBOURS)
    return distance, (normals * wanted).sum(-1).abs().numpy()


def _normals_at(
    cloud: Float[Tensor, "N 3"], tree: cKDTree, wanted: Float[Tensor, "K 3"], num_neighbours: int
) -> Float[Tensor, "K 3"]:
    _, nearest = tree.query(wanted.numpy(), k=min(num_neighbours, len(cloud)))
    normals = []
    for block in torch.from_numpy(nearest).split(65_536):
        around = cloud[block]
        around = around - around.mean(1, keepdim=True)
        normals.append(torch.linalg.eigh(around.mT @ around).eigenvectors[..., 0])
    return torch.cat(normals)


def _spread_out(num: int, limit: int | None) -> Int[Tensor, "K"]:
    if limit is None or num <= limit:
        return torch.arange(num)
    return torch.linspace(0, num - 1, limit, dtype=torch.float64).round().long()
