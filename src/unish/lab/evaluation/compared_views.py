"""Frames that a prediction and its truth share, side by side and in the same pixels: scene, cameras, surfaces."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from numpy import ndarray
from torch import Tensor

from unish.errors import InputError
from unish.geometry.camera import resize_intrinsics, unproject
from unish.geometry.rigid import transform_points
from unish.lab.evaluation.metrics import (
    human_normals,
    metric_scale_error,
    relative_rotation_errors,
    score_camera_path,
    score_depth,
    score_normals,
    score_point_maps,
)
from unish.lab.evaluation.metrics.depth import MAX_DEPTH_M
from unish.structs import Reconstruction

MAX_POINTS = 5_000
"""Points of each side that the point-map errors are measured at, over a whole clip."""


@dataclass(frozen=True, kw_only=True)
class View:
    """One side of the comparison, T frames in the pixels of the truth; metres, double precision.

    Attributes:
        intrinsics: of the truth's picture size.
        floor: of each frame's shot, plane in the side's own world, NaN where it found none.
    """

    depth: Float[Tensor, "T H W"]
    intrinsics: Float[Tensor, "T 3 3"]
    c2w: Float[Tensor, "T 4 4"]
    floor: Float[Tensor, "T 4"]

    def world_points(self) -> Float[Tensor, "T H W 3"]:
        """Every pixel in the side's own world."""
        points = unproject(self.depth, self.intrinsics)
        return transform_points(self.c2w, points.flatten(1, 2)).reshape(points.shape)


@dataclass(frozen=True, kw_only=True)
class SharedFrames:
    """Both sides in the frames that both have.

    Attributes:
        ours, theirs: which frames of the prediction's and of the truth's file these are.
        predicted, true: the two sides.
        people: index of the true person at each pixel, −1 where there is none.
        fps: frames per second; NaN where the frames are not evenly timed (motion is then not measured).
    """

    ours: Int[ndarray, "T"]
    theirs: Int[ndarray, "T"]
    predicted: View
    true: View
    people: Int[Tensor, "T H W"]
    fps: float


def share_frames(prediction: Reconstruction, truth: Reconstruction) -> SharedFrames:
    """Frames are matched by their index in the source.

    Raises:
        InputError: the two have fewer than two frames in common.
    """
    _, ours, theirs = np.intersect1d(prediction.frame_indices, truth.frame_indices, return_indices=True)
    if len(ours) < 2:
        raise InputError("prediction and truth share fewer than two frames; reconstruct the clip at its own rate")
    size = (int(truth.image_size[0]), int(truth.image_size[1]))
    steps = np.diff(truth.timestamps_s[theirs])
    even = steps.min() > 0 and np.ptp(steps) <= 0.01 * steps.mean()
    return SharedFrames(
        ours=ours,
        theirs=theirs,
        predicted=_view(prediction, ours, size),
        true=_view(truth, theirs, size),
        people=torch.from_numpy(truth.person_masks[theirs]).long(),
        fps=float(1 / steps.mean()) if even else float("nan"),
    )


def resize_depth(depth: Float[ndarray, "T H W"], size: tuple[int, int]) -> Float[Tensor, "T h w"]:
    """Nearest neighbour: depth must not be averaged across edges."""
    return torch.nn.functional.interpolate(torch.from_numpy(depth)[:, None], size=size, mode="nearest-exact")[:, 0]


def score_scene(shared: SharedFrames) -> dict[str, float]:
    """Depth, focal length and cameras."""
    ours, theirs = shared.predicted, shared.true
    scaled = score_depth(ours.depth, theirs.depth, alignment="scale")
    metric = score_depth(ours.depth, theirs.depth, alignment="none")
    path = score_camera_path(ours.c2w, theirs.c2w)
    turns = relative_rotation_errors(ours.c2w, theirs.c2w)
    still = relative_rotation_errors(torch.eye(4).expand_as(theirs.c2w), theirs.c2w)
    focal_ratio = ours.intrinsics[:, 0, 0] / theirs.intrinsics[:, 0, 0]
    return {
        "depth_abs_rel": float(scaled.abs_rel),
        "depth_delta": float(scaled.delta),
        "depth_log_rmse": float(scaled.log_rmse),
        "depth_abs_rel_metric": float(metric.abs_rel),
        "depth_delta_metric": float(metric.delta),
        "depth_scale_error": float(metric_scale_error(ours.depth, theirs.depth)),
        "focal_error": float((focal_ratio - 1).abs().median()),
        "camera_turn_error_deg": float(turns.mean()),
        "camera_turn_identity_deg": float(still.mean()),
        "camera_rpe_rotation_deg": float(path.rpe_rotation_deg),
        "camera_rpe_translation_m": float(path.rpe_translation_m),
        "camera_ate_m": float(path.ate_m),
        "camera_rigid_error_m": float(path.rigid_error_m),
        "world_size_ratio": float(path.world_size_ratio),
        "world_size_error": float(path.world_size_error),
    }


def score_points(shared: SharedFrames) -> dict[str, float]:
    """World points of all frames together, sky and beyond left out; NaN where too few are known."""
    depth = shared.true.depth
    valid = (depth > 0) & (depth < MAX_DEPTH_M)
    ours = torch.where((shared.predicted.depth > 0)[..., None], shared.predicted.world_points(), torch.nan)
    try:
        scores = score_point_maps(ours, shared.true.world_points(), valid, max_points=MAX_POINTS)
    except InputError:
        return dict.fromkeys(("points_accuracy_m", "points_completeness_m", "points_normal_consistency"), float("nan"))
    return {
        "points_accuracy_m": scores.accuracy_mean_m,
        "points_completeness_m": scores.completeness_mean_m,
        "points_normal_consistency": scores.normal_consistency_mean,
    }


def score_human_normals(shared: SharedFrames) -> dict[str, float]:
    """Normals of human pixels, both from depth; NaN where nobody is seen."""
    found, _ = human_normals(shared.predicted.depth, shared.predicted.intrinsics, shared.people)
    wanted, there = human_normals(shared.true.depth, shared.true.intrinsics, shared.people)
    scores = score_normals(found, wanted, there)
    return {
        "human_normal_error_deg": float(scores.mean_angle_deg),
        "human_normal_fine_percent": float(scores.fine_percent),
    }


def human_mask(shared: SharedFrames, person: int) -> Bool[Tensor, "T H W"]:
    """Pixels of a true person whose true depth is known."""
    return (shared.people == person) & (shared.true.depth > 0)


def _view(found: Reconstruction, frames: Int[ndarray, "T"], size: tuple[int, int]) -> View:
    own = (int(found.image_size[0]), int(found.image_size[1]))
    return View(
        depth=resize_depth(found.depth[frames], size).double(),
        intrinsics=resize_intrinsics(torch.from_numpy(found.intrinsics[frames]).double(), own, size),
        c2w=torch.from_numpy(found.c2w[frames]).double(),
        floor=torch.from_numpy(found.floor[found.shot_of_frame()[frames]]).double(),
    )
