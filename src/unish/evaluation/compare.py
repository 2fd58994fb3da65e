"""A reconstruction against the exact truth, both in the same file format."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from unish.body import Body
from unish.errors import InputError
from unish.evaluation.metrics import (
    joint_error,
    joint_error_procrustes,
    match_people,
    metric_scale_error,
    relative_rotation_errors,
    root_trajectory_error,
    score_camera_path,
    score_depth,
    world_joint_error,
)
from unish.evaluation.metrics.bodies import HIPS
from unish.geometry.rigid import invert_rigid, transform_points
from unish.structs import Reconstruction


@dataclass(frozen=True, kw_only=True)
class _Person:
    """One matched person in the frames where both have a body."""

    predicted: Float[Tensor, "T 24 3"]
    true: Float[Tensor, "T 24 3"]
    predicted_vertices: Float[Tensor, "T V 3"] | None
    true_vertices: Float[Tensor, "T V 3"] | None
    predicted_w2c: Float[Tensor, "T 4 4"]
    true_w2c: Float[Tensor, "T 4 4"]


def compare_with_truth(prediction: Reconstruction, truth: Reconstruction, body: Body) -> dict[str, float]:
    """Every metric that both files allow, by a name that ends in its unit; NaN where there is nothing to measure.

    Frames are matched by their index in the source, people by their boxes (``match_people``). Body numbers are means
    over the frames of all matched people; ``people_matched`` says which share of the true ones that is. Vertices count
    only where both files were posed with the same ``body``.

    Raises:
        InputError: the two have fewer than two frames in common.
    """
    _, ours, theirs = np.intersect1d(prediction.frame_indices, truth.frame_indices, return_indices=True)
    if len(ours) < 2:
        raise InputError("prediction and truth share fewer than two frames; reconstruct the clip at its own rate")
    scores = _score_scene(prediction, truth, ours, theirs)
    people, num_true = _match(prediction, truth, body, ours, theirs)
    return scores | _score_people(people, num_true)


def resize_depth(depth: Float[np.ndarray, "T H W"], size: tuple[int, int]) -> Float[Tensor, "T h w"]:
    """Nearest neighbour: depth must not be averaged across edges."""
    return torch.nn.functional.interpolate(torch.from_numpy(depth)[:, None], size=size, mode="nearest-exact")[:, 0]


def _score_scene(
    prediction: Reconstruction, truth: Reconstruction, ours: np.ndarray, theirs: np.ndarray
) -> dict[str, float]:
    true_depth = torch.from_numpy(truth.depth[theirs])
    depth = resize_depth(prediction.depth[ours], (true_depth.shape[1], true_depth.shape[2]))
    scaled = score_depth(depth, true_depth, alignment="scale")
    metric = score_depth(depth, true_depth, alignment="none")
    c2w, true_c2w = torch.from_numpy(prediction.c2w[ours]), torch.from_numpy(truth.c2w[theirs])
    path = score_camera_path(c2w, true_c2w)
    focal = prediction.intrinsics[ours, 0, 0] / prediction.image_size[1]
    true_focal = truth.intrinsics[theirs, 0, 0] / truth.image_size[1]
    return {
        "depth_abs_rel": float(scaled.abs_rel),
        "depth_delta": float(scaled.delta),
        "depth_abs_rel_metric": float(metric.abs_rel),
        "depth_delta_metric": float(metric.delta),
        "depth_scale_error": float(metric_scale_error(depth, true_depth)),
        "focal_error": float(np.median(np.abs(focal / true_focal - 1))),
        "camera_turn_error_deg": float(relative_rotation_errors(c2w, true_c2w).mean()),
        "camera_turn_identity_deg": float(relative_rotation_errors(torch.eye(4).expand_as(true_c2w), true_c2w).mean()),
        "camera_ate_m": float(path.ate_m),
        "camera_rigid_error_m": float(path.rigid_error_m),
        "world_size_ratio": float(path.world_size_ratio),
    }


def _match(
    prediction: Reconstruction, truth: Reconstruction, body: Body, ours: np.ndarray, theirs: np.ndarray
) -> tuple[list[_Person], int]:
    """The matched people, and how many true person-frames there are."""
    to_truth = np.tile(truth.image_size[::-1] / prediction.image_size[::-1], 2).astype(np.float32)
    valid, true_valid = prediction.person_valid[:, ours], truth.person_valid[:, theirs]
    pairs = match_people(
        torch.from_numpy(prediction.boxes_xyxy[:, ours] * to_truth),
        torch.from_numpy(truth.boxes_xyxy[:, theirs]),
        torch.from_numpy(valid),
        torch.from_numpy(true_valid),
    )
    same_body = prediction.body_model == truth.body_model
    vertices, true_vertices = (x.vertices(body) if same_body and pairs else None for x in (prediction, truth))
    w2c, true_w2c = (
        invert_rigid(torch.from_numpy(x.c2w[frames]).double()) for x, frames in ((prediction, ours), (truth, theirs))
    )
    people = []
    for i, j in pairs:
        both = valid[i] & true_valid[j]
        frames, true_frames = ours[both], theirs[both]
        people.append(
            _Person(
                predicted=torch.from_numpy(prediction.joints[i, frames]).double(),
                true=torch.from_numpy(truth.joints[j, true_frames]).double(),
                predicted_vertices=None if vertices is None else torch.from_numpy(vertices[i, frames]).double(),
                true_vertices=None
                if true_vertices is None
                else torch.from_numpy(true_vertices[j, true_frames]).double(),
                predicted_w2c=w2c[torch.from_numpy(both)],
                true_w2c=true_w2c[torch.from_numpy(both)],
            )
        )
    return people, int(true_valid.sum())


def _score_people(people: list[_Person], num_true: int) -> dict[str, float]:
    """Means over all frames of all people; the trajectory error is a mean over people."""
    per_frame: dict[str, list[Tensor]] = {name: [] for name in _PER_FRAME}
    trajectories = []
    for person in people:
        joints = transform_points(person.predicted_w2c, person.predicted)
        true = transform_points(person.true_w2c, person.true)
        root, true_root = (x[:, list(HIPS)].mean(1) for x in (joints, true))
        per_frame["mpjpe_mm"].append(joint_error(joints, true, root, true_root))
        per_frame["pa_mpjpe_mm"].append(joint_error_procrustes(joints, true))
        if person.predicted_vertices is not None and person.true_vertices is not None:
            vertices = transform_points(person.predicted_w2c, person.predicted_vertices)
            true_vertices = transform_points(person.true_w2c, person.true_vertices)
            per_frame["pve_mm"].append(joint_error(vertices, true_vertices, root, true_root))
        per_frame["w_mpjpe_mm"].append(world_joint_error(person.predicted, person.true, first_frames=2))
        per_frame["wa_mpjpe_mm"].append(world_joint_error(person.predicted, person.true, first_frames=None))
        per_frame["person_distance_error"].append((root.norm(dim=-1) / true_root.norm(dim=-1) - 1).abs())
        trajectories.append(root_trajectory_error(person.predicted[:, 0], person.true[:, 0]))
    matched = sum(len(person.true) for person in people)
    scores = {name: _mean(torch.cat(values) if values else torch.zeros(0)) for name, values in per_frame.items()}
    scores["root_trajectory_percent"] = _mean(torch.stack(trajectories) if trajectories else torch.zeros(0))
    scores["people_matched"] = matched / num_true if num_true else float("nan")
    return scores


_PER_FRAME = ("mpjpe_mm", "pa_mpjpe_mm", "pve_mm", "w_mpjpe_mm", "wa_mpjpe_mm", "person_distance_error")


def _mean(values: Tensor) -> float:
    finite = values[values.isfinite()]
    return float(finite.mean()) if len(finite) else float("nan")
