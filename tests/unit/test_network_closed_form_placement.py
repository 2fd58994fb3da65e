"""Whom the closed-form start believes, and what it tells AlignNet."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from test_network_align import METRES_PER_UNIT, WIDTH, _make_people
from torch import Tensor

from unish.network.closed_form_placement import ClosedFormPlacement, PlacementSolution, masked_mean_distance
from unish.network.outputs import HumanOutput, SceneOutput
from unish.structs import HumanInputs

LEGS = [23, 24, 25, 26]
"""Hips and knees."""


def crowd(rng: torch.Generator, cut: int) -> tuple[SceneOutput, HumanOutput, HumanInputs]:
    """One person seen whole, whose points are right, and ``cut`` copies of another whose points are twice as far."""
    _, scene, people, humans = _make_people(rng)
    points = scene.local_points.clone()
    points[:, :, :, WIDTH // 2 :] /= 2  # metres per unit, as the right half says it, are twice as many
    which = [0, *[1] * cut]
    px = humans.landmarks_px[:, which].clone()
    return (
        replace(scene, local_points=points),
        HumanOutput(rotations=people.rotations[:, which], betas=people.betas[:, which], token=people.token[:, which]),
        HumanInputs(valid=humans.valid[:, which], landmarks_px=px),
    )


def solve(scene: SceneOutput, people: HumanOutput, humans: HumanInputs) -> PlacementSolution:
    return ClosedFormPlacement("free")(scene, people, humans)


@pytest.mark.parametrize(("visibility", "believed"), [(0.5, METRES_PER_UNIT), (1.0, 2 * METRES_PER_UNIT)])
def test_people_without_hips_and_knees_count_by_the_square_of_what_is_seen(
    rng, visibility: float, believed: float
) -> None:
    """Three people whose hips and knees are half seen count a quarter each: who is seen whole outvotes them."""
    scene, people, humans = crowd(rng, cut=3)
    px = humans.landmarks_px.clone()
    px[:, 1:, :, LEGS, 2] = visibility
    found = solve(scene, people, replace(humans, landmarks_px=px))
    torch.testing.assert_close(
        found.metres_per_unit, torch.tensor([believed]), rtol=0.1, atol=0
    )  # limbs before and behind


def test_what_is_told_about_the_ruler(rng) -> None:
    params, scene, people, humans = _make_people(rng)
    px = humans.landmarks_px.clone()
    px[:, 1, :, LEGS[:2], 2] = 0.5
    valid = humans.valid.clone()
    valid[:, 0, 2] = False
    found = solve(scene, people, HumanInputs(valid=valid, landmarks_px=px))
    assert not found.evidence[:, 0, 2].any()
    distance, residual, scale = found.evidence[valid][:, :3].unbind(-1)
    pelvis = (params.transl + found.rest_pelvis)[valid]
    torch.testing.assert_close(distance, pelvis.norm(dim=-1).log(), atol=1e-5, rtol=0)
    assert residual.max() < 1e-5
    wanted = (METRES_PER_UNIT * masked_mean_distance(scene)).log().expand_as(scale)
    torch.testing.assert_close(scale, wanted, atol=0.02, rtol=0)  # of one person: limbs before and behind the wall
    assert found.evidence[0, :, 0, 3].tolist() == pytest.approx([1.0, 0.75])
    torch.testing.assert_close(found.pelvis[valid], pelvis, atol=1e-4, rtol=0)


def test_a_crooked_fit_is_told_in_sizes_of_the_person(rng) -> None:
    """Landmarks that are off by five per cent of the person's size in the picture, and no more than 1 for nonsense."""
    params, scene, people, humans = _make_people(rng)
    ruler = [11, 12, 13, 14, 15, 16, 23, 24, 25, 26, 27, 28]
    marks = humans.landmarks_px[..., ruler, :2]
    posed = _landmarks(params)[..., ruler, :]
    spread = (posed - posed.mean(-2, keepdim=True)).norm(dim=-1).mean(-1)
    size_px = spread / posed[..., 2].mean(-1) * scene.intrinsics[0, 0, 0, 0]
    noise = torch.randn(marks.shape, generator=rng)
    px = humans.landmarks_px.clone()
    px[..., ruler, :2] = marks + 0.05 * size_px[..., None, None] * noise
    residual = solve(scene, people, replace(humans, landmarks_px=px)).evidence[..., 1]
    assert 0.8 * 0.05 * 2**0.5 < residual.mean() < 1.1 * 0.05 * 2**0.5
    px[..., ruler, :2] = 100 * noise
    assert solve(scene, people, replace(humans, landmarks_px=px)).evidence[..., 1].max() <= 1


def _landmarks(params: object) -> Tensor:
    from unish.body import load_body

    return load_body("free").landmarks(params)


def test_points_that_are_not_sure_measure_nobody(rng) -> None:
    _, scene, people, humans = _make_people(rng)
    points, logits = scene.local_points.clone(), scene.point_conf_logits.clone()
    logits[..., : WIDTH // 2] = -4.0
    points[..., : WIDTH // 2, :] *= 7.0
    doubtful = replace(scene, local_points=points, point_conf_logits=logits)
    found, plain = solve(doubtful, people, humans), solve(scene, people, humans)
    alone = solve(scene, *(_second(x) for x in (people, humans)))
    torch.testing.assert_close(found.metres_per_unit, alone.metres_per_unit)
    torch.testing.assert_close(found.pelvis, plain.pelvis)
    distance = scene.local_points[..., WIDTH // 2 :, :].norm(dim=-1).mean()
    torch.testing.assert_close(masked_mean_distance(doubtful), distance[None])


def _second(record: HumanOutput | HumanInputs) -> HumanOutput | HumanInputs:
    """The second person alone."""
    values = {name: value[:, 1:] for name, value in vars(record).items() if value is not None}
    return type(record)(**values)
