"""Fine alignment (stage 3 of UniSH): clips without truth; AlignNet alone trains on what must agree with itself."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Generator, Tensor

from unish.body import Body
from unish.geometry.surfaces import erode
from unish.lab.training.losses.correspondence import (
    find_visible_vertices,
    landmark_loss,
    measure_distances,
    order_loss,
    sample_person_points,
    surface_loss,
)
from unish.lab.training.stages.localiser import Localiser, Located, shift_into_cameras
from unish.lab.training.stages.people_cache import PeopleBatch
from unish.structs import BodyParams


@dataclass(frozen=True, kw_only=True)
class FineWeights:
    """Factor of every term; 0 leaves it out.

    Attributes:
        surface: one-sided robust Chamfer of visible vertices to the person's points.
        order: by how much the surface lies behind the body. It pushes one way only, so a large factor puts people whose
            depth is unsure behind their points.
        landmarks: projected landmarks against detected ones, over the size of the person.
        width, landmark_width: from which distance on the penalties grow like lengths; shares of the person's distance
            and of the person's size. ``None`` for plain squares.
        num_frames: frames of a clip, drawn anew in each step, in which surfaces are compared: drawing bodies is the
            slow part.
        num_vertices, num_points: drawn for each person and frame.
    """

    surface: float = 20.0
    order: float = 0.2
    landmarks: float = 10.0
    width: float | None = 0.1
    landmark_width: float = 0.05
    num_frames: int = 1
    num_vertices: int = 128
    num_points: int = 384


def fine_loss(
    model: Localiser, batch: PeopleBatch, body: Body, weights: FineWeights
) -> tuple[Tensor, dict[str, Tensor]]:
    """Weighted sum of all terms, and each of them for the log. The truth of the batch is never read."""
    located = model(batch)
    among_points = keep_scale(located, is_metric=model.is_metric)
    valid = batch.humans.valid
    terms = {}
    if weights.landmarks:
        assert batch.humans.landmarks_px is not None
        terms["landmarks"] = landmark_loss(
            body.landmarks(shift_into_cameras(located, batch)),
            batch.humans.landmarks_px,
            batch.cameras,
            valid,
            width=weights.landmark_width,
        )
    if weights.surface or weights.order:
        generator = torch.Generator().manual_seed(int(torch.randint(2**31, ())))
        frames = torch.randperm(valid.shape[2])[: weights.num_frames]
        points = batch.scene.local_points[:, frames]
        points = torch.cat([points[..., :2], points[..., 2:] + batch.shift[:, frames, None, None, None]], dim=-1)
        metric = points * among_points.metres_per_unit[:, None, None, None, None]
        bodies = _pick_frames(shift_into_cameras(among_points, batch), frames)
        terms |= _compare_surfaces(
            body, bodies, metric, batch.person_ids[:, frames], batch.cameras[:, frames], valid[:, :, frames],
            weights, generator,
        )  # fmt: skip
    loss = sum(getattr(weights, name) * term for name, term in terms.items() if getattr(weights, name))
    return loss, {name: term.detach() for name, term in terms.items()}


def keep_scale(located: Located, *, is_metric: bool) -> Located:
    """The same answer for the surfaces, which may not change how large things are.

    Body and points agree best where the world is small. So surfaces teach only the place among the points, and what is
    metric comes from how large people appear; where AlignNet answers in metres (``is_metric``), the place is what
    landmarks teach, and surfaces teach the scale that brings the points there.
    """
    params, units, scale = located.params, located.units, located.metres_per_unit
    if is_metric:
        return replace(located, params=replace(params, transl=params.transl.detach()))
    fixed = scale.detach()
    return replace(located, params=replace(params, transl=fixed[:, None, None, None] * units), metres_per_unit=fixed)


def shrink_people(person_ids: Int[Tensor, "B N h w"], num_people: int) -> Int[Tensor, "B N h w"]:
    """The first ``num_people`` people without their outermost pixels; all else is −1.

    Points hang there between a person and what is behind, and a body that lies too deep would find its nearest ones.
    """
    people = torch.arange(num_people, device=person_ids.device)[:, None, None, None]
    kept = erode(person_ids[:, None] == people, 1).any(1)
    return torch.where(kept, person_ids, -1)


def _compare_surfaces(
    body: Body,
    params: BodyParams,
    metric_points: Float[Tensor, "B N h w 3"],
    person_ids: Int[Tensor, "B N h w"],
    cameras: Float[Tensor, "B N 3 3"],
    valid: Bool[Tensor, "B P N"],
    weights: FineWeights,
    generator: Generator,
) -> dict[str, Tensor]:
    vertices = body.vertices(params)
    person_ids = shrink_people(person_ids, valid.shape[1])
    visible = find_visible_vertices(vertices, body.faces, cameras, person_ids, valid)
    points, drawn = sample_person_points(
        metric_points, person_ids, valid.shape[1], num_points=weights.num_points, generator=generator
    )
    distances = measure_distances(points, drawn)
    unit = distances[..., None, None]
    surface = surface_loss(
        vertices / unit, visible, points / unit, drawn, num_vertices=weights.num_vertices, width=weights.width,
        generator=generator,
    )  # fmt: skip
    return {"surface": surface, "order": order_loss(vertices, visible, metric_points, cameras, unit=distances)}


def _pick_frames(params: BodyParams, frames: Int[Tensor, "K"]) -> BodyParams:
    return BodyParams(**{name: value[:, :, frames] for name, value in vars(params).items()})
