"""People whom a prediction and its truth share: pose, place, motion, contact, and the relief of their surfaces."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from numpy import ndarray
from torch import Tensor

from unish.body import Body
from unish.geometry.camera import unproject
from unish.geometry.rigid import invert_rigid, transform_points
from unish.geometry.surfaces import erode
from unish.lab.evaluation.compared_views import SharedFrames, View, human_mask
from unish.lab.evaluation.metrics import (
    BODY_PARTS,
    acceleration_error,
    find_root,
    foot_floor_gap,
    foot_points,
    foot_sliding,
    human_scene_distance,
    jitter,
    joint_error,
    joint_error_procrustes,
    label_body_parts,
    local_depth_error,
    match_people,
    root_path,
    root_trajectory_error,
    world_joint_error,
)
from unish.lab.evaluation.metrics.motion import FOOT_CONTACTS
from unish.structs import Reconstruction

MAX_FRAMES, MAX_POINTS = 16, 100
"""Of each person, evenly spread, that the distance between body and points is measured at."""


@dataclass(frozen=True, kw_only=True)
class Side:
    """One side's body of a matched person, world metres, NaN where that side has none.

    Attributes:
        vertices: absent where the two sides have different body models.
    """

    joints: Float[Tensor, "T 24 3"]
    vertices: Float[Tensor, "T V 3"] | None


@dataclass(frozen=True, kw_only=True)
class SharedPerson:
    """One matched person in all shared frames.

    Attributes:
        number: index of the true person.
        valid: frames where both sides have a body.
        touching: which of ``FOOT_CONTACTS`` truly touch the floor, where the truth tells.
    """

    number: int
    predicted: Side
    true: Side
    valid: Bool[Tensor, "T"]
    touching: Bool[Tensor, "T 4"] | None


def match_boxes(
    prediction: Reconstruction, truth: Reconstruction, ours: np.ndarray, theirs: np.ndarray
) -> list[tuple[int, int]]:
    """``match_people`` on the shared frames of two records whose pictures may differ in size."""
    to_truth = np.tile(truth.image_size[::-1] / prediction.image_size[::-1], 2).astype(np.float32)
    return match_people(
        torch.from_numpy(prediction.boxes_xyxy[:, ours] * to_truth),
        torch.from_numpy(truth.boxes_xyxy[:, theirs]),
        torch.from_numpy(prediction.person_valid[:, ours]),
        torch.from_numpy(truth.person_valid[:, theirs]),
    )


def match(
    prediction: Reconstruction, truth: Reconstruction, body: Body, shared: SharedFrames
) -> tuple[list[SharedPerson], int]:
    """The people of both sides by their boxes, and how many true person-frames there are."""
    ours, theirs = shared.ours, shared.theirs
    valid, true_valid = prediction.person_valid[:, ours], truth.person_valid[:, theirs]
    pairs = match_boxes(prediction, truth, ours, theirs)
    same_body = prediction.body_model == truth.body_model
    vertices, true_vertices = (x.vertices(body) if same_body and pairs else None for x in (prediction, truth))
    people = [
        SharedPerson(
            number=j,
            predicted=_side(prediction.joints[i, ours], None if vertices is None else vertices[i, ours]),
            true=_side(truth.joints[j, theirs], None if true_vertices is None else true_vertices[j, theirs]),
            valid=torch.from_numpy(valid[i] & true_valid[j]),
            touching=_read_contacts(truth, j, theirs),
        )
        for i, j in pairs
    ]
    return people, int(true_valid.sum())


def score_people(people: list[SharedPerson], num_true: int, shared: SharedFrames, body: Body) -> dict[str, float]:
    """Means over the frames of all people; what belongs to a whole sequence is a mean over people."""
    per_frame: dict[str, list[Tensor]] = {name: [] for name in PER_FRAME}
    per_person: dict[str, list[Tensor]] = {name: [] for name in PER_PERSON}
    for person in people:
        for name, value in (_score_pose(person, shared) | _score_contact(person, shared, body)).items():
            per_frame[name].append(value)
        for name, value in _score_motion(person, shared, body).items():
            per_person[name].append(value)
    matched = sum(int(person.valid.sum()) for person in people)
    scores = {name: _mean(torch.cat(values) if values else torch.zeros(0)) for name, values in per_frame.items()}
    scores |= {name: _mean(torch.stack(values) if values else torch.zeros(0)) for name, values in per_person.items()}
    scores["human_local_depth_mm"] = _score_relief(people, shared, body)
    scores["people_matched"] = matched / num_true if num_true else float("nan")
    return scores


PER_FRAME = (
    "mpjpe_mm", "pa_mpjpe_mm", "pve_mm", "w_mpjpe_mm", "wa_mpjpe_mm", "person_distance_error", "foot_floor_gap_cm",
    "foot_floor_gap_error_cm", "human_scene_distance_cm", "human_scene_distance_error_cm",
)  # fmt: skip
PER_PERSON = (
    "root_trajectory_percent", "accel_m_s2", "jitter", "jitter_error", "foot_sliding_mm", "foot_sliding_error_mm",
)  # fmt: skip


def _score_pose(person: SharedPerson, shared: SharedFrames) -> dict[str, Tensor]:
    """Per frame: pose in the camera and in the world."""
    predicted, true, valid = person.predicted, person.true, person.valid
    w2c, true_w2c = (invert_rigid(side.c2w[valid]) for side in (shared.predicted, shared.true))
    joints, true_joints = (
        transform_points(camera, side.joints[valid]) for camera, side in ((w2c, predicted), (true_w2c, true))
    )
    root, true_root = find_root(joints), find_root(true_joints)
    scores = {
        "mpjpe_mm": joint_error(joints, true_joints, root, true_root),
        "pa_mpjpe_mm": joint_error_procrustes(joints, true_joints),
        "w_mpjpe_mm": world_joint_error(predicted.joints, true.joints, first_frames=2, valid=valid),
        "wa_mpjpe_mm": world_joint_error(predicted.joints, true.joints, first_frames=None, valid=valid),
        "person_distance_error": (root.norm(dim=-1) / true_root.norm(dim=-1) - 1).abs(),
    }
    if predicted.vertices is not None and true.vertices is not None:
        vertices = transform_points(w2c, predicted.vertices[valid])
        true_vertices = transform_points(true_w2c, true.vertices[valid])
        scores["pve_mm"] = joint_error(vertices, true_vertices, root, true_root)
    return scores


def _score_motion(person: SharedPerson, shared: SharedFrames, body: Body) -> dict[str, Tensor]:
    """Of the whole sequence; an ``_error`` is the distance from what the truth itself scores."""
    predicted, true, valid = person.predicted, person.true, person.valid
    scores = {
        "root_trajectory_percent": root_trajectory_error(
            root_path(predicted.joints), root_path(true.joints), valid=valid
        )
    }
    if not shared.fps > 0:
        return scores
    ours, theirs = (
        _around_root(transform_points(invert_rigid(view.c2w), side.joints))
        for view, side in ((shared.predicted, predicted), (shared.true, true))
    )
    shaking, true_shaking = (jitter(side.joints, fps=shared.fps, valid=valid) for side in (predicted, true))
    scores |= {
        "accel_m_s2": acceleration_error(ours, theirs, fps=shared.fps, valid=valid),
        "jitter": shaking,
        "jitter_error": (shaking - true_shaking).abs(),
    }
    if predicted.vertices is not None and true.vertices is not None:
        feet, true_feet = foot_points(predicted.vertices, body), foot_points(true.vertices, body)
        sliding, true_sliding = (
            foot_sliding(points, true_feet, fps=shared.fps, valid=valid, touching=person.touching)
            for points in (feet, true_feet)
        )
        scores |= {"foot_sliding_mm": sliding, "foot_sliding_error_mm": (sliding - true_sliding).abs()}
    return scores


def _score_contact(person: SharedPerson, shared: SharedFrames, body: Body) -> dict[str, Tensor]:
    """Per frame: the body on its own side's floor and against its own side's points."""
    predicted, true = person.predicted.vertices, person.true.vertices
    if predicted is None or true is None:
        return {}
    standing = person.valid if person.touching is None else person.valid & person.touching.any(-1)
    gap, true_gap = (
        foot_floor_gap(vertices[standing], side.floor[standing])
        for vertices, side in ((predicted, shared.predicted), (true, shared.true))
    )
    frames = torch.nonzero(person.valid)[:, 0]
    frames = frames[torch.linspace(0, len(frames) - 1, min(len(frames), MAX_FRAMES)).round().long()]
    distance, true_distance = (
        _measure_distance(vertices[frames], person.number, frames, side, shared, body)
        for vertices, side in ((predicted, shared.predicted), (true, shared.true))
    )
    return {
        "foot_floor_gap_cm": gap.abs(),
        "foot_floor_gap_error_cm": (gap - true_gap).abs(),
        "human_scene_distance_cm": distance,
        "human_scene_distance_error_cm": (distance - true_distance).abs(),
    }


def _measure_distance(
    vertices: Float[Tensor, "K V 3"], person: int, frames: Tensor, side: View, shared: SharedFrames, body: Body
) -> Float[Tensor, "K"]:
    """Between the body and the points at the person's true pixels, their outermost ring left out."""
    inner = erode(human_mask(shared, person)[frames], 1)
    points = unproject(side.depth[frames], side.intrinsics[frames])
    clouds = vertices.new_full((len(frames), MAX_POINTS, 3), torch.nan)
    for cloud, mask, depth, pixels in zip(clouds, inner, side.depth[frames], points, strict=True):
        seen = pixels[mask & (depth > 0)]
        num = min(len(seen), MAX_POINTS)
        cloud[:num] = seen[torch.linspace(0, len(seen) - 1, num).round().long()]
    bodies = transform_points(invert_rigid(side.c2w[frames]), vertices)
    return human_scene_distance(clouds, bodies, body.faces)


def _score_relief(people: list[SharedPerson], shared: SharedFrames, body: Body) -> float:
    """Locally aligned depth, over the pixels of everybody's parts; NaN without true vertices."""
    parts = torch.full_like(shared.people, -1)
    points = shared.true.world_points()
    for person in people:
        if person.true.vertices is None:
            continue
        for frame in torch.nonzero(person.valid)[:, 0].tolist():
            mask = human_mask(shared, person.number)[frame]
            labels = label_body_parts(points[frame][mask], person.true.vertices[frame], body.skin_weights)
            parts[frame][mask] = labels + len(BODY_PARTS) * person.number
    return _mean(local_depth_error(shared.predicted.depth, shared.true.depth, parts))


def _around_root(joints: Float[Tensor, "T 24 3"]) -> Float[Tensor, "T 24 3"]:
    return joints - find_root(joints)[..., None, :]


def _side(joints: Float[ndarray, "T 24 3"], vertices: Float[ndarray, "T V 3"] | None) -> Side:
    return Side(
        joints=torch.from_numpy(joints).double(),
        vertices=None if vertices is None else torch.from_numpy(vertices).double(),
    )


def _read_contacts(truth: Reconstruction, person: int, frames: ndarray) -> Bool[Tensor, "T 4"] | None:
    if "truth_contacts" not in truth.extra:
        return None
    names = truth.extra["truth_contact_names"].tolist()
    columns = [names.index(name) for name in FOOT_CONTACTS]
    return torch.from_numpy(truth.extra["truth_contacts"][person][frames][:, columns])


def _mean(values: Tensor) -> float:
    finite = values[values.isfinite()]
    return float(finite.mean()) if len(finite) else float("nan")
