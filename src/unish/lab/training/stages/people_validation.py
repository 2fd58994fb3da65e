"""How well people are localised in held-back clips with truth, and how well body and points agree with or without it.

Medians, for a few people who are hardly seen would own a mean.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from unish.body import Body
from unish.geometry.camera import project
from unish.geometry.mesh_distance import distance_to_mesh
from unish.geometry.surfaces import erode
from unish.lab.training.stages.localiser import Localiser, shift_into_cameras
from unish.lab.training.stages.people_cache import PeopleBatch
from unish.structs import BodyParams

_MAX_POINTS = 60
"""Points of a person and frame that are measured."""
_VISIBLE = 0.5


@dataclass
class _Samples:
    """Errors of every clip, or of every person and frame, by name."""

    values: dict[str, list[Tensor]] = field(default_factory=dict)

    def add(self, name: str, values: Tensor) -> None:
        self.values.setdefault(name, []).append(values.flatten())

    def medians(self) -> dict[str, float]:
        joined = {name: torch.cat(values) for name, values in self.values.items()}
        return {name: float(values.nanmedian()) for name, values in joined.items()}


@torch.no_grad()
def score_people(
    model: Localiser, batches: Iterable[PeopleBatch], body: Body, *, with_surfaces: bool = True
) -> dict[str, float]:
    """Medians over all batches.

    ``root_cm``: distance of the pelvis from the true one in the camera; ``depth_percent``: |z / z∗ − 1| of it;
    ``joints_mm``: mean distance of the joints from the true ones, pelvis upon pelvis (MPJPE);
    ``scale_percent``: |s / s_opt − 1| (per clip); ``reprojection_percent``: visible landmarks from detected ones over
    the size of the person; ``body_to_points_cm``: from the person's points, scaled by s, to the mesh, and
    ``body_to_points_percent`` of their distance from the camera, which does not become small where s is.
    """
    samples = _Samples()
    for batch in batches:
        located = model(batch)
        params, valid = shift_into_cameras(located, batch), batch.humans.valid
        if batch.truth is not None:
            joints, true_joints = (body.joints(x) for x in (params, batch.truth.params))
            pelvis, true_pelvis = joints[..., 0, :], true_joints[..., 0, :]
            samples.add("root_cm", 100 * (pelvis - true_pelvis).norm(dim=-1)[valid])
            posture = (joints - joints[..., :1, :]) - (true_joints - true_joints[..., :1, :])
            samples.add("joints_mm", 1000 * posture.norm(dim=-1).mean(-1)[valid])
            samples.add("depth_percent", 100 * (pelvis[..., 2] / true_pelvis[..., 2] - 1).abs()[valid])
            samples.add("scale_percent", 100 * (located.metres_per_unit / batch.truth.scale - 1).abs())
        samples.add("reprojection_percent", _measure_reprojection(params, batch, body))
        if with_surfaces:
            metric = batch.scene.local_points.clone()
            metric[..., 2] += batch.shift[..., None, None]
            metric *= located.metres_per_unit[:, None, None, None, None]
            gaps, distances = _measure_body_to_points(params, metric, batch, body)
            samples.add("body_to_points_cm", 100 * gaps)
            samples.add("body_to_points_percent", 100 * gaps / distances)
    return samples.medians()


def _measure_reprojection(params: BodyParams, batch: PeopleBatch, body: Body) -> Tensor:
    """Median per person and frame, percent of the larger side of the box of the detected landmarks."""
    detected = batch.humans.landmarks_px
    assert detected is not None
    cameras = batch.cameras[:, None].expand(*batch.humans.valid.shape, 3, 3)
    error = (project(body.landmarks(params), cameras, min_depth=0.1) - detected[..., :2]).norm(dim=-1)
    side = (detected[..., :2].amax(-2) - detected[..., :2].amin(-2)).amax(-1).clamp_min(8.0)
    error = torch.where(detected[..., 2] > _VISIBLE, error, torch.nan)
    return (100 * error / side[..., None]).nanmedian(-1).values[batch.humans.valid]


def _measure_body_to_points(
    params: BodyParams, metric: Tensor, batch: PeopleBatch, body: Body
) -> tuple[Tensor, Tensor]:
    """Median unsigned distance of the middle valid frame of every person, and of the points from the camera; metres."""
    gaps, distances = [], []
    for clip, person in batch.humans.valid.any(-1).nonzero().tolist():
        frames = batch.humans.valid[clip, person].nonzero()[:, 0]
        frame = int(frames[len(frames) // 2])
        mask = erode(batch.person_ids[clip, frame] == person, 1)
        points = metric[clip, frame][mask]
        if len(points) == 0:
            continue
        points = points[np.linspace(0, len(points) - 1, min(len(points), _MAX_POINTS)).round().astype(int)]
        one = BodyParams(**{name: value[clip, person, frame] for name, value in vars(params).items()})
        distance = distance_to_mesh(points.numpy(), body.vertices(one).numpy(), body.faces.numpy())
        gaps.append(float(np.median(distance)))
        distances.append(float(points.norm(dim=-1).median()))
    return torch.tensor(gaps), torch.tensor(distances)
