"""Bundle adjustment of the cameras of a sparse model on its own tracks, so that they agree with what is written.

The cameras of a result were solved from fewer matches, together with a depth prior. Where a path is short beside the
distance of the scene, that leaves them off the tracks by some tenths of a pixel, which is per cents of the path.
Unknown are all poses but the first, and all points; points are eliminated by the Schur complement (Triggs et al.,
"Bundle Adjustment — A Modern Synthesis", 2000, section 6), damped as by Levenberg and Marquardt. Lenses stay.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float64
from numpy import ndarray
from scipy.linalg import cho_factor, cho_solve
from scipy.sparse import bsr_array
from scipy.spatial.transform import Rotation

from unish.export.colmap import SparsePoints
from unish.export.scene_frames import SceneFrames

LEAST_PARALLAX_DEG = 0.3
"""Median angle under which a point is seen, from which on points tell places of cameras."""
_LEAST_POINTS = 100
"""Points of a camera that is adjusted: with fewer, the noise of matches moves it farther than it is off."""
_NUM_STEPS = 60
_ENOUGH = 1e-6  # share of the cost by which a last step still lowers it
_DAMPING, _MOST_DAMPING = 1e-4, 1e4  # relative to the diagonal
_LESS, _MORE = 1 / 3, 4.0
_TINY = 1e-9


def adjust_tracks(
    frames: SceneFrames, points: SparsePoints, *, max_error_px: float, least_seen: int
) -> tuple[SceneFrames, SparsePoints]:
    """Cameras and points that explain the observations best; the first camera, the unit and all lenses stay.

    Observations that then miss by more are dropped, and points that fewer frames see. Where the camera only turned or
    stood, nothing is changed, for nothing tells where cameras are; cameras that see few points stay, too.

    Args:
        max_error_px: of an observation.
        least_seen: frames that see a point.
    """
    if not len(points.xyz) or _measure_parallax(frames, points) < LEAST_PARALLAX_DEG:
        return frames, points
    for _ in range(2):  # what is dropped after the first round no longer pulls in the second
        start = _Bundle.of(frames, points)
        if not start.free.any():
            break
        bundle = _solve(start)
        frames = replace(frames, c2w=np.linalg.inv(bundle.w2c))
        points = _keep(replace(points, xyz=bundle.xyz, error_px=bundle.errors()), max_error_px, least_seen)
    return frames, points


def _measure_parallax(frames: SceneFrames, points: SparsePoints) -> float:
    """Degrees: the median over points of the largest angle between the ray of their first frame and another."""
    rays = points.xyz[points.point] - frames.c2w[points.frame, :3, 3]
    rays /= np.linalg.norm(rays, axis=1, keepdims=True)
    _, first = np.unique(points.point, return_index=True)
    apart = np.linalg.norm(rays - rays[first[points.point]], axis=1)
    largest = np.zeros(len(points.xyz))
    np.maximum.at(largest, points.point, apart)
    return float(np.degrees(2 * np.arcsin(np.median(largest) / 2)))


def _keep(points: SparsePoints, max_error_px: float, least_seen: int) -> SparsePoints:
    near = points.error_px < max_error_px
    kept = np.bincount(points.point[near], minlength=len(points.xyz)) >= least_seen
    chosen = near & kept[points.point]
    return SparsePoints(
        xyz=points.xyz[kept],
        colours=points.colours[kept],
        point=(np.cumsum(kept) - 1)[points.point[chosen]],
        frame=points.frame[chosen],
        px=points.px[chosen],
        error_px=points.error_px[chosen],
    )


@dataclass(frozen=True, kw_only=True)
class _Bundle:
    """N points that F cameras see M times, observations in the order of their frames.

    Attributes:
        w2c, lenses: fx, fy, cx, cy.
        free: cameras that may move.
        order: of the observations in the given points.
    """

    w2c: Float64[ndarray, "F 4 4"]
    lenses: Float64[ndarray, "F 4"]
    free: Bool[ndarray, "F"]
    xyz: Float64[ndarray, "N 3"]
    frame: ndarray
    point: ndarray
    px: Float64[ndarray, "M 2"]
    order: ndarray

    @classmethod
    def of(cls, frames: SceneFrames, points: SparsePoints) -> _Bundle:
        order = np.argsort(points.frame, kind="stable")
        free = np.bincount(points.frame, minlength=len(frames.c2w)) >= _LEAST_POINTS
        free[0] = False
        return cls(
            w2c=np.linalg.inv(frames.c2w), lenses=frames.intrinsics[:, [0, 1, 0, 1], [0, 1, 2, 2]], free=free,
            xyz=points.xyz, frame=points.frame[order], point=points.point[order], px=points.px[order], order=order,
        )  # fmt: skip

    def local(self) -> Float64[ndarray, "M 3"]:
        """The points in the cameras that see them."""
        w2c = self.w2c[self.frame]
        return (w2c[:, :3, :3] @ self.xyz[self.point][..., None])[..., 0] + w2c[:, :3, 3]

    def residuals(self) -> Float64[ndarray, "M 2"]:
        """Pixels; without bound behind a camera."""
        local, lens = self.local(), self.lenses[self.frame]
        ahead = local[:, 2:] > _TINY
        seen = lens[:, :2] * local[:, :2] / np.where(ahead, local[:, 2:], 1.0) + lens[:, 2:]
        return np.where(ahead, seen - self.px, 1e6)

    def errors(self) -> Float64[ndarray, "M"]:
        """Pixels, in the order of the given observations."""
        errors = np.empty(len(self.order))
        errors[self.order] = np.linalg.norm(self.residuals(), axis=1)
        return errors

    def slopes(self) -> tuple[Float64[ndarray, "M 2 6"], Float64[ndarray, "M 2 3"]]:
        """Of the residuals, by the pose (translation, then rotation vector, from the left) and by the point."""
        local, lens = self.local(), self.lenses[self.frame]
        by_local = np.zeros((len(local), 2, 3))
        by_local[:, [0, 1], [0, 1]] = lens[:, :2] / local[:, 2:]
        by_local[:, :, 2] = -lens[:, :2] * local[:, :2] / local[:, 2:] ** 2
        turn = np.zeros((len(local), 3, 3))  # −[x]×
        x, y, z = local.T
        turn[:, 0, 1], turn[:, 0, 2], turn[:, 1, 2] = z, -y, x
        turn[:, 1, 0], turn[:, 2, 0], turn[:, 2, 1] = -z, y, -x
        by_pose = np.concatenate([by_local, by_local @ turn], axis=2) * self.free[self.frame, None, None]
        return by_pose, by_local @ self.w2c[self.frame, :3, :3]

    def moved(self, poses: Float64[ndarray, "F 6"], points: Float64[ndarray, "N 3"]) -> _Bundle:
        step = np.tile(np.eye(4), (len(poses), 1, 1))
        step[:, :3, :3], step[:, :3, 3] = Rotation.from_rotvec(poses[:, 3:]).as_matrix(), poses[:, :3]
        return replace(self, w2c=step @ self.w2c, xyz=self.xyz + points)


def _solve(bundle: _Bundle) -> _Bundle:
    """The least sum of squares from here, in the unit of the start."""
    start, damping = bundle, _DAMPING
    cost = float((bundle.residuals() ** 2).sum())
    for _ in range(_NUM_STEPS):
        tried = bundle.moved(*_step(bundle, damping))
        new = float((tried.residuals() ** 2).sum())
        if new < cost:
            done = cost - new < _ENOUGH * cost
            bundle, cost, damping = tried, new, damping * _LESS
            if done:
                break
        else:
            damping *= _MORE
            if damping > _MOST_DAMPING:
                break
    seeing = np.bincount(bundle.frame, minlength=len(bundle.free)) > 0
    if (~bundle.free & seeing)[1:].any():
        return bundle  # the cameras that stay hold the unit
    # Nothing else does: points are on the median as far as they were.
    growth = float(np.exp(np.median(np.log(start.local()[:, 2] / bundle.local()[:, 2]))))
    w2c, centre = bundle.w2c.copy(), np.linalg.inv(bundle.w2c[0])[:3, 3]
    xyz = centre + growth * (bundle.xyz - centre)
    places = centre + growth * (np.linalg.inv(w2c)[:, :3, 3] - centre)
    w2c[:, :3, 3] = -(w2c[:, :3, :3] @ places[..., None])[..., 0]
    return replace(bundle, w2c=w2c, xyz=xyz)


def _step(bundle: _Bundle, damping: float) -> tuple[Float64[ndarray, "F 6"], Float64[ndarray, "N 3"]]:
    """One damped step of Gauss and Newton: the cameras by the Schur complement, then the points."""
    residuals, (by_pose, by_point) = bundle.residuals(), bundle.slopes()
    num_frames, num_points = len(bundle.w2c), len(bundle.xyz)
    pose_block, pose_side = np.zeros((num_frames, 6, 6)), np.zeros((num_frames, 6))
    point_block, point_side = np.zeros((num_points, 3, 3)), np.zeros((num_points, 3))
    np.add.at(pose_block, bundle.frame, by_pose.mT @ by_pose)
    np.add.at(pose_side, bundle.frame, (by_pose.mT @ residuals[..., None])[..., 0])
    np.add.at(point_block, bundle.point, by_point.mT @ by_point)
    np.add.at(point_side, bundle.point, (by_point.mT @ residuals[..., None])[..., 0])
    for block in (pose_block, point_block):
        side = np.arange(block.shape[-1])
        block[:, side, side] *= 1 + damping
        block[:, side, side] += _TINY
    pose_block[~bundle.free] = np.eye(6)
    inverse = np.linalg.inv(point_block)
    starts = np.concatenate([[0], np.cumsum(np.bincount(bundle.frame, minlength=num_frames))])
    shape = (6 * num_frames, 3 * num_points)
    mixed = bsr_array((by_pose.mT @ by_point, bundle.point, starts), shape=shape)
    solved = bsr_array((mixed.data @ inverse[bundle.point], bundle.point, starts), shape=shape)
    reduced = -(solved @ mixed.T).toarray()
    rows = (6 * np.arange(num_frames)[:, None] + np.arange(6))[:, :, None]
    reduced[rows, rows.transpose(0, 2, 1)] += pose_block
    side = -pose_side.ravel() + solved @ point_side.ravel()
    poses = cho_solve(cho_factor(reduced), side)
    points = -(inverse @ (point_side + (mixed.T @ poses).reshape(-1, 3))[..., None])[..., 0]
    return poses.reshape(-1, 6), points
